//! How a user's negatives come: alone, again within a horizon, or in bursts of one day. What a windowed metric means
//! depends on it.

use crate::event::{Event, Sign};
use crate::history::History;
use crate::split::{DAY, days};
use rayon::prelude::*;
use std::fmt;

/// Negatives that another negative of the same user follows within the horizon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bursts {
    /// All negatives.
    pub negatives: usize,
    /// Those with another at the same time or later, within the horizon.
    pub followed: usize,
    /// Those with another on a later UTC day, within the horizon.
    pub followed_later: usize,
    /// Length of the horizon.
    pub horizon_days: u32,
}

impl Bursts {
    /// Counts over all events.
    pub fn of(events: &[Event], history: &History, horizon_days: u32) -> Self {
        let count = |e: &Event| {
            let after = history.between(e.user, e.time, e.time + days(horizon_days));
            let midnight = (e.time.div_euclid(DAY) + 1) * DAY;
            let mut others = after.iter().filter(|other| other.sign == Sign::Negative && *other != e).peekable();
            let followed = others.peek().is_some();
            (1, usize::from(followed), usize::from(others.any(|other| other.time >= midnight)))
        };
        let (negatives, followed, followed_later) = events
            .par_iter()
            .filter(|e| e.sign == Sign::Negative)
            .map(count)
            .reduce(|| (0, 0, 0), |a, b| (a.0 + b.0, a.1 + b.1, a.2 + b.2));
        Self { negatives, followed, followed_later, horizon_days }
    }

    /// Whether most of what follows comes on the same day.
    pub fn is_burst(&self) -> bool {
        self.followed > 2 * self.followed_later
    }
}

impl fmt::Display for Bursts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let share = |part: usize| 100.0 * part as f64 / self.negatives.max(1) as f64;
        write!(
            f,
            "{} negatives; another of the same user follows {:.1} % of them within {} days, {:.1} % on a later day",
            self.negatives,
            share(self.followed),
            self.horizon_days,
            share(self.followed_later)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_on_the_same_day_is_told_from_what_follows_later() {
        let at = |user, item, time| Event { user, item, time, sign: Sign::Negative };
        let mut events = vec![
            // Two at once, and one on the next day.
            at(0, 1, 10),
            at(0, 2, 10),
            at(0, 3, DAY + 10),
            // Two of one day.
            at(1, 1, 20),
            at(1, 2, 30),
            // Too late, and of another kind.
            at(2, 1, 40),
            at(2, 2, 9 * DAY),
            Event { sign: Sign::Positive, ..at(2, 3, 50) },
        ];
        events.sort_by_key(Event::order);
        let history = History::new(&events, 3);
        let found = Bursts::of(&events, &history, 7);
        assert_eq!(found, Bursts { negatives: 7, followed: 3, followed_later: 2, horizon_days: 7 });
        assert!(!found.is_burst());
        assert_eq!(
            found.to_string(),
            "7 negatives; another of the same user follows 42.9 % of them within 7 days, 28.6 % on a later day"
        );
        let day: Vec<Event> = events.iter().copied().filter(|e| e.user == 1).collect();
        assert!(Bursts::of(&day, &History::new(&day, 3), 7).is_burst());
    }
}
