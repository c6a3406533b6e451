//! Workers that are lost.

use crate::fake_worker::Pace;
use crate::one_run::{Serving, open};
use conrec_domain::effect::Ending;
use std::time::{Duration, Instant};

#[tokio::test]
async fn the_run_goes_on_at_once_without_a_worker_that_vanishes() {
    let store = tempfile::tempdir().unwrap();
    let serving = Serving::begin(open(store.path(), 2).await).await;
    let stays = serving.worker("stays", Pace::Slow);
    let vanishes = serving.worker("vanishes", Pace::Slow);
    serving.reach(3).await;
    let since = Instant::now();
    vanishes.abort();
    assert_eq!(serving.ending.await.unwrap(), Ending::Completed);
    assert!(since.elapsed() < Duration::from_secs(20), "noticed from the stream, not from a deadline of 30 s");
    stays.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_store_that_cannot_be_written_fails_the_run_with_code_69() {
    let store = tempfile::tempdir().unwrap();
    let opened = open(store.path(), 1).await;
    // A file where the folder of roster numbers has to be.
    std::fs::write(opened.coordinator.folder().join("fences"), "").unwrap();
    let serving = Serving::begin(opened).await;
    let worker = serving.worker("host", Pace::Fast);
    let ending = serving.ending.await.unwrap();
    let Ending::Failed { reason, exit_code } = ending else { panic!("{ending:?}") };
    assert!(reason.contains("fences/000001"), "{reason}");
    assert_eq!(exit_code, 69);
    worker.await.unwrap().unwrap();
}
