//! Where the files of a run lie, below `<store>/<run id>/`.

use crate::error::WorkerError;
use conrec_domain::curriculum::StagePoint;
use conrec_domain::ids::RunId;
use conrec_domain::manifest::Manifest;
use std::fs;
use std::path::{Path, PathBuf};

/// The folder of one run on a local store.
#[derive(Clone, Debug)]
pub struct RunFolder {
    store: PathBuf,
    run: RunId,
}

impl RunFolder {
    /// The folder of `run` below `store_url`, a path or `file://` URL.
    ///
    /// # Errors
    /// [`WorkerError::Usage`] for another scheme.
    pub fn new(store_url: &str, run: RunId) -> Result<Self, WorkerError> {
        let path = store_url.strip_prefix("file://").unwrap_or(store_url);
        if path.contains("://") {
            return Err(WorkerError::Usage {
                option: "--store",
                found: store_url.to_owned(),
                allowed: "a folder or a file:// URL",
            });
        }
        Ok(Self { store: PathBuf::from(path), run })
    }

    /// The run's id.
    pub fn run(&self) -> &RunId {
        &self.run
    }

    /// The store's folder.
    pub fn store(&self) -> &Path {
        &self.store
    }

    /// A file or folder of the run.
    pub fn path(&self, name: &str) -> PathBuf {
        self.store.join(self.run.as_str()).join(name)
    }

    /// Writes a file as a whole: first under a temporary name, then renamed.
    ///
    /// # Errors
    /// [`WorkerError::File`] when it cannot be written.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<PathBuf, WorkerError> {
        let path = self.path(name);
        let temporary = path.with_extension("tmp");
        let parent = path.parent().unwrap_or_else(|| Path::new("."));
        fs::create_dir_all(parent)
            .and_then(|()| fs::write(&temporary, bytes))
            .and_then(|()| fs::rename(&temporary, &path))
            .map_err(|e| WorkerError::file(&path, e))?;
        Ok(path)
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`WorkerError::File`] when it cannot be read.
    pub fn read(&self, name: &str) -> Result<Vec<u8>, WorkerError> {
        let path = self.path(name);
        fs::read(&path).map_err(|e| WorkerError::file(path, e))
    }

    /// Key of the newest checkpoint that has a manifest.
    ///
    /// # Errors
    /// [`WorkerError::File`] when there is none.
    pub fn newest_checkpoint(&self) -> Result<String, WorkerError> {
        let place = self.path("checkpoints");
        let entries = fs::read_dir(&place).map_err(|e| WorkerError::file(&place, e))?;
        let whole = entries.flatten().filter(|e| e.path().join("manifest.json").is_file());
        let newest = whole.map(|e| e.file_name().to_string_lossy().into_owned()).max();
        newest
            .map(|name| format!("checkpoints/{name}"))
            .ok_or_else(|| WorkerError::file(place, "no whole checkpoint; was the run stopped before its first?"))
    }

    /// Refuses a checkpoint of a run that still trains: the test window is looked at once, by the finished policy. Every
    /// stage ends with a checkpoint; one without iterations writes none, so the newest of a complete run may stand before
    /// such stages. They change no policy.
    ///
    /// # Errors
    /// [`WorkerError::File`] when the manifest cannot be read or stages are left to train.
    pub fn finished(&self, key: &str) -> Result<(), WorkerError> {
        // The report is written last.
        if self.path("report.json").is_file() {
            return Ok(());
        }
        let name = format!("{key}/manifest.json");
        let bytes = self.read(&name)?;
        let manifest: Manifest = serde_json::from_slice(&bytes).map_err(|e| WorkerError::file(self.path(&name), e))?;
        if matches!(manifest.cursor.at, StagePoint::Report | StagePoint::Done) {
            return Ok(());
        }
        let message = "the run still trains; `conrec train` with the same config goes on with it";
        Err(WorkerError::file(self.path(key), message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use conrec_domain::curriculum::Cursor;
    use conrec_domain::ids::{Digest, Fence, Iteration};

    #[test]
    fn a_run_is_finished_when_its_stages_are_over_or_its_report_is_written() {
        let store = tempfile::tempdir().unwrap();
        let folder = RunFolder::new(store.path().to_str().unwrap(), "run".parse().unwrap()).unwrap();
        let manifest = Manifest {
            version: 1,
            run_id: folder.run().clone(),
            config_digest: Digest::of(b"config"),
            data_digest: Digest::of(b"data"),
            code_version: "1".into(),
            fence: Fence(1),
            iteration: Iteration(7),
            state_digest: Digest::of(b"state"),
            cursor: Cursor::start(),
            parts: Vec::new(),
        };
        folder.write("checkpoints/a/manifest.json", &serde_json::to_vec(&manifest).unwrap()).unwrap();
        let error = folder.finished("checkpoints/a").unwrap_err().to_string();
        assert!(error.contains("still trains"), "{error}");
        // Stages in which the gate kept no iteration follow the last checkpoint and write none.
        folder.write("report.json", b"{}").unwrap();
        folder.finished("checkpoints/a").unwrap();
    }
}
