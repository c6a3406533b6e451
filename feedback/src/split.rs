//! The global split in time: which window is evaluated, and when training time ends for it.
//!
//! With T the last timestamp, H the horizon: test = [T - H - test_days, T - H), a gap before it,
//! validation before the gap. No horizon of a test instance leaves the data.

use conrec_domain::day::Day;
use conrec_domain::spec::{DataSpec, Statistics, Violation};
use conrec_domain::work::Pass;
use serde::{Deserialize, Serialize};

/// Seconds in a day.
pub const DAY: i64 = 86_400;

/// A half-open stretch of time, Unix seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// First second.
    pub from: i64,
    /// First second after it.
    pub to: i64,
}

impl Window {
    /// Whether a time lies in the window.
    pub fn holds(&self, time: i64) -> bool {
        self.from <= time && time < self.to
    }
}

/// When training time ends in a pass, and which window that pass is evaluated on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PassWindows {
    /// Which pass.
    pub pass: Pass,
    /// Statistics and training see only events before this time.
    pub train_end: i64,
    /// Instances of this window are evaluated.
    pub evaluate: Window,
}

/// Why the data cannot be split as the config says.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SplitError {
    /// Horizon, windows and gaps leave no time to train.
    #[error("{0}")]
    TooShort(Violation),
    /// A window has no length.
    #[error("the {window} window is empty: {key} = 0; set it to at least 1")]
    EmptyWindow {
        /// `validation` or `test`.
        window: &'static str,
        /// The config key.
        key: &'static str,
    },
}

/// The test window: the last stretch whose horizons all end within the data.
pub fn test_window(spec: &DataSpec, last_time: i64) -> Window {
    let to = last_time - days(spec.horizon_days);
    Window { from: to - days(spec.test_days), to }
}

/// The validation window: a gap before the test window.
pub fn validation_window(spec: &DataSpec, last_time: i64) -> Window {
    let to = test_window(spec, last_time).from - days(spec.gap_days);
    Window { from: to - days(spec.validation_days), to }
}

/// The passes of a run, in order.
///
/// `refit`: choose on validation with statistics that end where validation starts, then train again with
/// statistics that end where the test starts; so both are equally stale. `frozen`: one pass that ends a gap before
/// validation; [`test_window`] is evaluated with the same statistics.
pub fn passes(
    spec: &DataSpec,
    statistics: Statistics,
    first_time: i64,
    last_time: i64,
) -> Result<Vec<PassWindows>, SplitError> {
    if spec.test_days == 0 {
        return Err(SplitError::EmptyWindow { window: "test", key: "data.test_days" });
    }
    if spec.validation_days == 0 {
        return Err(SplitError::EmptyWindow { window: "validation", key: "data.validation_days" });
    }
    check_span(spec, statistics, (first_time, last_time))?;
    let test = test_window(spec, last_time);
    let validation = validation_window(spec, last_time);
    let select = PassWindows { pass: Pass::Select, train_end: validation.from, evaluate: validation };
    Ok(match statistics {
        Statistics::Refit => {
            vec![select, PassWindows { pass: Pass::Refit, train_end: test.from, evaluate: test }]
        }
        Statistics::Frozen => vec![PassWindows { train_end: validation.from - days(spec.gap_days), ..select }],
    })
}

/// Refuses data that ends before training time could begin; `first` and `last` are the times of its first and last event.
fn check_span(spec: &DataSpec, statistics: Statistics, (first, last): (i64, i64)) -> Result<(), SplitError> {
    let span = last - first;
    // Training time ends after the first event.
    let available = u64::try_from((span - 1) / DAY).unwrap_or(0);
    let mut data = format!("the data spans {} days", span / DAY);
    if span < DAY {
        // Times in days that are read as seconds, or one time for all: the dates tell which.
        data.push_str(&format!(" (all on {}: are its times in another unit than the config says?)", Day::of(last)));
    }
    spec.check_windows(statistics, available, &data).map_err(|overrun| {
        SplitError::TooShort(overrun.longest.unwrap_or_else(|| Violation {
            key: "horizon, windows and gaps".into(),
            found: format!("{} days", overrun.needed),
            allowed: format!("at most {available}: {data}, some must be left to train on, and {}", overrun.parts),
        }))
    })
}

