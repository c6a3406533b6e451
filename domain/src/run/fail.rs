//! What ends a run. The reason names worker, phase and iteration.

use super::Run;
use super::phase::Phase;
use crate::effect::{Effect, Ending};
use crate::ids::WorkerId;

impl Run {
    /// Takes a worker out of the run, which sends it nothing any more; gives its id and name for people.
    pub(super) fn forget(&mut self, worker: WorkerId) -> String {
        let name = self.workers.remove(&worker).map_or_else(String::new, |w| format!(" ({})", w.hello.name));
        format!("{worker}{name}")
    }

    /// Ends the run. Exit code 0 would say that all is well, so it is not passed on.
    pub(super) fn fail(&mut self, reason: String, exit_code: u8, out: &mut Vec<Effect>) {
        let why = format!("the run has failed: {reason}");
        self.finish(Ending::Failed { reason, exit_code: exit_code.max(1) }, &why, out);
    }

    /// Phase, stage and iteration as a sentence part.
    pub(super) fn place(&self) -> String {
        let doing = self.phase.name();
        match self.phase {
            Phase::WaitingForWorkers | Phase::Preparing { .. } | Phase::Forming { .. } => {
                format!("while {doing}")
            }
            Phase::Rollout { .. } | Phase::Reducing { .. } | Phase::Committing { .. } => {
                format!("while {doing} iteration {} (stage `{}`)", self.coming(), self.stage_name())
            }
            _ => format!("while {doing} after iteration {} (stage `{}`)", self.cursor.iteration, self.stage_name()),
        }
    }
}
