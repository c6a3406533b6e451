//! Proves that a store keeps its conditions. Two coordinators are kept apart, and checkpoints are kept from being
//! overwritten, by conditional writes only: a store that takes them lightly would lose runs without a word.

use crate::plain;
use bytes::Bytes;
use object_store::path::Path as Key;
use object_store::{Error, ObjectStore, ObjectStoreExt, PutMode, PutPayload, UpdateVersion};

/// Why a store cannot hold runs.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The store said yes where it had to say no.
    #[error(
        "the store does not keep its conditions: {what}; runs in it could overwrite each other, so it is refused; use \
         a store with conditional writes (If-None-Match and If-Match)"
    )]
    Lies {
        /// What it did.
        what: String,
    },
    /// The store refused what it has to allow: it cannot be reached, or not be written.
    #[error(
        "cannot {action} `{key}` in the store: {}; expected is a store that can be read and written",
        plain(source)
    )]
    Refused {
        /// Verb.
        action: &'static str,
        /// Key.
        key: String,
        /// The store's own words.
        source: Error,
    },
}

/// Tries the store out with an object of its own, `probe-<chance>`, which is removed again. `updates`: whether the store
/// is to be used with conditional updates; folders have none.
///
/// # Errors
/// The store lies, or cannot be used.
pub async fn probe(objects: &dyn ObjectStore, chance: u64, updates: bool) -> Result<(), ProbeError> {
    let probe = Probe { objects, key: format!("probe-{chance:016x}") };
    let found = probe.run(updates).await;
    let removed = objects.delete(&Key::from(probe.key.as_str())).await;
    found?;
    removed.map_err(|source| probe.refused("remove", source))?;
    if probe.content().await?.is_some() {
        return Err(lies("an object was there after it had been removed".into()));
    }
    Ok(())
}

struct Probe<'a> {
    objects: &'a dyn ObjectStore,
    key: String,
}

impl Probe<'_> {
    async fn run(&self, updates: bool) -> Result<(), ProbeError> {
        let first = self.put("first", PutMode::Create).await.map_err(|source| self.refused("write", source))?;
        match self.put("second", PutMode::Create).await {
            Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => {}
            Err(source) => return Err(self.refused("write", source)),
            Ok(_) => return Err(lies("it created an object that was there already".into())),
        }
        self.holds("first").await?;
        if !updates {
            return Ok(());
        }
        let third = self.put("third", PutMode::Update(first.clone())).await;
        third.map_err(|source| self.refused("update", source))?;
        self.holds("third").await?;
        match self.put("fourth", PutMode::Update(first)).await {
            Err(Error::Precondition { .. } | Error::AlreadyExists { .. }) => {}
            Err(source) => return Err(self.refused("update", source)),
            Ok(_) => return Err(lies("it updated an object for a version that had gone".into())),
        }
        self.holds("third").await
    }

    async fn put(&self, content: &'static str, mode: PutMode) -> Result<UpdateVersion, Error> {
        let payload = PutPayload::from_static(content.as_bytes());
        self.objects.put_opts(&Key::from(self.key.as_str()), payload, mode.into()).await.map(UpdateVersion::from)
    }

    async fn holds(&self, expected: &str) -> Result<(), ProbeError> {
        let found = self.content().await?;
        if found.as_deref() == Some(expected.as_bytes()) {
            return Ok(());
        }
        let found = found.map_or_else(|| "nothing".to_owned(), |found| String::from_utf8_lossy(&found).into_owned());
        Err(lies(format!("it was given `{expected}` and gave back `{found:.20}`")))
    }

    async fn content(&self) -> Result<Option<Bytes>, ProbeError> {
        match self.objects.get(&Key::from(self.key.as_str())).await {
            Err(Error::NotFound { .. }) => Ok(None),
            Err(source) => Err(self.refused("read", source)),
            Ok(found) => found.bytes().await.map(Some).map_err(|source| self.refused("read", source)),
        }
    }

    fn refused(&self, action: &'static str, source: Error) -> ProbeError {
        ProbeError::Refused { action, key: self.key.clone(), source }
    }
}

fn lies(what: String) -> ProbeError {
    ProbeError::Lies { what }
}