/// A number of days in seconds.
pub fn days(n: u32) -> i64 {
    i64::from(n) * DAY
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAST: i64 = 1000 * DAY;

    #[test]
    fn refit_places_windows_from_the_end() {
        let split = passes(&DataSpec::default(), Statistics::Refit, 0, LAST).unwrap();
        let validation = Window { from: 947 * DAY, to: 961 * DAY };
        let test = Window { from: 968 * DAY, to: 993 * DAY };
        assert_eq!(
            split,
            [
                PassWindows { pass: Pass::Select, train_end: 947 * DAY, evaluate: validation },
                PassWindows { pass: Pass::Refit, train_end: 968 * DAY, evaluate: test }
            ]
        );
    }

    #[test]
    fn frozen_ends_training_a_gap_before_validation() {
        let split = passes(&DataSpec::default(), Statistics::Frozen, 0, LAST).unwrap();
        assert_eq!(split.len(), 1);
        assert_eq!(split[0].train_end, 940 * DAY);
        assert_eq!(test_window(&DataSpec::default(), LAST), Window { from: 968 * DAY, to: 993 * DAY });
    }

    fn refused(spec: &DataSpec, statistics: Statistics, span: i64) -> String {
        passes(spec, statistics, 0, span).unwrap_err().to_string()
    }

    #[test]
    fn a_gap_longer_than_the_data_is_named_with_the_span_and_what_is_allowed() {
        let spec = |gap_days| DataSpec { gap_days, ..DataSpec::default() };
        // 185 days and a quarter.
        let span = 185 * DAY + DAY / 4;
        let expected = "data.gap_days = 400: allowed is 7 to 139: the data spans 185 days, data.horizon_days = 7, \
                        data.validation_days = 14 and data.test_days = 25 take 46 of these days, \
                        and some must be left to train on";
        assert_eq!(refused(&spec(400), Statistics::Refit, span), expected);
        // What is allowed is right to the day, and the whole span would leave nothing.
        assert!(passes(&spec(139), Statistics::Refit, 0, span).is_ok());
        assert!(refused(&spec(140), Statistics::Refit, span).starts_with("data.gap_days = 140: allowed is 7 to 139"));
        assert!(refused(&spec(139), Statistics::Refit, 185 * DAY).contains("allowed is 7 to 138"));
        // `frozen` has the gap twice.
        let frozen = refused(&spec(139), Statistics::Frozen, span);
        assert!(frozen.starts_with("data.gap_days = 139: allowed is 7 to 69: "), "{frozen}");
        assert!(passes(&spec(69), Statistics::Frozen, 0, span).is_ok());
        let long = DataSpec { horizon_days: 139, ..spec(139) };
        let found = refused(&long, Statistics::Frozen, span);
        assert!(found.contains("data.horizon_days = 139, data.gap_days = 139 (twice), "), "{found}");
    }

    #[test]
    fn empty_windows_are_named() {
        let spec = DataSpec { test_days: 0, ..DataSpec::default() };
        let error = passes(&spec, Statistics::Refit, 0, LAST).unwrap_err();
        assert!(error.to_string().contains("test window is empty"), "{error}");
        let spec = DataSpec { validation_days: 0, ..DataSpec::default() };
        let error = passes(&spec, Statistics::Refit, 0, LAST).unwrap_err();
        assert!(error.to_string().contains("data.validation_days"), "{error}");
    }

    #[test]
    fn data_too_short_for_all_windows_is_told_what_each_takes() {
        let expected = "horizon, windows and gaps = 53 days: allowed is at most 49: the data spans 50 days, some must be \
                        left to train on, and data.horizon_days = 7, data.gap_days = 7, data.validation_days = 14 and \
                        data.test_days = 25 take 53 days";
        assert_eq!(refused(&DataSpec::default(), Statistics::Refit, 50 * DAY), expected);
        assert!(
            refused(&DataSpec::default(), Statistics::Refit, 0).contains("the data spans 0 days (all on 1970-01-01: ")
        );
    }
}
