//! JSON objects in a store: created once, replaced, read, listed by number.

use crate::error::NightError;
use bytes::Bytes;
use conrec_store::Store;
use futures::TryStreamExt;
use object_store::path::Path as Key;
use object_store::{Error, ObjectStore, ObjectStoreExt, PutMode, PutPayload, UpdateVersion};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Display;

/// Everything of nights lies below this.
const ROOT: &str = "nightly";

/// The objects of nights.
#[derive(Clone, Debug)]
pub(crate) struct Records {
    pub store: Store,
}

impl Records {
    fn objects(&self) -> &dyn ObjectStore {
        self.store.objects().as_ref()
    }

    /// The key of `nightly/<name>`.
    fn key(name: &str) -> Key {
        Key::from(format!("{ROOT}/{name}"))
    }

    /// Where `nightly/<name>` lies, for people.
    pub fn place(&self, name: &str) -> String {
        match self.store.folder() {
            Some(folder) => folder.join(ROOT).join(name).display().to_string(),
            None => format!("{}/{ROOT}/{name}", self.store.url().trim_end_matches('/')),
        }
    }

    /// Creates an object. Whether it is this one: false where another one was there before. An answer may be lost on its
    /// way, and the same content again is taken for the same act.
    pub async fn create(&self, name: &str, content: &impl Serialize) -> Result<bool, NightError> {
        let bytes = self.encode(name, content)?;
        let put =
            self.objects().put_opts(&Self::key(name), PutPayload::from(bytes.clone()), PutMode::Create.into()).await;
        match put {
            Ok(_) => Ok(true),
            Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => {
                Ok(self.bytes(name).await?.is_some_and(|there| there == bytes))
            }
            Err(error) => Err(NightError::unavailable("create", name)(error)),
        }
    }

    /// Writes an object whatever was there.
    pub async fn replace(&self, name: &str, content: &impl Serialize) -> Result<(), NightError> {
        self.put(name, self.encode(name, content)?).await
    }

    /// The same for bytes.
    pub async fn put(&self, name: &str, bytes: Bytes) -> Result<(), NightError> {
        let put = self.objects().put(&Self::key(name), PutPayload::from(bytes)).await;
        put.map(drop).map_err(NightError::unavailable("write", name))
    }

    /// Writes an object if it still has this version, or if there is still none. Whether it had. Folders know no versions:
    /// there it is written in any case.
    pub async fn swap(
        &self,
        name: &str,
        content: &impl Serialize,
        version: Option<UpdateVersion>,
    ) -> Result<bool, NightError> {
        let bytes = self.encode(name, content)?;
        let mode = version.map_or(PutMode::Create, PutMode::Update);
        match self.objects().put_opts(&Self::key(name), PutPayload::from(bytes), mode.into()).await {
            Ok(_) => Ok(true),
            Err(Error::AlreadyExists { .. } | Error::Precondition { .. } | Error::NotFound { .. }) => Ok(false),
            Err(Error::NotImplemented { .. }) => self.replace(name, content).await.map(|()| true),
            Err(error) => Err(NightError::unavailable("write", name)(error)),
        }
    }

    /// Reads an object; none where there is none.
    pub async fn read<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, NightError> {
        self.bytes(name).await?.map(|bytes| self.decode(name, &bytes)).transpose()
    }

    /// The same, with the version that [`Self::swap`] asks for.
    pub async fn read_version<T: DeserializeOwned>(
        &self,
        name: &str,
    ) -> Result<Option<(T, UpdateVersion)>, NightError> {
        let found = match self.objects().get(&Self::key(name)).await {
            Err(Error::NotFound { .. }) => return Ok(None),
            other => other.map_err(NightError::unavailable("read", name))?,
        };
        let version = UpdateVersion { e_tag: found.meta.e_tag.clone(), version: found.meta.version.clone() };
        let bytes = found.bytes().await.map_err(NightError::unavailable("read", name))?;
        Ok(Some((self.decode(name, &bytes)?, version)))
    }

    /// Names of the objects below `nightly/<folder>/`, in order.
    pub async fn names(&self, folder: &str) -> Result<Vec<String>, NightError> {
        let found: Vec<_> = self
            .objects()
            .list(Some(&Self::key(folder)))
            .try_collect()
            .await
            .map_err(NightError::unavailable("list", folder))?;
        let mut names: Vec<String> =
            found.iter().filter_map(|meta| meta.location.filename().map(str::to_owned)).collect();
        names.sort();
        Ok(names)
    }

    async fn bytes(&self, name: &str) -> Result<Option<Bytes>, NightError> {
        match self.objects().get(&Self::key(name)).await {
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(NightError::unavailable("read", name)(error)),
            Ok(found) => Ok(Some(found.bytes().await.map_err(NightError::unavailable("read", name))?)),
        }
    }

    fn encode(&self, name: &str, content: &impl Serialize) -> Result<Bytes, NightError> {
        let mut text = serde_json::to_vec_pretty(content).map_err(|error| self.damaged(name, &error))?;
        text.push(b'\n');
        Ok(text.into())
    }

    fn decode<T: DeserializeOwned>(&self, name: &str, bytes: &[u8]) -> Result<T, NightError> {
        serde_json::from_slice(bytes).map_err(|error| self.damaged(name, &error))
    }

    /// An object that belongs elsewhere: what it says it is, and what its name says.
    pub fn misplaced(&self, name: &str, found: impl Display, expected: impl Display) -> NightError {
        NightError::Damaged {
            place: self.place(name),
            message: format!("it is that of {found}, its name says {expected}"),
        }
    }

    fn damaged(&self, name: &str, error: &serde_json::Error) -> NightError {
        NightError::Damaged { place: self.place(name), message: error.to_string() }
    }
}

/// Names of numbered objects are in their order; so many digits outlast any series of nights.
pub(crate) fn numbered(number: u64) -> String {
    format!("{number:08}")
}

/// The number that a name such as `00000012.json` begins with; none in names of another end.
pub(crate) fn number_of(name: &str, end: &str) -> Option<u64> {
    let digits = name.strip_suffix(end)?;
    (digits.len() == 8).then(|| digits.parse().ok()).flatten()
}
