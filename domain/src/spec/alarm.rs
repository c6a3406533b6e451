//! `[alarm]`: when the signs of a policy that collapses are told to people. Alarms change no bits of what is trained.

use serde::{Deserialize, Serialize};

/// Bounds on what GRPO iterations measure (method, section 10). An alarm is a decision without consequences.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AlarmSpec {
    /// Entropy a sampled code, as a share of that of the first iteration of the attempt at the stage (0: off).
    pub min_entropy: f64,
    /// Distinct completions of a group, as a share of its completions (0: off).
    pub min_distinct: f64,
    /// Share of completions whose reward could not be computed (1: off).
    pub max_abstained: f64,
    /// An alarm rings when its bound was crossed so many iterations in a row.
    pub in_a_row: u32,
}

impl Default for AlarmSpec {
    fn default() -> Self {
        Self { min_entropy: 0.3, min_distinct: 0.25, max_abstained: 0.05, in_a_row: 3 }
    }
}
