//! Certificates and tokens over real sockets: who is let in, who is refused, and what both ends say.

use crate::fake_worker::{FakeWorker, Pace};
use crate::one_run::{CODE, Serving, open};
use conrec_coordinator::{Entrance, bind};
use conrec_domain::effect::Ending;
use conrec_proto::wire;
use conrec_proto::wire::operator_client::OperatorClient;
use conrec_trust::authority::{Order, init};
use conrec_trust::{Credentials, LinkError, Role, Token, connect};
use std::path::Path;
use std::time::{Duration, SystemTime};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::time::Instant;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

const DAY: Duration = Duration::from_secs(86_400);
const SECRET: &str = "a-secret-of-operators";

/// An authority that was made so many days ago, for so many days.
fn authority(days_ago: u32, days: u32) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let now = SystemTime::now() - DAY * days_ago;
    init(&Order { folder: folder.path(), names: &[], now, days }).unwrap();
    folder
}

/// As of the time at which they were valid: what is expired is noticed by the other end.
fn credentials(authority: &TempDir, role: Role, days_ago: u32) -> Credentials {
    let now = SystemTime::now() - DAY * days_ago;
    Credentials::load(&authority.path().join(role.name()), role, now).unwrap()
}

/// A file that says what `content` says and that only its owner may read.
fn secret(folder: &Path, content: &str) -> std::path::PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let path = folder.join("token");
    std::fs::write(&path, content).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path
}

/// A coordinator behind an entrance of its own; its address and its ending.
async fn serving(store: &Path, change: impl FnOnce(Entrance) -> Entrance) -> Serving {
    let listener = bind::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let entrance = change(Entrance::from(listener));
    let serve = open(store, 1).await.coordinator.serve(entrance, Instant::now(), std::future::pending());
    Serving { address, ending: tokio::spawn(serve) }
}

async fn refusal(address: &str, credentials: Option<&Credentials>) -> String {
    match connect(address, credentials).await {
        Err(LinkError::Refused { message, .. }) => message,
        Err(error) => panic!("not a refusal: {error}"),
        Ok(_) => panic!("let in"),
    }
}

#[tokio::test]
async fn a_run_between_certificates_completes() {
    let (store, site) = (tempfile::tempdir().unwrap(), authority(0, 1));
    let own = credentials(&site, Role::Coordinator, 0);
    let serving = serving(store.path(), |entrance| entrance.with_credentials(Some(&own))).await;
    let channel = connect(&serving.address, Some(&credentials(&site, Role::Worker, 0))).await.unwrap();
    let worker = tokio::spawn(FakeWorker::over(channel, "host".into(), CODE.into(), Pace::Fast));
    assert_eq!(serving.ending.await.unwrap(), Ending::Completed);
    worker.await.unwrap().unwrap();
}

#[tokio::test]
async fn who_shows_no_good_certificate_is_refused_and_told_why() {
    let (store, site) = (tempfile::tempdir().unwrap(), authority(0, 1));
    let own = credentials(&site, Role::Coordinator, 0);
    let serving = serving(store.path(), |entrance| entrance.with_credentials(Some(&own))).await;

    let plain = refusal(&serving.address, None).await;
    assert!(plain.contains("demands TLS") && plain.contains("--tls DIR"), "{plain}");

    let other = refusal(&serving.address, Some(&credentials(&authority(0, 1), Role::Worker, 0))).await;
    assert!(other.contains("another authority"), "{other}");

    let name = serving.address.replace("127.0.0.1", "127.0.0.2");
    let away = TcpListener::bind(&name).await.unwrap();
    let acceptor = conrec_trust::peer::Acceptor::new(&own);
    tokio::spawn(async move { acceptor.accept(away.accept().await.unwrap().0).await.err() });
    let named = refusal(&name, Some(&credentials(&site, Role::Worker, 0))).await;
    assert!(named.contains("another name") && named.contains("--name HOST"), "{named}");
}

