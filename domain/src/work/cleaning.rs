//! What the cleaning of a stage's prompts found, and which prompts it leaves.

use serde::{Deserialize, Serialize};

/// The prompts of a stage that the policy before it flagged: its greedy completion was too near to what the user will
/// like. Part of the cursor, and of the ledger where the stage begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cleaned {
    /// Index of the stage.
    pub stage: u32,
    /// Prompts that were looked at: all of the stage.
    pub prompts: u32,
    /// Those that are dropped, or count less; ascending.
    pub flagged: Vec<u32>,
}

impl Cleaned {
    /// The prompts that are not flagged, ascending.
    pub fn kept(&self) -> Vec<u32> {
        let mut flagged = self.flagged.iter().peekable();
        (0..self.prompts)
            .filter(|prompt| {
                while flagged.peek().is_some_and(|next| *next < prompt) {
                    flagged.next();
                }
                flagged.peek() != Some(&prompt)
            })
            .collect()
    }

    /// Those of `prompts` that are flagged, in their order.
    pub fn flagged_among(&self, prompts: &[u32]) -> Vec<u32> {
        prompts.iter().copied().filter(|prompt| self.flagged.binary_search(prompt).is_ok()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_and_flagged_are_all() {
        let cleaned = Cleaned { stage: 1, prompts: 7, flagged: vec![0, 3, 4, 6] };
        assert_eq!(cleaned.kept(), [1, 2, 5]);
        assert_eq!(cleaned.flagged_among(&[5, 4, 0, 2]), [4, 0]);
        let nothing = Cleaned { stage: 1, prompts: 3, flagged: Vec::new() };
        assert_eq!(nothing.kept(), [0, 1, 2]);
        // Flags beyond the prompts, from a damaged file, leave nothing out.
        assert_eq!(Cleaned { stage: 1, prompts: 2, flagged: vec![5, 9] }.kept(), [0, 1]);
    }
}
