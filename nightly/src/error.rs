//! What can go wrong between a night and its store.

use conrec_domain::nightly::RollbackError;
use conrec_store::{ProbeError, plain};
use std::path::PathBuf;

/// One variant for each thing that a caller would treat differently.
#[derive(Debug, thiserror::Error)]
pub enum NightError {
    /// The object store refused or failed.
    #[error("cannot {action} `{key}` in the store: {}; check that the store can be reached and written", plain(source))]
    Unavailable {
        /// Verb.
        action: &'static str,
        /// Key below the store.
        key: String,
        /// The store's own words.
        source: object_store::Error,
    },
    /// The store does not keep its conditions, or cannot be written.
    #[error(transparent)]
    Probe(#[from] ProbeError),
    /// A record is none.
    #[error(
        "{place}: {message}; expected is what `conrec nightly` wrote there; restore it, or remove it to do that phase again"
    )]
    Damaged {
        /// The object, for people.
        place: String,
        /// What is wrong with it.
        message: String,
    },
    /// The lock file of a folder.
    #[error("cannot lock {}: {source}; check permissions", path.display())]
    Lock {
        /// Which file.
        path: PathBuf,
        /// The system's own words.
        source: std::io::Error,
    },
    /// There is nothing to go back to.
    #[error(transparent)]
    Rollback(#[from] RollbackError),
    /// Somebody else moved what is promoted at the same moment.
    #[error(
        "promotion {number} was made by somebody else at the same moment; look at what serves now (`conrec rollback --list`), then decide again"
    )]
    Raced {
        /// The entry's number.
        number: u64,
    },
    /// Another process works, and the caller does not want to wait.
    #[error("another process works on night {night}; wait for it (--if-running wait), or ask again later")]
    Busy {
        /// Its night.
        night: conrec_domain::day::Day,
    },
}

impl NightError {
    /// For `map_err` after a call of the object store.
    pub(crate) fn unavailable(action: &'static str, key: &str) -> impl FnOnce(object_store::Error) -> Self {
        let key = key.to_owned();
        move |source| Self::Unavailable { action, key, source }
    }
}
