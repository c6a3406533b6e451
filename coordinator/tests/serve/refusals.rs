//! What is refused, with what words and which exit code.

use crate::completion::complete;
use crate::fake_worker::{FakeWorker, Pace};
use crate::one_run::{CODE, Serving, folder, open, spec, try_open};
use conrec_coordinator::exit_code::ExitCode;
use conrec_coordinator::{Coordinator, bind};
use conrec_domain::bookmark::{Bookmark, Held};
use conrec_domain::curriculum::Cursor;
use conrec_domain::effect::Ending;
use conrec_domain::event::Hello;
use conrec_domain::ids::{Digest, Fence};
use conrec_proto::message::{FromWorker, ToWorker};
use conrec_proto::wire;
use conrec_proto::wire::session_client::SessionClient;
use conrec_store::Store;

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

/// What a worker of the roster `fence` hears after its Welcome.
async fn heard_by_a_member_of(fence: u64, address: &str) -> Result<Option<ToWorker>, tonic::Status> {
    let held = Held {
        run_id: "tiny".parse().unwrap(),
        config_digest: spec(&[]).digest().unwrap(),
        fence: Fence(fence),
        world: 1,
        state: Digest::of(b"held"),
        bookmark: Bookmark { from: None, cursor: Cursor::start(), follows: false, lines: Vec::new(), pending: None },
    };
    let (name, code_version, rendezvous) = ("stranger".into(), CODE.into(), "127.0.0.1:1".into());
    let hello = Hello { name, code_version, rendezvous, lanes: 1, held: Some(Box::new(held)) };
    let (out, messages) = tokio::sync::mpsc::channel(4);
    out.send(FromWorker::Hello(hello).into()).await.unwrap();
    let mut client = SessionClient::connect(address.to_owned()).await.unwrap();
    let mut heard = client.work(tokio_stream::wrappers::ReceiverStream::new(messages)).await?.into_inner();
    let welcome = ToWorker::try_from(heard.message().await?.unwrap()).unwrap();
    assert!(matches!(welcome, ToWorker::Welcome(_)));
    Ok(heard.message().await?.map(|message| ToWorker::try_from(message).unwrap()))
}

#[tokio::test]
async fn a_worker_left_over_from_a_removed_run_is_refused_and_the_run_goes_on() {
    let store = tempfile::tempdir().unwrap();
    let serving = Serving::begin(open(store.path(), 1).await).await;
    let refused = heard_by_a_member_of(7, &serving.address).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::FailedPrecondition);
    for word in ["roster 7 of run `tiny`", "removed", "another id"] {
        assert!(refused.message().contains(word), "{refused}");
    }
    let worker = serving.worker("host", Pace::Fast);
    assert_eq!(serving.ending.await.unwrap(), Ending::Completed);
    worker.await.unwrap().unwrap();
}

/// A coordinator on a machine that was cut off comes back when all workers have gone to its successor: it has nothing to
/// write, by which it would learn of the other one.
#[tokio::test]
async fn a_coordinator_without_workers_ends_when_another_holds_its_run() {
    let store = Store::memory();
    let open = || Coordinator::open_in(&store, "tiny".parse().unwrap(), spec(&[]), CODE, 1);
    let first = Serving::begin(open().await.unwrap()).await;
    let second = Serving::begin(open().await.unwrap()).await;
    let Ending::Failed { reason, exit_code } = first.ending.await.unwrap() else { panic!("no failure") };
    assert!(reason.contains("another coordinator has taken over run `tiny`"), "{reason}");
    assert_eq!(exit_code, 69);
    assert!(!second.ending.is_finished(), "the other one goes on");
}

#[tokio::test]
async fn a_worker_of_a_roster_that_another_coordinator_has_claimed_ends_this_one() {
    let store = tempfile::tempdir().unwrap();
    let serving = Serving::begin(open(store.path(), 1).await).await;
    std::fs::create_dir_all(folder(store.path()).join("fences")).unwrap();
    std::fs::write(folder(store.path()).join("fences/000007"), "another").unwrap();
    let _ = heard_by_a_member_of(7, &serving.address).await;
    let Ending::Failed { reason, exit_code } = serving.ending.await.unwrap() else { panic!("no failure") };
    assert!(reason.contains("another coordinator has taken over"), "{reason}");
    assert_eq!(exit_code, 69);
}
