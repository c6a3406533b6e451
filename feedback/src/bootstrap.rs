//! Confidence intervals: the percentile bootstrap over users, because instances of one user are not independent.

use crate::keyed_random::below;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// A mean with its 95 % interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MetricValue {
    /// Mean over instances.
    pub value: f64,
    /// 2.5th percentile of the resampled means, over the resamples that have one.
    pub low: f64,
    /// 97.5th percentile of the same.
    pub high: f64,
    /// Instances that the metric is defined for.
    pub n: u64,
}

/// How often and from which seed users are resampled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resampling {
    /// Resamples.
    pub times: u32,
    /// Seed; resample `k` draws from stream `k` of it.
    pub seed: u64,
}

/// The mean of `values` (one an instance; `None` where the metric is undefined) with its interval over `users`
/// (the user of each instance). All 0 when nothing is defined.
///
/// Users are drawn from all, so that the size of a metric's subset varies as it would in another sample of users. A
/// resample without anyone of the subset has no mean: it is left out, as counting it for 0 would pull `low` down. When
/// no resample has a mean, `low` and `high` are the value.
pub fn interval(users: &[u32], values: &[Option<f64>], resampling: Resampling) -> MetricValue {
    let groups = by_user(users, values);
    let n: u64 = groups.iter().map(|(_, n)| *n).sum();
    if n == 0 {
        return MetricValue::default();
    }
    let sum: f64 = groups.iter().map(|(sum, _)| *sum).sum();
    let value = sum / n as f64;
    let mut means: Vec<f64> = (0..u64::from(resampling.times))
        .into_par_iter()
        .filter_map(|k| resampled(&groups, resampling.seed, k))
        .collect();
    if means.is_empty() {
        return MetricValue { value, low: value, high: value, n };
    }
    means.sort_unstable_by(f64::total_cmp);
    MetricValue { value, low: percentile(&means, 0.025), high: percentile(&means, 0.975), n }
}

/// The mean of `a - b` with its interval, over the instances where both are defined: whether one model is better
/// than another on the same instances.
pub fn paired_difference(users: &[u32], a: &[Option<f64>], b: &[Option<f64>], resampling: Resampling) -> MetricValue {
    let differences: Vec<Option<f64>> = a.iter().zip(b).map(|(x, y)| Some(x.as_ref()? - y.as_ref()?)).collect();
    interval(users, &differences, resampling)
}

/// How much of `before` is lost in `after`: (mean of before - mean of after) / mean of before, over the instances where both
/// are defined, with its interval over `users`; below 0 nothing is lost. None where `before` is 0 on average.
pub fn relative_loss(
    users: &[u32],
    before: &[Option<f64>],
    after: &[Option<f64>],
    resampling: Resampling,
) -> Option<MetricValue> {
    let both: Vec<bool> = before.iter().zip(after).map(|(b, a)| b.is_some() && a.is_some()).collect();
    let kept = |values: &[Option<f64>]| -> Vec<Option<f64>> {
        values.iter().zip(&both).map(|(value, both)| value.filter(|_| *both)).collect()
    };
    let (before, after) = (by_user(users, &kept(before)), by_user(users, &kept(after)));
    let loss = |before: f64, after: f64| (before > 0.0).then(|| (before - after) / before);
    let sum = |groups: &[(f64, u64)]| groups.iter().map(|(sum, _)| *sum).sum::<f64>();
    let value = loss(sum(&before), sum(&after))?;
    let resample = |k| {
        // The same stream draws the same users twice.
        let (before, after) = (resampled(&before, resampling.seed, k)?, resampled(&after, resampling.seed, k)?);
        loss(before, after)
    };
    let mut losses: Vec<f64> = (0..u64::from(resampling.times)).into_par_iter().filter_map(resample).collect();
    losses.sort_unstable_by(f64::total_cmp);
    let (low, high) = match losses.is_empty() {
        true => (value, value),
        false => (percentile(&losses, 0.025), percentile(&losses, 0.975)),
    };
    Some(MetricValue { value, low, high, n: before.iter().map(|(_, n)| *n).sum() })
}

/// The 95 % interval of a share of `n` independent trials (Wilson, 1927). Where only counts are known: several trials of one
/// user are not independent, so it is too narrow for them.
pub fn wilson(share: f64, n: u64) -> (f64, f64) {
    const Z: f64 = 1.959_963_984_540_054;
    if n == 0 {
        return (0.0, 1.0);
    }
    let n = n as f64;
    let middle = share + Z * Z / (2.0 * n);
    let half = Z * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
    let scale = 1.0 + Z * Z / n;
    (((middle - half) / scale).max(0.0), ((middle + half) / scale).min(1.0))
}

/// Sum and number of values of each user, by user index; users without instances are left out, users whose
/// instances are all undefined are not, because they too could have been drawn.
fn by_user(users: &[u32], values: &[Option<f64>]) -> Vec<(f64, u64)> {
    let mut order: Vec<usize> = (0..users.len().min(values.len())).collect();
    order.sort_by_key(|i| (users[*i], *i));
    let mut groups: Vec<(f64, u64)> = Vec::new();
    let mut last = None;
    for i in order {
        if last != Some(users[i]) {
            groups.push((0.0, 0));
            last = Some(users[i]);
        }
        if let (Some(value), Some((sum, n))) = (values[i], groups.last_mut()) {
            *sum += value;
            *n += 1;
        }
    }
    groups
}

