//! All that a run may ask of the world.

use crate::bookmark::Bookmark;
use crate::ids::{Digest, Fence, Iteration, WorkerId};
use crate::ledger::LedgerEntry;
use crate::manifest::Manifest;
use crate::metrics_line::MetricsLine;
use crate::status::Status;
use crate::work::{Lease, StateChange};
use serde::{Deserialize, Serialize};

/// One thing for the shell to do, in order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(
    clippy::large_enum_variant,
    reason = "effects are few at a time; a manifest is as large as what the run remembers"
)]
pub enum Effect {
    /// Send a command to a worker.
    Send {
        /// To whom.
        worker: WorkerId,
        /// What.
        command: Command,
    },
    /// End a worker's session: it is lost to the run. If it still lives it may join again, as a new worker.
    Drop {
        /// Whose.
        worker: WorkerId,
        /// Why, in words.
        reason: String,
    },
    /// No worker holds the training state any more: ledger and metrics go back to what the newest checkpoint holds.
    RollBack {
        /// Committed iterations that stay.
        iteration: Iteration,
        /// Whether the metrics of the last of them wait in the checkpoint.
        held: bool,
    },
    /// Append to the ledger: an iteration was committed.
    AppendLedger(LedgerEntry),
    /// Append to `metrics.jsonl`.
    AppendMetrics(MetricsLine),
    /// Write the manifest of a checkpoint, by conditional create.
    PublishManifest(Manifest),
    /// Remove checkpoints that retention no longer keeps, oldest first.
    Prune {
        /// Key prefixes.
        keys: Vec<String>,
    },
    /// Tell whoever watches.
    Show(Status),
    /// The run has ended for this process; the shell closes everything.
    Finish(Ending),
}

/// How a run ended for this process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ending {
    /// Report and adapter are written.
    Completed,
    /// Stopped on request; resumable from the store.
    Stopped,
    /// Ended for good on request: nothing of it goes on.
    Cancelled,
    /// It cannot go on.
    Failed {
        /// For the user.
        reason: String,
        /// Exit code.
        exit_code: u8,
    },
}

impl Ending {
    /// Whether nothing of the run is left to do, so that workers need not be started again.
    pub fn leaves_nothing_to_do(&self) -> bool {
        matches!(self, Self::Completed | Self::Cancelled)
    }

    /// The process's exit code.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Completed => 0,
            Self::Stopped => 75,
            Self::Cancelled => 15,
            Self::Failed { exit_code, .. } => *exit_code,
        }
    }
}

/// What the coordinator tells a worker. A worker does its commands one after another, in the order sent; only `Abort`
/// overtakes.
///
/// A worker keeps the sum of an iteration's gradients, whatever becomes of a reduce, until the iteration is committed.
/// A new roster does not change it where the worker holds the state already. It is dropped with `WriteParts`,
/// `Change`, a state taken from elsewhere, or a `Train` lease of another iteration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Command {
    /// Form the collective of a new roster and take the state named; answered by `Formed`.
    Form {
        /// The roster's number.
        fence: Fence,
        /// This worker's place.
        rank: u32,
        /// Number of workers.
        world: u32,
        /// `host:port` of rank 0's rendezvous.
        rendezvous: String,
        /// Which state to hold.
        state: StateSource,
    },
    /// Do a piece of work; answered by `LeaseDone`.
    Grant(Lease),
    /// All leases of the iteration are done: sum over the roster; answered by `Reduced`.
    Reduce {
        /// The roster.
        fence: Fence,
        /// The iteration.
        iteration: Iteration,
    },
    /// All digests are equal: apply the optimiser step; answered by `Committed`.
    Commit {
        /// The roster.
        fence: Fence,
        /// The iteration.
        iteration: Iteration,
        /// The sum is divided by this: groups that entered it (GRPO), or target codes (supervised); at least 1.
        divisor: u64,
        /// Learning rate of this update.
        learning_rate: f64,
        /// Digest of the training state that the step is applied to; a worker that holds another one must fail.
        state: Digest,
    },
    /// Change the training state; answered by `Changed`.
    Change {
        /// The roster.
        fence: Fence,
        /// How.
        change: StateChange,
        /// Digest of the training state that is changed; a worker that holds another one must fail.
        state: Digest,
    },
    /// Write the parts of a checkpoint under this key prefix; answered by `PartsWritten`. They hold the whole
    /// training state: weights, adapter, moments, the reference (policy at the stage's start) and the kept best.
    WriteParts {
        /// The roster.
        fence: Fence,
        /// `checkpoints/<iteration>-<fence>`.
        key: String,
    },
    /// Where the run will stand once the next command (`Form`, `Change` or `Commit`) is done. To be kept with the state
    /// from then on, and told to a coordinator that comes after this one. Not answered.
    Remember(Box<Bookmark>),
    /// Give up the collective call under way, if there is one: somebody it waits for is lost. Not answered, but the call
    /// ends with `CollectiveFailed`.
    Abort {
        /// The roster.
        fence: Fence,
    },
    /// End the session; the process exits 0 when the run is complete or was cancelled, else 75: started again it finds the run, or a
    /// later part of it.
    Stop {
        /// Why, in words.
        reason: String,
        /// Whether nothing of the run is left to do.
        complete: bool,
    },
}

/// Where a worker's training state comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StateSource {
    /// None yet: a `BeginPass` follows.
    Empty,
    /// The checkpoint under this key prefix.
    Checkpoint {
        /// `checkpoints/<iteration>-<fence>`.
        key: String,
    },
    /// The worker holds it already, with its sum of the iteration under way. Where `root` is given, that rank sends the
    /// state to the newcomers of the roster, and all take part in the broadcast.
    Held {
        /// Rank of the sender.
        root: Option<u32>,
    },
    /// By broadcast from a member that holds it.
    Peer {
        /// Rank of the sender.
        root: u32,
    },
}
