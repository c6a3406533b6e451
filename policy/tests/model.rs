//! The decoder, its rollout and its losses against independent values: golden files made by numpy, and the plain
//! repeated-prompt, two-pass form of the same computation.

// Tests stop at the first surprise.
#![allow(clippy::unwrap_used)]

#[path = "model/anchor.rs"]
mod anchor;
#[path = "model/distinct.rs"]
mod distinct;
#[path = "model/fixture.rs"]
mod fixture;
#[path = "model/golden_grpo.rs"]
mod golden_grpo;
#[path = "model/golden_llama.rs"]
mod golden_llama;
#[path = "model/golden_losses.rs"]
mod golden_losses;
#[path = "model/grpo_lease.rs"]
mod grpo_lease;
#[path = "model/later_update.rs"]
mod later_update;
#[path = "model/oracle.rs"]
mod oracle;
#[path = "model/prefix.rs"]
mod prefix;
#[path = "model/recompute.rs"]
mod recompute;
#[path = "model/refill.rs"]
mod refill;
#[path = "model/shaped_groups.rs"]
mod shaped_groups;
#[path = "model/state.rs"]
mod state;
#[path = "model/supervised_lease.rs"]
mod supervised_lease;
