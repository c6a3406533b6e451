//! Where the files of a run lie. In a store that is a folder they are written and read in place, below
//! `<store>/<run id>/`. In any other store they are objects: written here first and put there, or fetched once and used
//! from here, in a folder of this process only.

use crate::checkpoint_parts::CheckpointParts;
use crate::error::WorkerError;
use conrec_domain::curriculum::StagePoint;
use conrec_domain::ids::RunId;
use conrec_domain::manifest::Manifest;
use conrec_store::{OpenError, Scratch, Store, TransferError};
use futures::TryStreamExt;
use object_store::ObjectStore;
use object_store::path::Path as Key;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::runtime::{Builder, Runtime};

/// A run, where it is kept, and where its files may lie meanwhile.
#[derive(Clone, Debug)]
pub struct Place {
    /// A folder or the URL of a bucket.
    pub store: String,
    /// Folder for what a store that is no folder has to be copied to or from; none: the system's temporary folder.
    pub scratch: Option<PathBuf>,
    /// The run.
    pub run: RunId,
}

/// The files of one run. Not to be opened or dropped within an async task: it waits for the store.
#[derive(Clone, Debug)]
pub struct RunFolder {
    run: RunId,
    store: Store,
    objects: Arc<dyn ObjectStore>,
    /// The run's folder, or this process's copy of it.
    local: PathBuf,
    /// Keeps the copy; none where the store is a folder.
    scratch: Option<Scratch>,
    /// Where copies may lie.
    scratch_at: Option<PathBuf>,
    /// Requests to the store run on it; one for all, as connections belong to the runtime that opened them.
    runtime: Arc<Runtime>,
}

impl RunFolder {
    /// The files of a run, in a store that is made if it is a folder that is not there.
    ///
    /// # Errors
    /// The store cannot be opened, or there is no place for copies.
    pub fn open(place: &Place) -> Result<Self, WorkerError> {
        Self::within(Store::make(&place.store)?, place)
    }

    /// The files of a run that is there.
    ///
    /// # Errors
    /// As [`RunFolder::open`]; [`WorkerError::NoRun`] when the store has no such run.
    pub fn open_existing(place: &Place) -> Result<Self, WorkerError> {
        let none = || WorkerError::NoRun { run: place.run.clone(), store: place.store.clone() };
        let store = match Store::at(&place.store) {
            Err(OpenError::Folder { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                return Err(none());
            }
            other => other?,
        };
        let folder = Self::within(store, place)?;
        if folder.exists("run.toml")? { Ok(folder) } else { Err(none()) }
    }

    fn within(store: Store, place: &Place) -> Result<Self, WorkerError> {
        let run = place.run.clone();
        // Between two requests nobody drives a connection of a runtime that has no thread of its own.
        let mut builder = if store.folder().is_some() { Builder::new_current_thread() } else { threaded() };
        let runtime = builder.enable_all().build();
        let runtime = runtime.map_err(|e| WorkerError::Protocol(format!("cannot start the runtime: {e}")))?;
        let (local, scratch) = match store.folder() {
            Some(root) => (root.join(run.as_str()), None),
            None => {
                let scratch = Scratch::make(place.scratch.as_deref(), run.as_str(), conrec_store::chance())
                    .map_err(|(path, error)| WorkerError::file(path, error))?;
                (scratch.path().to_owned(), Some(scratch))
            }
        };
        let objects = store.run(&run);
        let scratch_at = place.scratch.clone();
        Ok(Self { run, store, objects, local, scratch, scratch_at, runtime: Arc::new(runtime) })
    }

    /// The files of another run of the same store.
    ///
    /// # Errors
    /// [`WorkerError::NoRun`] when the store has no such run.
    pub fn sibling(&self, run: RunId) -> Result<Self, WorkerError> {
        let place = Place { store: self.store.url(), scratch: self.scratch_at.clone(), run };
        let folder = Self::within(self.store.clone(), &place)?;
        if folder.exists("run.toml")? {
            return Ok(folder);
        }
        Err(WorkerError::NoRun { run: place.run, store: place.store })
    }

    /// The run's id.
    pub fn run(&self) -> &RunId {
        &self.run
    }

    /// The parts of the run's checkpoints.
    pub fn parts(&self) -> CheckpointParts {
        CheckpointParts::new(Arc::clone(self.store.objects()), self.run.clone())
    }

    /// Waits for the store.
    pub fn wait<T>(&self, request: impl Future<Output = T>) -> T {
        self.runtime.block_on(request)
    }

    /// A file or folder of the run, on this machine.
    pub fn path(&self, name: &str) -> PathBuf {
        self.local.join(name)
    }

    /// Where a file or folder of the run lies in the end, for people.
    pub fn shown(&self, name: &str) -> String {
        self.store.place(&self.run, name)
    }

    /// Writes a file as a whole: first under a temporary name, then renamed; then it is put into the store.
    ///
    /// # Errors
    /// [`WorkerError::File`] when it cannot be written, [`WorkerError::Transfer`] when the store fails.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<PathBuf, WorkerError> {
        let path = self.path(name);
        let temporary = path.with_extension("tmp");
        let parent = path.parent().unwrap_or_else(|| Path::new("."));
        fs::create_dir_all(parent)
            .and_then(|()| fs::write(&temporary, bytes))
            .and_then(|()| fs::rename(&temporary, &path))
            .map_err(|e| WorkerError::file(&path, e))?;
        self.publish(name)?;
        Ok(path)
    }

