//! How a coordinator holds its run: a lock on a file where the store is a folder, a claim in the store itself elsewhere.

use super::claim::Claim;
use super::lock::RunLock;
use super::{RunObjects, StoreError};
use conrec_store::{Scratch, probe};
use std::path::PathBuf;
use std::time::Duration;

pub(super) enum Hold {
    /// The system frees the lock when the process ends.
    Folder { folder: PathBuf, lock: RunLock },
    /// A newer coordinator takes the claim over, and the older one learns it at its next write.
    Claim { claim: Claim, scratch: Scratch },
}

impl Hold {
    /// Takes the run, once the store has been proved.
    pub(super) async fn take(run: &RunObjects, chance: u64) -> Result<Self, StoreError> {
        let Some(root) = run.store.folder() else {
            probe(run.objects.as_ref(), chance, true).await?;
            let scratch = Scratch::make(None, run.run_id.as_str(), chance)
                .map_err(|(path, error)| StoreError::io("make the folder", &path)(error))?;
            let holder = format!("process {}, {chance:016x}", std::process::id());
            let claim = Claim::take(run, holder).await?;
            return Ok(Self::Claim { claim, scratch });
        };
        let folder = root.join(run.run_id.as_str());
        std::fs::create_dir_all(&folder).map_err(StoreError::io("make the folder", &folder))?;
        let lock = RunLock::take(&folder, &run.run_id)?;
        probe(run.objects.as_ref(), chance, false).await?;
        Ok(Self::Folder { folder, lock })
    }

    /// Makes sure, before something is written that only one coordinator may write, that it is still this one.
    pub(super) async fn renew(&self, run: &RunObjects) -> Result<(), StoreError> {
        match self {
            Self::Folder { .. } => Ok(()),
            Self::Claim { claim, .. } => claim.renew(run).await,
        }
    }

    /// Comes back once another coordinator holds the run; looks `every` so often. Never where a lock keeps others out.
    pub(super) async fn until_taken_over(&self, run: &RunObjects, every: Duration) -> StoreError {
        let Self::Claim { claim, .. } = self else { return std::future::pending().await };
        loop {
            tokio::time::sleep(every).await;
            if let Some(error) = claim.taken_over(run).await {
                return error;
            }
        }
    }

    /// Whether no other coordinator can have gone on with the run since [`Hold::renew`] said so.
    pub(super) fn is_exclusive(&self) -> bool {
        match self {
            Self::Folder { lock, .. } => lock.is_exclusive(),
            Self::Claim { .. } => true,
        }
    }
}
