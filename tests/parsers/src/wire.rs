//! Messages of the wire, as they come from a stream.

use conrec_domain::ids::WorkerId;
use conrec_proto::message::{FromWorker, ToWorker};
use conrec_proto::wire::{CoordinatorMessage, WorkerMessage};
use prost::Message;

/// What a coordinator reads.
pub(crate) fn from_worker(bytes: &[u8]) {
    let Some(message) = WorkerMessage::decode(bytes).ok().and_then(|message| FromWorker::try_from(message).ok()) else {
        return;
    };
    let again = WorkerMessage::from(message.clone());
    let read = WorkerMessage::decode(again.encode_to_vec().as_slice()).map(FromWorker::try_from);
    // NaN is unequal to itself, so the texts are compared.
    assert_eq!(format!("{read:?}"), format!("Ok(Ok({message:?}))"));
    let _ = message.into_event(WorkerId(1));
}

/// What a worker reads.
pub(crate) fn to_worker(bytes: &[u8]) {
    let Some(message) = CoordinatorMessage::decode(bytes).ok().and_then(|message| ToWorker::try_from(message).ok())
    else {
        return;
    };
    let again = CoordinatorMessage::from(message.clone());
    let read = CoordinatorMessage::decode(again.encode_to_vec().as_slice()).map(ToWorker::try_from);
    assert_eq!(format!("{read:?}"), format!("Ok(Ok({message:?}))"));
}
