//! A run's folder in the store: `<store>/<run id>/`, with conditional creates for all that must exist once.

mod checkpoint;
mod error;
mod fence;
mod location;
mod lock;
mod prepared;
mod run_file;
mod whole;

pub use checkpoint::Skipped;
pub use error::StoreError;
pub use location::local_folder;

use conrec_domain::ids::RunId;
use futures::TryStreamExt;
use lock::RunLock;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutPayload};
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

/// One run's part of the store; held by one coordinator at a time.
pub struct RunStore {
    run_id: RunId,
    objects: Arc<dyn ObjectStore>,
    folder: PathBuf,
    url: String,
    lock: RunLock,
}

impl RunStore {
    /// Opens (and makes, where it is missing) the run's folder below `store`, and locks it for this process.
    ///
    /// # Errors
    /// The store is of a kind that has no support yet, cannot be written, or another coordinator holds the run.
    pub fn open(store: &str, run_id: &RunId) -> Result<Self, StoreError> {
        let root = local_folder(store)?;
        let folder = root.join(run_id.as_str());
        let io = |action| StoreError::io(action, &folder);
        std::fs::create_dir_all(&folder).map_err(io("make the folder"))?;
        let folder = folder.canonicalize().map_err(io("find the folder"))?;
        let root = folder.parent().unwrap_or(&root);
        let url = format!("file://{}", root.display());
        let lock = RunLock::take(&folder, run_id)?;
        let objects = LocalFileSystem::new_with_prefix(&folder)
            .map_err(StoreError::unavailable("open", ""))?
            .with_automatic_cleanup(true)
            .with_fsync(true);
        Ok(Self { run_id: run_id.clone(), objects: Arc::new(objects), folder, url, lock })
    }

    /// `file://` and the absolute path of the store: what workers are told.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The run's folder in the local file system.
    pub fn folder(&self) -> &FilePath {
        &self.folder
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

    /// The content of an object below the run's folder, where it exists.
    async fn read(&self, key: &str) -> Result<Option<bytes::Bytes>, StoreError> {
        let found = self.objects.get(&Path::from(key)).await;
        let found = match found {
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            other => other.map_err(StoreError::unavailable("read", key))?,
        };
        Ok(Some(found.bytes().await.map_err(StoreError::unavailable("read", key))?))
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
}
