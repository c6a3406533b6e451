//! Checkpoints that the store does not take.

use crate::fake_worker::Pace;
use crate::one_run::{CODE, Serving, checkpoints, folder, iterations, reported_state, spec};
use conrec_coordinator::{Coordinator, Opened};
use conrec_domain::effect::Ending;
use conrec_proto::wire;
use conrec_proto::wire::status_message::Activity;
use conrec_store::Store;
use conrec_tests::faulty_store::{Fate, FaultyStore, Judge};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

async fn open_before(store: &Path, judge: Judge) -> Opened {
    let store = Store::make(store.to_str().unwrap()).unwrap();
    let store = store.through(|inner| Arc::new(FaultyStore::new(inner, judge)));
    Coordinator::open_in(&store, "tiny".parse().unwrap(), spec(&[]), CODE, 1).await.unwrap()
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
