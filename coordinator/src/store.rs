//! A run's part of the store: `<store>/<run id>/`, with conditional creates for all that must exist once. Whoever serves
//! the run holds it; whoever only looks does not.

mod checkpoint;
mod claim;
mod error;
mod fence;
mod hold;
mod journal_copy;
mod lock;
mod prepared;
mod prune;
mod run_file;
mod whole;

pub use checkpoint::{Found, Skipped};
pub use error::StoreError;

use conrec_domain::ids::RunId;
use conrec_store::{Scratch, Store};
use futures::TryStreamExt;
use hold::Hold;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutPayload};
use std::ops::Deref;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// What lies in the store of one run; to be looked at by anybody, also while the run trains.
pub struct RunObjects {
    run_id: RunId,
    store: Store,
    objects: Arc<dyn ObjectStore>,
}

/// One run's part of the store, held by one coordinator at a time.
pub struct RunStore {
    within: RunObjects,
    /// The run's folder, or, where the store is none, one of this process only.
    folder: PathBuf,
    hold: Hold,
    /// What no other coordinator says of itself.
    name: String,
}

/// Files of a run on this machine.
pub struct Fetched {
    folder: PathBuf,
    /// Removed with this.
    #[expect(dead_code, reason = "it is kept for its drop")]
    copy: Option<Scratch>,
}

impl Fetched {
    /// The folder that was asked for.
    pub fn path(&self) -> &FilePath {
        &self.folder
    }
}

impl Deref for RunStore {
    type Target = RunObjects;

    fn deref(&self) -> &RunObjects {
        &self.within
    }
}

impl RunStore {
    /// Opens (and makes, where it is missing) the run's part of `store`, takes the run for this process, and proves that
    /// the store keeps its conditions. `chance`: a number that no other coordinator has.
    ///
    /// # Errors
    /// The store cannot be written, does not keep its conditions, or another coordinator holds the run.
    pub async fn open(store: &Store, run_id: &RunId, chance: u64) -> Result<Self, StoreError> {
        let within = RunObjects::of(store, run_id);
        let hold = Hold::take(&within, chance).await?;
        let folder = match &hold {
            Hold::Folder { folder, .. } => folder.clone(),
            Hold::Claim { scratch, .. } => scratch.path().to_owned(),
        };
        let name = format!("process {}, {chance:016x}", std::process::id());
        let opened = Self { within, folder, hold, name };
        opened.fetch_journal().await?;
        Ok(opened)
    }

    /// The run's folder; where the store is none, a folder of this process for what has to be a file.
    pub fn folder(&self) -> &FilePath {
        &self.folder
    }

    /// Comes back once another coordinator holds the run; looks `every` so often. Never in a folder, where a lock keeps
    /// others out. A coordinator that has nothing to write, as its workers have gone to the other one, learns it here.
    pub(crate) async fn until_taken_over(&self, every: Duration) -> StoreError {
        self.hold.until_taken_over(self, every).await
    }
}

impl RunObjects {
    /// A run's objects; nothing is asked of the store yet.
    pub fn of(store: &Store, run_id: &RunId) -> Self {
        Self { run_id: run_id.clone(), store: store.clone(), objects: store.run(run_id) }
    }

    /// The store, as other processes are told it: `file://` and an absolute path, or the cloud's URL.
    pub fn url(&self) -> String {
        self.store.url()
    }

    /// Where a file of the run lies, for people.
    pub fn place(&self, name: &str) -> String {
        self.store.place(&self.run_id, name)
    }

    /// Whether `report.json` says that the run is complete.
    ///
    /// # Errors
    /// The store cannot be read. A report that is no JSON counts as none.
    pub async fn is_complete(&self) -> Result<bool, StoreError> {
        let Some(bytes) = self.read("report.json").await? else {
            return Ok(false);
        };
        let report = serde_json::from_slice::<serde_json::Value>(&bytes).unwrap_or_default();
        let state = report.get("state").and_then(|state| state.as_str());
        Ok(report.is_object() && state.is_none_or(|state| state == "complete"))
    }

    /// The content of an object of the run, where it exists.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn read(&self, key: &str) -> Result<Option<bytes::Bytes>, StoreError> {
        Ok(conrec_store::read(self.objects.as_ref(), key).await?)
    }

    /// A folder of the run as files of this machine: the store's own where it is a folder, else a copy.
    ///
    /// # Errors
    /// The store cannot be read, or there is no place for the copy.
    pub async fn fetch(&self, name: &str) -> Result<Fetched, StoreError> {
        if let Some(root) = self.store.folder() {
            return Ok(Fetched { folder: root.join(self.run_id.as_str()).join(name), copy: None });
        }
        let copy = Scratch::make(None, self.run_id.as_str(), conrec_store::chance())
            .map_err(|(path, error)| StoreError::io("make the folder", &path)(error))?;
        conrec_store::download(self.objects.as_ref(), name, copy.path()).await?;
        Ok(Fetched { folder: copy.path().join(name), copy: Some(copy) })
    }

    /// Whether the store answers at all.
    pub(crate) async fn answers(&self) -> bool {
        self.read("run.toml").await.is_ok()
    }

    /// Whether nothing lies at a key and below it.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn is_absent(&self, key: &str) -> Result<bool, StoreError> {
        Ok(self.is_empty(key).await? && self.read(key).await.is_ok_and(|content| content.is_none()))
    }

    /// Whether nothing lies below a key prefix.
    async fn is_empty(&self, prefix: &str) -> Result<bool, StoreError> {
        let mut listing = self.objects.list(Some(&Path::from(prefix)));
        let first = listing.try_next().await.map_err(StoreError::unavailable("list", prefix))?;
        Ok(first.is_none())
    }

    /// Creates an object; `false` when it exists already.
    async fn create(&self, key: &str, content: Vec<u8>) -> Result<bool, StoreError> {
        let content = PutPayload::from(content);
        match self.objects.put_opts(&Path::from(key), content, PutMode::Create.into()).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::AlreadyExists { .. }) => Ok(false),
            Err(error) => Err(StoreError::unavailable("write", key)(error)),
        }
    }

    /// Removes an object; one that is not there is removed.
    async fn remove(&self, path: &Path) -> Result<(), StoreError> {
        match self.objects.delete(path).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(StoreError::unavailable("remove", path.as_ref())(error)),
        }
    }
}
