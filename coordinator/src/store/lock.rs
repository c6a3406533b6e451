//! One coordinator a run on one machine: an advisory lock on a file, which the system frees when the process ends.

use super::StoreError;
use conrec_domain::ids::RunId;
use std::fs::{File, TryLockError};
use std::io::ErrorKind;
use std::path::Path;

/// Held for as long as the run's store is open.
pub(super) struct RunLock {
    _file: File,
    /// Whether the file system has locks, so that no other coordinator can hold the run.
    exclusive: bool,
}

impl RunLock {
    /// Takes the lock, or says who else may hold it.
    pub(super) fn take(folder: &Path, run_id: &RunId) -> Result<Self, StoreError> {
        let path = folder.join("coordinator.lock");
        let file = File::options().create(true).append(true).open(&path);
        let file = file.map_err(StoreError::io("open", &path))?;
        let exclusive = match file.try_lock() {
            Ok(()) => true,
            Err(TryLockError::WouldBlock) => {
                return Err(StoreError::InUse { run_id: run_id.clone(), path });
            }
            // Some network file systems have no locks; the fences still keep two coordinators apart.
            Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => false,
            Err(TryLockError::Error(error)) => return Err(StoreError::io("lock", &path)(error)),
        };
        Ok(Self { _file: file, exclusive })
    }

    /// Whether no other coordinator can hold the run while this lock lives.
    pub(super) fn is_exclusive(&self) -> bool {
        self.exclusive
    }

    /// The same file on a file system without locks.
    #[cfg(test)]
    pub(super) fn without_support(self) -> Self {
        Self { exclusive: false, ..self }
    }
}
