//! What can go wrong between the coordinator and the store.

use conrec_domain::ids::{Fence, RunId};
use conrec_store::{OpenError, ProbeError, TransferError, plain};
use std::path::{Path, PathBuf};

/// One variant for each thing that a caller would treat differently.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The URL means no store, or the store cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The store does not keep its conditions, or cannot be written.
    #[error(transparent)]
    Probe(#[from] ProbeError),
    /// A file did not become an object, or the other way round.
    #[error("{0}; check that the store can be reached and written")]
    Transfer(#[from] TransferError),
    /// The object store refused or failed.
    #[error("cannot {action} `{key}` in the store: {}; check that the store can be reached and written", plain(source))]
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
    /// Another coordinator of the same run has begun since.
    #[error("another coordinator has taken over run `{run_id}` ({by}); this one is out of date and ends")]
    TakenOver {
        /// The run.
        run_id: RunId,
        /// What the other one says of itself.
        by: String,
    },
    /// Others want the run all the time.
    #[error("run `{run_id}`: other coordinators keep taking it over ({key}); end them, or choose another run id")]
    Contended {
        /// The run.
        run_id: RunId,
        /// Where the claim lies.
        key: String,
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
    #[error("{place}: {message}; the run cannot be resumed, choose another run id")]
    RunFile {
        /// Which file.
        place: String,
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
    /// A manifest was refused because another coordinator or a newer roster has gone on.
    #[error("checkpoint `{key}`: {reason}")]
    Outdated {
        /// Key prefix.
        key: String,
        /// Who was there.
        reason: String,
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
    /// Whether another coordinator has gone on with the run, so that this one must end.
    pub fn is_outdated(&self) -> bool {
        matches!(self, Self::TakenOver { .. } | Self::FenceTaken { .. } | Self::Outdated { .. })
    }

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
