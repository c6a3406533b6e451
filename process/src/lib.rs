//! What every process of this project does alike: what it says, and which signals ask it to end.

mod stop_signals;
mod words;

pub use stop_signals::StopSignals;
pub use words::{is_heard, log_to_stderr, missing, result, word};
