//! The candidates of CandAcc: the true next negative and sampled items that other users rated the same day.

use crate::event::Event;
use crate::history::History;
use crate::instance::Instance;
use crate::numpy_random::NumpyRandom;
use crate::split::DAY;

/// Draws candidates for each instance: the true item first, then up to `others` distinct items.
///
/// The pool of an instance is every rating (any sign) of OTHER users on the same UTC day, so an item comes as often as
/// it was rated that day. Items that the user rated before t0 and items of the GTS are left out. One generator serves
/// all instances in their order, so `instances` must be the whole window. `events` are sorted by time.
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
            let day = instance.t0.div_euclid(DAY) * DAY;
            let from = events.partition_point(|e| e.time < day);
            let to = events.partition_point(|e| e.time < day + DAY);
            let pool: Vec<u32> = events[from..to].iter().filter(|e| e.user != instance.user).map(|e| e.item).collect();
            let mut barred: Vec<u32> = history.before(instance.user, instance.t0).iter().map(|e| e.item).collect();
            barred.extend(&instance.gts);
            barred.push(instance.next);
            barred.sort_unstable();
            let mut drawn = vec![instance.next];
            for place in random.permutation(pool.len() as u32) {
                if drawn.len() > others {
                    break;
                }
                let item = pool[place as usize];
                if barred.binary_search(&item).is_err() && !drawn.contains(&item) {
                    drawn.push(item);
                }
            }
            drawn
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Sign;

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
}
