//! The ledger: which prompts entered which committed iteration, as a chain of digests.
//!
//! Two chains: the digests of the training state, and that of the journal itself. The journal's is taken over the lines of
//! ledger and metrics as they alternate, each after the ones before it; what legitimately differs between two runs with
//! the same bits (fences, times) is left out, so that it too is equal for any number of workers and any stops.

use crate::ids::{Digest, Fence, Iteration};
use crate::metrics_line::MetricsLine;
use crate::work::{Cleaned, Decision, Pass, StateChange};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// One committed iteration: a line of `ledger.jsonl`. Nothing in it depends on the number of workers but the fence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LedgerEntry {
    /// The iteration.
    pub iteration: Iteration,
    /// Pass.
    pub pass: Pass,
    /// Name of the stage.
    pub stage: String,
    /// The attempt at the stage; the first is 0.
    pub attempt: u32,
    /// The roster that did it.
    pub fence: Fence,
    /// Changes of the training state since the iteration before, in order: with them no step of the chain from `after`
    /// there to `before` here is left out.
    #[serde(default)]
    pub changes: Vec<StateLink>,
    /// What the curriculum decided since the iteration before, each with its reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub decisions: Vec<Decision>,
    /// What cleaning found for the stage, where this is an attempt's first iteration and the stage was cleaned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cleaned: Option<Box<Cleaned>>,
    /// Prompts that entered the sum, in the order of the leases.
    pub prompts: Vec<u32>,
    /// Prompts of the leases' reserves that were taken in the place of groups without variance, in the order of the leases.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refilled: Vec<u32>,
    /// Digest of the reduced integer sum.
    pub gradient: Digest,
    /// Digest of the training state before.
    pub before: Digest,
    /// Digest of the training state after.
    pub after: Digest,
    /// Digest of the journal before this line: of all lines of ledger and metrics of the iterations before.
    pub previous: Digest,
}

impl LedgerEntry {
    /// The digest of the journal with this line, which says itself what was before.
    pub fn journal(&self) -> Digest {
        lengthened(self.previous, &Self { fence: Fence(0), ..self.clone() })
    }
}

impl MetricsLine {
    /// The digest of the journal with this line, from that before it.
    pub fn journal(&self, before: Digest) -> Digest {
        lengthened(before, &Self { step_time: 0.0, ..self.clone() })
    }
}

/// The digest of a journal without lines.
pub fn empty_journal() -> Digest {
    Digest::of(b"")
}

/// SHA-256 of the digest before and of the line as compact JSON.
fn lengthened(before: Digest, line: &impl Serialize) -> Digest {
    // A struct of numbers, names and digests is always JSON.
    let line = serde_json::to_vec(line).unwrap_or_default();
    Digest(Sha256::new().chain_update(before.0).chain_update(line).finalize().into())
}

/// A change of the training state between two iterations, as a link of the chain of digests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StateLink {
    /// What was changed.
    pub change: StateChange,
    /// Digest of the training state before.
    pub before: Digest,
    /// Digest of the training state after.
    pub after: Digest,
}
