//! Event-anchored instances: one question "what will this user dislike next?" for each negative of a window.

use crate::event::{Event, Sign};
use crate::history::History;
use crate::split::{DAY, Window, days};
use conrec_domain::spec::DataSpec;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// Which part of the future is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Horizon {
    /// Its length H.
    pub days: u32,
    /// Whether the moment is put off to the end of the day, so that all targets lie on later days.
    pub later_day_only: bool,
}

impl From<&DataSpec> for Horizon {
    fn from(spec: &DataSpec) -> Self {
        Self { days: spec.horizon_days, later_day_only: spec.later_day_only }
    }
}

impl Horizon {
    /// The moment that a negative anchors: its own time, or midnight (UTC) after its day. Of several negatives of a user's
    /// day the first anchors that midnight, the others nothing.
    fn moment(self, anchor: &Event, history: &History) -> Option<i64> {
        if !self.later_day_only {
            return Some(anchor.time);
        }
        let midnight = anchor.time.div_euclid(DAY) * DAY;
        let of_day = history.between(anchor.user, midnight, midnight + DAY);
        (of_day.iter().find(|e| e.sign == Sign::Negative) == Some(anchor)).then_some(midnight + DAY)
    }
}

/// One moment of one user, with what the horizon [t0, t0 + H) brings. The context is all events strictly before `t0`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// Dense index of the user.
    pub user: u32,
    /// The moment, Unix seconds: the time of the negative that anchors the instance, or the end of its day.
    pub t0: i64,
    /// The item of the first negative at or after `t0`.
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
        "the {window} window [{from}, {to}) of {} days gives no instances: it holds {negatives} negatives; {advice}",
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
        /// What to change, as a sentence part.
        advice: String,
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
    horizon: Horizon,
) -> Result<Vec<Instance>, InstanceError> {
    found(window, name, events, anchored(window, i64::MAX, events, history, horizon))
}

/// The training instances: every negative before `train_end`, its horizon cut there, so that nothing after
/// `train_end` can be seen, neither as target nor as penalty.
pub fn training_instances(
    train_end: i64,
    events: &[Event],
    history: &History,
    horizon: Horizon,
) -> Result<Vec<Instance>, InstanceError> {
    let window = before(train_end, events);
    found(window, "training", events, anchored(window, train_end, events, history, horizon))
}

/// From the first event to `end`.
pub(crate) fn before(end: i64, events: &[Event]) -> Window {
    Window { from: events.first().map_or(end, |e| e.time.min(end)), to: end }
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
    let events = history.between(user, from, to);
    let of_sign = |sign: Sign| {
        let mut items: Vec<u32> = events.iter().filter(|e| e.sign == sign).map(|e| e.item).collect();
        items.sort_unstable();
        items.dedup();
        items
    };
    let (disliked, liked) = (of_sign(Sign::Negative), of_sign(Sign::Positive));
    let without = |a: &[u32], b: &[u32]| a.iter().copied().filter(|i| b.binary_search(i).is_err()).collect();
    (without(&disliked, &liked), without(&liked, &disliked))
}

/// The instances whose moment lies in `window`, in the order of the events; no horizon goes on after `end`.
pub(crate) fn anchored(
    window: Window,
    end: i64,
    events: &[Event],
    history: &History,
    horizon: Horizon,
) -> Vec<Instance> {
    // Collected in the order of the events: threads change nothing.
    events
        .par_iter()
        .filter(|e| e.sign == Sign::Negative)
        .filter_map(|e| {
            let t0 = horizon.moment(e, history).filter(|&t0| window.holds(t0))?;
            let to = (t0 + days(horizon.days)).min(end);
            let (gts, fps) = future(history, e.user, t0, to);
            let next = match horizon.later_day_only {
                false => e.item,
                true => first_of(&history.between(e.user, t0, to), &gts)?,
            };
            Some(Instance { user: e.user, t0, next, gts, fps })
        })
        .filter(|i| !i.gts.is_empty())
        .collect()
}

/// The item of the first negative that is one of `gts`.
fn first_of(events: &[Event], gts: &[u32]) -> Option<u32> {
    let is_target = |e: &&Event| e.sign == Sign::Negative && gts.binary_search(&e.item).is_ok();
    events.iter().find(is_target).map(|e| e.item)
}

/// The instances, unless there are none.
fn found(
    window: Window,
    name: &str,
    events: &[Event],
    instances: Vec<Instance>,
) -> Result<Vec<Instance>, InstanceError> {
    if instances.is_empty() {
        let negatives = events.iter().filter(|e| window.holds(e.time) && e.sign == Sign::Negative).count();
        let advice = "choose a longer window, more data, or a higher data.negative_at_most".to_owned();
        return Err(InstanceError::Empty { window: name.into(), from: window.from, to: window.to, negatives, advice });
    }
    Ok(instances)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::split::DAY;
    use Sign::{Negative, Neutral, Positive};

    const WEEK: Horizon = Horizon { days: 7, later_day_only: false };

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
        let found = instances_in(window, "test", &all, &history, WEEK).unwrap();
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
        let found = training_instances(train_end, &all, &history, WEEK).unwrap();
        let cut = events(&[]).into_iter().chain(all.iter().copied().filter(|e| e.time < train_end)).collect::<Vec<_>>();
        let without_future = training_instances(train_end, &cut, &History::new(&cut, 2), WEEK).unwrap();
        assert_eq!(found, without_future);
        // The like of item 4 lies after the end, so item 4 is still a target.
        assert_eq!(found[0].gts, [1, 4]);
    }

    #[test]
    fn moments_at_the_end_of_a_day_ask_for_later_days_only() {
        // Two negatives on day 10, one on day 12 with two likes before, one on day 13; user 1 has a single day.
        let at = |day: i64, hour: i64, user, item, sign| Event { user, item, time: day * DAY + hour * 3600, sign };
        let mut all = vec![
            at(10, 1, 0, 1, Negative),
            at(10, 5, 0, 2, Negative),
            at(10, 6, 1, 3, Negative),
            at(10, 7, 1, 4, Negative),
            at(12, 3, 0, 5, Positive),
            at(12, 4, 0, 6, Negative),
            at(13, 4, 0, 1, Negative),
        ];
        all.sort_by_key(Event::order);
        let history = History::new(&all, 2);
        let horizon = Horizon { days: 7, later_day_only: true };
        let window = Window { from: 11 * DAY, to: 13 * DAY };
        let found = instances_in(window, "test", &all, &history, horizon).unwrap();
        // The day before the window anchors its first moment; day 12 anchors day 13, which lies after it.
        assert_eq!(found, [Instance { user: 0, t0: 11 * DAY, next: 6, gts: vec![1, 6], fps: vec![5] }]);
        let training = training_instances(13 * DAY + 1, &all, &history, horizon).unwrap();
        assert_eq!(training, [Instance { user: 0, t0: 11 * DAY, next: 6, gts: vec![6], fps: vec![5] }]);
    }

    #[test]
    fn an_empty_window_is_named_with_its_negatives() {
        let all = sample();
        let window = Window { from: 2 * DAY, to: 9 * DAY };
        let error = instances_in(window, "validation", &all, &History::new(&all, 2), WEEK).unwrap_err();
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
