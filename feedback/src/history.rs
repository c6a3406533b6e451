//! The events of each user in time order, and the only way to look into a user's past. Nine bytes an event and eight a
//! user: events are put together again for whoever asks.

use crate::event::{Event, Sign};

/// Events grouped by user, each group sorted by (time, item).
#[derive(Clone, Debug, Default)]
pub struct History {
    /// Events of user `u` are those from `starts[u]` to `starts[u + 1]` in each list.
    starts: Vec<usize>,
    items: Vec<u32>,
    signs: Vec<Sign>,
    times: Times,
}

/// Times of events.
#[derive(Clone, Debug)]
enum Times {
    /// Within 136 years: seconds after the first.
    Near(i64, Vec<u32>),
    /// Any, Unix seconds.
    Far(Vec<i64>),
}

impl Default for Times {
    fn default() -> Self {
        Self::Near(0, Vec::new())
    }
}

impl Times {
    /// Room for the times of `events`, which are sorted by time.
    fn room(events: &[Event]) -> Self {
        let (first, last) = (events.first().map_or(0, |e| e.time), events.last().map_or(0, |e| e.time));
        match u32::try_from(last.saturating_sub(first)) {
            Ok(_) => Self::Near(first, vec![0; events.len()]),
            Err(_) => Self::Far(vec![0; events.len()]),
        }
    }

    fn set(&mut self, at: usize, time: i64) {
        match self {
            // What is near fits: `room` has seen the first and the last.
            Self::Near(first, after) => after[at] = (time - *first) as u32,
            Self::Far(times) => times[at] = time,
        }
    }

    fn get(&self, at: usize) -> i64 {
        match self {
            Self::Near(first, after) => first + i64::from(after[at]),
            Self::Far(times) => times[at],
        }
    }
}

impl History {
    /// Groups events that are sorted by (time, user, item); users are `0..users`.
    pub fn new(events: &[Event], users: usize) -> Self {
        let mut starts = vec![0usize; users + 1];
        for e in events {
            starts[e.user as usize + 1] += 1;
        }
        for u in 0..users {
            starts[u + 1] += starts[u];
        }
        let (mut items, mut signs) = (vec![0; events.len()], vec![Sign::Neutral; events.len()]);
        let mut times = Times::room(events);
        // In the order of the events, each to its user's next place: the order by (time, item) stays inside each user.
        let mut next = starts.clone();
        for e in events {
            let place = &mut next[e.user as usize];
            items[*place] = e.item;
            signs[*place] = e.sign;
            times.set(*place, e.time);
            *place += 1;
        }
        Self { starts, items, signs, times }
    }

    /// Number of users.
    pub fn users(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    /// All events of a user, oldest first; empty for a user that does not exist.
    pub fn of(&self, user: u32) -> Vec<Event> {
        let (from, to) = self.places(user);
        self.events(user, from, to)
    }

    /// The user's events strictly before `t0`, oldest first: the whole context there is at `t0`.
    pub fn before(&self, user: u32, t0: i64) -> Vec<Event> {
        let (from, to) = self.places(user);
        self.events(user, from, self.first_at(from, to, t0))
    }

    /// The user's events with `from <= time < to`, oldest first.
    pub fn between(&self, user: u32, from: i64, to: i64) -> Vec<Event> {
        let (begin, end) = self.places(user);
        let begin = self.first_at(begin, end, from);
        self.events(user, begin, self.first_at(begin, end, to))
    }

    fn places(&self, user: u32) -> (usize, usize) {
        let u = user as usize;
        match (self.starts.get(u), self.starts.get(u + 1)) {
            (Some(&from), Some(&to)) => (from, to),
            _ => (0, 0),
        }
    }

    /// The first place of `from..to` whose time is not before `time`.
    fn first_at(&self, mut from: usize, mut to: usize, time: i64) -> usize {
        while from < to {
            let middle = from + (to - from) / 2;
            match self.times.get(middle) < time {
                true => from = middle + 1,
                false => to = middle,
            }
        }
        from
    }

    fn events(&self, user: u32, from: usize, to: usize) -> Vec<Event> {
        (from..to)
            .map(|at| Event { user, item: self.items[at], time: self.times.get(at), sign: self.signs[at] })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn event((time, user, item, sign): (i64, u32, u32, u8)) -> Event {
        let sign = [Sign::Negative, Sign::Neutral, Sign::Positive][usize::from(sign)];
        Event { user, item, time, sign }
    }

    proptest! {
        /// A scan of all events says the same, whether times lie near each other or far apart.
        #[test]
        fn what_is_kept_is_what_came(
            rows in prop::collection::vec((-20i64..20, 0u32..4, 0u32..5, 0u8..3), 0..60),
            far in any::<bool>(),
            (a, b) in (-25i64..25, -25i64..25),
        ) {
            let scale = if far { i64::from(u32::MAX) } else { 1 };
            let mut events: Vec<Event> = rows.into_iter().map(event).collect();
            events.iter_mut().for_each(|e| e.time *= scale);
            events.sort_by_key(Event::order);
            let history = History::new(&events, 4);
            prop_assert_eq!(history.users(), 4);
            for user in 0..5 {
                let of = |from: i64, to: i64| -> Vec<Event> {
                    let mut found: Vec<Event> =
                        events.iter().copied().filter(|e| e.user == user && from <= e.time && e.time < to).collect();
                    found.sort_by_key(|e| (e.time, e.item));
                    found
                };
                prop_assert_eq!(history.of(user), of(i64::MIN, i64::MAX));
                prop_assert_eq!(history.before(user, a * scale), of(i64::MIN, a * scale));
                prop_assert_eq!(history.between(user, a * scale, b * scale), of(a * scale, b * scale));
            }
        }
    }

    #[test]
    fn no_events_and_no_users_are_nothing() {
        let empty = History::default();
        assert_eq!((empty.users(), empty.of(0)), (0, vec![]));
    }
}
