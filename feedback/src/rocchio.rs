//! Content Rocchio: close to what the user disliked, far from what the user liked. The reward's geometry without
//! any training.

use crate::event::{Event, Sign};
use crate::instance::Instance;
use crate::item_scores::ItemScores;
use crate::matrix::Matrix;
use std::sync::Arc;

/// Score of an item = max cosine to a disliked item - gamma * max cosine to a liked item; a term without items is 0.
#[derive(Clone, Debug)]
pub struct Rocchio {
    vectors: Arc<Matrix>,
    gamma: f64,
}

impl Rocchio {
    /// `vectors`: one row an item, each of length 1.
    pub fn new(vectors: Arc<Matrix>, gamma: f64) -> Self {
        Self { vectors, gamma }
    }

    /// The largest cosine of each of `items` to the items of `past` with this sign; `None` when there is none.
    fn closest(&self, past: &[Event], sign: Sign, items: &[u32]) -> Option<Vec<f64>> {
        let own: Vec<&[f32]> =
            past.iter().filter(|e| e.sign == sign).map(|e| self.vectors.row(e.item as usize)).collect();
        if own.is_empty() {
            return None;
        }
        let nearest = |item: &u32| {
            let row = self.vectors.row(*item as usize);
            let mut best = (f32::NEG_INFINITY, own[0]);
            for other in &own {
                let value = dot(row, other);
                if value > best.0 {
                    best = (value, other);
                }
            }
            exact_dot(row, best.1)
        };
        Some(items.iter().map(nearest).collect())
    }
}

impl ItemScores for Rocchio {
    fn scores(&self, _: &Instance, past: &[Event], items: &[u32]) -> Vec<f64> {
        let mut scores = vec![0.0; items.len()];
        let liked_weight = -self.gamma;
        for (sign, weight) in [(Sign::Negative, 1.0), (Sign::Positive, liked_weight)] {
            if weight == 0.0 {
                continue;
            }
            if let Some(closest) = self.closest(past, sign, items) {
                for (score, value) in scores.iter_mut().zip(closest) {
                    *score += weight * value;
                }
            }
        }
        scores
    }
}

/// Dot product in eight running sums: a fixed order of additions that compilers turn into vector instructions. Good
/// enough to find the nearest vector.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0f32; 8];
    let (a8, b8) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f32 = a8.remainder().iter().zip(b8.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in a8.zip(b8) {
        for k in 0..8 {
            sums[k] += x[k] * y[k];
        }
    }
    sums.iter().sum::<f32>() + rest
}

/// Dot product in 64 bits: the value that items are ranked by, so that rounding does not reorder them.
fn exact_dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_nearest_dislike_and_subtracts_the_nearest_like() {
        let vectors = Matrix { rows: 4, cols: 2, data: vec![1.0, 0.0, 0.0, 1.0, 0.6, 0.8, -1.0, 0.0] };
        let at = |item, sign| Event { user: 0, item, time: 0, sign };
        let past = [at(0, Sign::Negative), at(3, Sign::Negative), at(1, Sign::Positive), at(2, Sign::Neutral)];
        let instance = Instance { user: 0, t0: 1, next: 2, gts: vec![2], fps: vec![] };
        let scores = Rocchio::new(Arc::new(vectors), 0.5).scores(&instance, &past, &[2, 1]);
        assert!((scores[0] - (0.6 - 0.5 * 0.8)).abs() < 1e-6);
        assert!((scores[1] - (0.0 - 0.5)).abs() < 1e-6);
    }

    #[test]
    fn dot_product_handles_lengths_that_are_no_multiple_of_eight() {
        let a: Vec<f32> = (0..11).map(|i| i as f32).collect();
        assert_eq!(dot(&a, &a), 385.0);
    }
}
