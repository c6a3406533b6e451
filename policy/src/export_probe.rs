//! What this program computes for a few sequences, written beside an export, so that `scripts/check-export` can
//! compare it with what transformers and PEFT compute from the same files.

use crate::atomic_write::write_json;
use crate::error::PolicyError;
use crate::file_error::FileError;
use crate::shared_prefix::hidden_everywhere;
use crate::transformer::Policy;
use serde::Serialize;
use std::path::Path;
use tch::{Device, Kind};

/// Name of the probe's file.
pub const PROBE: &str = "probe.json";

#[derive(Serialize)]
struct ProbeJson {
    sequences: Vec<ProbedSequence>,
}

#[derive(Serialize)]
struct ProbedSequence {
    tokens: Vec<i64>,
    /// Of the last position, for the whole vocabulary.
    logits: Vec<f32>,
}

/// Errors of writing a probe.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The forward pass failed.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The file cannot be written.
    #[error(transparent)]
    File(#[from] FileError),
}

/// Writes `probe.json` into `folder`: the logits after each sequence.
///
/// # Errors
/// For sequences that the policy cannot read, and when the file cannot be written.
pub fn write_probe(folder: &Path, policy: &Policy, sequences: &[&[i64]]) -> Result<(), ProbeError> {
    let _no_grad = tch::no_grad_guard();
    let mut probed = Vec::with_capacity(sequences.len());
    for tokens in sequences {
        let hidden = hidden_everywhere(policy, &[*tokens])?;
        let last = hidden.select(0, 0).narrow(0, -1, 1);
        let logits = policy.logits(&last, 0, policy.config().tokens());
        let logits = logits.f_view([-1]).and_then(|l| l.f_to_kind(Kind::Float)?.f_to_device(Device::Cpu));
        let logits = logits.map_err(PolicyError::from)?;
        let logits = Vec::<f32>::try_from(&logits).map_err(PolicyError::from)?;
        probed.push(ProbedSequence { tokens: tokens.to_vec(), logits });
    }
    Ok(write_json(&folder.join(PROBE), &ProbeJson { sequences: probed })?)
}
