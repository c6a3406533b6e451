//! Checkpoints: published by conditional create of their manifest, found again newest first.

use super::{RunObjects, RunStore, StoreError};
use conrec_domain::ids::{Digest, Fence};
use conrec_domain::manifest::Manifest;
use conrec_domain::retention::Kept;
use object_store::ObjectStore;
use object_store::path::Path;

const CHECKPOINTS: &str = "checkpoints";

/// Something in the store that was not used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Key below the run's folder.
    pub key: String,
    /// What is wrong with it.
    pub why: String,
}

/// A checkpoint as it lies in the store.
#[derive(Clone, Debug)]
pub struct Found {
    /// Key below the run's folder.
    pub key: String,
    /// What its manifest says, or why it cannot be used.
    pub manifest: Result<Manifest, String>,
}

impl RunObjects {
    /// Every checkpoint, newest first, and whether it is whole: its parts have the right sizes, and with `every_byte`
    /// the right digests.
    ///
    /// # Errors
    /// The store cannot be read. A damaged checkpoint is no error.
    pub async fn checkpoints(&self, every_byte: bool) -> Result<Vec<Found>, StoreError> {
        let mut found = Vec::new();
        for key in self.checkpoint_keys().await? {
            let manifest = self.look_at(&key, every_byte).await?;
            found.push(Found { key, manifest });
        }
        Ok(found)
    }

    /// One checkpoint, every byte of it read.
    ///
    /// # Errors
    /// The store cannot be read. A checkpoint that is damaged or not there is no error.
    pub async fn checkpoint(&self, key: &str) -> Result<Found, StoreError> {
        Ok(Found { key: key.to_owned(), manifest: self.look_at(key, true).await? })
    }

    async fn look_at(&self, key: &str, every_byte: bool) -> Result<Result<Manifest, String>, StoreError> {
        let manifest = match self.manifest(key).await? {
            Ok(manifest) => manifest,
            Err(why) => return Ok(Err(why)),
        };
        let why = if every_byte {
            self.damage(key, &manifest.parts).await?
        } else {
            self.missing(key, &manifest.parts).await?
        };
        Ok(why.map_or(Ok(manifest), Err))
    }

    /// The newest whole checkpoint that belongs to this run, and the newer ones that had to be skipped.
    /// `data` is the digest of the prepared data, where that is known.
    ///
    /// # Errors
    /// The store cannot be read. A damaged checkpoint is no error: it is skipped and named.
    pub async fn newest_whole(
        &self,
        config: Digest,
        data: Option<Digest>,
    ) -> Result<(Option<Manifest>, Vec<Skipped>), StoreError> {
        let mut skipped = Vec::new();
        for key in self.checkpoint_keys().await? {
            match self.whole(&key, config, data).await? {
                Ok(manifest) => return Ok((Some(manifest), skipped)),
                Err(why) => skipped.push(Skipped { key, why }),
            }
        }
        Ok((None, skipped))
    }

