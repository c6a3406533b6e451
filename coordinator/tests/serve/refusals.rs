//! What is refused, with what words and which exit code.

use crate::completion::complete;
use crate::fake_worker::{FakeWorker, Pace};
use crate::one_run::{CODE, Serving, folder, open, try_open};
use conrec_coordinator::bind;
use conrec_coordinator::exit_code::ExitCode;
use conrec_domain::effect::Ending;
use conrec_proto::wire;

#[tokio::test]
async fn a_run_id_of_another_config_is_refused_with_the_keys_that_differ() {
    let (store, _) = complete(1).await;
    let error = try_open(store.path(), 1, &["reward.gamma=0.25", "seed=4"]).await.err().unwrap();
    let text = error.to_string();
    assert!(text.contains("run id `tiny` belongs to another config"), "{text}");
    assert!(text.contains("reward.gamma is 0.5 there and 0.25 here"), "{text}");
    assert!(text.contains("seed is 3 there and 4 here"), "{text}");
    assert_eq!(ExitCode::from(&error).code(), 78);
}

#[tokio::test]
async fn a_run_id_under_which_nothing_was_done_takes_another_config() {
    let store = tempfile::tempdir().unwrap();
    drop(open(store.path(), 1).await);
    drop(try_open(store.path(), 1, &["seed=4"]).await.unwrap());
    let bound = std::fs::read_to_string(folder(store.path()).join("run.toml")).unwrap();
    assert!(bound.contains("seed = 4"), "{bound}");
}

#[tokio::test]
async fn another_address_is_no_other_config() {
    let store = tempfile::tempdir().unwrap();
    drop(open(store.path(), 1).await);
    drop(try_open(store.path(), 1, &["cluster.listen=0.0.0.0:7000"]).await.unwrap());
}

#[tokio::test]
async fn a_second_coordinator_of_a_run_is_refused() {
    let store = tempfile::tempdir().unwrap();
    let first = open(store.path(), 1).await;
    let error = try_open(store.path(), 1, &[]).await.err().unwrap();
    assert!(error.to_string().contains("in use by another coordinator"), "{error}");
    assert_eq!(ExitCode::from(&error).code(), 69);
    drop(first);
    drop(open(store.path(), 1).await);
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let taken = bind::bind("127.0.0.1:0").await.unwrap();
    let listen = taken.local_addr().unwrap().to_string();
    let error = bind::bind(&listen).await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains(&format!("cluster.listen = {listen}")) && text.contains("in use"), "{text}");
    assert_eq!(ExitCode::from(&error).code(), 69);
}

#[tokio::test]
async fn a_worker_of_another_version_is_told_why_and_the_run_waits_on() {
    let store = tempfile::tempdir().unwrap();
    let serving = Serving::begin(open(store.path(), 1).await).await;
    let refused =
        FakeWorker::run(serving.address.clone(), "old".into(), "test-0".into(), Pace::Fast).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::FailedPrecondition);
    assert!(refused.message().contains("`test-0`") && refused.message().contains(CODE), "{refused:?}");
    let worker = serving.worker("new", Pace::Fast);
    assert_eq!(serving.ending.await.unwrap(), Ending::Completed);
    worker.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_stream_that_does_not_begin_with_hello_is_refused() {
    let store = tempfile::tempdir().unwrap();
    let serving = Serving::begin(open(store.path(), 1).await).await;
    let mut client = wire::session_client::SessionClient::connect(serving.address.clone()).await.unwrap();
    let heartbeat = conrec_proto::message::FromWorker::Heartbeat.into();
    let mut answers = client.work(tokio_stream::iter([heartbeat])).await.unwrap().into_inner();
    let refused = answers.message().await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::InvalidArgument);
    assert!(refused.message().contains("Hello"));
}
