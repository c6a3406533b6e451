//! Those who do not belong cannot keep those who do from their work.

use crate::fake_worker::Pace;
use crate::one_run::{Serving, open};
use conrec_coordinator::lobby::PLACES;
use conrec_domain::effect::Ending;
use conrec_proto::MAX_MESSAGE_BYTES;
use conrec_proto::wire;
use std::io::ErrorKind;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_stream::wrappers::ReceiverStream;

fn place(serving: &Serving) -> String {
    serving.address.strip_prefix("http://").unwrap().to_owned()
}

/// What the first bytes of an HTTP/2 connection are.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

#[tokio::test]
async fn the_run_goes_on_through_silence_garbage_and_slow_senders() {
    let store = tempfile::tempdir().unwrap();
    let serving = Serving::begin(open(store.path(), 1).await).await;
    let address = place(&serving);
    let mut strangers = Vec::new();
    // Silent ones, more than there is room for; each third begins as a client would and stops in the middle.
    for number in 0..PLACES + 20 {
        let mut stranger = TcpStream::connect(&address).await.unwrap();
        if number % 3 == 0 {
            stranger.write_all(&PREFACE[..number % PREFACE.len()]).await.unwrap();
        }
        strangers.push(stranger);
    }
    for seed in 1..20_u8 {
        let mut stranger = TcpStream::connect(&address).await.unwrap();
        let garbage: Vec<u8> = (0..2000_u32).map(|n| ((n * n * u32::from(seed)) >> 3) as u8).collect();
        // It may be cut off in the middle.
        let _ = stranger.write_all(&garbage).await;
        strangers.push(stranger);
        let mut stranger = TcpStream::connect(&address).await.unwrap();
        let _ = stranger.write_all(&[PREFACE, &garbage].concat()).await;
        strangers.push(stranger);
    }
    let worker = serving.worker("belongs here", Pace::Fast);
    assert_eq!(serving.ending.await.unwrap(), Ending::Completed);
    worker.await.unwrap().unwrap();
    // The one that had waited longest gave way to later ones: its connection is at its end.
    let mut rest = Vec::new();
    let ended = strangers[0].read_to_end(&mut rest).await;
    assert!(ended.is_ok() || ended.is_err_and(|error| error.kind() == ErrorKind::ConnectionReset));
}

#[tokio::test]
async fn a_message_beyond_the_bound_ends_its_own_stream_only() {
    let store = tempfile::tempdir().unwrap();
    let serving = Serving::begin(open(store.path(), 1).await).await;
    let mut client = wire::session_client::SessionClient::connect(serving.address.clone()).await.unwrap();
    let hello = wire::Hello { name: "x".repeat(MAX_MESSAGE_BYTES + 1), lanes: 1, ..wire::Hello::default() };
    let message = wire::WorkerMessage { body: Some(wire::worker_message::Body::Hello(hello)) };
    let (sender, messages) = tokio::sync::mpsc::channel(1);
    sender.send(message).await.unwrap();
    let mut answers = client.work(ReceiverStream::new(messages)).await.unwrap().into_inner();
    let refused = answers.message().await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::OutOfRange, "{refused:?}");
    let worker = serving.worker("belongs here", Pace::Fast);
    assert_eq!(serving.ending.await.unwrap(), Ending::Completed);
    worker.await.unwrap().unwrap();
}
