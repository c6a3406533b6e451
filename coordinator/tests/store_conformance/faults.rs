//! Stores that fail on purpose: what is refused at the start, in which words, with which exit code.

use conrec_coordinator::exit_code::ExitCode;
use conrec_coordinator::store::{RunStore, StoreError};
use conrec_store::Store;
use conrec_tests::faulty_store::FaultyStore;
use std::sync::Arc;

async fn refusal(store: &Store) -> String {
    let error = RunStore::open(store, &"run".parse().unwrap(), 7).await.err().unwrap();
    assert!(matches!(error, StoreError::Probe(_)), "{error}");
    assert_eq!(ExitCode::from(&error).code(), 69);
    error.to_string()
}

#[tokio::test]
async fn a_store_that_lies_is_refused_before_anything_is_done() {
    let store = Store::memory().through(|inner| Arc::new(FaultyStore::lying(inner)));
    let words = refusal(&store).await;
    assert!(words.contains("does not keep its conditions"), "{words}");
    assert!(store.runs().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_read_only_store_is_refused_before_anything_is_done() {
    let store = Store::memory().through(|inner| Arc::new(FaultyStore::read_only(inner)));
    let words = refusal(&store).await;
    assert!(words.contains("read-only") && words.contains("can be read and written"), "{words}");
    let folder = tempfile::tempdir().unwrap();
    let store = Store::make(folder.path().to_str().unwrap()).unwrap();
    let words = refusal(&store.through(|inner| Arc::new(FaultyStore::read_only(inner)))).await;
    assert!(words.contains("read-only"), "{words}");
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("file"), "").unwrap();
    let place = folder.path().join("file/runs");
    let error = StoreError::from(Store::make(place.to_str().unwrap()).unwrap_err());
    assert!(error.to_string().contains(place.to_str().unwrap()), "{error}");
    assert_eq!(ExitCode::from(&error).code(), 69);
}

#[test]
fn a_url_that_is_no_store_is_a_wrong_command_line() {
    let error = StoreError::from(Store::make("ftp://host/runs").unwrap_err());
    assert_eq!(ExitCode::from(&error).code(), 64);
}
