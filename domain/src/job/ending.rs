//! How a job ended for good: the last record of it, written once, by conditional create.

use super::{Moment, VERSION};
use crate::effect::Ending;
use crate::ids::{Digest, RunId};
use serde::{Deserialize, Serialize};

/// How a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Report and adapter are written.
    Completed,
    /// The same, but the quality gate did not let the adapter be served.
    NotPromoted,
    /// It cannot be done as it was submitted.
    Failed,
    /// An operator ended it.
    Cancelled,
}

/// `job/ending.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobEnding {
    /// [`VERSION`] of the program that wrote it.
    pub version: u32,
    /// The run.
    pub run_id: RunId,
    /// How.
    pub outcome: Outcome,
    /// What `conrec wait` exits with.
    pub exit_code: u8,
    /// For people.
    pub reason: String,
    /// Committed iterations.
    pub iteration: u64,
    /// When.
    pub ended: Moment,
    /// What is left of it.
    #[serde(default)]
    pub results: Results,
}

/// Where a completed job's results lie.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Results {
    /// Digest of trained weights and optimiser state.
    pub state_digest: Option<Digest>,
    /// `report.json`.
    pub report: Option<String>,
    /// `report.html`.
    pub page: Option<String>,
    /// The adapter's folder.
    pub adapter: Option<String>,
}

impl Outcome {
    /// What `conrec wait` exits with, where the run gave no code of its own.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Completed => 0,
            Self::Failed => 1,
            Self::NotPromoted => 10,
            Self::Cancelled => 15,
        }
    }

    /// The outcome of a run that ended for its process; none where the same key may go on: after a stop, and after a
    /// failure that another start may mend (a store or server that was gone, workers that died).
    fn of(ending: &Ending) -> Option<(Self, u8, String)> {
        let of = |outcome: Self, reason: &str| Some((outcome, outcome.exit_code(), reason.to_owned()));
        match ending {
            Ending::Completed => of(Self::Completed, "report and adapter are written"),
            Ending::Cancelled => of(Self::Cancelled, "it was cancelled on request"),
            Ending::Stopped => None,
            Ending::Failed { reason, exit_code: 10 } => Some((Self::NotPromoted, 10, reason.clone())),
            // Data and config are the same at the next start.
            Ending::Failed { reason, exit_code: code @ (64 | 65 | 78) } => Some((Self::Failed, *code, reason.clone())),
            Ending::Failed { .. } => None,
        }
    }
}

impl JobEnding {
    /// The record of an end for good; none where the same key may go on. `iteration`: committed ones.
    pub fn of(ending: &Ending, run_id: &RunId, iteration: u64, ended: Moment) -> Option<Self> {
        let (outcome, exit_code, reason) = Outcome::of(ending)?;
        let run_id = run_id.clone();
        Some(Self {
            version: VERSION,
            run_id,
            outcome,
            exit_code,
            reason,
            iteration,
            ended,
            results: Results::default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_another_start_cannot_mend_ends_a_job() {
        let failed = |exit_code| Ending::Failed { reason: "why".into(), exit_code };
        let table = [
            (Ending::Completed, Some((Outcome::Completed, 0))),
            (Ending::Cancelled, Some((Outcome::Cancelled, 15))),
            (Ending::Stopped, None),
            (failed(1), None),
            (failed(10), Some((Outcome::NotPromoted, 10))),
            (failed(65), Some((Outcome::Failed, 65))),
            (failed(69), None),
            (failed(78), Some((Outcome::Failed, 78))),
        ];
        for (ending, expected) in table {
            let found = JobEnding::of(&ending, &"r".parse().unwrap(), 4, Moment(5));
            assert_eq!(found.map(|found| (found.outcome, found.exit_code)), expected, "{ending:?}");
        }
    }
}
