//! Whether prefixes gather what a user dislikes: the link from codes to the task, free of any model.

use super::{Agreement, Groups};
use crate::event::Sign;
use crate::semantic_id::SemanticIds;
use crate::training_time::TrainingTime;
use std::collections::BTreeMap;

/// Each user's successive dislikes of different items, as (earlier, later); items without a cell are passed over.
pub(super) fn pairs(training: TrainingTime<'_>, ids: &SemanticIds) -> Vec<(u32, u32)> {
    let mut last: Vec<Option<u32>> = vec![None; training.users()];
    let mut pairs = Vec::new();
    for event in training.events().iter().filter(|e| e.sign == Sign::Negative && ids.cell_of(e.item).is_some()) {
        let before = last[event.user as usize].replace(event.item);
        if let Some(before) = before.filter(|item| *item != event.item) {
            pairs.push((before, event.item));
        }
    }
    pairs
}

/// Share of the pairs within a group. Chance: the earlier item of one pair with the later item of another, where these
/// two differ, so that popular groups get what is due to their popularity.
pub(super) fn of(pairs: &[(u32, u32)], groups: &Groups) -> Option<Agreement> {
    let inside = |(a, b): &&(u32, u32)| groups.group(*a).is_some() && groups.group(*a) == groups.group(*b);
    let same = pairs.iter().filter(inside).count() as f64;
    let n = pairs.len() as f64;
    let group = |item: u32| groups.group(item).unwrap_or(u32::MAX);
    let by_group = meetings(pairs.iter().map(|(a, b)| (group(*a), group(*b))));
    let by_item = meetings(pairs.iter().copied());
    let others = n * n - by_item - n;
    if others <= 0.0 {
        return None;
    }
    Some(Agreement { share: same / n, by_chance: (by_group - by_item - same) / others, cases: pairs.len() })
}

/// How many (i, j) there are with the first of pair i equal to the second of pair j.
fn meetings(pairs: impl Iterator<Item = (u32, u32)>) -> f64 {
    let mut counts: BTreeMap<u32, (f64, f64)> = BTreeMap::new();
    for (first, second) in pairs {
        counts.entry(first).or_default().0 += 1.0;
        counts.entry(second).or_default().1 += 1.0;
    }
    counts.values().map(|(first, second)| first * second).sum()
}
