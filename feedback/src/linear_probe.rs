//! A linear probe: what can be read off some features by a plane? Pairs of an item that a user disliked and one that the
//! same user liked are told apart by logistic regression, fitted on half of the users and asked on the other half.
//! (Alain and Bengio 2017, "Understanding intermediate layers using linear classifier probes"; the control with drawn
//! labels is Hewitt and Liang's of 2019.)

use crate::matrix::Matrix;
use nalgebra::{DMatrix, DVector};

/// Ridge penalty a row: features are standardised, and there may be more of them than rows.
const RIDGE: f64 = 0.01;
/// Newton's method takes a handful of steps; it stops when none moves a weight by more than this.
const STEPS: usize = 50;
const SMALL: f64 = 1e-9;

/// Pairs to be told apart.
#[derive(Clone, Copy, Debug)]
pub struct Pairs<'a> {
    /// Rows 2i and 2i + 1 are what pair i's disliked and liked item look like.
    pub features: &'a Matrix,
    /// The user of each pair.
    pub users: &'a [u32],
}

impl Pairs<'_> {
    /// For each pair whether a probe that was fitted on other users finds the disliked one: 1, 0, or 0.5 where both look
    /// alike. `swapped` says in which pairs the two change their labels, in fitting and in asking: drawn by a coin, they
    /// are the control, whose mean is 0.5 whatever the features are. None where no other user has a pair.
    pub fn found(&self, swapped: &[bool]) -> Vec<Option<f64>> {
        let halves: Vec<Vec<usize>> =
            (0..2).map(|half| (0..self.users.len()).filter(|i| self.users[*i] % 2 == half).collect()).collect();
        let probes: Vec<Option<Probe>> = halves.iter().map(|half| self.fit(half, swapped)).collect();
        let ask = |pair: usize| {
            let probe = probes.get(1 - self.users[pair] as usize % 2)?.as_ref()?;
            let (disliked, liked) = self.rows(pair, swapped);
            let (a, b) = (probe.score(self.features.row(disliked)), probe.score(self.features.row(liked)));
            Some(if a > b {
                1.0
            } else if a < b {
                0.0
            } else {
                0.5
            })
        };
        (0..self.users.len()).map(ask).collect()
    }

    fn rows(&self, pair: usize, swapped: &[bool]) -> (usize, usize) {
        let (first, second) = (2 * pair, 2 * pair + 1);
        if swapped.get(pair).copied().unwrap_or(false) { (second, first) } else { (first, second) }
    }

    fn fit(&self, pairs: &[usize], swapped: &[bool]) -> Option<Probe> {
        let labelled: Vec<(usize, f64)> = pairs
            .iter()
            .flat_map(|pair| {
                let (disliked, liked) = self.rows(*pair, swapped);
                [(disliked, 1.0), (liked, 0.0)]
            })
            .collect();
        Probe::fit(self.features, &labelled)
    }
}

/// A fitted probe. An intercept changes no order of two scores: there is none, as both labels are equally frequent.
struct Probe {
    mean: Vec<f64>,
    scale: Vec<f64>,
    weights: DVector<f64>,
}

