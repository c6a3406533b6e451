//! A run that stops and goes on.

use crate::completion::complete;
use crate::fake_worker::Pace;
use crate::one_run::{Serving, checkpoints, folder, iterations, ledger, metrics, open, reported_state};
use conrec_domain::effect::Ending;
use conrec_domain::ids::Iteration;
use conrec_domain::metrics_line::MetricsLine;
use conrec_proto::wire;
use conrec_proto::wire::status_message::Activity;
use std::path::Path;

/// Trains until `iteration`, then stops as an operator would.
async fn train_and_stop(store: &Path, workers: u32, iteration: u64) {
    let serving = Serving::begin(open(store, workers).await).await;
    let joined: Vec<_> = (0..workers).map(|i| serving.worker(&format!("host-{i}"), Pace::Slow)).collect();
    serving.reach(iteration).await;
    serving.operator().await.stop(wire::StopRequest {}).await.unwrap();
    assert_eq!(serving.ending.await.unwrap(), Ending::Stopped);
    for worker in joined {
        worker.await.unwrap().unwrap();
    }
}

async fn go_on(store: &Path, workers: u32) {
    let serving = Serving::begin(open(store, workers).await).await;
    let joined: Vec<_> = (0..workers).map(|i| serving.worker(&format!("host-{i}"), Pace::Fast)).collect();
    assert_eq!(serving.ending.await.unwrap(), Ending::Completed);
    for worker in joined {
        worker.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_stopped_run_goes_on_where_it_stood_and_repeats_nothing() {
    let store = tempfile::tempdir().unwrap();
    train_and_stop(store.path(), 2, 4).await;
    let done = iterations(store.path());
    let opened = open(store.path(), 1).await;
    assert_eq!(opened.resumed, done.last().copied().map(Iteration));
    assert_eq!(opened.skipped, []);
    drop(opened);
    go_on(store.path(), 1).await;
    let all = iterations(store.path());
    assert!(all.len() > done.len());
    assert_eq!(all, (1..=all.len() as u64).collect::<Vec<_>>());
    let fences: Vec<u64> = ledger(store.path()).iter().map(|entry| entry.fence.0).collect();
    assert!(fences.is_sorted() && fences.first() < fences.last(), "fences grow over restarts: {fences:?}");
    let (_, uninterrupted) = complete(1).await;
    assert_eq!(reported_state(store.path()), uninterrupted);
}

#[tokio::test]
async fn a_stop_between_an_iteration_and_its_validation_loses_no_score() {
    let store = tempfile::tempdir().unwrap();
    // The second iteration of the stage with validation: committed, and its leases of validation are out.
    train_and_stop(store.path(), 1, 14).await;
    assert_eq!(iterations(store.path()).len(), 14);
    assert_eq!(metrics(store.path()).len(), 13, "the last line waits for its scores");
    go_on(store.path(), 1).await;
    let (uninterrupted, _) = complete(1).await;
    let untimed = |store: &Path| -> Vec<MetricsLine> {
        metrics(store).into_iter().map(|line| MetricsLine { step_time: 0.0, ..line }).collect()
    };
    assert_eq!(untimed(store.path()), untimed(uninterrupted.path()));
    assert!(metrics(store.path())[13].validation_fhr.is_some());
}

#[tokio::test]
async fn a_killed_coordinator_loses_only_what_came_after_its_checkpoint() {
    let store = tempfile::tempdir().unwrap();
    let serving = Serving::begin(open(store.path(), 1).await).await;
    let worker = serving.worker("host", Pace::Slow);
    serving.reach(7).await;
    serving.ending.abort();
    assert!(serving.ending.await.unwrap_err().is_cancelled());
    worker.abort();
    let opened = open(store.path(), 1).await;
    let done = iterations(store.path()).len() as u64;
    let resumed = opened.resumed.unwrap().0;
    assert!(resumed >= 5 && resumed <= done, "a checkpoint every 5 iterations: {resumed} of {done}");
    drop(opened);
    go_on(store.path(), 1).await;
    let all = iterations(store.path());
    assert_eq!(all, (1..=all.len() as u64).collect::<Vec<_>>());
    let (_, uninterrupted) = complete(1).await;
    assert_eq!(reported_state(store.path()), uninterrupted);
}

#[tokio::test]
async fn damaged_checkpoints_are_skipped_and_named() {
    let store = tempfile::tempdir().unwrap();
    train_and_stop(store.path(), 1, 11).await;
    let keys = checkpoints(store.path());
    let [.., older, newer, newest] = keys.as_slice() else { panic!("three checkpoints: {keys:?}") };
    let part = |key: &str| folder(store.path()).join(key).join("adapter.safetensors");
    let mut content = std::fs::read(part(newest)).unwrap();
    content[0] ^= 1;
    std::fs::write(part(newest), content).unwrap();
    std::fs::remove_file(part(newer)).unwrap();
    let torn = folder(store.path()).join("checkpoints/0000009999-000001");
    std::fs::create_dir_all(&torn).unwrap();
    std::fs::write(torn.join("adapter.safetensors"), "half").unwrap();

    let opened = open(store.path(), 1).await;
    let skipped: Vec<(&str, &str)> = opened.skipped.iter().map(|s| (s.key.as_str(), s.why.as_str())).collect();
    assert_eq!(skipped.len(), 3, "{skipped:?}");
    assert!(skipped[0].0.ends_with("0000009999-000001") && skipped[0].1.contains("never finished"));
    assert!(skipped[1].0 == newest && skipped[1].1.contains("adapter.safetensors has SHA-256"), "{skipped:?}");
    assert!(skipped[2].0 == newer && skipped[2].1.contains("adapter.safetensors is missing"), "{skipped:?}");
    let resumed = opened.resumed.unwrap();
    assert!(older.contains(&format!("{:010}", resumed.0)), "{older} {resumed}");
    let expected: Vec<String> = opened.skipped.iter().map(|s| format!("{}: {}", s.key, s.why)).collect();

    let serving = Serving::begin(opened).await;
    let watched = serving.operator().await.watch(wire::WatchRequest {}).await.unwrap().into_inner();
    let worker = serving.worker("host", Pace::Fast);
    assert_eq!(serving.ending.await.unwrap(), Ending::Completed);
    worker.await.unwrap().unwrap();
    assert_eq!(skipped_of(watched).await, expected, "whoever watches is told, whenever it comes");
    let all = iterations(store.path());
    assert_eq!(all, (1..=all.len() as u64).collect::<Vec<_>>());
}

/// What a watcher is told of things that were not used; the first status is what the run is doing.
async fn skipped_of(mut statuses: tonic::Streaming<wire::StatusMessage>) -> Vec<String> {
    let mut skipped = Vec::new();
    let mut first = true;
    while let Some(status) = statuses.message().await.unwrap() {
        if let Some(Activity::Skipped(wire::Skipped { reason })) = status.activity {
            assert!(!first, "{reason}");
            skipped.push(reason);
        }
        first = false;
    }
    skipped
}

#[tokio::test]
async fn data_that_is_not_whole_is_prepared_again() {
    let store = tempfile::tempdir().unwrap();
    train_and_stop(store.path(), 1, 2).await;
    std::fs::write(folder(store.path()).join("prepared/events.parquet"), "prepareX").unwrap();
    let opened = open(store.path(), 1).await;
    assert_eq!(opened.skipped.len(), 1);
    assert_eq!(opened.skipped[0].key, "prepared");
    drop(opened);
    go_on(store.path(), 1).await;
}
