//! Whether the files that a manifest names are there, with the sizes and digests it names.

use super::{RunObjects, StoreError};
use conrec_domain::ids::Digest;
use conrec_domain::manifest::Part;
use futures::TryStreamExt;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use sha2::{Digest as _, Sha256};

impl RunObjects {
    /// What is wrong with the first part that is not whole; `None` when all are. Reads every byte.
    pub(super) async fn damage(&self, prefix: &str, parts: &[Part]) -> Result<Option<String>, StoreError> {
        for part in parts {
            let key = match part_key(prefix, part) {
                Ok(key) => key,
                Err(reason) => return Ok(Some(reason)),
            };
            if let Some(reason) = self.wrong_size(&key, part).await? {
                return Ok(Some(reason));
            }
            let Some(found) = self.sha256(&key).await? else {
                // Pruned since its size was looked at.
                return Ok(Some(format!("part {} is missing", part.name)));
            };
            if found != part.sha256 {
                return Ok(Some(format!("part {} has SHA-256 {found}, its manifest says {}", part.name, part.sha256)));
            }
        }
        Ok(None)
    }

    /// What is wrong with the first part that is missing or of another size; reads no content.
    pub(super) async fn missing(&self, prefix: &str, parts: &[Part]) -> Result<Option<String>, StoreError> {
        for part in parts {
            let found = match part_key(prefix, part) {
                Ok(key) => self.wrong_size(&key, part).await?,
                Err(reason) => Some(reason),
            };
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    async fn wrong_size(&self, key: &str, part: &Part) -> Result<Option<String>, StoreError> {
        match self.objects.head(&Path::from(key)).await {
            Ok(meta) if meta.size == part.bytes => Ok(None),
            Ok(meta) => {
                Ok(Some(format!("part {} has {} bytes, its manifest says {}", part.name, meta.size, part.bytes)))
            }
            Err(object_store::Error::NotFound { .. }) => Ok(Some(format!("part {} is missing", part.name))),
            Err(error) => Err(StoreError::unavailable("look at", key)(error)),
        }
    }

    /// Of an object, where there is one. Reads in pieces, so that a large part costs no memory.
    async fn sha256(&self, key: &str) -> Result<Option<Digest>, StoreError> {
        let mut content = match self.objects.get(&Path::from(key)).await {
            Ok(found) => found.into_stream(),
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(StoreError::unavailable("read", key)(error)),
        };
        let mut hash = Sha256::new();
        while let Some(piece) = content.try_next().await.map_err(StoreError::unavailable("read", key))? {
            hash.update(&piece);
        }
        Ok(Some(Digest(hash.finalize().into())))
    }
}

/// A part lies below its prefix; a name that leads elsewhere is refused.
fn part_key(prefix: &str, part: &Part) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let step = |s: &str| !s.is_empty() && !s.starts_with('.') && s.chars().all(plain);
    if !part.name.split('/').all(step) {
        return Err(format!("part name `{}`: allowed are a-z A-Z 0-9 - _ . and / between them", part.name));
    }
    Ok(format!("{prefix}/{}", part.name))
}
