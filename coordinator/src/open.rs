//! Opens a run in the store, new or old: says what it would go on from, and what had to be skipped.

use crate::driver::{INPUTS, Input, Inputs};
use crate::orders::Orders;
use crate::status_board::StatusBoard;
use crate::store::{RunStore, Skipped, StoreError};
use conrec_domain::ids::{Iteration, RunId};
use conrec_domain::job::Ask;
use conrec_domain::manifest::Manifest;
use conrec_domain::retention::Kept;
use conrec_domain::run::RunSetup;
use conrec_domain::spec::{RunSpec, SpecError};
use conrec_domain::status::Status;
use conrec_store::Store;
use futures::Stream;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

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

/// An operator's wish, and the way back to whoever made it.
pub struct Asked {
    /// What.
    pub ask: Ask,
    /// What became of it, as a sentence; an error where it was not taken.
    pub reply: oneshot::Sender<Result<String, String>>,
}

impl From<Asked> for (Ask, oneshot::Sender<Result<String, String>>) {
    fn from(asked: Asked) -> Self {
        (asked.ask, asked.reply)
    }
}

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
    /// What the run shows; it is there before the run is served.
    pub(crate) board: StatusBoard,
    /// To the driver, and its end of that.
    pub(crate) inputs: Inputs,
    pub(crate) received: mpsc::Receiver<Input>,
    /// Who keeps what operators wish of a job.
    pub(crate) desk: Option<mpsc::Sender<Asked>>,
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
        let (inputs, received) = mpsc::channel(INPUTS);
        let coordinator = Self {
            store,
            setup,
            run_spec_toml,
            checkpoints,
            skipped: skipped.clone(),
            older,
            silence: SILENCE,
            board: StatusBoard::new(),
            inputs,
            received,
            desk: None,
        };
        Ok(Opened { coordinator, skipped, resumed, already_complete })
    }

    /// Once a stop was asked for, a store that does not answer for so long is not waited for (12 s, if not told
    /// otherwise).
    pub fn not_waiting_past(mut self, silence: Duration) -> Self {
        self.silence = silence;
        self
    }

    /// Operators' wishes go here: the run was submitted as a job.
    #[must_use]
    pub fn with_desk(mut self, desk: mpsc::Sender<Asked>) -> Self {
        self.desk = Some(desk);
        self
    }

    /// What the run shows, the latest first, until it ends for this process.
    pub fn statuses(&self) -> impl Stream<Item = Status> + Send + use<> {
        self.board.watch()
    }

    /// Speaks to the run once it is served.
    pub fn orders(&self) -> Orders {
        Orders::new(self.inputs.clone())
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
