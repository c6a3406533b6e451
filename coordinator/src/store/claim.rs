//! One coordinator a run in a store that several machines reach: `coordinator.json` says who it is. Each coordinator takes
//! it over by compare-and-swap when it opens the run, and renews it in the same way before it writes what only one may
//! write; so an older one that still lives is stopped there, whatever it believes.

use super::{RunObjects, StoreError};
use object_store::path::Path;
use object_store::{Error, ObjectStoreExt, PutMode, PutPayload, UpdateVersion};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

const KEY: &str = "coordinator.json";

/// Coordinators that all start at the same moment take turns; more than this is no coincidence.
const ATTEMPTS: u32 = 20;

/// What the object says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Owner {
    /// Grows with each takeover.
    generation: u64,
    /// Grows with each renewal, so that no two contents are equal.
    renewed: u64,
    /// Who; no two coordinators are named alike.
    holder: String,
}

/// Held for as long as nobody takes it over.
pub(super) struct Claim {
    last: Mutex<(Owner, UpdateVersion)>,
}

impl Claim {
    /// Takes the run over from whoever held it.
    pub(super) async fn take(run: &RunObjects, holder: String) -> Result<Self, StoreError> {
        for _ in 0..ATTEMPTS {
            let before = read(run).await?;
            let generation = before.as_ref().map_or(0, |(owner, _)| owner.generation) + 1;
            let owner = Owner { generation, renewed: 0, holder: holder.clone() };
            let mode = before.map_or(PutMode::Create, |(_, version)| PutMode::Update(version));
            if let Some(version) = swap(run, &owner, mode).await? {
                tracing::info!(generation, "holds the run");
                return Ok(Self { last: Mutex::new((owner, version)) });
            }
        }
        Err(StoreError::Contended { run_id: run.run_id.clone(), key: run.place(KEY) })
    }

    /// Says once more that it is this one, or learns that it is not.
    pub(super) async fn renew(&self, run: &RunObjects) -> Result<(), StoreError> {
        let mut last = self.last.lock().await;
        let (owner, version) = &*last;
        let next = Owner { renewed: owner.renewed + 1, ..owner.clone() };
        if let Some(version) = swap(run, &next, PutMode::Update(version.clone())).await? {
            *last = (next, version);
            return Ok(());
        }
        // An answer may have been lost on its way: then the object is the one that was to be written.
        match read(run).await? {
            Some((found, version)) if found == next => {
                *last = (found, version);
                Ok(())
            }
            found => Err(StoreError::TakenOver {
                run_id: run.run_id.clone(),
                by: found.map_or_else(|| "nobody: it was removed".into(), |(found, _)| found.holder),
            }),
        }
    }

    /// Whoever has taken the run over since, as far as the store says so; nothing is written. A store that does not answer
    /// says nothing, and an object that was removed is found missing at the next renewal.
    pub(super) async fn taken_over(&self, run: &RunObjects) -> Option<StoreError> {
        let own = self.last.lock().await.0.generation;
        let (found, _) = read(run).await.ok()??;
        let by = found.holder;
        (found.generation > own).then(|| StoreError::TakenOver { run_id: run.run_id.clone(), by })
    }
}

/// Who holds the run; a content that is none counts as the zeroth generation.
async fn read(run: &RunObjects) -> Result<Option<(Owner, UpdateVersion)>, StoreError> {
    let found = match run.objects.get(&Path::from(KEY)).await {
        Err(Error::NotFound { .. }) => return Ok(None),
        other => other.map_err(StoreError::unavailable("read", KEY))?,
    };
    let version = UpdateVersion { e_tag: found.meta.e_tag.clone(), version: found.meta.version.clone() };
    let content = found.bytes().await.map_err(StoreError::unavailable("read", KEY))?;
    Ok(Some((serde_json::from_slice(&content).unwrap_or_default(), version)))
}

/// Writes under a condition; none when it does not hold.
async fn swap(run: &RunObjects, owner: &Owner, mode: PutMode) -> Result<Option<UpdateVersion>, StoreError> {
    let content = serde_json::to_vec(owner)
        .map_err(|error| StoreError::Manifest { key: KEY.into(), reason: error.to_string() })?;
    match run.objects.put_opts(&Path::from(KEY), PutPayload::from(content), mode.into()).await {
        Ok(put) => Ok(Some(put.into())),
        Err(Error::AlreadyExists { .. } | Error::Precondition { .. } | Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(StoreError::unavailable("write", KEY)(error)),
    }
}
