//! A whole run.

use crate::fake_worker::Pace;
use crate::one_run::{Serving, checkpoints, folder, iterations, open, reported_state, select_checkpoint};
use conrec_domain::effect::Ending;
use conrec_proto::wire;
use conrec_proto::wire::status_message::Activity;

/// Trains a run to its end in a fresh store; the state that its report names.
pub async fn complete(workers: u32) -> (tempfile::TempDir, String) {
    let store = tempfile::tempdir().unwrap();
    let serving = Serving::begin(open(store.path(), workers).await).await;
    let joined: Vec<_> = (0..workers).map(|i| serving.worker(&format!("host-{i}"), Pace::Fast)).collect();
    assert_eq!(serving.ending.await.unwrap(), Ending::Completed);
    for worker in joined {
        worker.await.unwrap().unwrap();
    }
    let state = reported_state(store.path());
    (store, state)
}

#[tokio::test]
async fn two_workers_train_a_run_to_its_report() {
    let (store, _) = complete(2).await;
    let done = iterations(store.path());
    assert!(done.len() >= 24, "both passes train the first stage: {done:?}");
    assert_eq!(done, (1..=done.len() as u64).collect::<Vec<_>>());
    let metrics = std::fs::read_to_string(folder(store.path()).join("metrics.jsonl")).unwrap();
    assert_eq!(metrics.lines().count(), done.len());
    assert!(metrics.contains("validation_fhr"));
    assert!(folder(store.path()).join("run.toml").exists());
    let kept = checkpoints(store.path());
    let held = select_checkpoint(store.path()).unwrap();
    assert!(kept.contains(&held), "the pass that chose the iterations ended with {held}, kept are {kept:?}");
    assert_eq!(kept.len(), 4, "retention keeps the last three beside {held}: {kept:?}");
}

#[tokio::test]
async fn a_complete_run_is_found_complete() {
    let (store, _) = complete(1).await;
    let opened = open(store.path(), 1).await;
    assert!(opened.already_complete);
    assert_eq!(opened.skipped, []);
}

#[tokio::test]
async fn the_number_of_workers_changes_no_state() {
    let ((_, one), (_, three)) = tokio::join!(complete(1), complete(3));
    assert_eq!(one, three);
}

#[tokio::test]
async fn a_watcher_sees_the_run_from_its_wait_to_its_end() {
    let store = tempfile::tempdir().unwrap();
    let serving = Serving::begin(open(store.path(), 1).await).await;
    let mut statuses = serving.operator().await.watch(wire::WatchRequest {}).await.unwrap().into_inner();
    let first = statuses.message().await.unwrap().unwrap();
    assert_eq!(first.activity, Some(Activity::WaitingForWorkers(wire::WaitingForWorkers { joined: 0, expected: 1 })));
    let worker = serving.worker("host", Pace::Fast);
    let mut last = first;
    while let Some(status) = statuses.message().await.unwrap() {
        last = status;
    }
    assert_eq!(last.activity, Some(Activity::Completed(wire::Completed {})));
    worker.await.unwrap().unwrap();
}
