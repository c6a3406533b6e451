//! What ends a run: a worker is lost or fails. The reason names worker, phase and iteration.

use super::Run;
use super::phase::Phase;
use crate::effect::{Effect, Ending};
use crate::ids::WorkerId;

impl Run {
    /// A worker's stream ended.
    pub(super) fn on_left(&mut self, worker: WorkerId, reason: &str, out: &mut Vec<Effect>) {
        self.fail_of_worker(worker, &format!("left: {reason}"), 1, out);
    }

    /// A worker says that it cannot go on. Its words come first: they name the cause, whoever met it.
    pub(super) fn on_worker_failed(&mut self, worker: WorkerId, message: &str, code: u8, out: &mut Vec<Effect>) {
        let who = self.forget(worker);
        let reason = format!("{}\n  in {who}, {}", message.trim_end(), self.place());
        self.fail(reason, code, out);
    }

    /// Ends the run because of one worker; the others are told.
    pub(super) fn fail_of_worker(&mut self, worker: WorkerId, what: &str, exit_code: u8, out: &mut Vec<Effect>) {
        let who = self.forget(worker);
        let reason = format!("{who} {what}, {}", self.place());
        self.fail(reason, exit_code, out);
    }

    /// Takes a worker out of the run, which sends it nothing any more; gives its id and name for people.
    fn forget(&mut self, worker: WorkerId) -> String {
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
