//! How often an item is disliked by those who rate it, smoothed; alone, and with the user's content taste.
//!
//! `rate(i) = (n + 5 b) / (a + 5)`: n negatives of a ratings of the item in training time, b the rate over all items.

use crate::event::{Event, Sign};
use crate::instance::Instance;
use crate::item_scores::ItemScores;
use crate::rocchio::Rocchio;
use crate::training_time::TrainingTime;

/// Ratings that the global rate weighs.
const PRIOR: f64 = 5.0;
/// Keeps the logarithm finite when training time has no negatives at all.
const LOWEST_RATE: f64 = 1e-12;

/// The smoothed dislike rate of every item.
#[derive(Clone, Debug, PartialEq)]
pub struct DislikeRate {
    rates: Vec<f64>,
}

impl DislikeRate {
    /// Counts in training time.
    pub fn fit(training: &TrainingTime) -> Self {
        let negatives = training.item_counts(|sign| sign == Sign::Negative);
        let ratings = training.item_counts(|_| true);
        let sum = |counts: &[u32]| counts.iter().map(|c| f64::from(*c)).sum::<f64>();
        let global = sum(&negatives) / sum(&ratings).max(1.0);
        let rates = negatives
            .iter()
            .zip(&ratings)
            .map(|(n, a)| (f64::from(*n) + PRIOR * global) / (f64::from(*a) + PRIOR))
            .collect();
        Self { rates }
    }
}

impl ItemScores for DislikeRate {
    fn scores(&self, _: &Instance, _: &[Event], items: &[u32]) -> Vec<f64> {
        items.iter().map(|i| self.rates[*i as usize]).collect()
    }
}

/// What the content weighs, unless it is said otherwise.
pub const CONTENT_WEIGHT: f64 = 2.0;

/// ln(dislike rate) + 2 x Rocchio with gamma 0: what is disliked in general, and what this user dislikes. The
/// logarithm makes the two terms weigh alike for items that are rarely and that are often disliked.
#[derive(Clone, Debug)]
pub struct DislikeRateContent {
    rate: DislikeRate,
    content: Rocchio,
    weight: f64,
}

impl DislikeRateContent {
    /// `content` is a [`Rocchio`] with gamma 0.
    pub fn new(rate: DislikeRate, content: Rocchio) -> Self {
        Self { rate, content, weight: CONTENT_WEIGHT }
    }

    /// The same with another weight of the content.
    pub fn with_weight(self, weight: f64) -> Self {
        Self { weight, ..self }
    }

    /// ln(rate) of each item plus `weight` times its closeness to what the user disliked.
    pub fn sum(rates: &[f64], content: &[f64], weight: f64) -> Vec<f64> {
        rates.iter().zip(content).map(|(r, c)| r.max(LOWEST_RATE).ln() + weight * c).collect()
    }
}

impl ItemScores for DislikeRateContent {
    fn scores(&self, instance: &Instance, past: &[Event], items: &[u32]) -> Vec<f64> {
        let content = self.content.scores(instance, past, items);
        Self::sum(&self.rate.scores(instance, past, items), &content, self.weight)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::{Dataset, Item};
    use crate::matrix::Matrix;
    use std::sync::Arc;

    #[test]
    fn rate_is_smoothed_towards_the_rate_over_all_items() {
        let at = |item, sign| Event { user: 0, item, time: 0, sign };
        let events = vec![at(0, Sign::Negative), at(1, Sign::Positive), at(1, Sign::Neutral), at(1, Sign::Negative)];
        let dataset =
            Dataset { events, users: vec!["u".into()], items: vec![Item::default(); 3], ..Dataset::default() };
        let rate = DislikeRate::fit(&TrainingTime::new(&dataset, 1));
        let instance = Instance { user: 0, t0: 1, next: 0, gts: vec![0], fps: vec![] };
        // b = 2 / 4; (1 + 2.5) / 6, (1 + 2.5) / 8, 2.5 / 5.
        assert_eq!(rate.scores(&instance, &[], &[0, 1, 2]), [3.5 / 6.0, 3.5 / 8.0, 0.5]);
        let vectors = Arc::new(Matrix { rows: 3, cols: 1, data: vec![1.0; 3] });
        let both = DislikeRateContent::new(rate, Rocchio::new(vectors, 0.0));
        let found = both.scores(&instance, &[at(0, Sign::Negative)], &[2]);
        assert!((found[0] - (0.5f64.ln() + 2.0)).abs() < 1e-12);
    }
}