    /// Reads a file as the store has it now.
    ///
    /// # Errors
    /// [`WorkerError::File`] when it is not there or cannot be read, [`WorkerError::Transfer`] when the store fails.
    pub fn read(&self, name: &str) -> Result<Vec<u8>, WorkerError> {
        if self.scratch.is_none() {
            let path = self.path(name);
            return fs::read(&path).map_err(|e| WorkerError::file(path, e));
        }
        let content = self.wait(conrec_store::read(self.objects.as_ref(), name))?;
        content.map(Vec::from).ok_or_else(|| WorkerError::file(self.shown(name), "it is not in the store"))
    }

    /// Puts a file, or all files of a folder, into the store; they lie there already where it is a folder.
    ///
    /// # Errors
    /// [`WorkerError::Transfer`] when a file cannot be read or the store fails.
    pub fn publish(&self, name: &str) -> Result<(), WorkerError> {
        if self.scratch.is_some() {
            self.wait(conrec_store::upload(self.objects.as_ref(), &self.local, name))?;
        }
        Ok(())
    }

    /// Brings the files below a name to this machine, once; they lie there already where the store is a folder.
    ///
    /// # Errors
    /// [`WorkerError::Transfer`] when the store fails or a file cannot be written.
    pub fn fetch(&self, name: &str) -> Result<(), WorkerError> {
        if self.scratch.is_some() {
            self.wait(conrec_store::download(self.objects.as_ref(), name, &self.local))?;
        }
        Ok(())
    }

    /// Whether the store has a file.
    ///
    /// # Errors
    /// [`WorkerError::Transfer`] when the store fails.
    pub fn exists(&self, name: &str) -> Result<bool, WorkerError> {
        Ok(self.wait(conrec_store::read(self.objects.as_ref(), name))?.is_some())
    }

    /// Keys of the checkpoints that have a manifest, oldest first.
    ///
    /// # Errors
    /// [`WorkerError::Transfer`] when the store fails.
    pub fn checkpoints(&self) -> Result<Vec<String>, WorkerError> {
        let listing = self.objects.list(Some(&Key::from("checkpoints"))).try_collect::<Vec<_>>();
        let listing = self.wait(listing).map_err(|source| TransferError::Object {
            action: "list",
            key: "checkpoints".into(),
            source,
        })?;
        let keys = listing.into_iter().map(|meta| meta.location.to_string());
        let mut whole: Vec<String> =
            keys.filter_map(|key| key.strip_suffix("/manifest.json").map(str::to_owned)).collect();
        whole.sort();
        Ok(whole)
    }

    /// Key of the newest checkpoint that has a manifest.
    ///
    /// # Errors
    /// [`WorkerError::File`] when there is none, [`WorkerError::Transfer`] when the store fails.
    pub fn newest_checkpoint(&self) -> Result<String, WorkerError> {
        self.checkpoints()?.pop().ok_or_else(|| {
            let place = self.shown("checkpoints");
            WorkerError::file(place, "no whole checkpoint; was the run stopped before its first?")
        })
    }

    /// A checkpoint's manifest.
    ///
    /// # Errors
    /// [`WorkerError::File`] when it is missing or damaged.
    pub fn manifest(&self, key: &str) -> Result<Manifest, WorkerError> {
        let name = format!("{key}/manifest.json");
        Manifest::parse(&self.read(&name)?).map_err(|e| WorkerError::file(self.shown(&name), e))
    }

    /// Refuses a checkpoint of a run that still trains: the test window is looked at once, by the finished policy. Every
    /// stage ends with a checkpoint; one without iterations writes none, so the newest of a complete run may stand before
    /// such stages. They change no policy.
    ///
    /// # Errors
    /// [`WorkerError::File`] when the manifest cannot be read or stages are left to train.
    pub fn finished(&self, key: &str) -> Result<(), WorkerError> {
        // The report is written last.
        if self.exists("report.json")? {
            return Ok(());
        }
        if matches!(self.manifest(key)?.cursor.at, StagePoint::Report | StagePoint::Done) {
            return Ok(());
        }
        let message = "the run still trains; `conrec train` with the same config goes on with it";
        Err(WorkerError::file(self.shown(key), message))
    }
}

fn threaded() -> Builder {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(1);
    builder
}

#[cfg(test)]
mod tests {
    use super::*;
    use conrec_domain::curriculum::Cursor;
    use conrec_domain::ids::{Digest, Fence, Iteration};
    use conrec_domain::manifest::{PARTS, Part};

    #[test]
    fn a_run_is_finished_when_its_stages_are_over_or_its_report_is_written() {
        let store = tempfile::tempdir().unwrap();
        let store_url = store.path().to_str().unwrap().to_owned();
        let place = Place { store: store_url, scratch: None, run: "run".parse().unwrap() };
        let folder = RunFolder::open(&place).unwrap();
        let manifest = Manifest {
            version: Manifest::VERSION,
            run_id: folder.run().clone(),
            config_digest: Digest::of(b"config"),
            data_digest: Digest::of(b"data"),
            code_version: "1".into(),
            fence: Fence(1),
            iteration: Iteration(7),
            state_digest: Digest::of(b"state"),
            cursor: Cursor::start(),
            parts: PARTS.map(|name| Part { name: name.into(), bytes: 0, sha256: Digest::of(b"") }).to_vec(),
        };
        let content = manifest.to_json().unwrap().to_string();
        folder.write("checkpoints/a/manifest.json", content.as_bytes()).unwrap();
        let error = folder.finished("checkpoints/a").unwrap_err().to_string();
        assert!(error.contains("still trains"), "{error}");
        // Stages in which the gate kept no iteration follow the last checkpoint and write none.
        folder.write("report.json", b"{}").unwrap();
        folder.finished("checkpoints/a").unwrap();
    }
}
