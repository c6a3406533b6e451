//! What several runs that differ in their seed say together: the mean over seeds, and an interval over users AND seeds.
//!
//! A resample draws users with replacement, the same for all seeds, and seeds with replacement. So the interval holds
//! both what other users would have said and what other seeds would have given; with three seeds the latter is a rough
//! estimate, and too small by about a fifth (a variance over n has n - 1 degrees of freedom).

use crate::bootstrap::{Resampling, percentile};
use crate::keyed_random::below;
use crate::outcomes::InstanceKey;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use std::collections::BTreeMap;

/// One run's values of a metric.
#[derive(Clone, Debug)]
pub struct Sample<'a> {
    /// Its instances.
    pub instances: &'a [InstanceKey],
    /// One value an instance; `None` where the metric does not apply.
    pub values: &'a [Option<f64>],
}

/// A metric over several seeds.
#[derive(Clone, Debug, PartialEq)]
pub struct OverSeeds {
    /// Mean over seeds of the mean over instances.
    pub value: f64,
    /// 2.5th percentile of the resampled means.
    pub low: f64,
    /// 97.5th percentile.
    pub high: f64,
    /// The mean of each seed, in the order of the samples.
    pub by_seed: Vec<f64>,
    /// Instances of each seed that have a value.
    pub instances: Vec<u64>,
    /// Users with a value in any seed.
    pub users: u64,
}

/// The metric over seeds; none where a seed has no value.
pub fn over_seeds(samples: &[Sample<'_>], resampling: Resampling) -> Option<OverSeeds> {
    let values = |sample: &Sample<'_>| {
        sample.instances.iter().zip(sample.values).map(|(key, value)| (key.user.clone(), *value)).collect()
    };
    measured(&samples.iter().map(values).collect::<Vec<_>>(), resampling)
}

/// How much more the runs `a` have than the runs `b`, seed by seed and instance by instance: only instances that both
/// of a pair have a value for count. None where a pair has no such instance, or the numbers of seeds differ.
pub fn difference_over_seeds(a: &[Sample<'_>], b: &[Sample<'_>], resampling: Resampling) -> Option<OverSeeds> {
    if a.len() != b.len() {
        return None;
    }
    let pair = |(a, b): (&Sample<'_>, &Sample<'_>)| {
        let of_b: BTreeMap<&InstanceKey, Option<f64>> = b.instances.iter().zip(b.values.iter().copied()).collect();
        let both = a.instances.iter().zip(a.values).filter_map(|(key, value)| Some((key, *value, *of_b.get(key)?)));
        both.map(|(key, a, b)| (key.user.clone(), a.zip(b).map(|(a, b)| a - b))).collect()
    };
    measured(&a.iter().zip(b).map(pair).collect::<Vec<_>>(), resampling)
}

/// How much more of a metric one model has than another, and what it has at least.
#[derive(Clone, Debug, PartialEq)]
pub struct PairedBound {
    /// Mean of the first, over the instances of both.
    pub first: f64,
    /// Mean of the second.
    pub second: f64,
    /// Mean of the differences.
    pub difference: f64,
    /// The one-sided bound: with the confidence asked for, the difference is at least this.
    pub low: f64,
    /// Instances that both have a value for.
    pub instances: u64,
}

/// The bound on how much more `a` has than `b` at a confidence such as 0.95, by bootstrap over users; none where no instance
/// has a value of both.
pub fn paired_bound(a: &Sample<'_>, b: &Sample<'_>, resampling: Resampling, confidence: f64) -> Option<PairedBound> {
    let of_b: BTreeMap<&InstanceKey, Option<f64>> = b.instances.iter().zip(b.values.iter().copied()).collect();
    let both: Vec<(&InstanceKey, f64, f64)> = a
        .instances
        .iter()
        .zip(a.values)
        .filter_map(|(key, value)| Some((key, (*value)?, (*of_b.get(key)?)?)))
        .collect();
    let n = both.len() as f64;
    let mean = |of: &dyn Fn(&(&InstanceKey, f64, f64)) -> f64| both.iter().map(of).sum::<f64>() / n;
    let differences: Values = both.iter().map(|(key, a, b)| (key.user.clone(), Some(a - b))).collect();
    let groups = by_user(std::slice::from_ref(&differences));
    let mut means: Vec<f64> = (0..u64::from(resampling.times))
        .into_par_iter()
        .filter_map(|k| resampled(&groups, 1, resampling.seed, k))
        .collect();
    if means.is_empty() {
        return None;
    }
    means.sort_unstable_by(f64::total_cmp);
    Some(PairedBound {
        first: mean(&|(_, a, _)| *a),
        second: mean(&|(_, _, b)| *b),
        difference: mean(&|(_, a, b)| a - b),
        low: percentile(&means, 1.0 - confidence),
        instances: both.len() as u64,
    })
}

