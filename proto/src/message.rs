//! What crosses a worker's stream in each direction, in the domain's types.

use conrec_domain::effect::Command;
use conrec_domain::event::{Event, Hello};
use conrec_domain::ids::{Digest, Fence, Iteration, LeaseId, RunId, WorkerId};
use conrec_domain::manifest::Part;
use conrec_domain::work::Outcome;

/// From a worker: an event of its own, without its id, which the coordinator knows from the stream.
#[derive(Clone, Debug, PartialEq)]
pub enum FromWorker {
    /// The first message.
    Hello(Hello),
    /// Alive.
    Heartbeat,
    /// Asked to end; it goes on until `Stop` as long as it can.
    Leaving,
    /// Answers `Form`.
    Formed {
        /// The roster.
        fence: Fence,
        /// Digest of its training state.
        state: Digest,
    },
    /// Answers `Grant`.
    LeaseDone {
        /// The roster in which it was granted.
        fence: Fence,
        /// Which.
        lease: LeaseId,
        /// Digest of the training state that produced the outcome.
        state: Digest,
        /// What came out.
        outcome: Outcome,
    },
    /// The worker cannot go on.
    Failed {
        /// Verb and cause, for the user.
        message: String,
        /// Exit code that fits the cause.
        exit_code: u8,
    },
    /// Answers `Reduce`.
    Reduced {
        /// The roster.
        fence: Fence,
        /// The iteration.
        iteration: Iteration,
        /// Digest of the reduced integer sum.
        gradient: Digest,
    },
    /// Answers `Commit`.
    Committed {
        /// The roster.
        fence: Fence,
        /// The iteration.
        iteration: Iteration,
        /// Digest of its training state afterwards.
        state: Digest,
    },
    /// Answers `Change`.
    Changed {
        /// The roster.
        fence: Fence,
        /// Digest of its training state afterwards.
        state: Digest,
    },
    /// Answers `WriteParts`.
    PartsWritten {
        /// The roster.
        fence: Fence,
        /// Digest of the training state as it was written.
        state: Digest,
        /// Names, sizes and digests.
        parts: Vec<Part>,
    },
    /// Answers `WriteParts` where the store does not take them.
    PartsFailed {
        /// The roster.
        fence: Fence,
        /// Why, in words.
        message: String,
    },
    /// A collective call of this roster, in `Form` or `Reduce`, did not succeed.
    CollectiveFailed {
        /// The roster.
        fence: Fence,
        /// What was called and what went wrong.
        message: String,
    },
}

impl FromWorker {
    /// The event that this message is, coming from this worker.
    pub fn into_event(self, worker: WorkerId) -> Event {
        match self {
            Self::Hello(hello) => Event::Joined { worker, hello },
            Self::Heartbeat => Event::Heartbeat { worker },
            Self::Leaving => Event::Leaving { worker },
            Self::Formed { fence, state } => Event::Formed { worker, fence, state },
            Self::LeaseDone { fence, lease, state, outcome } => {
                Event::LeaseDone { worker, fence, lease, state, outcome }
            }
            Self::Failed { message, exit_code } => Event::WorkerFailed { worker, message, exit_code },
            Self::Reduced { fence, iteration, gradient } => Event::Reduced { worker, fence, iteration, gradient },
            Self::Committed { fence, iteration, state } => Event::Committed { worker, fence, iteration, state },
            Self::Changed { fence, state } => Event::Changed { worker, fence, state },
            Self::PartsWritten { fence, state, parts } => Event::PartsWritten { worker, fence, state, parts },
            Self::PartsFailed { fence, message } => Event::PartsFailed { worker, fence, message },
            Self::CollectiveFailed { fence, message } => Event::CollectiveFailed { worker, fence, message },
        }
    }
}

/// From the coordinator to a worker.
#[derive(Clone, Debug, PartialEq)]
pub enum ToWorker {
    /// The first message.
    Welcome(Welcome),
    /// Every later one.
    Command(Command),
}

/// All that a worker needs to know of the run.
#[derive(Clone, Debug, PartialEq)]
pub struct Welcome {
    /// The session's id.
    pub worker: WorkerId,
    /// The run.
    pub run_id: RunId,
    /// The resolved config as TOML; parsed and checked by the worker as a file would be.
    pub run_spec_toml: String,
    /// The store under which the run's folder lies.
    pub store_url: String,
    /// A worker that is silent for this many seconds is taken for lost; it should speak at least three times as often.
    pub heartbeat_seconds: u32,
}