    /// Key prefixes of all checkpoints, newest first, whole or not.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn checkpoint_keys(&self) -> Result<Vec<String>, StoreError> {
        let listing = self.objects.list_with_delimiter(Some(&Path::from(CHECKPOINTS))).await;
        let listing = listing.map_err(StoreError::unavailable("list", CHECKPOINTS))?;
        let mut keys: Vec<String> = listing.common_prefixes.iter().map(ToString::to_string).collect();
        keys.sort_unstable_by(|a, b| b.cmp(a));
        Ok(keys)
    }

    /// The checkpoints that have a manifest and are no newer than `newest`: what retention counts.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn finished_checkpoints(&self, newest: Option<&Manifest>) -> Result<Vec<Kept>, StoreError> {
        let Some(newest) = newest.map(|newest| Manifest::key(newest.iteration, newest.fence)) else {
            return Ok(Vec::new());
        };
        let mut finished = Vec::new();
        for key in self.checkpoint_keys().await? {
            if key <= newest
                && let Ok(manifest) = self.manifest(&key).await?
            {
                finished.push(Kept { key, ..Kept::of(&manifest) });
            }
        }
        Ok(finished)
    }

    /// The manifests of this run's checkpoints before the newest, oldest first, as far as their parts are there. Their content
    /// is not read: a worker does that before it uses one.
    ///
    /// # Errors
    /// The store cannot be read. What cannot be used is left out.
    pub async fn older_than(
        &self,
        newest: &Manifest,
        config: Digest,
        data: Option<Digest>,
    ) -> Result<Vec<Manifest>, StoreError> {
        let newest = Manifest::key(newest.iteration, newest.fence);
        let mut older = Vec::new();
        for key in self.checkpoint_keys().await?.into_iter().rev().filter(|key| *key < newest) {
            if let Ok(manifest) = self.look_at(&key, false).await?
                && self.foreign(&manifest, config, data).is_none()
            {
                older.push(manifest);
            }
        }
        Ok(older)
    }

    /// The manifest under a key, or why the checkpoint cannot be used.
    async fn whole(
        &self,
        key: &str,
        config: Digest,
        data: Option<Digest>,
    ) -> Result<Result<Manifest, String>, StoreError> {
        let manifest = match self.manifest(key).await? {
            Ok(manifest) => manifest,
            Err(why) => return Ok(Err(why)),
        };
        if let Some(why) = self.foreign(&manifest, config, data) {
            return Ok(Err(why));
        }
        let damage = self.damage(key, &manifest.parts).await?;
        Ok(damage.map_or(Ok(manifest), Err))
    }

    /// What `manifest.json` says of the checkpoint that it lies in, or why it says nothing.
    async fn manifest(&self, key: &str) -> Result<Result<Manifest, String>, StoreError> {
        let Some(bytes) = self.read(&format!("{key}/manifest.json")).await? else {
            return Ok(Err("it has no manifest.json, so it was never finished".into()));
        };
        let manifest = match Manifest::parse(&bytes) {
            Ok(manifest) => manifest,
            Err(error) => return Ok(Err(error.to_string())),
        };
        let own_key = Manifest::key(manifest.iteration, manifest.fence);
        if own_key != key {
            return Ok(Err(format!("its manifest is that of {own_key}")));
        }
        Ok(Ok(manifest))
    }

    /// Why a manifest is not of this run.
    fn foreign(&self, manifest: &Manifest, config: Digest, data: Option<Digest>) -> Option<String> {
        if manifest.run_id != self.run_id {
            return Some(format!("it belongs to run `{}`", manifest.run_id));
        }
        if manifest.config_digest != config {
            return Some(format!("it was made with config {}, this run has {config}", manifest.config_digest));
        }
        if let Some(data) = data.filter(|data| *data != manifest.data_digest) {
            return Some(format!("it was made from data {}, this run has {data}", manifest.data_digest));
        }
        None
    }
}

