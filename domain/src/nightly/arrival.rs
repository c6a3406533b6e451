//! Whether a night's data is there: judged by what each day holds, by the clock that is passed in, and by the rules of
//! `[nightly]`.

use crate::day::Day;
use crate::spec::NightlySpec;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What the data of a night looks like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Arrivals {
    /// Events of each day of the window that has any.
    pub events: BTreeMap<Day, u64>,
    /// Files of days that the config names and that are not there, by day.
    pub missing: BTreeMap<Day, String>,
    /// Why the data cannot be read; none where it can.
    pub broken: Option<String>,
}

/// What follows for the night.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "data")]
pub enum Arrival {
    /// The night can be trained.
    Ready {
        /// Older days of the window without enough events: trained on as they are, and told.
        thin: Vec<Day>,
    },
    /// The newest day may still come: asking again later may find it.
    Late {
        /// The day.
        day: Day,
        /// Events of it that are there.
        events: u64,
        /// Unix time until which it is waited for.
        until: i64,
    },
    /// One of the newest days has too few events, and no more are waited for.
    Empty {
        /// The day.
        day: Day,
        /// Events of it.
        events: u64,
        /// Events that a day must have.
        expected: u64,
    },
    /// The data cannot be read.
    Broken {
        /// Why.
        reason: String,
    },
}

impl Arrivals {
    /// Judges the data of `night` at the time `now` (Unix seconds). Data that is late is not called broken: half of a file may lie there while it is written.
    pub fn judge(&self, night: Day, rules: &NightlySpec, now: i64) -> Arrival {
        let expected = u64::from(rules.min_events);
        let events =
            |day: Day| if self.missing.contains_key(&day) { 0 } else { self.events.get(&day).copied().unwrap_or(0) };
        let until = night.end() + i64::from(rules.late_hours) * 3_600;
        if (events(night) < expected || self.broken.is_some()) && now < until {
            return Arrival::Late { day: night, events: events(night), until };
        }
        if let Some(reason) = &self.broken {
            return Arrival::Broken { reason: reason.clone() };
        }
        let first = night.plus(1 - i64::from(rules.window_days));
        let complete = night.plus(1 - i64::from(rules.complete_days)).max(first);
        let few = |day: &Day| events(*day) < expected;
        // The night's own day is named first: it is what its operator looks for.
        if let Some(day) = [night].into_iter().chain(complete.through(night)).find(few) {
            return Arrival::Empty { day, events: events(day), expected };
        }
        // Before the first day of the data there was nothing to be missing.
        let begin = self.events.keys().next().copied().unwrap_or(night).max(first);
        Arrival::Ready { thin: begin.through(complete.plus(-1)).filter(few).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn night() -> Day {
        "2024-03-10".parse().unwrap()
    }

    fn rules() -> NightlySpec {
        NightlySpec { window_days: 7, min_events: 10, late_hours: 6, complete_days: 2, ..NightlySpec::default() }
    }

    fn arrivals(counts: &[u64]) -> Arrivals {
        let first = night().plus(1 - counts.len() as i64);
        Arrivals { events: first.through(night()).zip(counts.iter().copied()).collect(), ..Arrivals::default() }
    }

    fn judged(arrivals: &Arrivals, hours: i64) -> Arrival {
        arrivals.judge(night(), &rules(), night().end() + hours * 3_600)
    }

    #[test]
    fn a_whole_window_is_ready_and_old_thin_days_are_told() {
        assert_eq!(judged(&arrivals(&[20; 7]), 0), Arrival::Ready { thin: Vec::new() });
        let holes = judged(&arrivals(&[20, 3, 0, 20, 20, 20, 20]), 0);
        assert_eq!(holes, Arrival::Ready { thin: vec![night().plus(-5), night().plus(-4)] });
        // The stream began three days ago.
        assert_eq!(judged(&arrivals(&[20; 3]), 0), Arrival::Ready { thin: Vec::new() });
    }

    #[test]
    fn the_newest_day_is_waited_for_and_then_given_up() {
        let half = arrivals(&[20, 20, 20, 4]);
        let until = night().end() + 6 * 3_600;
        assert_eq!(judged(&half, 5), Arrival::Late { day: night(), events: 4, until });
        assert_eq!(judged(&half, 6), Arrival::Empty { day: night(), events: 4, expected: 10 });
        let mut missing = arrivals(&[20; 4]);
        missing.missing.insert(night(), "events-2024-03-10.csv".into());
        assert_eq!(judged(&missing, 6), Arrival::Empty { day: night(), events: 0, expected: 10 });
    }

    #[test]
    fn an_empty_day_among_the_newest_is_no_night() {
        assert_eq!(
            judged(&arrivals(&[20, 20, 1, 20]), 9),
            Arrival::Empty { day: night().plus(-1), events: 1, expected: 10 }
        );
        assert!(matches!(judged(&arrivals(&[20, 1, 20, 20]), 9), Arrival::Ready { .. }));
    }

    #[test]
    fn half_of_a_file_is_late_first_and_broken_later() {
        let broken = Arrivals { broken: Some("line 3".into()), ..arrivals(&[20; 7]) };
        assert!(matches!(judged(&broken, 5), Arrival::Late { .. }));
        assert_eq!(judged(&broken, 6), Arrival::Broken { reason: "line 3".into() });
    }
}
