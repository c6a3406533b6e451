//! What can go wrong between the coordinator and the store.

use conrec_domain::ids::{Fence, RunId};
use std::path::{Path, PathBuf};

/// One variant for each thing that a caller would treat differently.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A kind of store that comes later, or no store at all.
    #[error("store `{url}`: only a local folder works so far (`./runs` or `file:///path`); other kinds come later")]
    Url {
        /// As the user gave it.
        url: String,
    },
    /// The object store refused or failed.
    #[error("cannot {action} `{key}` in the store: {source}; check that the store can be reached and written")]
    Unavailable {
        /// Verb.
        action: &'static str,
        /// Key below the run's folder.
        key: String,
        /// The store's own words.
        source: object_store::Error,
    },
    /// The file system refused or failed.
    #[error("cannot {action} {}: {source}; check permissions and free space", path.display())]
    Io {
        /// Verb.
        action: &'static str,
        /// Which file or folder.
        path: PathBuf,
        /// The system's own words.
        source: std::io::Error,
    },
    /// A second coordinator for a run that is being trained.
    #[error(
        "run `{run_id}` is in use by another coordinator (it holds {}); wait for it to end, or choose another run id",
        path.display()
    )]
    InUse {
        /// The run.
        run_id: RunId,
        /// The lock file.
        path: PathBuf,
    },
    /// The run id was used with a config that gives other results.
    #[error(
        "run id `{run_id}` belongs to another config; {}; use that config, or choose another run id",
        differing.join(", ")
    )]
    OtherConfig {
        /// The run.
        run_id: RunId,
        /// The first differing keys, as `key is X there and Y here`.
        differing: Vec<String>,
    },
    /// `run.toml` of an existing run is no config.
    #[error("{}: {message}; the run cannot be resumed, choose another run id", path.display())]
    RunFile {
        /// Which file.
        path: PathBuf,
        /// Why.
        message: String,
    },
    /// Another coordinator has minted this roster number.
    #[error("run `{run_id}`: roster number {fence} was taken by another coordinator; this one is out of date and ends")]
    FenceTaken {
        /// The run.
        run_id: RunId,
        /// The number.
        fence: Fence,
    },
    /// A manifest was refused before it was written.
    #[error("checkpoint `{key}`: {reason}")]
    Manifest {
        /// Key prefix.
        key: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl StoreError {
    /// For `map_err` after a call of the object store.
    pub(super) fn unavailable(action: &'static str, key: &str) -> impl FnOnce(object_store::Error) -> Self {
        let key = key.to_owned();
        move |source| Self::Unavailable { action, key, source }
    }

    /// For `map_err` after a call of the file system.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}
