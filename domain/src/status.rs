//! What a run shows to whoever watches it.

use crate::ids::Iteration;
use crate::work::{Pass, Score};
use serde::{Deserialize, Serialize};

/// The run as people see it; sent when it changes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// What is being done.
    pub activity: Activity,
    /// Committed iterations of the whole run.
    pub iteration: Iteration,
    /// Iterations the whole run will take at most, as far as is known; a retry counts once it is decided.
    pub iterations_planned: u64,
    /// Workers in the roster.
    pub workers: u32,
}

impl Activity {
    /// Whether the run has ended for its process.
    pub fn is_an_end(&self) -> bool {
        matches!(self, Self::Completed | Self::Stopped | Self::Cancelled | Self::Failed { .. })
    }
}

/// What a run is doing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Activity {
    /// Workers are missing.
    WaitingForWorkers {
        /// Joined so far.
        joined: u32,
        /// Expected.
        expected: u32,
    },
    /// Data is being prepared.
    Preparing,
    /// Data is prepared.
    Prepared {
        /// What was read, made and dropped, as sentences for people.
        summary: Vec<String>,
    },
    /// The workers form their roster and take the training state.
    Forming,
    /// A stage trains.
    Training {
        /// Pass.
        pass: Pass,
        /// Name of the stage.
        stage: String,
        /// Iterations of the stage done.
        done: u32,
        /// Iterations of the stage at most.
        of: u32,
        /// Mean loss of the last iteration.
        loss: f64,
        /// Mean reward of the last iteration (GRPO).
        reward: Option<f64>,
        /// Mean KL of the last iteration (GRPO).
        kl: Option<f64>,
    },
    /// Validation leases are out.
    Validating {
        /// Name of the stage.
        stage: String,
        /// Leases done.
        done: u32,
        /// Leases in all.
        of: u32,
    },
    /// A validation ended and the gate decided.
    Decided {
        /// Name of the stage.
        stage: String,
        /// Iterations of the stage done.
        iteration: u32,
        /// Scores.
        score: Option<Score>,
        /// What was decided and why.
        reason: String,
    },
    /// A worker was lost; the run goes on with those left.
    Lost {
        /// Who, why and where.
        reason: String,
    },
    /// A worker left because it was asked to; the run goes on from where it is, with those left.
    Left {
        /// Who and where.
        reason: String,
    },
    /// A checkpoint is being written.
    Checkpointing,
    /// A checkpoint is whole. Told beside what the run is doing.
    Checkpointed {
        /// `checkpoints/<iteration>-<fence>`.
        key: String,
    },
    /// The store did not take a checkpoint; the run goes on, and the next one is tried.
    CheckpointMissed {
        /// Which, why, and which one is the newest whole one.
        reason: String,
    },
    /// Something in the store could not be used to go on from: a checkpoint that is damaged, or that no worker can load.
    Skipped {
        /// Which, and why.
        reason: String,
    },
    /// The test window is evaluated, the report written.
    Evaluating,
    /// Report and adapter are written.
    Completed,
    /// Stopped on request.
    Stopped,
    /// Ended for good on request.
    Cancelled,
    /// It cannot go on.
    Failed {
        /// For the user.
        reason: String,
    },
}
