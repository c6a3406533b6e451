//! Opens a run in the store, new or old: says what it would go on from, and what had to be skipped.

use crate::store::{RunStore, Skipped, StoreError};
use conrec_domain::ids::{Iteration, RunId};
use conrec_domain::manifest::Manifest;
use conrec_domain::retention::Kept;
use conrec_domain::run::RunSetup;
use conrec_domain::spec::{RunSpec, SpecError};
use conrec_store::Store;
use std::time::Duration;

/// Why a run cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The store refuses; among others because the run id belongs to another config.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The config cannot be written down.
    #[error(transparent)]
    Spec(#[from] SpecError),
}

/// Schedulers commonly give a process 30 seconds from SIGTERM to SIGKILL; the store's part of them.
const SILENCE: Duration = Duration::from_secs(12);

/// A run that is held by this process and ready to be served.
pub struct Coordinator {
    pub(crate) store: RunStore,
    pub(crate) setup: RunSetup,
    pub(crate) run_spec_toml: String,
    pub(crate) checkpoints: Vec<Kept>,
    /// What could not be used; whoever watches the run is told.
    pub(crate) skipped: Vec<Skipped>,
    /// Checkpoints to go back to where no worker can load the newest, oldest first.
    pub(crate) older: Vec<Manifest>,
    pub(crate) silence: Duration,
}

/// What was found in the store.
pub struct Opened {
    /// Ready to be served.
    pub coordinator: Coordinator,
    /// What was in the store and could not be used, newest first; watchers of the run are told by the coordinator.
    pub skipped: Vec<Skipped>,
    /// The iteration of the checkpoint that the run goes on from; none for a fresh start.
    pub resumed: Option<Iteration>,
    /// The report is written: nothing is left to do.
    pub already_complete: bool,
}

impl Coordinator {
    /// Opens the run below `store`, a folder or URL, as [`Coordinator::open_in`] does.
    ///
    /// # Errors
    /// The same, or the URL means no store.
    pub async fn open(
        store: &str,
        run_id: RunId,
        spec: RunSpec,
        code_version: &str,
        workers: u32,
    ) -> Result<Opened, OpenError> {
        let store = Store::make(store).map_err(StoreError::from)?;
        Self::open_in(&store, run_id, spec, code_version, workers).await
    }

    /// Opens the run in `store`, claims its id for this config, and finds the newest
    /// whole checkpoint. `workers` is how many the run waits for.
    ///
    /// # Errors
    /// The id belongs to another config, another coordinator holds the run, or the store cannot be used.
    pub async fn open_in(
        store: &Store,
        run_id: RunId,
        spec: RunSpec,
        code_version: &str,
        workers: u32,
    ) -> Result<Opened, OpenError> {
        let store = RunStore::open(store, &run_id, conrec_store::chance()).await?;
        let config = store.claim(&spec).await?;
        let run_spec_toml = spec.to_toml()?;
        let already_complete = store.is_complete().await?;
        let (prepared, mut skipped) = match store.prepared().await? {
            Ok(prepared) => (Some(prepared), Vec::new()),
            Err(why) => (None, why.into_iter().collect()),
        };
        let data = prepared.as_ref().map(|prepared| prepared.data_digest);
        let (resume, older) = store.newest_whole(config, data).await?;
        skipped.extend(older);
        let checkpoints = store.finished_checkpoints(resume.as_ref()).await?;
        let older = match &resume {
            Some(newest) => store.older_than(newest, config, data).await?,
            None => Vec::new(),
        };
        let last_fence = store.last_fence().await?;
        let resumed = resume.as_ref().map(|manifest| manifest.iteration);
        let setup = RunSetup {
            run_id,
            spec,
            code_version: code_version.to_owned(),
            expected_workers: workers,
            prepared,
            resume,
            last_fence,
        };
        let coordinator =
            Self { store, setup, run_spec_toml, checkpoints, skipped: skipped.clone(), older, silence: SILENCE };
        Ok(Opened { coordinator, skipped, resumed, already_complete })
    }

    /// Once a stop was asked for, a store that does not answer for so long is not waited for (12 s, if not told
    /// otherwise).
    pub fn not_waiting_past(mut self, silence: Duration) -> Self {
        self.silence = silence;
        self
    }

    /// The store's URL, as workers are told it.
    pub fn store_url(&self) -> String {
        self.store.url()
    }

    /// The run's folder.
    pub fn folder(&self) -> &std::path::Path {
        self.store.folder()
    }
}
