//! Rules of a config that can be told only once the data is prepared.

use super::{RunSpec, SpecError, Violation};
use crate::work::Pass;

impl RunSpec {
    /// Refuses stages that take more prompts an iteration than a pass has for them: `prompts` are the numbers of
    /// training prompts, one a stage. An iteration holds no prompt twice, so it could never be filled.
    ///
    /// # Errors
    /// All such stages at once, each with its key, the value found and the largest one allowed.
    pub fn check_prompts(&self, pass: Pass, prompts: &[u32]) -> Result<(), SpecError> {
        let name = match pass {
            Pass::Select => "select",
            Pass::Refit => "refit",
        };
        let too_many = self.stage.iter().zip(prompts).enumerate().filter(|(_, (stage, has))| stage.prompts > **has);
        let violations: Vec<Violation> = too_many
            .map(|(index, (stage, has))| Violation {
                key: format!("stage.{index}.prompts"),
                found: stage.prompts.to_string(),
                allowed: format!(
                    "1 to {has}: stage `{}` has {has} training prompts in the {name} pass, and an iteration takes \
                     none of them twice",
                    stage.name
                ),
            })
            .collect();
        if violations.is_empty() { Ok(()) } else { Err(SpecError::Violations(violations)) }
    }
}
