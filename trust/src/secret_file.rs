//! Reads a small file that holds a secret: a key or a token. One that everybody on the machine may read is refused.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// No key and no token is longer.
const MOST_BYTES: u64 = 64 * 1024;
/// The permission of those who are neither owner nor in the group.
const WORLD_MAY_READ: u32 = 0o004;

/// Why a file of secrets is not used. Never holds what the file says.
#[derive(Debug, thiserror::Error)]
pub enum SecretFileError {
    /// It cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
    /// Everybody may read it.
    #[error("{} can be read by everybody on this machine (mode {mode:03o}); expected 600 or 640: chmod 600 {}", path.display(), path.display())]
    Open {
        /// Which.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// It is too long.
    #[error("{} is longer than {MOST_BYTES} bytes; expected a key or a token", path.display())]
    Long {
        /// Which.
        path: PathBuf,
    },
}

/// The content of the file at `path`.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, SecretFileError> {
    let unreadable = |source| SecretFileError::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(unreadable)?;
    let mode = file.metadata().map_err(unreadable)?.mode() & 0o777;
    if mode & WORLD_MAY_READ != 0 {
        return Err(SecretFileError::Open { path: path.to_owned(), mode });
    }
    let mut content = Vec::new();
    file.take(MOST_BYTES + 1).read_to_end(&mut content).map_err(unreadable)?;
    if content.len() as u64 > MOST_BYTES {
        return Err(SecretFileError::Long { path: path.to_owned() });
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{Permissions, set_permissions, write};
    use std::os::unix::fs::PermissionsExt;

    fn reading(mode: u32, content: &[u8]) -> Result<Vec<u8>, SecretFileError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        write(&path, content).unwrap();
        set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        read(&path)
    }

    #[test]
    fn a_file_that_everybody_may_read_is_refused_without_its_content() {
        let error = reading(0o644, b"hush").unwrap_err().to_string();
        assert!(error.contains("mode 644") && error.contains("chmod 600") && !error.contains("hush"), "{error}");
        assert_eq!(reading(0o600, b"hush").unwrap(), b"hush");
        assert_eq!(reading(0o640, b"hush").unwrap(), b"hush");
    }

    #[test]
    fn a_long_file_is_refused() {
        let error = reading(0o600, &[b'x'; 70_000]).unwrap_err();
        assert!(matches!(error, SecretFileError::Long { .. }), "{error}");
    }
}
