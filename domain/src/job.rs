//! A job: a run that somebody asked for under a key. Pure: what a key names, what may be asked of a job, what is known of
//! it, and what submitting a key again does. The crate `jobs` keeps these records in the store.

mod condition;
mod decide;
mod ending;
mod key;
mod moment;
mod pace;
mod request;
mod state;
mod view;
mod wish;

pub use condition::{Condition, ConditionKind};
pub use decide::{Decision, Existing, IfExists, Presence, decide};
pub use ending::{JobEnding, Outcome, Results};
pub use key::{JobKey, JobKeyError};
pub use moment::{Moment, MomentError};
pub use pace::WritePace;
pub use request::{JobRequest, RequestError};
pub use state::{JobPhase, JobState, StateName, Writer};
pub use view::JobView;
pub use wish::{Act, Ask, Wish, WishRefused, Wishes};

/// Version of all records of jobs and of what `--output json` prints of them; it grows when a field changes its meaning.
pub const VERSION: u32 = 1;
