//! What becomes of prompts whose greedy completion lies too near to what the user will like (method, section 5).

use serde::{Deserialize, Serialize};

/// How the policy of the stage before cleans a GRPO stage's prompts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Clean {
    /// Not at all.
    #[default]
    None,
    /// Flagged prompts are left out of the stage.
    Drop,
    /// The gradient of flagged prompts counts less.
    Reweight,
}
