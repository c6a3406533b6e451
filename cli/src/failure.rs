//! Why a verb could not be done: a message for people and the process's exit code.

use conrec_coordinator::OpenError;
use conrec_coordinator::bind::BindError;
use conrec_coordinator::exit_code::ExitCode;
use conrec_coordinator::store::StoreError;
use conrec_domain::spec::SpecError;
use std::path::Path;

/// Shown once as `error: …`.
#[derive(Debug, PartialEq, Eq)]
pub struct Failure {
    /// What happened, where, and what to do.
    pub message: String,
    /// The process's exit code.
    pub code: u8,
}

impl Failure {
    /// A failure with one of the known codes.
    pub fn new(code: ExitCode, message: impl Into<String>) -> Self {
        Self { message: message.into(), code: code.code() }
    }

    /// For `map_err` after a call of the file system.
    pub fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |error| Self::new(ExitCode::Unavailable, format!("cannot {action} {}: {error}", path.display()))
    }
}

/// The code of a verb that was done, unless stdout did not take what it had to say and that was all that it had to do.
///
/// # Errors
/// Results are missing in what stdout leads to.
pub fn unless_unsaid(code: u8, only_says: bool) -> Result<u8, Failure> {
    match conrec_speech::missing() {
        Some(error) if only_says => {
            Err(Failure::new(ExitCode::Unavailable, format!("cannot write to stdout: {error}; not all was said")))
        }
        Some(_) | None => Ok(code),
    }
}

impl From<SpecError> for Failure {
    fn from(error: SpecError) -> Self {
        Self::new((&error).into(), error.to_string().trim_end())
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::new((&error).into(), error.to_string())
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        Self::new((&error).into(), error.to_string())
    }
}

impl From<BindError> for Failure {
    fn from(error: BindError) -> Self {
        Self::new((&error).into(), error.to_string())
    }
}
