//! A mean over runs that differ in their seed, with its 95 % interval by Student's t: few seeds give wide intervals, and
//! that is what they are for.

use serde::{Deserialize, Serialize};

/// 97.5 % quantiles of Student's t for 1, 2, … degrees of freedom.
const T: [f64; 30] = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120,
    2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
];

/// And for more of them: the normal distribution's.
const MANY: f64 = 1.960;

/// A mean over seeds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct AcrossSeeds {
    /// The mean.
    pub mean: f64,
    /// Its 95 % interval; none of a single seed.
    pub range: Option<(f64, f64)>,
    /// Seeds.
    pub seeds: u32,
}

/// The mean of some values, one a seed; none of no value, or where one is not finite.
pub fn across_seeds(values: &[f64]) -> Option<AcrossSeeds> {
    if values.is_empty() || values.iter().any(|value| !value.is_finite()) {
        return None;
    }
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let freedom = values.len() - 1;
    let range = (freedom > 0).then(|| {
        let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / freedom as f64;
        let half = T.get(freedom - 1).copied().unwrap_or(MANY) * (variance / n).sqrt();
        (mean - half, mean + half)
    });
    Some(AcrossSeeds { mean, range, seeds: u32::try_from(values.len()).unwrap_or(u32::MAX) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_student_s() {
        // scipy.stats.t.interval(0.95, 2, loc=2, scale=1/sqrt(3)) = (-0.4841, 4.4841)
        let found = across_seeds(&[1.0, 2.0, 3.0]).unwrap();
        let (low, high) = found.range.unwrap();
        assert!((found.mean - 2.0).abs() < 1e-12 && (low + 0.4841).abs() < 1e-3 && (high - 4.4841).abs() < 1e-3);
    }

    #[test]
    fn one_seed_has_no_interval_and_what_is_no_number_no_mean() {
        assert_eq!(across_seeds(&[0.5]), Some(AcrossSeeds { mean: 0.5, range: None, seeds: 1 }));
        assert_eq!(across_seeds(&[]), None);
        assert_eq!(across_seeds(&[0.5, f64::NAN]), None);
    }
}
