//! A stop was asked for: the run ends at the next point from which a resume gives the same bits.

use super::Run;
use super::phase::Phase;
use crate::effect::{Command, Effect, Ending};

impl Run {
    /// SIGTERM, Ctrl-C or an operator's wish. An iteration or validation whose leases are out is dropped; what is
    /// nearly done (a reduce, a commit, a change, a checkpoint) is finished first.
    pub(super) fn on_stop_requested(&mut self, out: &mut Vec<Effect>) {
        // One that has begun because all workers leave ends with the run now.
        self.parting = false;
        if self.stopping {
            return;
        }
        self.stopping = true;
        self.come_to_rest(out);
    }

    /// Towards the checkpoint with which a stop ends.
    pub(super) fn come_to_rest(&mut self, out: &mut Vec<Effect>) {
        match self.phase {
            // What workers brought of a run whose coordinator died is asked for and written down first.
            Phase::WaitingForWorkers if self.workers.values().any(|worker| self.brought(worker).is_some()) => {
                self.begin_if_due(out);
            }
            // Nothing is under way that a resume would not do again; the report is written anew as a whole.
            Phase::WaitingForWorkers | Phase::Preparing { .. } | Phase::Reporting { .. } => self.finish_stopped(out),
            // Workers that hold nothing yet lose nothing; the others first write down what they hold.
            Phase::Forming { .. } if self.state.is_none() => self.finish_stopped(out),
            Phase::Rollout { .. } | Phase::Measuring { .. } => self.stop_with_checkpoint(out),
            Phase::Forming { .. }
            | Phase::Reducing { .. }
            | Phase::Committing { .. }
            | Phase::Changing { .. }
            | Phase::Saving
            | Phase::Ended(_) => {}
        }
    }

    /// The run has stopped; the store holds all that a resume needs.
    pub(super) fn finish_stopped(&mut self, out: &mut Vec<Effect>) {
        if self.parting {
            return self.part(out);
        }
        self.finish(Ending::Stopped, "a stop was asked for", out);
    }

    /// Ends the run for this process: every worker is told, then whoever watches, then the shell.
    pub(super) fn finish(&mut self, ending: Ending, why: &str, out: &mut Vec<Effect>) {
        let complete = ending.leaves_nothing_to_do();
        for worker in self.workers.keys().copied() {
            out.push(Effect::Send { worker, command: Command::Stop { reason: why.to_owned(), complete } });
        }
        self.enter(Phase::Ended(ending.clone()), out);
        out.push(Effect::Finish(ending));
    }
}
