//! Horizon, windows and gaps stand one after another at the end of the data: the days that they take, and which key is
//! to blame where the data is too short for them.

use super::{DataSpec, Statistics, Violation};

/// The horizon, windows and gaps take more days than there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overrun {
    /// The days that they take.
    pub needed: u64,
    /// Every key with its value, and the sum, as a sentence part.
    pub parts: String,
    /// The one key that takes more days than all others together, if there is one and a smaller value of it would do.
    pub longest: Option<Violation>,
}

/// One of the stretches between the end of training time and the last event.
#[derive(Clone, Copy)]
struct Stretch {
    key: &'static str,
    days: u32,
    /// How often it stands there.
    times: u64,
    /// The smallest value that the key may have.
    least: u64,
}

impl Stretch {
    fn total(&self) -> u64 {
        u64::from(self.days) * self.times
    }
}

impl DataSpec {
    /// Days from the end of the select pass's training time to the last event: horizon, test window, gap, validation
    /// window, and under `frozen` one more gap.
    pub fn days_after_training(&self, statistics: Statistics) -> u64 {
        self.stretches(statistics).iter().map(Stretch::total).sum()
    }

    /// Whether horizon, windows and gaps take at most `available` days; `data` says as a clause how long the data is.
    ///
    /// # Errors
    /// Where they take more, with what has to change.
    pub fn check_windows(&self, statistics: Statistics, available: u64, data: &str) -> Result<(), Overrun> {
        let stretches = self.stretches(statistics);
        let needed = self.days_after_training(statistics);
        if needed <= available {
            return Ok(());
        }
        let longest = stretches.iter().max_by_key(|s| s.total()).and_then(|s| {
            let others = needed - s.total();
            let most = available.checked_sub(others)? / s.times;
            let rest: Vec<Stretch> = stretches.iter().copied().filter(|o| o.key != s.key).collect();
            (s.total() > others && most >= s.least).then(|| Violation {
                key: s.key.into(),
                found: s.days.to_string(),
                allowed: format!(
                    "{} to {most}: {data}, {} take {others} of these days, and some must be left to train on",
                    s.least,
                    listed(&rest)
                ),
            })
        });
        Err(Overrun { needed, parts: format!("{} take {needed} days", listed(&stretches)), longest })
    }

    fn stretches(&self, statistics: Statistics) -> [Stretch; 4] {
        let gaps = match statistics {
            Statistics::Refit => 1,
            Statistics::Frozen => 2,
        };
        [
            Stretch { key: "data.horizon_days", days: self.horizon_days, times: 1, least: 1 },
            Stretch { key: "data.gap_days", days: self.gap_days, times: gaps, least: u64::from(self.horizon_days) },
            Stretch { key: "data.validation_days", days: self.validation_days, times: 1, least: 1 },
            Stretch { key: "data.test_days", days: self.test_days, times: 1, least: 1 },
        ]
    }
}

/// `a = 1, b = 2 (twice) and c = 3`.
fn listed(stretches: &[Stretch]) -> String {
    let twice = |s: &Stretch| if s.times == 2 { " (twice)" } else { "" };
    let all: Vec<String> = stretches.iter().map(|s| format!("{} = {}{}", s.key, s.days, twice(s))).collect();
    match all.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, before)) => format!("{} and {last}", before.join(", ")),
        None => String::new(),
    }
}
