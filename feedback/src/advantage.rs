//! Group-relative advantages: A_i = (r_i - baseline_i) / divisor (method, section 5; `docs/losses.md`).
//!
//! std is the SAMPLE standard deviation (divisor G - 1), as in TRL; there the floor is added to it, here it bounds it.
//! Completions drawn without replacement stand for unequal shares of the policy, so means and deviations take weights.

use conrec_domain::spec::Baseline;

/// What a group's completions earned beyond their baseline.
#[derive(Clone, Debug, PartialEq)]
pub struct CentredGroup {
    /// r_i - baseline_i, in the order of the rewards.
    pub values: Vec<f64>,
    /// Mean reward of the group.
    pub mean: f64,
    /// Sample standard deviation of the rewards; 0 for a group of one.
    pub std: f64,
    /// All rewards are equal: the values are exactly zero and the group gives no gradient.
    pub zero_variance: bool,
}

impl CentredGroup {
    /// Of a group's rewards (at least one, finite). `weights`, one a reward and above 0 in sum, are the shares that
    /// the completions stand for; none where all stand for the same.
    pub fn new(rewards: &[f64], weights: Option<&[f64]>, baseline: Baseline) -> Self {
        let n = rewards.len();
        // Equality is tested on the rewards themselves: the rounded mean of equal rewards may differ from them.
        let zero_variance = rewards.windows(2).all(|pair| pair[0] == pair[1]);
        if zero_variance {
            let mean = rewards.first().copied().unwrap_or(0.0);
            return Self { values: vec![0.0; n], mean, std: 0.0, zero_variance };
        }
        let Spread { mean, std } = Spread::of(rewards, weights);
        let baseline = |i: usize| match baseline {
            Baseline::Mean => mean,
            Baseline::LeaveOneOut => mean_of_others(rewards, weights, i),
        };
        let values = rewards.iter().enumerate().map(|(i, reward)| reward - baseline(i)).collect();
        Self { values, mean, std, zero_variance }
    }
}

/// sum over j != i of w_j r_j, over the sum of these w_j; the reward itself where nothing else has a weight.
fn mean_of_others(rewards: &[f64], weights: Option<&[f64]>, i: usize) -> f64 {
    let weight = |j: usize| weights.map_or(1.0, |w| w[j]);
    let others = || (0..rewards.len()).filter(|j| *j != i);
    let total: f64 = others().map(weight).sum();
    if total > 0.0 { others().map(|j| weight(j) * rewards[j]).sum::<f64>() / total } else { rewards[i] }
}

/// Mean and sample standard deviation of rewards.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// sum of w r, where the weights w sum to 1.
    pub mean: f64,
    /// Root of (sum of w (r - mean)^2) / (1 - sum of w^2), which for equal weights is the sample standard deviation.
    pub std: f64,
}

impl Spread {
    /// Of finite rewards; `weights` as in [`CentredGroup::new`]. Fewer than two rewards have a deviation of 0.
    pub fn of(rewards: &[f64], weights: Option<&[f64]>) -> Self {
        let n = rewards.len();
        let Some(weights) = weights else {
            let mean = rewards.iter().sum::<f64>() / n.max(1) as f64;
            let squares: f64 = rewards.iter().map(|r| (r - mean) * (r - mean)).sum();
            let std = if n < 2 { 0.0 } else { (squares / (n - 1) as f64).sqrt() };
            return Self { mean, std };
        };
        let total: f64 = weights.iter().sum();
        let pairs = || rewards.iter().zip(weights.iter().map(|w| w / total));
        let mean = pairs().map(|(r, w)| w * r).sum::<f64>();
        let squares: f64 = pairs().map(|(r, w)| w * (r - mean) * (r - mean)).sum();
        // 1 - sum of w^2, as a sum of terms that do not cancel.
        let rest: f64 = pairs().map(|(_, w)| w * (1.0 - w)).sum();
        Self { mean, std: if rest > 0.0 { (squares / rest).sqrt() } else { 0.0 } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(serde::Deserialize)]
    struct Golden {
        rewards: Vec<f64>,
        weights: Option<Vec<f64>>,
        floor: f64,
        mean: f64,
        std: f64,
        advantages: Vec<f64>,
        leave_one_out: Vec<f64>,
    }

    fn centred(rewards: &[f64]) -> CentredGroup {
        CentredGroup::new(rewards, None, Baseline::Mean)
    }

    fn close(found: &[f64], expected: &[f64]) {
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-9, "{found} {expected}");
        }
    }

    #[test]
    fn advantages_equal_those_of_numpy() {
        let cases: Vec<Golden> = serde_json::from_str(include_str!("../tests/golden/advantage.json")).unwrap();
        assert!(cases.iter().filter(|c| c.weights.is_some()).count() >= 3 && cases.len() >= 7);
        for case in cases {
            let group = CentredGroup::new(&case.rewards, case.weights.as_deref(), Baseline::Mean);
            assert!((group.mean - case.mean).abs() < 1e-12 && (group.std - case.std).abs() < 1e-12);
            let scaled: Vec<f64> = group.values.iter().map(|v| v / group.std.max(case.floor)).collect();
            close(&scaled, &case.advantages);
            let group = CentredGroup::new(&case.rewards, case.weights.as_deref(), Baseline::LeaveOneOut);
            close(&group.values, &case.leave_one_out);
        }
    }

    #[test]
    fn equal_rewards_are_found_exactly() {
        // Ten times 0.1 has a rounded mean other than 0.1; the advantages must still be zero.
        let group = centred(&[0.1; 10]);
        assert!(group.zero_variance);
        assert_eq!((group.values, group.mean, group.std), (vec![0.0; 10], 0.1, 0.0));
        assert!(!centred(&[0.1, 0.1, 0.1 + 1e-15]).zero_variance);
    }

    #[test]
    fn a_group_of_one_gives_no_gradient() {
        let group = centred(&[0.7]);
        assert!(group.zero_variance);
        assert_eq!(group.values, [0.0]);
        assert_eq!(Spread::of(&[0.7], Some(&[2.0])).std, 0.0);
        assert_eq!(Spread::of(&[], None).std, 0.0);
    }

    proptest! {
        #[test]
        fn advantages_sum_to_zero_and_have_unit_deviation(rewards in prop::collection::vec(-1.0f64..1.0, 2..32)) {
            let group = centred(&rewards);
            prop_assume!(group.std > 1e-3);
            let n = rewards.len() as f64;
            prop_assert!(group.values.iter().sum::<f64>().abs() < 1e-9);
            let squares: f64 = group.values.iter().map(|a| a * a).sum();
            prop_assert!((squares / (n - 1.0) / group.std.powi(2) - 1.0).abs() < 1e-9);
        }

        #[test]
        fn equal_weights_are_none_and_their_scale_does_not_matter(
            rewards in prop::collection::vec(-1.0f64..1.0, 2..32),
            weight in 0.01f64..10.0,
        ) {
            let weights = vec![weight; rewards.len()];
            for baseline in [Baseline::Mean, Baseline::LeaveOneOut] {
                let plain = CentredGroup::new(&rewards, None, baseline);
                let weighted = CentredGroup::new(&rewards, Some(&weights), baseline);
                prop_assert!((plain.mean - weighted.mean).abs() < 1e-12 && (plain.std - weighted.std).abs() < 1e-9);
                close(&plain.values, &weighted.values);
            }
        }
    }
}
