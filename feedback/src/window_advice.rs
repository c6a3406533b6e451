//! What would hold instances where a window holds none: other horizons and other windows are tried.

use crate::dataset::Dataset;
use crate::event::Sign;
use crate::history::History;
use crate::instance::{Horizon, InstanceError, anchored, before};
use crate::split::{passes, test_window, validation_window};
use conrec_domain::spec::{DataSpec, Statistics};

/// Horizons that are tried, in days.
const HORIZONS: [u32; 16] = [1, 2, 3, 5, 7, 10, 14, 21, 30, 45, 60, 90, 120, 180, 365, 730];
/// How many times longer windows are tried.
const LONGER: [u32; 7] = [2, 3, 4, 6, 8, 12, 16];
/// Instances in each window that are enough to stop looking.
const ENOUGH: usize = 20;

/// Instances of training, validation and test.
type Counts = [usize; 3];

/// The same error, its advice made from what `dataset` holds; `history` has the same events.
pub fn advised(
    error: InstanceError,
    spec: &DataSpec,
    statistics: Statistics,
    dataset: &Dataset,
    history: &History,
) -> InstanceError {
    let InstanceError::Empty { window, from, to, negatives, advice } = error;
    let count = |spec: &DataSpec| counts(spec, statistics, dataset, history);
    let all = dataset.events.iter().filter(|e| e.sign == Sign::Negative).count();
    let found = match all {
        0 => Some(format!(
            "no event of the data is a negative: look at data.negative_at_most = {}, or at what data.table names as \
             negative",
            spec.negative_at_most
        )),
        _ => other_horizon(spec, count).or_else(|| longer_windows(spec, count)),
    };
    InstanceError::Empty { window, from, to, negatives, advice: found.unwrap_or(advice) }
}

/// The smallest horizon with enough instances, or else the one with the most. A longer one takes a gap as long.
fn other_horizon(spec: &DataSpec, count: impl Fn(&DataSpec) -> Option<Counts>) -> Option<String> {
    let tries = HORIZONS.into_iter().filter(|&days| days != spec.horizon_days);
    let tries = tries.map(|days| DataSpec { horizon_days: days, gap_days: spec.gap_days.max(days), ..spec.clone() });
    let (best, counts) = best(tries, count)?;
    let gap = match best.gap_days == spec.gap_days {
        true => String::new(),
        false => format!(" with data.gap_days = {}", best.gap_days),
    };
    Some(format!("data.horizon_days = {}{gap} gives {}", best.horizon_days, listed(counts)))
}

fn longer_windows(spec: &DataSpec, count: impl Fn(&DataSpec) -> Option<Counts>) -> Option<String> {
    let tries = LONGER.into_iter().map(|times| DataSpec {
        validation_days: spec.validation_days.saturating_mul(times),
        test_days: spec.test_days.saturating_mul(times),
        ..spec.clone()
    });
    let (best, counts) = best(tries, count)?;
    let (validation, test) = (best.validation_days, best.test_days);
    Some(format!("data.validation_days = {validation} and data.test_days = {test} give {}", listed(counts)))
}

/// The first try whose windows all have enough, or the one whose poorest window has the most; none where one window is
/// empty in all.
fn best(
    tries: impl Iterator<Item = DataSpec>,
    count: impl Fn(&DataSpec) -> Option<Counts>,
) -> Option<(DataSpec, Counts)> {
    let poorest = |counts: &Counts| counts.iter().copied().min().unwrap_or(0);
    let mut best: Option<(DataSpec, Counts)> = None;
    for spec in tries {
        let Some(counts) = count(&spec).filter(|counts| poorest(counts) > 0) else {
            continue;
        };
        if best.as_ref().is_none_or(|(_, known)| poorest(&counts) > poorest(known)) {
            let enough = poorest(&counts) >= ENOUGH;
            best = Some((spec, counts));
            if enough {
                break;
            }
        }
    }
    best
}

fn listed([training, validation, test]: Counts) -> String {
    format!("{training} training, {validation} validation and {test} test instances")
}

/// How many instances each window would have; none where the windows do not fit the data.
fn counts(spec: &DataSpec, statistics: Statistics, dataset: &Dataset, history: &History) -> Option<Counts> {
    let (first, last) = (dataset.first_time()?, dataset.last_time()?);
    let windows = passes(spec, statistics, first, last).ok()?;
    let end = windows.first()?.train_end;
    let horizon = Horizon::from(spec);
    let count = |window, end| anchored(window, end, &dataset.events, history, horizon).len();
    Some([
        count(before(end, &dataset.events), end),
        count(validation_window(spec, last), i64::MAX),
        count(test_window(spec, last), i64::MAX),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Event;
    use crate::instance::instances_in;
    use crate::split::DAY;

    /// A hundred users who dislike one item each ten days for 200 days.
    fn dataset() -> Dataset {
        let event = |n: u32| Event {
            user: n % 100,
            item: n / 100 % 7,
            time: i64::from(n / 100) * 10 * DAY + i64::from(n % 100),
            sign: Sign::Negative,
        };
        Dataset { events: (0..2100).map(event).collect(), ..Dataset::default() }
    }

    fn advice(spec: &DataSpec, data: &Dataset) -> String {
        let history = History::new(&data.events, 100);
        let window = test_window(spec, data.last_time().unwrap());
        let error = instances_in(window, "test", &data.events, &history, spec.into()).unwrap_err();
        advised(error, spec, Statistics::Refit, data, &history).to_string()
    }

    #[test]
    fn the_smallest_horizon_that_holds_something_is_said() {
        let spec = DataSpec { later_day_only: true, ..DataSpec::default() };
        let error = advice(&spec, &dataset());
        // The next dislike comes on the tenth day, nine days and some after midnight.
        assert!(error.contains("; data.horizon_days = 10 with data.gap_days = 10 gives "), "{error}");
        let held = DataSpec { horizon_days: 10, gap_days: 10, ..spec };
        let data = dataset();
        let history = History::new(&data.events, 100);
        let [training, validation, test] = counts(&held, Statistics::Refit, &data, &history).unwrap();
        assert!(error.ends_with(&format!("{training} training, {validation} validation and {test} test instances")));
        assert!(training.min(validation).min(test) >= ENOUGH);
    }

    #[test]
    fn windows_between_two_bursts_are_made_longer() {
        // Bursts 100 days apart: no horizon moves a window of a day onto one.
        let mut data = dataset();
        data.events.iter_mut().for_each(|e| e.time = e.time / (100 * DAY) * 100 * DAY + e.time % DAY);
        data.events.push(Event { user: 0, item: 0, time: 250 * DAY, sign: Sign::Neutral });
        data.events.sort_by_key(Event::order);
        data.events.dedup();
        let spec = DataSpec { test_days: 7, validation_days: 7, ..DataSpec::default() };
        let error = advice(&spec, &data);
        assert!(error.contains("data.horizon_days = ") || error.contains("data.test_days = "), "{error}");
    }

    #[test]
    fn data_without_negatives_is_told_so() {
        let mut data = dataset();
        data.events.iter_mut().for_each(|e| e.sign = Sign::Positive);
        let error = advice(&DataSpec::default(), &data);
        assert!(error.contains("no event of the data is a negative"), "{error}");
    }
}