type Values = Vec<(String, Option<f64>)>;

fn measured(seeds: &[Values], resampling: Resampling) -> Option<OverSeeds> {
    let by_seed = seeds.iter().map(mean).collect::<Option<Vec<f64>>>()?;
    if by_seed.is_empty() {
        return None;
    }
    let value = by_seed.iter().sum::<f64>() / by_seed.len() as f64;
    let groups = by_user(seeds);
    let instances =
        seeds.iter().map(|values| values.iter().filter(|(_, value)| value.is_some()).count() as u64).collect();
    let users = groups.iter().filter(|of_seeds| of_seeds.iter().any(|(_, n)| *n > 0)).count() as u64;
    let mut means: Vec<f64> = (0..u64::from(resampling.times))
        .into_par_iter()
        .filter_map(|k| resampled(&groups, seeds.len(), resampling.seed, k))
        .collect();
    if means.is_empty() {
        return Some(OverSeeds { value, low: value, high: value, by_seed, instances, users });
    }
    means.sort_unstable_by(f64::total_cmp);
    let (low, high) = (percentile(&means, 0.025), percentile(&means, 0.975));
    Some(OverSeeds { value, low, high, by_seed, instances, users })
}

fn mean(values: &Values) -> Option<f64> {
    let (sum, n) = values.iter().filter_map(|(_, value)| *value).fold((0.0, 0u64), |(sum, n), v| (sum + v, n + 1));
    (n > 0).then(|| sum / n as f64)
}

/// Sum and number of values, by user and then by seed; users in the order of their ids.
fn by_user(seeds: &[Values]) -> Vec<Vec<(f64, u64)>> {
    let mut users: BTreeMap<&str, Vec<(f64, u64)>> = BTreeMap::new();
    for (seed, values) in seeds.iter().enumerate() {
        for (user, value) in values {
            let sums = users.entry(user).or_insert_with(|| vec![(0.0, 0); seeds.len()]);
            if let (Some((sum, n)), Some(value)) = (sums.get_mut(seed), value) {
                *sum += value;
                *n += 1;
            }
        }
    }
    users.into_values().collect()
}

