//! Whether the job is over, or paused, whose coordinator cannot be reached: the store says so where the run was submitted as
//! a job. So a worker that missed its coordinator's last word does not knock for ever.

use conrec_domain::ids::RunId;
use conrec_domain::job::{Wish, Wishes};
use conrec_jobs::JobObjects;
use conrec_store::Store;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// Between two looks, the first after as long: a coordinator that is started again is there by then.
const LOOK: Duration = Duration::from_secs(15);
/// A store that does not answer says nothing.
const PATIENCE: Duration = Duration::from_secs(10);

/// The records of a run, where its store can be opened.
pub fn job(store: &str, run_id: &RunId) -> Option<JobObjects> {
    Store::at(store).ok().map(|store| JobObjects::of(&store, run_id))
}

/// Comes back once the job is over; never where nothing is known of it.
pub async fn until_over(job: Option<&JobObjects>) {
    let Some(job) = job else { return std::future::pending().await };
    loop {
        sleep(LOOK).await;
        if let Ok(Ok(Some(ending))) = timeout(PATIENCE, job.ending()).await {
            tracing::info!(reason = ending.reason, "the job is over");
            return;
        }
    }
}

/// Whether an operator let the job rest: then nobody serves it, and that is as it should be.
pub async fn is_paused(job: Option<&JobObjects>) -> bool {
    let Some(job) = job else { return false };
    let wishes = timeout(PATIENCE, job.wishes(&Wishes::default())).await;
    wishes.is_ok_and(|wishes| wishes.is_ok_and(|wishes| wishes.wish == Wish::Pause))
}
