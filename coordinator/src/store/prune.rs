//! Removes checkpoints: one by one as retention says, or all that retention and a crash have left over.

use super::{RunObjects, StoreError};
use conrec_domain::manifest::Manifest;
use conrec_domain::retention::{Kept, surplus};
use conrec_domain::spec::CheckpointSpec;
use futures::TryStreamExt;
use object_store::ObjectStore;
use object_store::path::Path;

impl RunObjects {
    /// Removes a checkpoint, its manifest first, so that what is left of it is never taken for whole.
    ///
    /// # Errors
    /// The store fails. What does not exist is removed.
    pub async fn prune(&self, key: &str) -> Result<(), StoreError> {
        if !key.starts_with("checkpoints/") {
            return Err(StoreError::Manifest { key: key.to_owned(), reason: "it is no checkpoint".into() });
        }
        self.remove(&Path::from(format!("{key}/manifest.json"))).await?;
        let below = self.objects.list(Some(&Path::from(key))).try_collect::<Vec<_>>().await;
        for meta in below.map_err(StoreError::unavailable("list", key))? {
            self.remove(&meta.location).await?;
        }
        Ok(())
    }

    /// Applies retention to all that lies in the store, and removes what was never finished and is older than the newest
    /// whole checkpoint: no writer comes back to it. The newest whole one stays in any case, so this may be done while
    /// the run trains. Answers the keys that were removed, oldest first.
    ///
    /// # Errors
    /// The store fails.
    pub async fn prune_surplus(&self, rules: &CheckpointSpec) -> Result<Vec<String>, StoreError> {
        let mut found = self.checkpoints(false).await?;
        found.reverse();
        let Some(newest) = found.iter().rev().find_map(|found| found.manifest.as_ref().ok()) else {
            return Ok(Vec::new());
        };
        let newest_key = Manifest::key(newest.iteration, newest.fence);
        let select = newest.cursor.select_checkpoint.clone();
        let whole: Vec<Kept> = found.iter().filter_map(|found| found.manifest.as_ref().ok()).map(Kept::of).collect();
        let mut gone = surplus(&whole, rules, select.as_deref());
        let unfinished = found.iter().filter(|found| found.manifest.is_err() && found.key < newest_key);
        gone.extend(unfinished.map(|found| found.key.clone()).filter(|key| Some(key) != select.as_ref()));
        gone.sort();
        for key in &gone {
            self.prune(key).await?;
        }
        Ok(gone)
    }
}