/// One resample; none if a seed that was drawn has no value in it.
fn resampled(groups: &[Vec<(f64, u64)>], seeds: usize, seed: u64, stream: u64) -> Option<f64> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(stream);
    let mut draw = |bound: usize| below(&mut random, bound);
    let drawn: Vec<usize> = (0..seeds).map(|_| draw(seeds)).collect();
    let mut sums = vec![(0.0, 0u64); seeds];
    for _ in 0..groups.len() {
        let user = groups.get(draw(groups.len()))?;
        for ((sum, n), (more, count)) in sums.iter_mut().zip(user) {
            *sum += more;
            *n += count;
        }
    }
    let means: Option<Vec<f64>> =
        drawn.iter().map(|seed| sums.get(*seed).filter(|(_, n)| *n > 0).map(|(sum, n)| sum / *n as f64)).collect();
    means.map(|means| means.iter().sum::<f64>() / seeds as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bootstrap::interval;

    const RESAMPLING: Resampling = Resampling { times: 2000, seed: 5 };

    fn keys(users: &[u32]) -> Vec<InstanceKey> {
        let key = |(i, user): (usize, &u32)| InstanceKey { user: format!("{user:04}"), t0: i as i64, next: "x".into() };
        users.iter().enumerate().map(key).collect()
    }

    #[test]
    fn one_seed_has_the_interval_over_users() {
        let users: Vec<u32> = (0..400).map(|i| i / 2).collect();
        let values: Vec<Option<f64>> = users.iter().map(|u| Some(f64::from(u % 2))).collect();
        let keys = keys(&users);
        let found = over_seeds(&[Sample { instances: &keys, values: &values }], RESAMPLING).unwrap();
        let expected = interval(&users, &values, RESAMPLING);
        assert!((found.value - expected.value).abs() < 1e-12);
        assert!((found.low - expected.low).abs() < 0.02 && (found.high - expected.high).abs() < 0.02, "{found:?}");
    }

    #[test]
    fn seeds_that_disagree_widen_the_interval() {
        let users: Vec<u32> = (0..300).collect();
        let keys = keys(&users);
        let run = |share: u32| users.iter().map(|u| Some(f64::from(u8::from(u % 10 < share)))).collect::<Vec<_>>();
        let widths: Vec<f64> = [[5, 5, 5], [2, 5, 8]]
            .iter()
            .map(|shares| {
                let runs: Vec<Vec<Option<f64>>> = shares.iter().map(|share| run(*share)).collect();
                let samples: Vec<Sample<'_>> = runs.iter().map(|v| Sample { instances: &keys, values: v }).collect();
                let found = over_seeds(&samples, RESAMPLING).unwrap();
                assert!((found.value - 0.5).abs() < 1e-12);
                found.high - found.low
            })
            .collect();
        assert!(widths[1] > 3.0 * widths[0], "{widths:?}");
    }

    #[test]
    fn differences_are_paired_by_instance_whatever_their_order() {
        let users: Vec<u32> = (0..50).collect();
        let keys = keys(&users);
        let backwards: Vec<InstanceKey> = keys.iter().rev().cloned().collect();
        let a: Vec<Option<f64>> = (0..50).map(|i| Some(f64::from(i) + 0.25)).collect();
        let b: Vec<Option<f64>> = (0..50).rev().map(|i| Some(f64::from(i))).collect();
        let sample = |instances, values| [Sample { instances, values }];
        let found = difference_over_seeds(&sample(&keys, &a), &sample(&backwards, &b), RESAMPLING).unwrap();
        assert!((found.value - 0.25).abs() < 1e-12 && (found.high - found.low) < 1e-12, "{found:?}");
    }

    #[test]
    fn what_has_a_value_is_counted_by_seed_and_by_user() {
        let keys = keys(&[1, 1, 2, 3]);
        let a = [Some(1.0), Some(0.0), None, None];
        let b = [Some(1.0), None, Some(1.0), None];
        let samples = [Sample { instances: &keys, values: &a }, Sample { instances: &keys, values: &b }];
        let found = over_seeds(&samples, RESAMPLING).unwrap();
        assert_eq!((found.instances, found.users), (vec![2, 2], 2));
        // Of a pair only what both have.
        let found = difference_over_seeds(&samples[..1], &samples[1..], RESAMPLING).unwrap();
        assert_eq!((found.instances, found.users), (vec![1], 1));
    }

    #[test]
    fn what_cannot_be_compared_has_no_number() {
        let keys = keys(&[1, 2]);
        let none = [Sample { instances: &keys, values: &[None, None] }];
        let some = [Sample { instances: &keys, values: &[Some(1.0), None] }];
        assert_eq!(over_seeds(&none, RESAMPLING), None);
        assert_eq!(over_seeds(&[], RESAMPLING), None);
        assert_eq!(difference_over_seeds(&some, &none, RESAMPLING), None);
        assert_eq!(difference_over_seeds(&some, &[], RESAMPLING), None);
    }
    #[test]
    fn a_bound_pairs_instances_and_is_one_sided() {
        let key = |i: usize| InstanceKey { user: format!("{:03}", i / 2), t0: i as i64, next: "x".into() };
        let keys: Vec<InstanceKey> = (0..200).map(key).collect();
        let a: Vec<Option<f64>> = (0..200).map(|i| Some(f64::from(u8::from(i % 3 == 0)))).collect();
        let b: Vec<Option<f64>> = (0..200).map(|i| (i != 7).then(|| f64::from(u8::from(i % 4 == 0)))).collect();
        let (first, second) =
            (Sample { instances: &keys, values: &a }, Sample { instances: &keys[..150], values: &b[..150] });
        let resampling = Resampling { times: 400, seed: 1 };
        let found = paired_bound(&first, &second, resampling, 0.95).unwrap();
        assert_eq!(found.instances, 149, "150 of both, less one without a value");
        assert!((found.difference - (found.first - found.second)).abs() < 1e-12);
        let wider = paired_bound(&first, &second, resampling, 0.99).unwrap();
        assert!(wider.low < found.low && found.low < found.difference, "{found:?} {wider:?}");
        let same = paired_bound(&first, &first, resampling, 0.95).unwrap();
        assert_eq!((same.difference, same.low), (0.0, 0.0));
        let none = Sample { instances: &keys[..0], values: &[] };
        assert_eq!(paired_bound(&first, &none, resampling, 0.95), None);
    }
}
