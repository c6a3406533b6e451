//! How a night ended, what a command about it answers, and with which exit code a scheduler tells the answers apart.

use super::{Arrival, Verdict};
use crate::day::Day;
use crate::ids::RunId;
use serde::{Deserialize, Serialize};

/// `nights/<date>/ending.json`: written last, once; a night that has one is never trained again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ending {
    /// The night.
    pub night: Day,
    /// What it trained.
    pub run: RunId,
    /// The entry that promoted it; none where it was not.
    pub promotion: Option<u64>,
    /// The decision.
    pub verdict: Verdict,
    /// The run that the night's sets were predicted with; none where nothing serves.
    pub predicted_with: Option<RunId>,
    /// Unix time.
    pub at: i64,
}

/// What a command about a night answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum Answer {
    /// The night is over, and this command brought it there.
    Ended(Ending),
    /// It was over before.
    AlreadyRan(Ending),
    /// The night of a later day was promoted since: what this one would train is out of date.
    Overtaken {
        /// That night.
        by: Day,
    },
    /// Its data is not such that it can be trained; the old adapter stays.
    Skipped(Arrival),
}

/// Every outcome with its exit code and what it means, for `--help` and the documents.
pub const EXIT_CODES: [(u8, &str); 7] = [
    (0, "promoted: the night's run serves from now on"),
    (10, "trained, not promoted: what served goes on serving"),
    (11, "this night ran before; its result is printed again"),
    (12, "a later night was promoted before this one; nothing was trained"),
    (13, "late: the day's data may still come, try again later"),
    (14, "empty: a day has too few events, and no more are waited for"),
    (65, "broken: the data cannot be read"),
];

impl Answer {
    /// The process's exit code.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Ended(ending) if ending.promotion.is_some() => 0,
            Self::Ended(_) => 10,
            Self::AlreadyRan(_) => 11,
            Self::Overtaken { .. } => 12,
            Self::Skipped(Arrival::Late { .. }) => 13,
            Self::Skipped(Arrival::Empty { .. }) => 14,
            Self::Skipped(Arrival::Broken { .. }) => 65,
            // Data that is ready is no reason to skip a night.
            Self::Skipped(Arrival::Ready { .. }) => 1,
        }
    }
}
