//! The files of a checkpoint: written once, never over another one, and read back only when size and digest are those
//! of the manifest.

use bytes::Bytes;
use conrec_domain::ids::{Digest, RunId};
use conrec_domain::manifest::Part;
use conrec_store::plain;
use object_store::path::Path as Key;
use object_store::{Error as StoreError, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};
use std::sync::Arc;

/// One file to be written: its name below the checkpoint's key, and its content.
#[derive(Clone, Debug)]
pub struct NamedBytes {
    /// File name.
    pub name: String,
    /// Content.
    pub bytes: Bytes,
}

/// Writes and reads the parts of one run's checkpoints, under `<store>/<run>/<key>/`.
#[derive(Clone, Debug)]
pub struct CheckpointParts {
    store: Arc<dyn ObjectStore>,
    run: RunId,
}

/// Why a part could not be written or read back.
#[derive(Debug, thiserror::Error)]
pub enum PartError {
    /// The part is not in the store.
    #[error("checkpoint part `{name}` under `{key}` is missing")]
    Missing {
        /// File name.
        name: String,
        /// The checkpoint's key.
        key: String,
    },
    /// The part has another length than the manifest says.
    #[error("checkpoint part `{name}` under `{key}` has {found} bytes, expected {expected}: it was cut or replaced")]
    Size {
        /// File name.
        name: String,
        /// The checkpoint's key.
        key: String,
        /// Bytes in the store.
        found: u64,
        /// Bytes by the manifest.
        expected: u64,
    },
    /// The part has another content than the manifest says.
    #[error("checkpoint part `{name}` under `{key}` has SHA-256 {found}, expected {expected}: its content was changed")]
    Content {
        /// File name.
        name: String,
        /// The checkpoint's key.
        key: String,
        /// Digest of what lies in the store.
        found: Digest,
        /// Digest by the manifest.
        expected: Digest,
    },
    /// Another content already lies under the same name; nothing is written over it.
    #[error(
        "checkpoint part `{name}` under `{key}` exists with SHA-256 {found}, to be written was {expected}; it is kept"
    )]
    Conflict {
        /// File name.
        name: String,
        /// The checkpoint's key.
        key: String,
        /// Digest of what lies in the store.
        found: Digest,
        /// Digest of what was to be written.
        expected: Digest,
    },
    /// The store failed.
    #[error("checkpoint part `{name}` under `{key}`: the store failed: {}", plain(source))]
    Store {
        /// File name.
        name: String,
        /// The checkpoint's key.
        key: String,
        /// The store's words.
        source: StoreError,
    },
}

impl CheckpointParts {
    /// Parts of `run` in any object store.
    pub fn new(store: Arc<dyn ObjectStore>, run: RunId) -> Self {
        Self { store, run }
    }

    /// Removes what was written under `key`, so that a checkpoint that will never be whole takes no space. Nothing is
    /// said where that fails too: the store is gone, and an operator prunes it later.
    pub async fn give_up(&self, key: &str, parts: &[NamedBytes]) {
        for part in parts {
            let _ = self.store.delete(&self.place(key, &part.name)).await;
        }
    }

    /// Writes the parts under `key` and says what the manifest has to say of them, in the order of their names. A part
    /// that already lies there with the same content is accepted.
    ///
    /// # Errors
    /// [`PartError::Conflict`] when another content lies there, [`PartError::Store`] when the store fails.
    pub async fn write(&self, key: &str, parts: &[NamedBytes]) -> Result<Vec<Part>, PartError> {
        let mut written = Vec::with_capacity(parts.len());
        for part in parts {
            written.push(self.write_one(key, part).await?);
        }
        written.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(written)
    }

    /// Reads one part back.
    ///
    /// # Errors
    /// [`PartError::Missing`], [`PartError::Size`] or [`PartError::Content`] when it is not the part that `expected`
    /// describes, [`PartError::Store`] when the store fails.
    pub async fn read(&self, key: &str, expected: &Part) -> Result<Bytes, PartError> {
        let name = &expected.name;
        let bytes = self.fetch(key, name).await?;
        if bytes.len() as u64 != expected.bytes {
            return Err(PartError::Size {
                name: name.clone(),
                key: key.to_owned(),
                found: bytes.len() as u64,
                expected: expected.bytes,
            });
        }
        let found = Digest::of(&bytes);
        if found != expected.sha256 {
            let (name, key) = (name.clone(), key.to_owned());
            return Err(PartError::Content { name, key, found, expected: expected.sha256 });
        }
        Ok(bytes)
    }

    async fn write_one(&self, key: &str, part: &NamedBytes) -> Result<Part, PartError> {
        let NamedBytes { name, bytes } = part;
        let sha256 = Digest::of(bytes);
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        let payload = PutPayload::from_bytes(bytes.clone());
        match self.store.put_opts(&self.place(key, name), payload, options).await {
            Ok(_) => {}
            Err(StoreError::AlreadyExists { .. }) => self.accept_existing(key, name, sha256).await?,
            Err(source) => return Err(store_failed(key, name, source)),
        }
        Ok(Part { name: name.clone(), bytes: bytes.len() as u64, sha256 })
    }

    async fn accept_existing(&self, key: &str, name: &str, expected: Digest) -> Result<(), PartError> {
        let found = Digest::of(&self.fetch(key, name).await?);
        if found == expected {
            return Ok(());
        }
        Err(PartError::Conflict { name: name.to_owned(), key: key.to_owned(), found, expected })
    }

