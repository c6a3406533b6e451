//! The files of a run, read by their keys: all that an audit needs of a store.

use crate::failure::Failure;
use std::io::ErrorKind;
use std::path::PathBuf;

/// A run's folder.
pub struct RunFiles {
    folder: PathBuf,
}

impl RunFiles {
    /// The files below this folder.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// A file's content; none where there is no such file.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn read(&self, key: &str) -> Result<Option<Vec<u8>>, Failure> {
        let path = self.folder.join(key);
        match std::fs::read(&path) {
            Ok(content) => Ok(Some(content)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Failure::io("read", &path)(error)),
        }
    }

    /// Keys of all checkpoints, oldest first, whole or not.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn checkpoints(&self) -> Result<Vec<String>, Failure> {
        let folder = self.folder.join("checkpoints");
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(Failure::io("list", &folder)(error)),
        };
        let mut keys = Vec::new();
        for entry in entries {
            let entry = entry.map_err(Failure::io("list", &folder))?;
            keys.push(format!("checkpoints/{}", entry.file_name().to_string_lossy()));
        }
        keys.sort();
        Ok(keys)
    }

    /// A file's place, for messages.
    pub fn shown(&self, key: &str) -> String {
        self.folder.join(key).display().to_string()
    }
}
