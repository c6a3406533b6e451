//! What the workers of one roster do together: sum, broadcast, wait for each other.
//!
//! A collective is formed for one roster, under that roster's fence, and thrown away with it. Every call ends by the
//! deadline. After an error the roster is broken: the caller's buffer holds what it held before, but the peers may
//! disagree about whether the call succeeded, so nothing is applied before the coordinator's commit.

mod ffi;
pub mod gate;
pub mod gloo;
mod meeting;
mod membership;
pub mod nccl;
mod passage;
pub mod peers;
pub mod rendezvous;
pub mod single;
pub mod switch;

use std::time::Duration;

pub use gloo::Gloo;
pub use membership::Membership;
pub use nccl::Nccl;
pub use peers::{MeetingPlace, Peers};
pub use rendezvous::Rendezvous;
pub use single::Single;
pub use switch::Switch;

/// The members of one roster, as seen by one of them.
pub trait Collective: Send + Sync {
    /// This member's place, from 0.
    fn rank(&self) -> u32;

    /// The number of members.
    fn world(&self) -> u32;

    /// Replaces `values` by their sums over all members; all give the same length. Exact as long as no sum leaves the
    /// range of i64.
    ///
    /// # Errors
    /// Any [`CollectiveError`]; `values` is then unchanged.
    fn all_reduce_sum(&self, values: &mut [i64]) -> Result<(), CollectiveError>;

    /// As [`Collective::all_reduce_sum`], in f32: faster, but the bits depend on the number of members.
    ///
    /// # Errors
    /// Any [`CollectiveError`]; `values` is then unchanged.
    fn all_reduce_sum_f32(&self, values: &mut [f32]) -> Result<(), CollectiveError>;

    /// Replaces `bytes` by those of member `root`; all give the same length.
    ///
    /// # Errors
    /// Any [`CollectiveError`]; `bytes` is then unchanged.
    fn broadcast(&self, bytes: &mut [u8], root: u32) -> Result<(), CollectiveError>;

    /// Returns when all members have called it.
    ///
    /// # Errors
    /// Any [`CollectiveError`].
    fn barrier(&self) -> Result<(), CollectiveError>;

    /// Makes the call under way, and all later ones, return [`CollectiveError::Aborted`] at once. From any thread.
    fn abort(&self);
}

/// Why a collective call failed. The roster is of no further use in every case but [`CollectiveError::Argument`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CollectiveError {
    /// A member did not take part in time.
    #[error("{call}: no end within {} ms ({message}); is a worker stopped or cut off?", deadline.as_millis())]
    Timeout {
        /// What was called.
        call: &'static str,
        /// The deadline that passed.
        deadline: Duration,
        /// The backend's words.
        message: String,
    },
    /// The connection to a member broke.
    #[error("{call}: a worker of the roster was lost ({message})")]
    PeerLost {
        /// What was called.
        call: &'static str,
        /// The backend's words.
        message: String,
    },
    /// Given up on request, or called after an earlier failure.
    #[error("{call}: given up ({message})")]
    Aborted {
        /// What was called.
        call: &'static str,
        /// The backend's words.
        message: String,
    },
    /// The call itself is wrong.
    #[error("{call}: {message}")]
    Argument {
        /// What was called.
        call: &'static str,
        /// What was found and what is allowed.
        message: String,
    },
    /// The backend is not there on this machine.
    #[error("{backend} is not available: {message}")]
    Unavailable {
        /// Its name.
        backend: &'static str,
        /// What was looked for, what was found, and what to do.
        message: String,
    },
    /// Anything else that the backend reports.
    #[error("{call}: {message}")]
    Other {
        /// What was called.
        call: &'static str,
        /// The backend's words.
        message: String,
    },
}

/// Refuses a root that is no member.
fn check_root(root: u32, world: u32) -> Result<(), CollectiveError> {
    if root < world {
        return Ok(());
    }
    let message = format!("root {root} is no member; expected a rank below {world}");
    Err(CollectiveError::Argument { call: "broadcast", message })
}
