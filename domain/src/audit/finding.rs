//! What can be wrong with a run's files, and where.

use crate::ids::{Digest, Fence, Iteration};
use crate::work::{Pass, StateChange};
use std::fmt;

/// Where something is wrong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// File below the run's folder.
    pub file: String,
    /// Its line, from 1; none for a file that is one whole.
    pub line: Option<usize>,
}

impl Place {
    /// A line of a file.
    pub fn line(file: &str, line: usize) -> Self {
        Self { file: file.to_owned(), line: Some(line) }
    }

    /// A whole file.
    pub fn file(file: &str) -> Self {
        Self { file: file.to_owned(), line: None }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}", self.file),
            None => f.write_str(&self.file),
        }
    }
}

/// One thing that is wrong, with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Where.
    pub place: Place,
    /// What.
    pub what: Finding,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.what)
    }
}

/// One thing that is wrong with a run's files.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each variant's message says what its fields are")]
pub enum Finding {
    #[error("the line is cut off: it has no end")]
    CutOff,
    #[error("it cannot be read: {message}")]
    Unreadable { message: String },
    #[error("iteration {iteration} was committed twice by the roster with fence {fence}")]
    Twice { iteration: Iteration, fence: Fence },
    #[error("iteration {iteration} carries fence {found} after fence {earlier}")]
    OldFence { iteration: Iteration, found: Fence, earlier: Fence },
    #[error("iteration {iteration} lies behind iteration {earlier}: only a new roster, with a higher fence, goes back")]
    WentBack { iteration: Iteration, earlier: Iteration },
    #[error("iteration {found} follows iteration {earlier}: one or more are missing")]
    Gap { found: Iteration, earlier: Iteration },
    #[error("iteration {iteration}, committed again under fence {fence}, has other bits, prompts or changes of state")]
    OtherBits { iteration: Iteration, fence: Fence },
    #[error("iteration {iteration} names stage `{stage}` of pass {pass:?}, which this run does not have")]
    UnknownStage { iteration: Iteration, stage: String, pass: Pass },
    #[error("iteration {iteration} is of attempt {found} at stage `{stage}`, of which there are {allowed}, from 0 on")]
    UnknownAttempt { iteration: Iteration, stage: String, found: u32, allowed: u32 },
    #[error("iteration {iteration} of {found} cannot follow one of {earlier}")]
    OutOfOrder { iteration: Iteration, found: String, earlier: String },
    #[error("iteration {iteration} is number {found} of its attempt at stage `{stage}`; the config allows {allowed}")]
    TooMany { iteration: Iteration, stage: String, found: u32, allowed: u32 },
    #[error("stage `{stage}` is said to have {found} prompts; an audit takes at most {allowed}")]
    TooManyPrompts { stage: String, found: u32, allowed: u32 },
    #[error("iteration {iteration}: prompt {prompt} entered the sum {times} times")]
    PromptTwice { iteration: Iteration, prompt: u32, times: usize },
    #[error("iteration {iteration}: prompt {prompt} of the schedule is missing ({missing} of {expected} are)")]
    PromptMissing { iteration: Iteration, prompt: u32, missing: usize, expected: usize },
    #[error("iteration {iteration}: prompt {prompt} is not one of the schedule's {expected}")]
    PromptForeign { iteration: Iteration, prompt: u32, expected: usize },
    #[error(
        "iteration {iteration}: prompt {prompt} was taken beyond the schedule's, but no lease's reserve has it next"
    )]
    NotInReserve { iteration: Iteration, prompt: u32 },
    #[error("iteration {iteration}: the prompts are those of the schedule in another order")]
    OtherOrder { iteration: Iteration },
    #[error("{what} began from state {found:.12}, what lies before it ended with {expected:.12}",
        found = .found.to_string(), expected = .expected.to_string())]
    BrokenChain { what: String, found: Digest, expected: Digest },
    #[error("before iteration {iteration} the state was changed by {changes}; the curriculum allows {allowed} there")]
    WrongChanges { iteration: Iteration, changes: String, allowed: String },
    #[error("{what} goes on from journal {found:.12}; the lines up to {iteration} in ledger and metrics give {expected:.12}: \
        one of the lines of iteration {iteration} was changed",
        found = .found.to_string(), expected = .expected.to_string())]
    OtherJournal { what: String, iteration: Iteration, found: Digest, expected: Digest },
    #[error("it belongs to {what} {found}, this run has {expected}")]
    Foreign { what: &'static str, found: String, expected: String },
    #[error("its state {found:.12} is not that of the chain after iteration {iteration}, {expected:.12}",
        found = .found.to_string(), expected = .expected.to_string())]
    OffChain { iteration: Iteration, found: Digest, expected: Digest },
    #[error(
        "its changes of state after iteration {iteration} are not those that follow it in the ledger or the report"
    )]
    OtherChanges { iteration: Iteration },
    #[error("it holds iteration {iteration}, the ledger ends with iteration {last}")]
    BeyondLedger { iteration: Iteration, last: Iteration },
    #[error("iteration {iteration} has no line of metrics")]
    NotMeasured { iteration: Iteration },
    #[error("iteration {iteration} is not the next after iteration {earlier}")]
    MeasuredOutOfOrder { iteration: Iteration, earlier: Iteration },
    #[error("iteration {iteration} is not in the ledger")]
    MeasuredOnly { iteration: Iteration },
    #[error("iteration {iteration} is said to be {found}; in the ledger it is {expected}")]
    MeasuredElsewhere { iteration: Iteration, found: String, expected: String },
    #[error("the decisions before iteration {iteration} are not those of the report")]
    OtherDecisions { iteration: Iteration },
    #[error("it counts {found} iterations, the ledger {expected}")]
    OtherCount { found: u64, expected: u64 },
    #[error("its state {found:.12} is not the chain's last, {expected:.12}",
        found = .found.to_string(), expected = .expected.to_string())]
    NotTheLast { found: Digest, expected: Digest },
}

/// Names of changes of state, for people.
pub(super) fn names(changes: impl Iterator<Item = StateChange>) -> String {
    let names: Vec<String> = changes
        .map(|change| match change {
            StateChange::BeginPass { pass: Pass::Select } => "begin pass select".to_owned(),
            StateChange::BeginPass { pass: Pass::Refit } => "begin pass refit".to_owned(),
            StateChange::BeginStage { stage } => format!("begin stage {stage}"),
            StateChange::BeginRollout => "begin rollout".to_owned(),
            StateChange::KeepBest => "keep best".to_owned(),
            StateChange::RestoreBest => "restore best".to_owned(),
        })
        .collect();
    if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
}