    async fn fetch(&self, key: &str, name: &str) -> Result<Bytes, PartError> {
        let failed = |error| match error {
            StoreError::NotFound { .. } => PartError::Missing { name: name.to_owned(), key: key.to_owned() },
            source => store_failed(key, name, source),
        };
        let found = self.store.get(&self.place(key, name)).await.map_err(failed)?;
        found.bytes().await.map_err(failed)
    }

    fn place(&self, key: &str, name: &str) -> Key {
        Key::from(format!("{}/{key}/{name}", self.run))
    }
}

fn store_failed(key: &str, name: &str, source: StoreError) -> PartError {
    PartError::Store { name: name.to_owned(), key: key.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use conrec_store::Store;
    use std::fs;
    use std::path::PathBuf;
    use tempfile::TempDir;

    const KEY: &str = "checkpoints/0000000007-000002";

    fn store() -> (TempDir, CheckpointParts) {
        let folder = TempDir::new().unwrap();
        let store = Store::make(folder.path().join("runs").to_str().unwrap()).unwrap();
        let parts = CheckpointParts::new(Arc::clone(store.objects()), "demo".parse().unwrap());
        (folder, parts)
    }

    fn file(folder: &TempDir, name: &str) -> PathBuf {
        folder.path().join("runs/demo").join(KEY).join(name)
    }

    fn named(name: &str, bytes: &'static [u8]) -> NamedBytes {
        NamedBytes { name: name.to_owned(), bytes: Bytes::from_static(bytes) }
    }

    #[tokio::test]
    async fn what_is_written_is_described_in_the_order_of_names_and_read_back() {
        let (folder, parts) = store();
        let written = parts.write(KEY, &[named("b.bin", b"abc"), named("a.bin", b"")]).await.unwrap();
        assert_eq!(
            written.iter().map(|p| (p.name.as_str(), p.bytes)).collect::<Vec<_>>(),
            [("a.bin", 0), ("b.bin", 3)]
        );
        // The published SHA-256 test vectors of "" and "abc".
        assert_eq!(written[0].sha256.to_string(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_eq!(written[1].sha256.to_string(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(fs::read(file(&folder, "b.bin")).unwrap(), b"abc");
        assert_eq!(parts.read(KEY, &written[1]).await.unwrap(), b"abc".as_slice());
        assert_eq!(parts.read(KEY, &written[0]).await.unwrap(), b"".as_slice());
    }

    #[tokio::test]
    async fn the_same_content_may_be_written_twice() {
        let (_folder, parts) = store();
        let first = parts.write(KEY, &[named("a.bin", b"abc")]).await.unwrap();
        let second = parts.write(KEY, &[named("a.bin", b"abc")]).await.unwrap();
        assert_eq!(first, second);
    }

    #[tokio::test]
    async fn another_content_under_the_same_name_is_refused_and_the_first_kept() {
        let (folder, parts) = store();
        parts.write(KEY, &[named("a.bin", b"abc")]).await.unwrap();
        let error = parts.write(KEY, &[named("a.bin", b"abd")]).await.unwrap_err();
        assert!(matches!(error, PartError::Conflict { .. }), "{error}");
        assert_eq!(fs::read(file(&folder, "a.bin")).unwrap(), b"abc");
    }

    #[tokio::test]
    async fn a_truncated_part_is_refused_with_both_sizes() {
        let (folder, parts) = store();
        let written = parts.write(KEY, &[named("a.bin", b"abcdef")]).await.unwrap();
        fs::write(file(&folder, "a.bin"), b"abcd").unwrap();
        let error = parts.read(KEY, &written[0]).await.unwrap_err();
        assert!(matches!(error, PartError::Size { found: 4, expected: 6, .. }), "{error}");
        assert!(error.to_string().contains("`a.bin` under `checkpoints/0000000007-000002` has 4 bytes, expected 6"));
    }

    #[tokio::test]
    async fn a_changed_byte_is_refused_with_both_digests() {
        let (folder, parts) = store();
        let written = parts.write(KEY, &[named("a.bin", b"abcdef")]).await.unwrap();
        fs::write(file(&folder, "a.bin"), b"abcdeF").unwrap();
        let error = parts.read(KEY, &written[0]).await.unwrap_err();
        assert!(matches!(error, PartError::Content { .. }), "{error}");
        let text = error.to_string();
        assert!(
            text.contains(&written[0].sha256.to_string()) && text.contains("a.bin") && text.contains(KEY),
            "{text}"
        );
    }

    #[tokio::test]
    async fn a_missing_part_is_named_with_its_key() {
        let (folder, parts) = store();
        let written = parts.write(KEY, &[named("a.bin", b"abc")]).await.unwrap();
        fs::remove_file(file(&folder, "a.bin")).unwrap();
        let error = parts.read(KEY, &written[0]).await.unwrap_err();
        assert_eq!(error.to_string(), format!("checkpoint part `a.bin` under `{KEY}` is missing"));
    }

    #[tokio::test]
    async fn what_is_given_up_leaves_nothing_behind() {
        let (folder, parts) = store();
        let named = [named("a.bin", b"abc"), named("never-written.bin", b"")];
        parts.write(KEY, &named[..1]).await.unwrap();
        parts.give_up(KEY, &named).await;
        assert!(!file(&folder, "a.bin").exists());
    }
}
