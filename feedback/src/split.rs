//! The global split in time: which window is evaluated, and when training time ends for it.
//!
//! With T the last timestamp, H the horizon: test = [T - H - test_days, T - H), a gap before it,
//! validation before the gap. No horizon of a test instance leaves the data.

use conrec_domain::spec::{DataSpec, Statistics};
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
    /// The horizon does not fit into the data.
    #[error(
        "data.horizon_days = {horizon_days} is longer than the data, which spans {span_days} days; \
         choose a horizon of fewer days or more data"
    )]
    HorizonTooLong {
        /// The config's horizon.
        horizon_days: u32,
        /// Whole days from the first event to the last.
        span_days: i64,
    },
    /// A window has no length.
    #[error("the {window} window is empty: {key} = 0; set it to at least 1")]
    EmptyWindow {
        /// `validation` or `test`.
        window: &'static str,
        /// The config key.
        key: &'static str,
    },
    /// Nothing is left to train on.
    #[error(
        "no training time is left before the {window} window: horizon, windows and gaps need {needed_days} days, \
         the data spans {span_days}; lower data.test_days, data.validation_days or data.gap_days"
    )]
    NoTrainingTime {
        /// The window that starts too early.
        window: &'static str,
        /// Days from the end of training time to the last event.
        needed_days: i64,
        /// Whole days from the first event to the last.
        span_days: i64,
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
    let span_days = (last_time - first_time) / DAY;
    if days(spec.horizon_days) >= last_time - first_time {
        return Err(SplitError::HorizonTooLong { horizon_days: spec.horizon_days, span_days });
    }
    if spec.test_days == 0 {
        return Err(SplitError::EmptyWindow { window: "test", key: "data.test_days" });
    }
    if spec.validation_days == 0 {
        return Err(SplitError::EmptyWindow { window: "validation", key: "data.validation_days" });
    }
    let test = test_window(spec, last_time);
    let validation = validation_window(spec, last_time);
    let select = PassWindows { pass: Pass::Select, train_end: validation.from, evaluate: validation };
    let passes = match statistics {
        Statistics::Refit => {
            vec![select, PassWindows { pass: Pass::Refit, train_end: test.from, evaluate: test }]
        }
        Statistics::Frozen => vec![PassWindows { train_end: validation.from - days(spec.gap_days), ..select }],
    };
    match passes.iter().find(|p| p.train_end <= first_time) {
        Some(short) => Err(SplitError::NoTrainingTime {
            window: if short.pass == Pass::Select { "validation" } else { "test" },
            needed_days: (last_time - short.train_end) / DAY,
            span_days,
        }),
        None => Ok(passes),
    }
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

    #[test]
    fn horizon_longer_than_the_data_is_refused() {
        let error = passes(&DataSpec::default(), Statistics::Refit, 0, 5 * DAY).unwrap_err();
        assert_eq!(error, SplitError::HorizonTooLong { horizon_days: 7, span_days: 5 });
        assert!(error.to_string().contains("data.horizon_days = 7"));
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
    fn data_too_short_for_training_time_is_refused() {
        let error = passes(&DataSpec::default(), Statistics::Refit, 0, 50 * DAY).unwrap_err();
        assert_eq!(error, SplitError::NoTrainingTime { window: "validation", needed_days: 53, span_days: 50 });
    }
}