#[tokio::test]
async fn a_worker_whose_certificate_has_expired_is_refused_by_the_coordinator() {
    let (store, site, old) = (tempfile::tempdir().unwrap(), authority(0, 1), authority(20, 1));
    let error = Credentials::load(&old.path().join("worker"), Role::Worker, SystemTime::now()).err().unwrap();
    assert!(error.to_string().contains("expired: it was valid until"), "said at home: {error}");
    // A worker with a slow clock. Each end believes the other's authority, so that only the time is wrong.
    std::fs::copy(site.path().join("ca.pem"), old.path().join("worker/ca.pem")).unwrap();
    std::fs::copy(old.path().join("ca.pem"), site.path().join("coordinator/ca.pem")).unwrap();
    let own = credentials(&site, Role::Coordinator, 0);
    let serving = serving(store.path(), |entrance| entrance.with_credentials(Some(&own))).await;
    let told = refusal(&serving.address, Some(&credentials(&old, Role::Worker, 20))).await;
    assert!(told.contains("refused this process: its certificate has expired"), "{told}");
}

#[tokio::test]
async fn an_expired_coordinator_is_refused_by_its_workers() {
    let site = authority(20, 10);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let acceptor = conrec_trust::peer::Acceptor::new(&credentials(&site, Role::Coordinator, 15));
    let refused = tokio::spawn(async move { acceptor.accept(listener.accept().await.unwrap().0).await.err() });
    let told = refusal(&address, Some(&credentials(&site, Role::Worker, 15))).await;
    assert!(told.contains("the coordinator's certificate has expired"), "{told}");
    let logged = refused.await.unwrap().unwrap();
    assert!(logged.contains("certificate has expired by its clock"), "{logged}");
}

#[tokio::test]
async fn nobody_plays_another_role() {
    let (store, site) = (tempfile::tempdir().unwrap(), authority(0, 1));
    // A worker that serves: its certificate is no server's.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let acceptor = conrec_trust::peer::Acceptor::new(&credentials(&site, Role::Worker, 0));
    tokio::spawn(async move { acceptor.accept(listener.accept().await.unwrap().0).await.err() });
    refusal(&address, Some(&credentials(&site, Role::Worker, 0))).await;
    // At home it is said before anything connects.
    let folder = site.path().join("worker");
    let error = Credentials::load(&folder, Role::Coordinator, SystemTime::now()).err().unwrap();
    assert!(error.to_string().contains("for the worker; expected one for the coordinator"), "{error}");

    let own = credentials(&site, Role::Coordinator, 0);
    let serving = serving(store.path(), |entrance| entrance.with_credentials(Some(&own))).await;
    // A coordinator that connects: its certificate is no client's.
    refusal(&serving.address, Some(&own)).await;
    // An operator that works, and a worker that operates.
    let channel = connect(&serving.address, Some(&credentials(&site, Role::Operator, 0))).await.unwrap();
    let refused = FakeWorker::over(channel, "host".into(), CODE.into(), Pace::Fast).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    assert!(refused.message().contains("the certificate is for operator"), "{refused:?}");
    let channel = connect(&serving.address, Some(&credentials(&site, Role::Worker, 0))).await.unwrap();
    let refused = OperatorClient::new(channel).stop(wire::StopRequest {}).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
}

async fn stop(channel: &Channel, header: Option<String>) -> Result<(), Status> {
    let mut request = Request::new(wire::StopRequest {});
    if let Some(header) = header {
        request.metadata_mut().insert("authorization", header.parse().unwrap());
    }
    OperatorClient::new(channel.clone()).stop(request).await.map(drop)
}

#[tokio::test]
async fn operators_without_the_token_are_refused() {
    let store = tempfile::tempdir().unwrap();
    let token = Token::read(&secret(store.path(), SECRET)).unwrap();
    let shown = token.header();
    let serving = serving(store.path(), |entrance| entrance.with_token(Some(token))).await;
    let channel = connect(&serving.address, None).await.unwrap();
    let missing = stop(&channel, None).await.unwrap_err();
    assert_eq!(missing.code(), Code::Unauthenticated);
    assert!(missing.message().contains("--operator-token-file"), "{missing:?}");
    for wrong in ["Bearer ", "Bearer a-secret-of-operatorz", SECRET] {
        let refused = stop(&channel, Some(wrong.to_owned())).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unauthenticated);
        assert!(!refused.message().contains(SECRET), "{refused:?}");
    }
    let watched = OperatorClient::new(channel.clone()).watch(wire::WatchRequest {}).await.err().unwrap();
    assert_eq!(watched.code(), Code::Unauthenticated);
    stop(&channel, Some(shown)).await.unwrap();
    assert_eq!(serving.ending.await.unwrap(), Ending::Stopped);
}