/// The mean of one resample: as many users as there are, drawn with replacement. None if it holds no value.
fn resampled(groups: &[(f64, u64)], seed: u64, stream: u64) -> Option<f64> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(stream);
    let (mut sum, mut n) = (0.0, 0u64);
    for _ in 0..groups.len() {
        let (user_sum, user_n) = groups[below(&mut random, groups.len())];
        sum += user_sum;
        n += user_n;
    }
    (n > 0).then(|| sum / n as f64)
}

/// Linear interpolation between the closest ranks of sorted values.
pub(crate) fn percentile(sorted: &[f64], share: f64) -> f64 {
    let at = share * (sorted.len() - 1) as f64;
    let (low, high) = (at.floor() as usize, at.ceil() as usize);
    sorted[low] + (at - low as f64) * (sorted[high] - sorted[low])
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESAMPLING: Resampling = Resampling { times: 2000, seed: 3 };

    #[test]
    fn percentiles_interpolate_between_ranks() {
        assert_eq!(percentile(&[0.0, 1.0, 2.0, 3.0], 0.5), 1.5);
        assert_eq!(percentile(&[4.0], 0.975), 4.0);
    }

    #[test]
    fn the_mean_is_over_instances_and_skips_undefined_ones() {
        let result = interval(&[0, 0, 1, 2], &[Some(1.0), Some(1.0), Some(0.0), None], RESAMPLING);
        assert!((result.value - 2.0 / 3.0).abs() < 1e-12);
        assert_eq!(result.n, 3);
        assert!(result.low < result.value && result.value < result.high);
        assert_eq!(interval(&[0], &[None], RESAMPLING), MetricValue::default());
    }

    #[test]
    fn the_interval_of_a_coin_has_the_width_that_theory_says() {
        let users: Vec<u32> = (0..400).collect();
        let values: Vec<Option<f64>> = users.iter().map(|u| Some(f64::from(u % 2))).collect();
        let result = interval(&users, &values, RESAMPLING);
        // Standard error 0.025: 1.96 of them to either side.
        assert!((result.low - (0.5 - 0.049)).abs() < 0.006, "{result:?}");
        assert!((result.high - (0.5 + 0.049)).abs() < 0.006, "{result:?}");
    }

    #[test]
    fn instances_of_one_user_do_not_narrow_the_interval() {
        let one: Vec<Option<f64>> = (0..40).map(|u| Some(f64::from(u % 2))).collect();
        let users: Vec<u32> = (0..40).collect();
        let many_users: Vec<u32> = (0..400).map(|i| i % 40).collect();
        let many: Vec<Option<f64>> = many_users.iter().map(|u| Some(f64::from(u % 2))).collect();
        let (a, b) = (interval(&users, &one, RESAMPLING), interval(&many_users, &many, RESAMPLING));
        assert!((a.low - b.low).abs() < 1e-12 && (a.high - b.high).abs() < 1e-12);
    }

    #[test]
    fn resamples_without_a_value_do_not_pull_the_interval_down() {
        // One of 20 users has a value: about a third of the resamples miss it.
        let users: Vec<u32> = (0..20).collect();
        let one = |value: f64| -> Vec<Option<f64>> { users.iter().map(|u| (*u == 3).then_some(value)).collect() };
        let result = interval(&users, &one(0.75), RESAMPLING);
        assert_eq!(result, MetricValue { value: 0.75, low: 0.75, high: 0.75, n: 1 });
        // With a single resample it is sometimes that one: the interval is then the value.
        for seed in 0..30 {
            let result = interval(&users, &one(0.75), Resampling { times: 1, seed });
            assert_eq!((result.low, result.high), (0.75, 0.75), "seed {seed}");
        }
    }

    #[test]
    fn a_loss_is_relative_and_paired() {
        let users: Vec<u32> = (0..40).collect();
        let before: Vec<Option<f64>> = users.iter().map(|u| Some(f64::from(u8::from(u % 4 < 2)))).collect();
        // A fifth of what was right is lost; one instance is not known afterwards.
        let lost = |u: u32| u % 20 < 2;
        let mut after: Vec<Option<f64>> =
            users.iter().zip(&before).map(|(u, b)| if lost(*u) { Some(0.0) } else { *b }).collect();
        let found = relative_loss(&users, &before, &after, RESAMPLING).unwrap();
        assert!((found.value - 0.2).abs() < 1e-12 && found.n == 40, "{found:?}");
        assert!(0.0 <= found.low && found.low < 0.1 && 0.3 < found.high && found.high < 0.5, "{found:?}");
        after[0] = None;
        let found = relative_loss(&users, &before, &after, RESAMPLING).unwrap();
        assert!((found.value - 3.0 / 19.0).abs() < 1e-12 && found.n == 39, "{found:?}");
        assert_eq!(relative_loss(&users, &[Some(0.0); 40], &after, RESAMPLING), None);
    }

    #[test]
    fn wilsons_interval_by_hand() {
        // As statsmodels' proportion_confint(50, 100, method="wilson") and (0, 10).
        let (low, high) = wilson(0.5, 100);
        assert!((low - 0.403_831_5).abs() < 1e-6 && (high - 0.596_168_5).abs() < 1e-6, "{low} {high}");
        let (low, high) = wilson(0.0, 10);
        assert!(low == 0.0 && (high - 0.277_532_8).abs() < 1e-6, "{low} {high}");
        assert_eq!(wilson(0.0, 0), (0.0, 1.0));
    }

    #[test]
    fn equal_models_have_no_difference() {
        let values = [Some(1.0), None, Some(0.0)];
        let result = paired_difference(&[0, 1, 2], &values, &values, RESAMPLING);
        assert_eq!((result.value, result.low, result.high, result.n), (0.0, 0.0, 0.0, 2));
    }
}
