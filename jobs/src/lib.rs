//! Records of jobs in the store: `<store>/<run>/job/` has the request, the state, wishes and the ending. Requests, wishes
//! and endings are created once and never changed; the state has one writer at a time. What they mean is decided in
//! `conrec_domain::job`. Time comes in as a clock.

mod clerk;
mod desk;
mod error;
mod presence;
mod records;
mod state_file;

pub use clerk::{Order, Reply};
pub use desk::{Arrival, Desk};
pub use error::JobError;
pub use presence::{Lock, host, serves};
pub use records::{JobObjects, Submitted};

use conrec_domain::job::Moment;

/// Reads the time.
pub type Clock = fn() -> Moment;
