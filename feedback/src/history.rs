//! The events of each user in time order, and the only way to look into a user's past.

use crate::event::Event;

/// Events grouped by user, each group sorted by (time, item).
#[derive(Clone, Debug, Default)]
pub struct History {
    events: Vec<Event>,
    /// Events of user `u` are `events[starts[u]..starts[u + 1]]`.
    starts: Vec<usize>,
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
        // A stable sort keeps the order by (time, item) inside each user.
        let mut sorted = events.to_vec();
        sorted.sort_by_key(|e| (e.user, e.time, e.item));
        Self { events: sorted, starts }
    }

    /// Number of users.
    pub fn users(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    /// All events of a user, oldest first; empty for a user that does not exist.
    pub fn of(&self, user: u32) -> &[Event] {
        let u = user as usize;
        match (self.starts.get(u), self.starts.get(u + 1)) {
            (Some(&a), Some(&b)) => &self.events[a..b],
            _ => &[],
        }
    }

    /// The user's events strictly before `t0`, oldest first: the whole context there is at `t0`.
    pub fn before(&self, user: u32, t0: i64) -> &[Event] {
        let all = self.of(user);
        &all[..all.partition_point(|e| e.time < t0)]
    }

    /// The user's events with `from <= time < to`, oldest first.
    pub fn between(&self, user: u32, from: i64, to: i64) -> &[Event] {
        let all = self.of(user);
        let a = all.partition_point(|e| e.time < from);
        let b = all.partition_point(|e| e.time < to);
        &all[a..b.max(a)]
    }
}
