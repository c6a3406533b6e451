//! Popularity: how often an item was rated, or disliked, in the last days of training time.

use crate::event::{Event, Sign};
use crate::instance::Instance;
use crate::item_scores::ItemScores;
use crate::split::days;
use crate::training_time::TrainingTime;

/// Counts of the last days of training time; the same for every user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Popularity {
    counts: Vec<u32>,
}

impl Popularity {
    /// Counts negatives of the last `window_days` of training time; `None`: of all of it.
    pub fn of_negatives(training: &TrainingTime, window_days: Option<u32>) -> Self {
        Self::count(training, window_days, |sign| sign == Sign::Negative)
    }

    /// Counts all ratings of the last `window_days` of training time; `None`: of all of it.
    pub fn of_all(training: &TrainingTime, window_days: Option<u32>) -> Self {
        Self::count(training, window_days, |_| true)
    }

    fn count(training: &TrainingTime, window_days: Option<u32>, keep: impl Fn(Sign) -> bool) -> Self {
        let mut counts = vec![0; training.items()];
        for e in training.last(window_days.map(days)).iter().filter(|e| keep(e.sign)) {
            counts[e.item as usize] += 1;
        }
        Self { counts }
    }

    /// The count of each item, by dense index.
    pub fn counts(&self) -> &[u32] {
        &self.counts
    }
}

impl ItemScores for Popularity {
    fn scores(&self, _: &Instance, _: &[Event], items: &[u32]) -> Vec<f64> {
        items.iter().map(|i| f64::from(self.counts[*i as usize])).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::{Dataset, Item};
    use crate::split::DAY;

    #[test]
    fn windows_end_with_training_time() {
        let at = |day: i64, item, sign| Event { user: 0, item, time: day * DAY, sign };
        let events = vec![
            at(1, 0, Sign::Negative),
            at(12, 0, Sign::Negative),
            at(13, 1, Sign::Negative),
            at(15, 1, Sign::Positive),
            at(20, 1, Sign::Negative),
        ];
        let items = vec![Item::default(); 2];
        let dataset = Dataset { events, users: vec!["u".into()], items, ..Dataset::default() };
        let training = TrainingTime::new(&dataset, 20 * DAY);
        assert_eq!(Popularity::of_negatives(&training, None).counts(), [2, 1]);
        assert_eq!(Popularity::of_negatives(&training, Some(7)).counts(), [0, 1]);
        assert_eq!(Popularity::of_all(&training, Some(8)).counts(), [1, 2]);
    }
}
