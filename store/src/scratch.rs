//! A folder of this process only, for what has to be a file before it is an object; gone with its last owner.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A folder that is removed when the last clone is dropped.
#[derive(Clone, Debug)]
pub struct Scratch(Arc<Folder>);

#[derive(Debug)]
struct Folder(PathBuf);

impl Scratch {
    /// Makes `<base>/conrec-<name>-<chance>`. `base`: the system's temporary folder, where none is given.
    ///
    /// # Errors
    /// The folder and the system's own words.
    pub fn make(base: Option<&Path>, name: &str, chance: u64) -> Result<Self, (PathBuf, std::io::Error)> {
        let base = base.map_or_else(std::env::temp_dir, Path::to_owned);
        let folder = base.join(format!("conrec-{name}-{chance:016x}"));
        match std::fs::create_dir_all(&folder) {
            Ok(()) => Ok(Self(Arc::new(Folder(folder)))),
            Err(error) => Err((folder, error)),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left behind costs space only.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A number that no other process draws: the system's random device, through the seed of the standard library's hashes.
pub fn chance() -> u64 {
    RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_lives_as_long_as_its_last_owner() {
        let base = tempfile::tempdir().unwrap();
        let scratch = Scratch::make(Some(base.path()), "run", 7).unwrap();
        let second = scratch.clone();
        let path = scratch.path().to_owned();
        std::fs::write(path.join("a"), b"a").unwrap();
        drop(scratch);
        assert!(path.is_dir());
        drop(second);
        assert!(!path.exists());
        assert_ne!(chance(), chance());
    }
}
