//! The small file that makes a checkpoint whole, and what it says.

use crate::curriculum::Cursor;
use crate::ids::{Digest, Fence, Iteration, RunId};
use serde::{Deserialize, Serialize};

/// Written last, by conditional create; a checkpoint without it does not exist.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Layout of this file; 1.
    pub version: u32,
    /// The run it belongs to.
    pub run_id: RunId,
    /// Digest of the run's config.
    pub config_digest: Digest,
    /// Digest of the prepared data.
    pub data_digest: Digest,
    /// Version of the code that wrote it.
    pub code_version: String,
    /// The roster that wrote it; part of the key.
    pub fence: Fence,
    /// Committed iterations; part of the key.
    pub iteration: Iteration,
    /// Digest of the training state.
    pub state_digest: Digest,
    /// Where the curriculum stands.
    pub cursor: Cursor,
    /// The parts, in the order of their names.
    pub parts: Vec<Part>,
}

impl Manifest {
    /// `checkpoints/<iteration>-<fence>`, zero-padded so that keys sort by age.
    pub fn key(iteration: Iteration, fence: Fence) -> String {
        format!("checkpoints/{:010}-{:06}", iteration.0, fence.0)
    }
}

/// One file of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// File name below the checkpoint's key.
    pub name: String,
    /// Size in bytes.
    pub bytes: u64,
    /// SHA-256 of the content.
    pub sha256: Digest,
}
