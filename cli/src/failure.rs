//! Why a verb could not be done: a message for people and the process's exit code.

use conrec_coordinator::OpenError;
use conrec_coordinator::bind::BindError;
use conrec_coordinator::exit_code::ExitCode;
use conrec_coordinator::store::StoreError;
use conrec_domain::spec::SpecError;
use conrec_vitals::ListenError;
use std::path::Path;
use std::process::ExitCode as Code;

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

/// The system refuses handlers of signals.
pub fn no_signals(error: std::io::Error) -> Failure {
    Failure::new(ExitCode::Failed, format!("cannot listen to signals: {error}"))
}

/// The process's end: why a verb could not be done, or its code. `only_says`: all that the verb does is what it says on
/// stdout, so that it was not done where stdout did not take it.
pub fn exit(done: Result<u8, Failure>, only_says: bool) -> Code {
    let heard = |code| match conrec_process::missing() {
        Some(error) if only_says => {
            Err(Failure::new(ExitCode::Unavailable, format!("cannot write to stdout: {error}; not all was said")))
        }
        Some(_) | None => Ok(code),
    };
    let code = done.and_then(heard).unwrap_or_else(|Failure { message, code }| {
        conrec_process::note!("error: {message}");
        code
    });
    Code::from(code)
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

impl From<ListenError> for Failure {
    fn from(error: ListenError) -> Self {
        Self::new(ExitCode::Unavailable, error.to_string())
    }
}

impl From<BindError> for Failure {
    fn from(error: BindError) -> Self {
        Self::new((&error).into(), error.to_string())
    }
}
