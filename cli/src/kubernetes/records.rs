//! What a run in a cluster keeps in its store: it outlives pods and objects, and it knows more than the cluster does.

use super::Place;
use crate::args::StoreArgs;
use crate::failure::Failure;
use crate::job::now;
use conrec_cluster::control;
use conrec_coordinator::store::StoreError;
use conrec_domain::ids::RunId;
use conrec_domain::job::JobView;
use conrec_jobs::{JobError, JobObjects};
use conrec_process::note;
use conrec_store::Store;
use std::time::Duration;
use tokio::time::timeout;

/// A store that nobody named on the command line has so long to answer: it may be one that only the pods reach.
const PATIENCE: Duration = Duration::from_secs(10);

/// A run's records, in a store that this machine reaches.
pub struct Records {
    /// The records.
    pub job: JobObjects,
    /// Their store.
    pub store: StoreArgs,
}

/// The store that `--store` names, where pods see the same: a bucket. A folder is one of this machine.
pub fn shared(store: &StoreArgs) -> Option<&StoreArgs> {
    Some(store).filter(|store| store.store.contains("://"))
}

impl Records {
    /// Where `--store` says, or else where the run's pods were told, if that can be read from here; none where there are none.
    ///
    /// # Errors
    /// The store that `--store` names fails.
    pub async fn find(place: &Place, store: &StoreArgs) -> Result<Option<Self>, Failure> {
        if let Some(store) = shared(store) {
            return Self::of(&place.run_id, store).await;
        }
        let told = control::settings(&place.cluster, &place.run).await?;
        // A run that was applied by hand may have another name in the store than in the cluster.
        let run_id = told["RUN_ID"].as_str().and_then(|text| text.parse().ok()).unwrap_or_else(|| place.run_id.clone());
        let told = StoreArgs { store: told["STORE"].as_str().unwrap_or_default().to_owned() };
        let Some(store) = shared(&told) else { return Ok(None) };
        match timeout(PATIENCE, Self::of(&run_id, store)).await {
            Ok(Ok(found)) => Ok(found),
            Ok(Err(failure)) => {
                note!("what the run says of itself cannot be read from here: {}", failure.message);
                Ok(None)
            }
            Err(_) => {
                note!("what the run says of itself cannot be read from here: {} does not answer", store.store);
                Ok(None)
            }
        }
    }

    async fn of(run_id: &RunId, args: &StoreArgs) -> Result<Option<Self>, Failure> {
        let store = Store::at(&args.store).map_err(StoreError::from)?;
        let job = JobObjects::of(&store, run_id);
        match job.request().await {
            Ok(_) => Ok(Some(Self { job, store: args.clone() })),
            Err(JobError::Absent { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// All that they say.
    ///
    /// # Errors
    /// The store fails.
    pub async fn view(&self) -> Result<JobView, Failure> {
        Ok(self.job.view(now).await?)
    }
}
