//! A folder for parsers that read files.

use std::cell::OnceCell;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

thread_local! {
    static FOLDER: OnceCell<Option<TempDir>> = const { OnceCell::new() };
}

/// A temporary folder in memory, where the system has one: inputs come by the thousand.
fn in_memory() -> Option<TempDir> {
    let prefix = "conrec-parsers-";
    let builder = || tempfile::Builder::new().prefix(prefix).tempdir_in("/dev/shm");
    builder().or_else(|_| tempfile::tempdir()).ok()
}

/// Writes the files and hands their folder to `act`. Where nothing can be written nothing is tried.
pub(crate) fn with_files(files: &[(&str, &[u8])], act: impl FnOnce(&Path)) {
    let folder: Option<PathBuf> = FOLDER.with(|cell| {
        let folder = cell.get_or_init(in_memory);
        folder.as_ref().map(|folder| folder.path().to_owned())
    });
    let Some(folder) = folder else {
        return;
    };
    if files.iter().all(|(name, content)| fs::write(folder.join(name), content).is_ok()) {
        act(&folder);
    }
}
