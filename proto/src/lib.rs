//! The wire: the messages of `conrec.proto`, the generated services, and checked conversion to and from `domain`.
//! Holds no logic.

pub mod convert;
pub mod message;

/// Generated from `conrec.proto`.
#[allow(
    missing_docs,
    clippy::all,
    clippy::pedantic,
    clippy::nursery,
    clippy::restriction,
    reason = "generated code follows its generator's rules, not ours"
)]
pub mod wire {
    tonic::include_proto!("conrec.v1");
}

/// Largest message that either side of the wire accepts, in bytes.
pub const MAX_MESSAGE_BYTES: usize = 16 * 1024 * 1024;
