//! Why an event is refused; the run stays as it was.

use crate::ids::{Fence, Iteration, LeaseId, WorkerId};

/// Why an event is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// It carries the fence of another roster.
    #[error("{worker} sent something with fence {found}; the roster's fence is {current}: dropped")]
    StaleFence {
        /// Who.
        worker: WorkerId,
        /// The fence it carries.
        found: Fence,
        /// The roster's.
        current: Fence,
    },
    /// No session has this id, or it has ended.
    #[error("{worker} has no open session: it must join first")]
    UnknownWorker {
        /// Who.
        worker: WorkerId,
    },
    /// The id is taken.
    #[error("{worker} has joined already")]
    AlreadyJoined {
        /// Who.
        worker: WorkerId,
    },
    /// Other code could give other bits.
    #[error("{worker} runs version `{found}`, this run needs `{expected}`: start the worker from the same build")]
    CodeVersion {
        /// Who.
        worker: WorkerId,
        /// Its version.
        found: String,
        /// The coordinator's.
        expected: String,
    },
    /// The worker does not hold this lease.
    #[error("{worker} reported lease {}, which it does not hold", .lease.0)]
    NotHeld {
        /// Who.
        worker: WorkerId,
        /// Which.
        lease: LeaseId,
    },
    /// The answer is for another iteration.
    #[error("{worker} answered for iteration {found}; iteration {expected} is under way")]
    WrongIteration {
        /// Who.
        worker: WorkerId,
        /// The iteration it carries.
        found: Iteration,
        /// The iteration under way.
        expected: Iteration,
    },
    /// One answer a worker is enough.
    #[error("{worker} answered twice while {phase}")]
    AnsweredTwice {
        /// Who.
        worker: WorkerId,
        /// The phase.
        phase: &'static str,
    },
    /// Another checkpoint than the one being written.
    #[error("manifest `{found}` was reported; `{expected}` is being written")]
    WrongKey {
        /// The key it carries.
        found: String,
        /// The key under way.
        expected: String,
    },
    /// The phase does not wait for this.
    #[error("{event} came while {phase}: nothing waits for it")]
    Unexpected {
        /// What came.
        event: &'static str,
        /// The phase.
        phase: &'static str,
    },
    /// The run is over.
    #[error("{worker} came too late: the run has ended")]
    Ended {
        /// Who.
        worker: WorkerId,
    },
}
