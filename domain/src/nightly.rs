//! Nightly retrains, pure: what a night does next follows from what its store holds, so that whoever asks again, after a
//! crash in any phase or beside another process, goes on where it was.
//!
//! ```text
//! look at the data -> late | empty | broken: nothing is trained, the old adapter stays
//!      | ready
//! claim -> plan -> train -> evaluate against what is promoted -> promote, or not -> predict -> end
//! ```
//!
//! Two things are decided by the store alone: who claims (`claims/<n>.json`), and what is promoted (`promotions/<n>.json`);
//! both are lists that only grow, and the entry after the newest can be created once.

mod arrival;
mod claim;
mod ending;
mod history;
mod step;
mod verdict;

pub use arrival::{Arrival, Arrivals};
pub use claim::{Beat, Claim};
pub use ending::{Answer, EXIT_CODES, Ending};
pub use history::{Promotion, RollbackError, Why, rollback};
pub use step::{Claimed, Facts, Plan, Start, Step, Trained, next};
pub use verdict::{Compared, Floor, Opponent, Verdict};
