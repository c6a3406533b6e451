//! Where runs are kept: the one place that turns a URL into an object store, says in plain words what a store refused,
//! and proves that a store keeps its conditions. Knows no run's state and holds no lock.

mod location;
mod plain;
mod probe;
mod scratch;
mod settings;
mod transfer;

pub use location::{Location, UrlError};
pub use plain::plain;
pub use probe::{ProbeError, probe};
pub use scratch::{Scratch, chance};
pub use transfer::{TransferError, download, put, read, upload};

use conrec_domain::ids::RunId;
use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path as Key;
use object_store::prefix::PrefixStore;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The URL is none that a store has.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// The folder cannot be made or used.
    #[error("store {}: {source}; expected a folder that this user can read and write", path.display())]
    Folder {
        /// Which.
        path: PathBuf,
        /// The system's own words.
        source: std::io::Error,
    },
    /// What the environment says does not make a store, such as credentials that are missing.
    #[error("store `{url}`: {reason}; expected are credentials and endpoint in the environment ({expected})")]
    Settings {
        /// The store.
        url: String,
        /// The library's words, without secrets.
        reason: String,
        /// Names of variables.
        expected: &'static str,
    },
}

/// An open store: all runs lie below it.
#[derive(Clone, Debug)]
pub struct Store {
    location: Location,
    objects: Arc<dyn ObjectStore>,
}

impl Store {
    /// The store that a URL or folder means; a folder has to exist. Credentials and endpoints come from the
    /// environment, in the clouds' usual names. Nothing is asked of the store yet.
    ///
    /// # Errors
    /// Another kind of URL, one that only this process would see, a folder that is not there, settings that do not make
    /// a store.
    pub fn at(url: &str) -> Result<Self, OpenError> {
        Self::open(Location::parse(url)?.shared()?)
    }

    /// The same; a folder that is not there is made.
    ///
    /// # Errors
    /// As [`Store::at`]; or the folder cannot be made.
    pub fn make(url: &str) -> Result<Self, OpenError> {
        let location = Location::parse(url)?.shared()?;
        if let Location::Folder(path) = &location {
            std::fs::create_dir_all(path).map_err(|source| OpenError::Folder { path: path.clone(), source })?;
        }
        Self::open(location)
    }

    /// A new, empty store in the memory of this process.
    pub fn memory() -> Self {
        Self { location: Location::Memory, objects: Arc::new(InMemory::new()) }
    }

    /// The same place, reached through another store, such as one that fails on purpose.
    pub fn through(self, wrap: impl FnOnce(Arc<dyn ObjectStore>) -> Arc<dyn ObjectStore>) -> Self {
        Self { location: self.location, objects: wrap(self.objects) }
    }

    fn open(location: Location) -> Result<Self, OpenError> {
        let (location, objects): (_, Arc<dyn ObjectStore>) = match location {
            Location::Folder(path) => {
                let refused = |source| OpenError::Folder { path: path.clone(), source };
                let root = path.canonicalize().map_err(refused)?;
                let objects = LocalFileSystem::new_with_prefix(&root)
                    .map_err(|error| refused(std::io::Error::other(error)))?
                    .with_automatic_cleanup(true)
                    .with_fsync(true);
                (Location::Folder(root), Arc::new(objects))
            }
            Location::Memory => (Location::Memory, Arc::new(InMemory::new())),
            Location::Cloud(cloud) => {
                let objects = settings::connect(&cloud)?;
                let objects: Arc<dyn ObjectStore> = if cloud.prefix.is_empty() {
                    objects
                } else {
                    Arc::new(PrefixStore::new(objects, Key::from(cloud.prefix.as_str())))
                };
                (Location::Cloud(cloud), objects)
            }
        };
        Ok(Self { location, objects })
    }

    /// What other processes are told: `file://` and an absolute path, or the cloud's URL; it holds no secret.
    pub fn url(&self) -> String {
        self.location.to_string()
    }

    /// The folder, where the store is one.
    pub fn folder(&self) -> Option<&Path> {
        match &self.location {
            Location::Folder(path) => Some(path),
            Location::Memory | Location::Cloud(_) => None,
        }
    }

    /// All objects of the store; keys begin with a run's id.
    pub fn objects(&self) -> &Arc<dyn ObjectStore> {
        &self.objects
    }

    /// The objects of one run; keys are those below its folder.
    pub fn run(&self, run: &RunId) -> Arc<dyn ObjectStore> {
        Arc::new(PrefixStore::new(Arc::clone(&self.objects), Key::from(run.as_str())))
    }

    /// Where a run's file or folder lies, for people.
    pub fn place(&self, run: &RunId, name: &str) -> String {
        let place = match &self.location {
            Location::Folder(path) => path.join(run.as_str()).join(name).display().to_string(),
            Location::Memory | Location::Cloud(_) => format!("{}/{run}/{name}", self.url().trim_end_matches('/')),
        };
        place.trim_end_matches('/').to_owned()
    }

    /// The ids of all runs in the store, in order: what lies in it and has a `run.toml`.
    ///
    /// # Errors
    /// The store cannot be listed.
    pub async fn runs(&self) -> Result<Vec<String>, object_store::Error> {
        let listing = self.objects.list_with_delimiter(None).await?;
        let mut runs = Vec::new();
        for prefix in listing.common_prefixes {
            let Some(name) = prefix.filename().and_then(|name| name.parse::<RunId>().ok()) else { continue };
            if read(self.run(&name).as_ref(), "run.toml").await.is_ok_and(|content| content.is_some()) {
                runs.push(name.to_string());
            }
        }
        runs.sort();
        Ok(runs)
    }
}
