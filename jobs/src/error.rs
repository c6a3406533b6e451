//! What can go wrong with a job's records.

use conrec_domain::ids::RunId;
use conrec_domain::job::{RequestError, WishRefused};
use conrec_store::{TransferError, plain};
use std::path::PathBuf;

/// One variant for each thing that a caller would treat differently.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// The store holds no such job.
    #[error("no job `{run_id}` in store {store}: {there}")]
    Absent {
        /// The run.
        run_id: RunId,
        /// The store's URL.
        store: String,
        /// What is there instead.
        there: String,
    },
    /// The store refused or failed.
    #[error("cannot {action} `{key}` in the store: {}; check that the store can be reached and written", plain(source))]
    Unavailable {
        /// Verb.
        action: &'static str,
        /// Key below the run's folder.
        key: String,
        /// The store's own words.
        source: object_store::Error,
    },
    /// An object could not be read.
    #[error("{0}; check that the store can be reached")]
    Transfer(#[from] TransferError),
    /// A record is none.
    #[error("{place} is no record of a job: {message}; remove it, or submit under another key")]
    Record {
        /// Where.
        place: String,
        /// Why.
        message: String,
    },
    /// The submitted config is none for this program.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The wish is not taken.
    #[error("job `{run_id}`: {why}")]
    Refused {
        /// The run.
        run_id: RunId,
        /// Why.
        why: WishRefused,
    },
    /// Others write wishes all the time.
    #[error("job `{run_id}`: others keep changing what is wished of it; try again")]
    Contended {
        /// The run.
        run_id: RunId,
    },
    /// Another coordinator writes the state now.
    #[error("job `{run_id}`: attempt {attempt} on {host} has taken over")]
    TakenOver {
        /// The run.
        run_id: RunId,
        /// The other's number.
        attempt: u32,
        /// The other's machine.
        host: String,
    },
    /// The file system refused or failed.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// Verb.
        action: &'static str,
        /// Which file.
        path: PathBuf,
        /// The system's own words.
        source: std::io::Error,
    },
}

impl JobError {
    /// For `map_err` after a call of the object store.
    pub(crate) fn unavailable(action: &'static str, key: &str) -> impl FnOnce(object_store::Error) -> Self {
        let key = key.to_owned();
        move |source| Self::Unavailable { action, key, source }
    }
}