impl RunStore {
    /// Makes a checkpoint whole: checks that its parts are there, then creates the manifest. Answers its key. `claimed`
    /// tells the newest roster of this process; it may be newer than the one that wrote the parts, and may grow meanwhile.
    ///
    /// # Errors
    /// A part is missing, a newer roster or coordinator exists, or the checkpoint exists already; or the store fails.
    pub async fn publish(&self, manifest: &Manifest, claimed: impl Fn() -> Fence + Send) -> Result<String, StoreError> {
        let key = Manifest::key(manifest.iteration, manifest.fence);
        let refuse = |reason: String| StoreError::Manifest { key: key.clone(), reason };
        let outdated = |reason: String| StoreError::Outdated { key: key.clone(), reason };
        if let Some(reason) = self.missing(&key, &manifest.parts).await? {
            return Err(refuse(reason));
        }
        let last = self.last_fence().await?;
        // Asked after the store: what this process has minted by now is its own.
        let claimed = claimed();
        if last > claimed {
            return Err(outdated(format!("roster {last} is newer than the newest here, {claimed}")));
        }
        let content = manifest.to_json().map_err(|error| refuse(error.to_string()))?;
        self.hold.renew(self).await?;
        if !self.create(&format!("{key}/manifest.json"), format!("{content:#}\n").into_bytes()).await? {
            return Err(outdated("it exists already; checkpoints are never overwritten".into()));
        }
        Ok(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use conrec_domain::curriculum::Cursor;
    use conrec_domain::ids::Iteration;
    use conrec_domain::manifest::{PARTS, Part};
    use conrec_store::Store;

    /// A store with the parts of a checkpoint of roster 1, and the manifest that would make it whole.
    async fn with_parts(folder: &tempfile::TempDir) -> (RunStore, Manifest) {
        let run_id = "run".parse().unwrap();
        let store = RunStore::open(&Store::make(folder.path().to_str().unwrap()).unwrap(), &run_id, 1).await.unwrap();
        store.claim_fence(Fence(1)).await.unwrap();
        let manifest = Manifest {
            version: Manifest::VERSION,
            run_id,
            config_digest: Digest::of(b"config"),
            data_digest: Digest::of(b"data"),
            code_version: "1".into(),
            fence: Fence(1),
            iteration: Iteration(7),
            state_digest: Digest::of(b"state"),
            cursor: Cursor::start(),
            parts: PARTS.map(|name| Part { name: name.into(), bytes: 3, sha256: Digest::of(b"abc") }).to_vec(),
        };
        let key = Manifest::key(manifest.iteration, manifest.fence);
        for name in PARTS {
            assert!(store.create(&format!("{key}/{name}"), b"abc".to_vec()).await.unwrap());
        }
        (store, manifest)
    }

    async fn refusal(store: &RunStore, manifest: &Manifest) -> String {
        store.publish(manifest, || manifest.fence).await.unwrap_err().to_string()
    }

    #[tokio::test]
    async fn a_published_checkpoint_is_found_and_a_pruned_one_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let (store, manifest) = with_parts(&folder).await;
        let key = store.publish(&manifest, || manifest.fence).await.unwrap();
        let found = store.newest_whole(manifest.config_digest, None).await.unwrap();
        assert_eq!(found, (Some(manifest.clone()), Vec::new()));
        store.prune(&key).await.unwrap();
        assert_eq!(store.newest_whole(manifest.config_digest, None).await.unwrap(), (None, Vec::new()));
        assert!(!store.folder().join(key).exists());
    }

    #[tokio::test]
    async fn a_checkpoint_of_other_data_or_config_is_skipped() {
        let folder = tempfile::tempdir().unwrap();
        let (store, manifest) = with_parts(&folder).await;
        store.publish(&manifest, || manifest.fence).await.unwrap();
        let other = Digest::of(b"other");
        for (config, data) in [(other, None), (manifest.config_digest, Some(other))] {
            let (found, skipped) = store.newest_whole(config, data).await.unwrap();
            assert_eq!(found, None);
            assert!(skipped[0].why.contains(&other.to_string()), "{skipped:?}");
        }
    }

    #[tokio::test]
    async fn a_checkpoint_is_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let (store, manifest) = with_parts(&folder).await;
        store.publish(&manifest, || manifest.fence).await.unwrap();
        assert!(refusal(&store, &manifest).await.contains("exists already"));
    }

    #[tokio::test]
    async fn an_outdated_roster_cannot_publish() {
        let folder = tempfile::tempdir().unwrap();
        let (store, manifest) = with_parts(&folder).await;
        store.claim_fence(Fence(2)).await.unwrap();
        assert!(refusal(&store, &manifest).await.contains("roster 2 is newer"));
    }

    #[tokio::test]
    async fn a_manifest_whose_parts_are_not_there_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (store, mut manifest) = with_parts(&folder).await;
        manifest.parts[0].bytes = 4;
        assert!(refusal(&store, &manifest).await.contains("has 3 bytes, its manifest says 4"));
        manifest.parts[0].name = "b.bin".into();
        assert!(refusal(&store, &manifest).await.contains("b.bin is missing"));
        manifest.parts[0].name = "../a.bin".into();
        assert!(refusal(&store, &manifest).await.contains("part name `../a.bin`"));
    }

    #[tokio::test]
    async fn only_checkpoints_are_pruned() {
        let folder = tempfile::tempdir().unwrap();
        let (store, _) = with_parts(&folder).await;
        assert!(store.prune("fences").await.is_err());
        assert_eq!(store.last_fence().await.unwrap(), Fence(1));
    }
}