impl Probe {
    /// Logistic regression with a ridge by Newton's method; none without rows, or where the numbers have no solution.
    fn fit(features: &Matrix, labelled: &[(usize, f64)]) -> Option<Self> {
        if labelled.is_empty() {
            return None;
        }
        let (n, width) = (labelled.len(), features.cols);
        let column = |k: usize| labelled.iter().map(move |(row, _)| f64::from(features.row(*row)[k]));
        let mean: Vec<f64> = (0..width).map(|k| column(k).sum::<f64>() / n as f64).collect();
        let deviation = |k: usize| (column(k).map(|v| (v - mean[k]).powi(2)).sum::<f64>() / n as f64).sqrt();
        // A feature that never changes tells nothing: it becomes 0.
        let scale: Vec<f64> = (0..width).map(deviation).map(|d| if d > SMALL { 1.0 / d } else { 0.0 }).collect();
        let mut probe = Self { mean, scale, weights: DVector::zeros(width) };
        let rows = DMatrix::from_fn(n, width, |i, k| probe.standard(features.row(labelled[i].0), k));
        let labels = DVector::from_iterator(n, labelled.iter().map(|(_, label)| *label));
        let ridge = RIDGE * n as f64;
        for _ in 0..STEPS {
            let chance = (&rows * &probe.weights).map(|score| 1.0 / (1.0 + (-score).exp()));
            let gradient = rows.tr_mul(&(&chance - &labels)) + &probe.weights * ridge;
            let weighted = DMatrix::from_fn(n, width, |i, k| rows[(i, k)] * chance[i] * (1.0 - chance[i]));
            let hessian = rows.tr_mul(&weighted) + DMatrix::identity(width, width) * ridge;
            let step = hessian.cholesky()?.solve(&gradient);
            probe.weights -= &step;
            if step.amax() < SMALL {
                break;
            }
        }
        probe.weights.iter().all(|w| w.is_finite()).then_some(probe)
    }

    fn standard(&self, row: &[f32], k: usize) -> f64 {
        (f64::from(row[k]) - self.mean[k]) * self.scale[k]
    }

    fn score(&self, row: &[f32]) -> f64 {
        (0..row.len()).map(|k| self.standard(row, k) * self.weights[k]).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    /// Pairs of three features: one tells the two apart `tells` of the time, one is noise, one never changes.
    fn pairs(count: usize, tells: f64) -> (Matrix, Vec<u32>) {
        let mut random = ChaCha8Rng::seed_from_u64(7);
        let mut features = Matrix::zeros(2 * count, 3);
        for pair in 0..count {
            let sign = if random.random::<f64>() < tells { 1.0 } else { -1.0 };
            for (row, side) in [(2 * pair, sign), (2 * pair + 1, -sign)] {
                features.row_mut(row).copy_from_slice(&[side, random.random::<f32>(), 3.0]);
            }
        }
        (features, (0..count as u32).collect())
    }

    fn mean(found: &[Option<f64>]) -> f64 {
        found.iter().map(|value| value.unwrap()).sum::<f64>() / found.len() as f64
    }

    #[test]
    fn a_probe_finds_what_a_plane_can_tell_on_users_that_it_has_not_seen() {
        let (features, users) = pairs(400, 0.9);
        let found = Pairs { features: &features, users: &users }.found(&[]);
        assert!((mean(&found) - 0.9).abs() < 0.04, "{}", mean(&found));
    }

    #[test]
    fn drawn_labels_cannot_be_found() {
        let (features, users) = pairs(400, 1.0);
        let mut random = ChaCha8Rng::seed_from_u64(8);
        let coins: Vec<bool> = users.iter().map(|_| random.random::<f64>() < 0.5).collect();
        let found = Pairs { features: &features, users: &users }.found(&coins);
        assert!((mean(&found) - 0.5).abs() < 0.1, "{}", mean(&found));
    }

    #[test]
    fn what_looks_alike_counts_half_and_without_others_there_is_no_answer() {
        let features = Matrix::zeros(4, 2);
        assert_eq!(Pairs { features: &features, users: &[0, 1] }.found(&[]), [Some(0.5); 2]);
        assert_eq!(Pairs { features: &features, users: &[0, 2] }.found(&[]), [None; 2]);
    }

    #[test]
    fn more_features_than_rows_are_no_trouble() {
        let mut random = ChaCha8Rng::seed_from_u64(9);
        let mut features = Matrix::zeros(12, 40);
        features.data.iter_mut().for_each(|value| *value = random.random());
        let found = Pairs { features: &features, users: &[0, 1, 2, 3, 4, 5] }.found(&[]);
        assert!(found.iter().all(Option::is_some));
    }
}
