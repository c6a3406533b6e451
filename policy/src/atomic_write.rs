//! Files that are whole or not there: written under a temporary name in the same folder, synced, renamed.

use crate::file_error::FileError;
use crate::tensor_file::pointer;
use conrec_feedback::plain_file;
use serde::Serialize;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Writes `bytes` to `path`, making its folder where needed. A reader sees the old file or the new one, never a part.
///
/// # Errors
/// [`FileError::Write`]; the temporary file is removed.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let temporary = temporary_name(path);
    let write = || -> io::Result<()> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut file = File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    };
    write().map_err(|source| {
        // The first error is the one to report.
        let _ = fs::remove_file(&temporary);
        FileError::Write { path: path.to_owned(), source }
    })
}

/// Writes a value as indented JSON with a newline at the end.
///
/// # Errors
/// As [`write_atomically`].
pub fn write_json(path: &Path, value: &impl Serialize) -> Result<(), FileError> {
    let mut text = serde_json::to_vec_pretty(value).map_err(|e| FileError::malformed(path, e))?;
    text.push(b'\n');
    write_atomically(path, &text)
}

/// Reads JSON.
///
/// # Errors
/// [`FileError::Read`] or [`FileError::Malformed`].
pub fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, FileError> {
    let bytes = plain_file::read(path).map_err(|source| FileError::Read { path: path.to_owned(), source })?;
    serde_json::from_slice(&bytes).map_err(|e| match pointer(&bytes) {
        Some(found) => FileError::malformed(path, found),
        None => FileError::malformed(path, e),
    })
}

/// Beside the file, so that the rename stays inside one file system; with the process, so that two do not collide.
fn temporary_name(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.part", std::process::id()));
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_a_file_and_leaves_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/er/file.bin");
        write_atomically(&path, b"one").unwrap();
        write_atomically(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn error_names_the_file() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("plain"), b"").unwrap();
        let error = write_atomically(&folder.path().join("plain/file.bin"), b"x").unwrap_err();
        assert!(error.to_string().ends_with("plain/file.bin"), "{error}");
    }
}
