//! Checkpoints that the store does not take.

use crate::fake_worker::Pace;
use crate::one_run::{CODE, Serving, checkpoints, folder, iterations, reported_state, spec};
use conrec_coordinator::{Coordinator, Opened};
use conrec_domain::effect::Ending;
use conrec_proto::wire;
use conrec_proto::wire::status_message::Activity;
use conrec_store::Store;
use conrec_tests::faulty_store::{Fate, FaultyStore, Judge};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;
use tokio::sync::oneshot;

async fn open_before(store: &Path, judge: Judge) -> Opened {
    open_with(store, judge, 1).await
}

async fn open_with(store: &Path, judge: Judge, workers: u32) -> Opened {
    let store = Store::make(store.to_str().unwrap()).unwrap();
    let store = store.through(|inner| Arc::new(FaultyStore::new(inner, judge)));
    Coordinator::open_in(&store, "tiny".parse().unwrap(), spec(&[]), CODE, workers).await.unwrap()
}

/// Refuses the first manifest of a checkpoint, as a full disk would.
fn first_refused() -> Judge {
    let refused = AtomicBool::new(false);
    Box::new(move |key| {
        let manifest = key.as_ref().contains("/checkpoints/") && key.as_ref().ends_with("/manifest.json");
        if manifest && !refused.swap(true, Ordering::Relaxed) { Fate::Refused("no space is left") } else { Fate::Done }
    })
}

fn all_refused() -> Judge {
    Box::new(|key| if key.as_ref().contains("/checkpoints/") { Fate::Refused("no space is left") } else { Fate::Done })
}

#[tokio::test]
async fn a_checkpoint_that_the_store_refuses_is_said_and_the_run_goes_on_with_the_same_bits() {
    let store = tempfile::tempdir().unwrap();
    let serving = Serving::begin(open_before(store.path(), first_refused()).await).await;
    let mut statuses = serving.operator().await.watch(wire::WatchRequest {}).await.unwrap().into_inner();
    let worker = serving.worker("host", Pace::Fast);
    let mut missed = Vec::new();
    while let Some(status) = statuses.message().await.unwrap() {
        if let Some(Activity::CheckpointMissed(wire::CheckpointMissed { reason })) = status.activity {
            missed.push(reason);
        }
    }
    assert_eq!(serving.ending.await.unwrap(), Ending::Completed);
    worker.await.unwrap().unwrap();
    assert_eq!(missed.len(), 1, "{missed:?}");
    assert!(missed[0].contains("no space is left") && missed[0].contains("no checkpoint is whole yet"), "{missed:?}");
    let (_, undisturbed) = crate::completion::complete(1).await;
    assert_eq!(reported_state(store.path()), undisturbed);
    let done = iterations(store.path());
    assert_eq!(done, (1..=done.len() as u64).collect::<Vec<_>>());
    assert!(checkpoints(store.path()).len() >= 4, "the later ones are there");
}

#[tokio::test]
async fn a_stop_that_cannot_write_its_checkpoint_ends_with_code_69() {
    let store = tempfile::tempdir().unwrap();
    let serving = Serving::begin(open_before(store.path(), all_refused()).await).await;
    let worker = serving.worker("host", Pace::Slow);
    serving.reach(3).await;
    serving.operator().await.stop(wire::StopRequest {}).await.unwrap();
    let ending = serving.ending.await.unwrap();
    let Ending::Failed { reason, exit_code } = ending else { panic!("{ending:?}") };
    assert!(reason.contains("no space is left") && reason.contains("no checkpoint is whole yet"), "{reason}");
    assert_eq!(exit_code, 69);
    worker.await.unwrap().unwrap();
    assert!(folder(store.path()).join("ledger.jsonl").is_file());
}

/// A signal, and what is to be done to send it.
fn signal() -> (impl Future<Output = ()>, oneshot::Sender<()>) {
    let (send, sent) = oneshot::channel();
    (async { drop(sent.await) }, send)
}

/// Refuses these tries to write a roster's number, counted from one.
fn fences_refused(tries: Range<u32>, tried: &Arc<AtomicU32>) -> Judge {
    let tried = Arc::clone(tried);
    Box::new(move |key| {
        let fence = key.as_ref().contains("/fences/");
        let this = if fence { tried.fetch_add(1, Ordering::SeqCst) + 1 } else { 0 };
        if tries.contains(&this) { Fate::Refused("no space is left") } else { Fate::Done }
    })
}

/// Two workers of which one vanishes, so that another roster has to form.
async fn lose_one(serving: &Serving) -> tokio::task::JoinHandle<Result<(), tonic::Status>> {
    let stays = serving.worker("stays", Pace::Slow);
    let vanishes = serving.worker("vanishes", Pace::Slow);
    serving.reach(3).await;
    vanishes.abort();
    stays
}

#[tokio::test]
async fn a_roster_waits_for_a_store_that_is_full_for_a_while() {
    let store = tempfile::tempdir().unwrap();
    let opened = open_with(store.path(), fences_refused(2..4, &Arc::default()), 2).await;
    let serving = Serving::begin(opened).await;
    let stays = lose_one(&serving).await;
    assert_eq!(serving.ending.await.unwrap(), Ending::Completed);
    stays.await.unwrap().unwrap();
    let done = iterations(store.path());
    assert_eq!(done, (1..=done.len() as u64).collect::<Vec<_>>());
    let (_, undisturbed) = crate::completion::complete(1).await;
    assert_eq!(reported_state(store.path()), undisturbed);
}

#[tokio::test]
async fn a_stop_does_not_wait_for_a_roster_that_a_full_store_keeps_from_forming() {
    let store = tempfile::tempdir().unwrap();
    let tried = Arc::new(AtomicU32::new(0));
    let opened = open_with(store.path(), fences_refused(2..u32::MAX, &tried), 2).await;
    let (stop, send) = signal();
    let serving = Serving::begin_until(opened.coordinator, stop).await;
    let stays = lose_one(&serving).await;
    while tried.load(Ordering::SeqCst) < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    send.send(()).unwrap();
    let Ending::Failed { reason, exit_code } = serving.ending.await.unwrap() else { panic!("no failure") };
    assert!(reason.contains("fences/000002") && reason.contains("no space is left"), "{reason}");
    assert_eq!(exit_code, 69);
    stays.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_stop_does_not_wait_for_a_store_that_hangs() {
    let (folder, silent) = (tempfile::tempdir().unwrap(), Arc::new(AtomicBool::new(false)));
    let store = Store::make(folder.path().to_str().unwrap()).unwrap();
    let store = store.through(|inner| Arc::new(FaultyStore::hanging(inner, &silent)));
    let opened = Coordinator::open_in(&store, "tiny".parse().unwrap(), spec(&[]), CODE, 1).await.unwrap();
    let (stop, send) = signal();
    let serving = Serving::begin_until(opened.coordinator.not_waiting_past(Duration::from_millis(300)), stop).await;
    let worker = serving.worker("host", Pace::Slow);
    serving.reach(6).await;
    silent.store(true, Ordering::SeqCst);
    send.send(()).unwrap();
    let ending = tokio::time::timeout(Duration::from_secs(30), serving.ending).await.unwrap().unwrap();
    let Ending::Failed { reason, exit_code } = ending else { panic!("{ending:?}") };
    assert!(reason.contains("has not answered for 0.3 s") && reason.contains("checkpoint"), "{reason}");
    assert_eq!(exit_code, 69);
    worker.await.unwrap().unwrap();
}
