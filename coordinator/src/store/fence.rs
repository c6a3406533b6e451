//! Roster numbers: `fences/<n>` is created once, by whoever mints the number, so no two coordinators ever own the same.

use super::{RunObjects, RunStore, StoreError};
use conrec_domain::ids::Fence;
use futures::TryStreamExt;
use object_store::ObjectStore;
use object_store::path::Path;

const FENCES: &str = "fences";

impl RunObjects {
    /// The largest roster number that was ever minted for this run; 0 when none was.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn last_fence(&self) -> Result<Fence, StoreError> {
        let mut listing = self.objects.list(Some(&Path::from(FENCES)));
        let mut last = 0;
        while let Some(meta) = listing.try_next().await.map_err(StoreError::unavailable("list", FENCES))? {
            let number = meta.location.filename().and_then(|name| name.parse::<u64>().ok());
            last = last.max(number.unwrap_or(0));
        }
        Ok(Fence(last))
    }

    /// Whether any coordinator has made a roster number its own.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(crate) async fn is_minted(&self, fence: Fence) -> Result<bool, StoreError> {
        Ok(self.read(&key(fence)).await?.is_some())
    }
}

impl RunStore {
    /// Makes this coordinator the owner of a roster number; it may be asked again when the store failed.
    ///
    /// # Errors
    /// [`StoreError::FenceTaken`] when another coordinator owns it, [`StoreError::TakenOver`] when another one holds the
    /// run, or the store fails.
    pub async fn claim_fence(&self, fence: Fence) -> Result<(), StoreError> {
        self.hold.renew(self).await?;
        let key = key(fence);
        let owner = format!("{}\n", self.name).into_bytes();
        if self.create(&key, owner.clone()).await? {
            return Ok(());
        }
        // An earlier try may have come through though its answer did not.
        if self.read(&key).await?.is_some_and(|there| there == owner) {
            return Ok(());
        }
        Err(StoreError::FenceTaken { run_id: self.run_id.clone(), fence })
    }
}

fn key(fence: Fence) -> String {
    format!("{FENCES}/{:06}", fence.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use conrec_store::Store;

    #[tokio::test]
    async fn a_roster_number_has_one_owner() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::make(folder.path().to_str().unwrap()).unwrap();
        let store = RunStore::open(&store, &"run".parse().unwrap(), 1).await.unwrap();
        assert_eq!(store.last_fence().await.unwrap(), Fence(0));
        store.claim_fence(Fence(9)).await.unwrap();
        store.claim_fence(Fence(10)).await.unwrap();
        assert!(store.is_minted(Fence(10)).await.unwrap() && !store.is_minted(Fence(8)).await.unwrap());
        assert_eq!(store.last_fence().await.unwrap(), Fence(10));
        store.claim_fence(Fence(10)).await.unwrap();
        std::fs::write(folder.path().join("run/fences/000011"), "process 1, 0000000000000001\n").unwrap();
        let error = store.claim_fence(Fence(11)).await.unwrap_err();
        assert!(matches!(error, StoreError::FenceTaken { fence: Fence(11), .. }));
    }
}
