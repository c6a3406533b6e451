//! Training time: the only view of the data that a statistic or baseline may be fitted on.

use crate::compact_lists::CompactLists;
use crate::dataset::Dataset;
use crate::event::{Event, Sign};

/// The events before the end of training time. What is fitted takes this type, so it cannot see anything later.
#[derive(Clone, Copy, Debug)]
pub struct TrainingTime<'a> {
    events: &'a [Event],
    end: i64,
    users: usize,
    items: usize,
}

impl<'a> TrainingTime<'a> {
    /// The part of a dataset before `end`.
    pub fn new(dataset: &'a Dataset, end: i64) -> Self {
        Self { events: dataset.before(end), end, users: dataset.users.len(), items: dataset.items.len() }
    }

    /// All events, sorted by (time, user, item).
    pub fn events(&self) -> &'a [Event] {
        self.events
    }

    /// The end of training time, Unix seconds.
    pub fn end(&self) -> i64 {
        self.end
    }

    /// Number of users of the whole dataset.
    pub fn users(&self) -> usize {
        self.users
    }

    /// Number of items of the whole catalogue.
    pub fn items(&self) -> usize {
        self.items
    }

    /// The events of the last `seconds` of training time; `None`: all.
    pub fn last(&self, seconds: Option<i64>) -> &'a [Event] {
        match seconds {
            Some(s) => &self.events[self.events.partition_point(|e| e.time < self.end - s)..],
            None => self.events,
        }
    }

    /// One flag an item: whether it was seen in training time.
    pub fn seen(&self) -> Vec<bool> {
        let mut seen = vec![false; self.items];
        for e in self.events {
            seen[e.item as usize] = true;
        }
        seen
    }

    /// The candidates: items seen in training time, ascending. Only they are ever listed.
    pub fn catalogue(&self) -> Vec<u32> {
        let seen = self.seen();
        (0..self.items as u32).filter(|i| seen[*i as usize]).collect()
    }

    /// How often each item was rated with one of the signs that `keep` accepts.
    pub fn item_counts(&self, keep: impl Fn(Sign) -> bool) -> Vec<u32> {
        let mut counts = vec![0; self.items];
        for e in self.events.iter().filter(|e| keep(e.sign)) {
            counts[e.item as usize] += 1;
        }
        counts
    }

    /// How many negatives each user gave.
    pub fn user_negatives(&self) -> Vec<u32> {
        let mut counts = vec![0; self.users];
        for e in self.events.iter().filter(|e| e.sign == Sign::Negative) {
            counts[e.user as usize] += 1;
        }
        counts
    }

    /// For each user the items disliked in training time, ascending and distinct.
    pub fn disliked_by_user(&self) -> CompactLists {
        let negatives = self.events.iter().filter(|e| e.sign == Sign::Negative);
        CompactLists::from_pairs(self.users, negatives.map(|e| (e.user, e.item))).sorted_and_distinct()
    }

    /// For each user the items met in training time, whatever the sign, ascending and distinct.
    pub fn met_by_user(&self) -> CompactLists {
        CompactLists::from_pairs(self.users, self.events.iter().map(|e| (e.user, e.item))).sorted_and_distinct()
    }
}
