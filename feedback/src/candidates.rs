//! The candidates of CandAcc: the true next negative and sampled items that other users rated the same day.

use crate::event::{Event, Sign};
use crate::history::History;
use crate::instance::Instance;
use crate::numpy_random::NumpyRandom;
use crate::split::{DAY, Window, days};

/// Events of a day that are shuffled as a whole; it is part of what fixes the candidates.
const SHUFFLED_AT_MOST: usize = 1 << 14;

/// Draws for each candidate from a larger day, before the shuffle after all.
const DRAWS_A_CANDIDATE: usize = 64;

/// The events that the candidates of a window are drawn from: none after its last horizon. The day of a next negative may go
/// on longer, into the window that comes after.
pub fn within_reach(window: Window, horizon_days: u32, events: &[Event]) -> &[Event] {
    let end = window.to + days(horizon_days);
    &events[..events.partition_point(|e| e.time < end)]
}

/// Draws candidates for each instance: the true item first, then up to `others` distinct items.
///
/// The pool of an instance is every rating (any sign) of OTHER users on the UTC day of the next negative, so an item comes
/// as often as it was rated that day. Items that the user rated before t0 and items of the GTS are left out. One generator serves
/// all instances in their order, so `instances` must be the whole window. `events` are sorted by time; see
/// [`within_reach`].
///
/// On a day of at most 16,384 events the pool is shuffled and taken from its front, as numpy would do it. On a larger one
/// that would cost a day of events an instance: items are drawn one by one instead, with the same probabilities, and the
/// shuffle is left for pools in which that finds too few.
pub fn draw_candidates(
    instances: &[Instance],
    events: &[Event],
    history: &History,
    others: usize,
    seed: u64,
) -> Vec<Vec<u32>> {
    let mut random = NumpyRandom::new(seed);
    instances
        .iter()
        .map(|instance| {
            let day = time_of_next(instance, history).div_euclid(DAY) * DAY;
            let from = events.partition_point(|e| e.time < day);
            let to = events.partition_point(|e| e.time < day + DAY);
            let mut barred: Vec<u32> = history.before(instance.user, instance.t0).iter().map(|e| e.item).collect();
            barred.extend(&instance.gts);
            barred.push(instance.next);
            barred.sort_unstable();
            let mut drawn = vec![instance.next];
            let mut add = |item: u32| {
                if barred.binary_search(&item).is_err() && !drawn.contains(&item) {
                    drawn.push(item);
                }
                drawn.len() > others
            };
            let of_the_day = &events[from..to];
            if of_the_day.len() > SHUFFLED_AT_MOST {
                for _ in 0..others * DRAWS_A_CANDIDATE {
                    let event = &of_the_day[random.below(of_the_day.len() as u32) as usize];
                    if event.user != instance.user && add(event.item) {
                        return drawn;
                    }
                }
            }
            let pool: Vec<u32> = of_the_day.iter().filter(|e| e.user != instance.user).map(|e| e.item).collect();
            for place in random.permutation(pool.len() as u32) {
                if add(pool[place as usize]) {
                    break;
                }
            }
            drawn
        })
        .collect()
}

/// When the next negative comes: at `t0`, or later where the moment was put off to the end of a day.
fn time_of_next(instance: &Instance, history: &History) -> i64 {
    let is_next = |e: &&Event| e.item == instance.next && e.sign == Sign::Negative;
    history.between(instance.user, instance.t0, i64::MAX).iter().find(is_next).map_or(instance.t0, |e| e.time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_distinct_items_of_other_users_of_the_day() {
        let at = |user, item, time| Event { user, item, time, sign: Sign::Negative };
        let mut events = vec![at(0, 9, 0), at(0, 1, DAY + 5), at(0, 2, DAY + 6)];
        events.extend((3..40).map(|item| at(1, item, DAY + 7)));
        events.extend((3..40).map(|item| at(2, item, DAY + 8)));
        events.push(at(1, 50, 2 * DAY));
        let history = History::new(&events, 3);
        let instance = Instance { user: 0, t0: DAY + 5, next: 1, gts: vec![1, 2, 30], fps: vec![] };
        let drawn = draw_candidates(std::slice::from_ref(&instance), &events, &history, 19, 0).remove(0);
        assert_eq!((drawn.len(), drawn[0]), (20, 1));
        let mut distinct = drawn.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), 20);
        // 9 was rated before, 2 and 30 are targets, 50 is of another day.
        assert!([9, 2, 30, 50].iter().all(|i| !drawn.contains(i)));
    }

    #[test]
    fn a_small_pool_gives_fewer_candidates() {
        let at = |user, item, time| Event { user, item, time, sign: Sign::Positive };
        let events = vec![at(0, 1, 5), at(1, 2, 6), at(1, 3, 7)];
        let instance = Instance { user: 0, t0: 5, next: 1, gts: vec![1], fps: vec![] };
        let drawn = draw_candidates(&[instance], &events, &History::new(&events, 2), 19, 0).remove(0);
        assert_eq!(drawn.len(), 3);
    }

    #[test]
    fn a_large_day_is_drawn_from_one_by_one_and_evenly() {
        let at = |user, item, time| Event { user, item, time, sign: Sign::Positive };
        // Item 5 is rated by half of the others, the rest of the ratings are of 100 more items.
        let item = |n: u32| if n.is_multiple_of(2) { 5 } else { 100 + n / 2 % 100 };
        let mut events: Vec<Event> = (0..20_000).map(|n| at(1 + n % 7, item(n), i64::from(n))).collect();
        events.push(at(0, 1, 20_000));
        let history = History::new(&events, 8);
        let instance = Instance { user: 0, t0: 20_000, next: 1, gts: vec![1, 100], fps: vec![] };
        let drawn = draw_candidates(&vec![instance; 400], &events, &history, 2, 0);
        assert!(drawn.iter().all(|d| d.len() == 3 && d[0] == 1 && d[1] != d[2] && !d[1..].contains(&100)));
        let first = drawn.iter().filter(|d| d[1] == 5).count();
        assert!((160..240).contains(&first), "item 5 comes first {first} times of 400");
    }

    #[test]
    fn a_large_day_with_few_items_gives_all_of_them() {
        let at = |user, item, time| Event { user, item, time, sign: Sign::Positive };
        let mut events: Vec<Event> = (0..20_000).map(|n| at(1, 5, i64::from(n))).collect();
        events.extend([at(0, 1, 20_000), at(2, 6, 20_001)]);
        let instance = Instance { user: 0, t0: 20_000, next: 1, gts: vec![1], fps: vec![] };
        let mut drawn = draw_candidates(&[instance], &events, &History::new(&events, 3), 19, 0).remove(0);
        drawn.sort_unstable();
        assert_eq!(drawn, [1, 5, 6]);
    }
}
