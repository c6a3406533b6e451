//! What every process of this project does alike: what it says, how it hands over a report, and which signals ask it to end.

mod report_files;
mod stop_signals;
mod words;

pub use report_files::{Output, ReportFiles};
pub use stop_signals::StopSignals;
pub use words::{is_heard, log_to_stderr, missing, result, word};
