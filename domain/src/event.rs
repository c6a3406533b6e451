//! All that can happen to a run.

use crate::bookmark::Held;
use crate::ids::{Digest, Fence, Iteration, LeaseId, WorkerId};
use crate::manifest::Part;
use crate::work::Outcome;
use serde::{Deserialize, Serialize};

/// One thing that happened; the coordinator's shell makes these from messages, timers and signals.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Event {
    /// A worker opened its session.
    Joined {
        /// The session's id, given by the shell, never reused.
        worker: WorkerId,
        /// What the worker says of itself.
        hello: Hello,
    },
    /// A worker's stream ended.
    Left {
        /// Whose.
        worker: WorkerId,
        /// Why, in words.
        reason: String,
    },
    /// A worker was asked to end. It goes on with what it is asked until it is told to stop, as long as it can.
    Leaving {
        /// Which.
        worker: WorkerId,
    },
    /// A worker is alive.
    Heartbeat {
        /// Which.
        worker: WorkerId,
    },
    /// A worker joined the collective of this roster and holds the state that was asked for.
    Formed {
        /// Which.
        worker: WorkerId,
        /// The roster.
        fence: Fence,
        /// Digest of its training state.
        state: Digest,
    },
    /// A lease's work is done.
    LeaseDone {
        /// By whom.
        worker: WorkerId,
        /// The roster in which it was granted.
        fence: Fence,
        /// Which.
        lease: LeaseId,
        /// Digest of the training state that produced the outcome.
        state: Digest,
        /// What came out.
        outcome: Outcome,
    },
    /// A collective call of this roster did not succeed: a member is lost, or could not be reached in time.
    CollectiveFailed {
        /// By whom.
        worker: WorkerId,
        /// The roster.
        fence: Fence,
        /// What was called and what went wrong.
        message: String,
    },
    /// A worker cannot go on; the run ends unless it can do without.
    WorkerFailed {
        /// Which.
        worker: WorkerId,
        /// Verb and cause, for the user.
        message: String,
        /// Exit code that fits the cause (65 bad data, 69 store unavailable, 1 otherwise).
        exit_code: u8,
    },
    /// A worker holds the reduced sum of an iteration.
    Reduced {
        /// Which.
        worker: WorkerId,
        /// The roster.
        fence: Fence,
        /// The iteration.
        iteration: Iteration,
        /// Digest of the reduced integer sum.
        gradient: Digest,
    },
    /// A worker has applied the optimiser step.
    Committed {
        /// Which.
        worker: WorkerId,
        /// The roster.
        fence: Fence,
        /// The iteration.
        iteration: Iteration,
        /// Digest of its training state afterwards.
        state: Digest,
    },
    /// A worker has made a change of state.
    Changed {
        /// Which.
        worker: WorkerId,
        /// The roster.
        fence: Fence,
        /// Digest of its training state afterwards.
        state: Digest,
    },
    /// The parts of a checkpoint are in the store.
    PartsWritten {
        /// By whom.
        worker: WorkerId,
        /// The roster.
        fence: Fence,
        /// Digest of the training state as it was written, computed anew from the bytes.
        state: Digest,
        /// Names, sizes and digests.
        parts: Vec<Part>,
    },
    /// The parts of a checkpoint could not be written: the store is full, or cannot be reached.
    PartsFailed {
        /// By whom.
        worker: WorkerId,
        /// The roster.
        fence: Fence,
        /// Why, in words.
        message: String,
    },
    /// The manifest of the checkpoint is in the store: it is whole.
    ManifestPublished {
        /// Key prefix of the checkpoint.
        key: String,
    },
    /// The store refused the manifest.
    ManifestRefused {
        /// Why.
        message: String,
    },
    /// SIGTERM, Ctrl-C, or an operator's wish: checkpoint and stop.
    StopRequested,
    /// An operator's wish that the run ends for good: nothing more is written.
    CancelRequested,
    /// An operator's wish for a checkpoint at the next place that allows one.
    CheckpointRequested,
    /// Time passed; deadlines are looked at.
    Tick,
}

impl Event {
    /// The worker whose open session brought this; none for a newcomer, the store, signals and time.
    pub fn sender(&self) -> Option<WorkerId> {
        match self {
            Self::Left { worker, .. }
            | Self::Leaving { worker }
            | Self::Heartbeat { worker }
            | Self::Formed { worker, .. }
            | Self::LeaseDone { worker, .. }
            | Self::CollectiveFailed { worker, .. }
            | Self::WorkerFailed { worker, .. }
            | Self::Reduced { worker, .. }
            | Self::Committed { worker, .. }
            | Self::Changed { worker, .. }
            | Self::PartsWritten { worker, .. }
            | Self::PartsFailed { worker, .. } => Some(*worker),
            Self::Joined { .. }
            | Self::ManifestPublished { .. }
            | Self::ManifestRefused { .. }
            | Self::StopRequested
            | Self::CancelRequested
            | Self::CheckpointRequested
            | Self::Tick => None,
        }
    }
}

/// What a worker says of itself when it joins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    /// Name for people: host and process.
    pub name: String,
    /// Version of the code; all of a roster must be equal.
    pub code_version: String,
    /// `host:port` at which this worker would serve the rendezvous of a collective.
    pub rendezvous: String,
    /// Leases that it computes at once, each on a thread (or threads) of its own; 1 or more.
    pub lanes: u32,
    /// The training state that it holds from a session that broke off, with where the run stands.
    pub held: Option<Box<Held>>,
}
