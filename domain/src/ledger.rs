//! The ledger: which prompts entered which committed iteration, as a chain of digests.

use crate::ids::{Digest, Fence, Iteration};
use crate::work::{Pass, StateChange};
use serde::{Deserialize, Serialize};

/// One committed iteration: a line of `ledger.jsonl`. Nothing in it depends on the number of workers but the fence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
    /// Prompts that entered the sum, in the order of the leases.
    pub prompts: Vec<u32>,
    /// Digest of the reduced integer sum.
    pub gradient: Digest,
    /// Digest of the training state before.
    pub before: Digest,
    /// Digest of the training state after.
    pub after: Digest,
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
