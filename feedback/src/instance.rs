//! Event-anchored instances: one question "what will this user dislike next?" for each negative of a window.

use crate::event::{Event, Sign};
use crate::history::History;
use crate::split::{DAY, Window, days};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// One moment of one user, with what the horizon [t0, t0 + H) brings. The context is all events strictly before `t0`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// Dense index of the user.
    pub user: u32,
    /// The moment, Unix seconds: the time of the negative that anchors the instance.
    pub t0: i64,
    /// The item of that negative.
    pub next: u32,
    /// GTS: items disliked in the horizon, sorted; without those of `fps`; never empty.
    pub gts: Vec<u32>,
    /// FPS: items liked in the horizon, sorted; without those of `gts`.
    pub fps: Vec<u32>,
}

/// Why there is nothing to ask.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum InstanceError {
    /// A window gives no instance.
    #[error(
        "the {window} window [{from}, {to}) of {} days gives no instances: it holds {negatives} negatives; \
         choose a longer window, more data, or a higher data.negative_at_most",
        (to - from) / DAY
    )]
    Empty {
        /// `training`, `validation` or `test`.
        window: String,
        /// First second of the window.
        from: i64,
        /// First second after it.
        to: i64,
        /// Negatives in the window.
        negatives: usize,
    },
}

/// The instances of an evaluated window, in the order of their anchoring events (time, user, item).
///
/// `events` are sorted by (time, user, item); `name` is for the error.
pub fn instances_in(
    window: Window,
    name: &str,
    events: &[Event],
    history: &History,
    horizon_days: u32,
) -> Result<Vec<Instance>, InstanceError> {
    anchored(window, name, events, |e| future(history, e.user, e.time, e.time + days(horizon_days)))
}

/// The training instances: every negative before `train_end`, its horizon cut there, so that nothing after
/// `train_end` can be seen, neither as target nor as penalty.
pub fn training_instances(
    train_end: i64,
    events: &[Event],
    history: &History,
    horizon_days: u32,
) -> Result<Vec<Instance>, InstanceError> {
    let from = events.first().map_or(train_end, |e| e.time.min(train_end));
    let window = Window { from, to: train_end };
    anchored(window, "training", events, |e| {
        future(history, e.user, e.time, (e.time + days(horizon_days)).min(train_end))
    })
}

/// At most `limit` of the instances (0: all), taken evenly over their order: the indices to keep, ascending.
pub fn evenly(instances: usize, limit: usize) -> Vec<usize> {
    if limit == 0 || limit >= instances {
        return (0..instances).collect();
    }
    (0..limit).map(|k| k * instances / limit).collect()
}

/// GTS and FPS of `[from, to)`: both sorted, free of doubles and of what is in both.
pub fn future(history: &History, user: u32, from: i64, to: i64) -> (Vec<u32>, Vec<u32>) {
    let of_sign = |sign: Sign| {
        let mut items: Vec<u32> =
            history.between(user, from, to).iter().filter(|e| e.sign == sign).map(|e| e.item).collect();
        items.sort_unstable();
        items.dedup();
        items
    };
    let (disliked, liked) = (of_sign(Sign::Negative), of_sign(Sign::Positive));
    let without = |a: &[u32], b: &[u32]| a.iter().copied().filter(|i| b.binary_search(i).is_err()).collect();
    (without(&disliked, &liked), without(&liked, &disliked))
}

fn anchored(
    window: Window,
    name: &str,
    events: &[Event],
    targets: impl Fn(&Event) -> (Vec<u32>, Vec<u32>) + Sync,
) -> Result<Vec<Instance>, InstanceError> {
    let is_anchor = |e: &&Event| window.holds(e.time) && e.sign == Sign::Negative;
    // Collected in the order of the events: threads change nothing.
    let instances: Vec<Instance> = events
        .par_iter()
        .filter(is_anchor)
        .map(|e| {
            let (gts, fps) = targets(e);
            Instance { user: e.user, t0: e.time, next: e.item, gts, fps }
        })
        .filter(|i| !i.gts.is_empty())
        .collect();
    if instances.is_empty() {
        let negatives = events.iter().filter(is_anchor).count();
        return Err(InstanceError::Empty { window: name.into(), from: window.from, to: window.to, negatives });
    }
    Ok(instances)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::split::DAY;
    use Sign::{Negative, Neutral, Positive};

    fn events(list: &[(i64, u32, u32, Sign)]) -> Vec<Event> {
        let mut events: Vec<Event> =
            list.iter().map(|&(time, user, item, sign)| Event { user, item, time: time * DAY, sign }).collect();
        events.sort_by_key(Event::order);
        events
    }

    fn sample() -> Vec<Event> {
        events(&[
            (1, 0, 0, Positive),
            (10, 0, 1, Negative),
            (11, 0, 2, Neutral),
            (12, 0, 3, Positive),
            (13, 0, 4, Negative),
            (14, 0, 4, Positive),
            (16, 0, 5, Negative),
            (17, 0, 6, Negative),
            (12, 1, 7, Negative),
        ])
    }

    #[test]
    fn one_instance_for_each_negative_with_the_sets_of_its_horizon() {
        let all = sample();
        let history = History::new(&all, 2);
        let window = Window { from: 10 * DAY, to: 13 * DAY };
        let found = instances_in(window, "test", &all, &history, 7).unwrap();
        // Item 4 is disliked and later liked: it is in neither set. Item 6 comes exactly at t0 + H: outside.
        assert_eq!(
            found,
            [
                Instance { user: 0, t0: 10 * DAY, next: 1, gts: vec![1, 5], fps: vec![3] },
                Instance { user: 1, t0: 12 * DAY, next: 7, gts: vec![7], fps: vec![] },
            ]
        );
        assert!(history.before(0, 10 * DAY).iter().all(|e| !found[0].gts.contains(&e.item)));
    }

    #[test]
    fn training_horizons_are_cut_at_the_end_of_training_time() {
        let all = sample();
        let history = History::new(&all, 2);
        let train_end = 14 * DAY;
        let found = training_instances(train_end, &all, &history, 7).unwrap();
        let cut = events(&[]).into_iter().chain(all.iter().copied().filter(|e| e.time < train_end)).collect::<Vec<_>>();
        let without_future = training_instances(train_end, &cut, &History::new(&cut, 2), 7).unwrap();
        assert_eq!(found, without_future);
        // The like of item 4 lies after the end, so item 4 is still a target.
        assert_eq!(found[0].gts, [1, 4]);
    }

    #[test]
    fn an_empty_window_is_named_with_its_negatives() {
        let all = sample();
        let window = Window { from: 2 * DAY, to: 9 * DAY };
        let error = instances_in(window, "validation", &all, &History::new(&all, 2), 7).unwrap_err();
        assert!(error.to_string().contains("validation window"), "{error}");
        assert!(error.to_string().contains("0 negatives"), "{error}");
    }

    #[test]
    fn thinning_is_even_and_keeps_all_when_the_limit_is_large() {
        assert_eq!(evenly(10, 4), [0, 2, 5, 7]);
        assert_eq!(evenly(3, 0), [0, 1, 2]);
        assert_eq!(evenly(3, 9), [0, 1, 2]);
    }
}
