//! The one table from how something went to the process's exit code.

use crate::bind::BindError;
use crate::open::OpenError;
use crate::store::StoreError;
use conrec_domain::effect::Ending;
use conrec_domain::ids::RunIdError;
use conrec_domain::spec::SpecError;

/// What the `conrec` command may exit with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitCode {
    /// 0
    Done,
    /// 1
    Failed,
    /// 10: trained, but the quality gate did not let the adapter be served.
    NotPromoted,
    /// 11: the key was submitted before.
    AlreadyRan,
    /// 15: the job was cancelled.
    Cancelled,
    /// 64: the command line is wrong.
    Usage,
    /// 65: the input data cannot be used.
    BadData,
    /// 69: a store or server is unavailable.
    Unavailable,
    /// 75: checkpointed after a stop; the same command goes on.
    Stopped,
    /// 78: the config is wrong.
    BadConfig,
    /// The code that a worker or the run gave.
    Other(u8),
}

impl ExitCode {
    /// The number.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::NotPromoted => 10,
            Self::AlreadyRan => 11,
            Self::Cancelled => 15,
            Self::Usage => 64,
            Self::BadData => 65,
            Self::Unavailable => 69,
            Self::Stopped => 75,
            Self::BadConfig => 78,
            Self::Other(code) => code,
        }
    }
}

impl From<&Ending> for ExitCode {
    fn from(ending: &Ending) -> Self {
        match ending {
            Ending::Completed => Self::Done,
            Ending::Stopped => Self::Stopped,
            Ending::Cancelled => Self::Cancelled,
            Ending::Failed { exit_code, .. } => Self::Other(*exit_code),
        }
    }
}

impl From<&StoreError> for ExitCode {
    fn from(error: &StoreError) -> Self {
        match error {
            StoreError::Open(error) => error.into(),
            StoreError::OtherConfig { .. } => Self::BadConfig,
            StoreError::RunFile { .. } => Self::BadData,
            StoreError::Manifest { .. } => Self::Failed,
            StoreError::Unavailable { .. }
            | StoreError::Io { .. }
            | StoreError::Probe(_)
            | StoreError::Transfer(_)
            | StoreError::TakenOver { .. }
            | StoreError::Contended { .. }
            | StoreError::Outdated { .. }
            | StoreError::InUse { .. }
            | StoreError::FenceTaken { .. } => Self::Unavailable,
        }
    }
}

impl From<&conrec_store::OpenError> for ExitCode {
    fn from(error: &conrec_store::OpenError) -> Self {
        match error {
            conrec_store::OpenError::Url(_) => Self::Usage,
            conrec_store::OpenError::Folder { .. } | conrec_store::OpenError::Settings { .. } => Self::Unavailable,
        }
    }
}

impl From<&OpenError> for ExitCode {
    fn from(error: &OpenError) -> Self {
        match error {
            OpenError::Store(error) => error.into(),
            OpenError::Spec(error) => error.into(),
        }
    }
}

impl From<&BindError> for ExitCode {
    fn from(error: &BindError) -> Self {
        match error {
            BindError::InUse { .. } | BindError::Refused { .. } => Self::Unavailable,
            BindError::Exposed { .. } => Self::BadConfig,
        }
    }
}

impl From<&SpecError> for ExitCode {
    fn from(error: &SpecError) -> Self {
        match error {
            SpecError::Syntax { .. } | SpecError::Violations(_) => Self::BadConfig,
        }
    }
}

impl From<&RunIdError> for ExitCode {
    fn from(_: &RunIdError) -> Self {
        Self::Usage
    }
}
