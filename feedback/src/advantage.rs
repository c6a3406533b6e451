//! Group-relative advantages: A_i = (r_i - mean(r)) / max(std(r), floor) (method, section 5).
//!
//! std is the SAMPLE standard deviation (divisor G - 1), as in TRL; there the floor is added to it, here it bounds it.

/// The advantages of one group's completions.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupAdvantages {
    /// One advantage a completion, in the order of the rewards.
    pub values: Vec<f64>,
    /// Mean reward of the group.
    pub mean: f64,
    /// Sample standard deviation of the rewards; 0 for a group of one.
    pub std: f64,
    /// All rewards are equal: the advantages are exactly zero and the group gives no gradient.
    pub zero_variance: bool,
}

/// Advantages of a group from its rewards (at least one, finite); `floor` bounds the divisor from below.
pub fn group_advantages(rewards: &[f64], floor: f64) -> GroupAdvantages {
    let n = rewards.len();
    let mean = rewards.iter().sum::<f64>() / n.max(1) as f64;
    // Equality is tested on the rewards themselves: the rounded mean of equal rewards may differ from them.
    let zero_variance = rewards.windows(2).all(|pair| pair[0] == pair[1]);
    if zero_variance {
        let mean = rewards.first().copied().unwrap_or(0.0);
        return GroupAdvantages { values: vec![0.0; n], mean, std: 0.0, zero_variance };
    }
    let squares: f64 = rewards.iter().map(|r| (r - mean) * (r - mean)).sum();
    let std = (squares / (n - 1) as f64).sqrt();
    let values = rewards.iter().map(|r| (r - mean) / std.max(floor)).collect();
    GroupAdvantages { values, mean, std, zero_variance }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(serde::Deserialize)]
    struct Golden {
        rewards: Vec<f64>,
        floor: f64,
        mean: f64,
        std: f64,
        advantages: Vec<f64>,
    }

    #[test]
    fn advantages_equal_those_of_numpy() {
        let cases: Vec<Golden> = serde_json::from_str(include_str!("../tests/golden/advantage.json")).unwrap();
        assert!(cases.len() >= 4);
        for case in cases {
            let group = group_advantages(&case.rewards, case.floor);
            assert!((group.mean - case.mean).abs() < 1e-12 && (group.std - case.std).abs() < 1e-12);
            for (found, expected) in group.values.iter().zip(&case.advantages) {
                assert!((found - expected).abs() < 1e-9, "{found} {expected}");
            }
        }
    }

    #[test]
    fn equal_rewards_are_found_exactly() {
        // Ten times 0.1 has a rounded mean other than 0.1; the advantages must still be zero.
        let group = group_advantages(&[0.1; 10], 1e-4);
        assert!(group.zero_variance);
        assert_eq!((group.values, group.mean, group.std), (vec![0.0; 10], 0.1, 0.0));
        assert!(!group_advantages(&[0.1, 0.1, 0.1 + 1e-15], 1e-4).zero_variance);
    }

    #[test]
    fn a_group_of_one_gives_no_gradient() {
        let group = group_advantages(&[0.7], 1e-4);
        assert!(group.zero_variance);
        assert_eq!(group.values, [0.0]);
    }

    #[test]
    fn the_floor_bounds_the_divisor() {
        let group = group_advantages(&[0.0, 2e-6], 1e-3);
        assert!((group.values[1] - 1e-3).abs() < 1e-12);
    }

    proptest! {
        #[test]
        fn advantages_sum_to_zero_and_have_unit_deviation(rewards in prop::collection::vec(-1.0f64..1.0, 2..32)) {
            let group = group_advantages(&rewards, 1e-9);
            prop_assume!(group.std > 1e-3);
            let n = rewards.len() as f64;
            prop_assert!(group.values.iter().sum::<f64>().abs() < 1e-9);
            let squares: f64 = group.values.iter().map(|a| a * a).sum();
            prop_assert!((squares / (n - 1.0) - 1.0).abs() < 1e-9);
        }
    }
}
