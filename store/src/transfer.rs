//! Files to objects and back: whole files only, each under the name that it has below the run's folder.

use crate::plain;
use bytes::Bytes;
use futures::TryStreamExt;
use object_store::path::Path as Key;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use std::path::{Path, PathBuf};

/// Why a file did not become an object, or the other way round.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// The store refused or failed.
    #[error("cannot {action} `{key}` in the store: {}", plain(source))]
    Object {
        /// Verb.
        action: &'static str,
        /// Key below the run's folder.
        key: String,
        /// The store's own words.
        source: object_store::Error,
    },
    /// The local file cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// The system's own words.
        source: std::io::Error,
    },
}

fn object(action: &'static str, key: &str) -> impl FnOnce(object_store::Error) -> TransferError {
    let key = key.to_owned();
    move |source| TransferError::Object { action, key, source }
}

fn file(path: &Path) -> impl FnOnce(std::io::Error) -> TransferError {
    let path = path.to_owned();
    move |source| TransferError::File { path, source }
}

/// Puts an object, in the place of one that may be there.
///
/// # Errors
/// The store fails.
pub async fn put(objects: &dyn ObjectStore, key: &str, content: Bytes) -> Result<(), TransferError> {
    let put = objects.put(&Key::from(key), PutPayload::from_bytes(content)).await;
    put.map(drop).map_err(object("write", key))
}

/// The content of an object, where it exists.
///
/// # Errors
/// The store fails.
pub async fn read(objects: &dyn ObjectStore, key: &str) -> Result<Option<Bytes>, TransferError> {
    let found = match objects.get(&Key::from(key)).await {
        Err(object_store::Error::NotFound { .. }) => return Ok(None),
        other => other.map_err(object("read", key))?,
    };
    Ok(Some(found.bytes().await.map_err(object("read", key))?))
}

/// Puts the file `<folder>/<name>`, or every file below it where it is a folder.
///
/// # Errors
/// A file cannot be read, or the store fails.
pub async fn upload(objects: &dyn ObjectStore, folder: &Path, name: &str) -> Result<(), TransferError> {
    let mut waiting = vec![name.to_owned()];
    while let Some(name) = waiting.pop() {
        let path = folder.join(&name);
        if path.is_dir() {
            for entry in std::fs::read_dir(&path).map_err(file(&path))? {
                let entry = entry.map_err(file(&path))?;
                waiting.push(format!("{name}/{}", entry.file_name().to_string_lossy()));
            }
        } else {
            let content = std::fs::read(&path).map_err(file(&path))?;
            put(objects, &name, content.into()).await?;
        }
    }
    Ok(())
}

/// Fetches every object below `prefix` into `<folder>/<key>`; a file that is there already is kept.
///
/// # Errors
/// The store fails, or a file cannot be written.
pub async fn download(objects: &dyn ObjectStore, prefix: &str, folder: &Path) -> Result<(), TransferError> {
    let listing = objects.list(Some(&Key::from(prefix))).try_collect::<Vec<_>>().await;
    for meta in listing.map_err(object("list", prefix))? {
        let key = meta.location.to_string();
        let path = folder.join(&key);
        if path.is_file() {
            continue;
        }
        let Some(content) = read(objects, &key).await? else { continue };
        let parent = path.parent().unwrap_or(folder);
        std::fs::create_dir_all(parent).map_err(file(parent))?;
        // Under another name first, so that half of a file is never taken for the file.
        let new = path.with_extension("fetching");
        std::fs::write(&new, &content).and_then(|()| std::fs::rename(&new, &path)).map_err(file(&path))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use object_store::memory::InMemory;

    #[tokio::test]
    async fn a_folder_goes_into_a_store_and_comes_back() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::create_dir_all(from.path().join("a/b")).unwrap();
        std::fs::write(from.path().join("a/one"), b"1").unwrap();
        std::fs::write(from.path().join("a/b/two"), b"2").unwrap();
        let objects = InMemory::new();
        upload(&objects, from.path(), "a").await.unwrap();
        download(&objects, "a", to.path()).await.unwrap();
        assert_eq!(std::fs::read(to.path().join("a/b/two")).unwrap(), b"2");
        // What is there is not fetched again.
        put(&objects, "a/one", Bytes::from_static(b"other")).await.unwrap();
        download(&objects, "a", to.path()).await.unwrap();
        assert_eq!(std::fs::read(to.path().join("a/one")).unwrap(), b"1");
        assert_eq!(read(&objects, "a/absent").await.unwrap(), None);
    }
}
