//! The probe lets honest stores pass, and refuses those that lie or cannot be written.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic")]

use conrec_store::{ProbeError, Store, probe};
use conrec_tests::faulty_store::{Fate, FaultyStore};
use futures::TryStreamExt;
use object_store::ObjectStore;
use object_store::memory::InMemory;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

async fn is_empty(objects: &dyn ObjectStore) -> bool {
    objects.list(None).try_collect::<Vec<_>>().await.unwrap().is_empty()
}

async fn lie(objects: FaultyStore) -> String {
    let error = probe(&objects, 7, true).await.unwrap_err();
    assert!(matches!(error, ProbeError::Lies { .. }), "{error}");
    assert!(is_empty(&objects).await, "nothing of the probe stays");
    error.to_string()
}

#[tokio::test]
async fn honest_stores_pass_and_nothing_of_the_probe_stays() {
    let memory = Store::memory();
    probe(memory.objects().as_ref(), 7, true).await.unwrap();
    assert!(is_empty(memory.objects().as_ref()).await);
    let folder = tempfile::tempdir().unwrap();
    let store = Store::make(folder.path().join("runs").to_str().unwrap()).unwrap();
    probe(store.objects().as_ref(), 7, false).await.unwrap();
    assert!(is_empty(store.objects().as_ref()).await);
}

#[tokio::test]
async fn a_store_that_overwrites_what_is_to_be_created_is_refused() {
    let words = lie(FaultyStore::lying(Arc::new(InMemory::new()))).await;
    assert!(words.contains("created an object that was there already") && words.contains("If-None-Match"), "{words}");
}

#[tokio::test]
async fn a_store_that_takes_stale_updates_is_refused() {
    // Honest about creation: only the third write and those after it are done without their condition.
    let writes = AtomicU32::new(0);
    let judge = move |_: &object_store::path::Path| {
        if writes.fetch_add(1, Ordering::Relaxed) < 2 { Fate::Done } else { Fate::Unconditional }
    };
    let words = lie(FaultyStore::new(Arc::new(InMemory::new()), Box::new(judge))).await;
    assert!(words.contains("a version that had gone"), "{words}");
}

#[tokio::test]
async fn a_read_only_store_says_what_it_refused() {
    let error = probe(&FaultyStore::read_only(Arc::new(InMemory::new())), 7, true).await.unwrap_err();
    let words = error.to_string();
    assert!(words.contains("cannot write `probe-0000000000000007`") && words.contains("read-only"), "{words}");
}
