//! Content Rocchio: close to what the user disliked, far from what the user liked. The reward's geometry without
//! any training.

use crate::event::{Event, Sign};
use crate::instance::Instance;
use crate::item_scores::ItemScores;
use crate::matrix::Matrix;
use crate::split::days;
use std::sync::Arc;

/// Score of an item = max cosine to a disliked item - gamma * max cosine to a liked item; a term without items is 0.
/// With a half-life each cosine counts 2^(-age / half-life) times: what is long past says less.
#[derive(Clone, Debug)]
pub struct Rocchio {
    vectors: Arc<Matrix>,
    gamma: f64,
    half_life: HalfLife,
}

/// In days; none: no decay.
pub type HalfLife = Option<u32>;

/// The largest cosines of items to what a user disliked and liked, by half-life.
#[derive(Clone, Debug, PartialEq)]
pub struct Closeness {
    items: usize,
    disliked: Option<Vec<Vec<f64>>>,
    liked: Option<Vec<Vec<f64>>>,
}

impl Closeness {
    /// Disliked minus gamma times liked, with the half-life at this place.
    pub fn scores(&self, half_life: usize, gamma: f64) -> Vec<f64> {
        let mut scores = vec![0.0; self.items];
        let liked_weight = -gamma;
        for (closest, weight) in [(&self.disliked, 1.0), (&self.liked, liked_weight)] {
            for (score, value) in
                scores.iter_mut().zip(closest.iter().flat_map(|by_half_life| &by_half_life[half_life]))
            {
                *score += weight * value;
            }
        }
        scores
    }
}

impl Rocchio {
    /// `vectors`: one row an item, each of length 1.
    pub fn new(vectors: Arc<Matrix>, gamma: f64) -> Self {
        Self { vectors, gamma, half_life: None }
    }

    /// The same with a decay.
    pub fn with_half_life(self, half_life: HalfLife) -> Self {
        Self { half_life, ..self }
    }

    /// How close `items` are to the past, for several half-lives at once; `liked`: whether likes are looked at.
    pub fn closeness(
        &self,
        (t0, past): (i64, &[Event]),
        items: &[u32],
        half_lives: &[HalfLife],
        liked: bool,
    ) -> Closeness {
        let closest = |sign| self.closest((t0, past), sign, items, half_lives);
        let (disliked, liked) = (closest(Sign::Negative), liked.then(|| closest(Sign::Positive)).flatten());
        Closeness { items: items.len(), disliked, liked }
    }

    /// By half-life: the largest decayed cosine of each of `items` to the items of `past` with this sign; `None` when
    /// there is none.
    fn closest(
        &self,
        (t0, past): (i64, &[Event]),
        sign: Sign,
        items: &[u32],
        half_lives: &[HalfLife],
    ) -> Option<Vec<Vec<f64>>> {
        let of_sign = || past.iter().filter(|e| e.sign == sign);
        let own: Vec<&[f32]> = of_sign().map(|e| self.vectors.row(e.item as usize)).collect();
        if own.is_empty() {
            return None;
        }
        let decay =
            |age: i64, half_life: &HalfLife| half_life.map_or(1.0, |n| (-(age as f64) / (days(n) as f64)).exp2());
        let decays: Vec<Vec<f64>> =
            of_sign().map(|e| half_lives.iter().map(|h| decay(t0 - e.time, h)).collect()).collect();
        let mut closest = vec![vec![0.0; items.len()]; half_lives.len()];
        let mut best = vec![(f32::NEG_INFINITY, 0); half_lives.len()];
        for (place, item) in items.iter().enumerate() {
            let row = self.vectors.row(*item as usize);
            best.fill((f32::NEG_INFINITY, 0));
            for (n, other) in own.iter().enumerate() {
                let value = dot(row, other);
                for (best, decay) in best.iter_mut().zip(&decays[n]) {
                    let value = value * *decay as f32;
                    if value > best.0 {
                        *best = (value, n);
                    }
                }
            }
            for (h, (_, n)) in best.iter().enumerate() {
                closest[h][place] = exact_dot(row, own[*n]) * decays[*n][h];
            }
        }
        Some(closest)
    }
}

impl ItemScores for Rocchio {
    fn scores(&self, instance: &Instance, past: &[Event], items: &[u32]) -> Vec<f64> {
        let half_lives = [self.half_life];
        self.closeness((instance.t0, past), items, &half_lives, self.gamma != 0.0).scores(0, self.gamma)
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
    fn a_half_life_halves_the_word_of_what_is_past() {
        let vectors = Matrix { rows: 3, cols: 2, data: vec![1.0, 0.0, 0.8, 0.6, 0.6, 0.8] };
        let at = |item, day| Event { user: 0, item, time: day * crate::split::DAY, sign: Sign::Negative };
        let instance = Instance { user: 0, t0: 20 * crate::split::DAY, next: 2, gts: vec![2], fps: vec![] };
        let rocchio = Rocchio::new(Arc::new(vectors), 0.5);
        // Item 2 is .96 from item 1, ten days ago, and .6 from item 0, now.
        let past = [at(1, 10), at(0, 20)];
        assert!((rocchio.scores(&instance, &past, &[2])[0] - 0.96).abs() < 1e-6);
        let decayed = |days| rocchio.clone().with_half_life(Some(days)).scores(&instance, &past, &[2])[0];
        assert!((decayed(10) - 0.6).abs() < 1e-6);
        assert!((decayed(20) - 0.96 * 0.5f64.sqrt()).abs() < 1e-6);
    }

    #[test]
    fn dot_product_handles_lengths_that_are_no_multiple_of_eight() {
        let a: Vec<f32> = (0..11).map(|i| i as f32).collect();
        assert_eq!(dot(&a, &a), 385.0);
    }
}
