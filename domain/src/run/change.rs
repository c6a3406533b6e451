//! Every worker makes the same change of its training state: a pass or stage begins, the best is kept or restored.

use super::answers::{Answers, Verdict};
use super::phase::Phase;
use super::{LastMeans, Rejection, Run};
use crate::bookmark::Pending;
use crate::curriculum::{NextAction, Performed};
use crate::effect::{Command, Effect};
use crate::ids::{Digest, Fence, WorkerId};
use crate::ledger::StateLink;
use crate::work::StateChange;

impl Run {
    /// Tells the roster.
    pub(super) fn start_change(&mut self, change: StateChange, out: &mut Vec<Effect>) {
        if matches!(change, StateChange::BeginStage { .. } | StateChange::BeginPass { .. }) {
            self.last_means = LastMeans::default();
        }
        self.enter(Phase::Changing { answers: Answers::default() }, out);
        let Some(state) = self.state else {
            return self.fail("no training state is known".into(), 1, out);
        };
        match self.cursor.advance(&self.setup.spec, Performed::Changed) {
            Ok(cursor) => {
                // What the state will be is not known yet: `before` stands for it.
                let link = StateLink { change, before: state, after: state };
                self.tell_next(cursor, Pending::Change(link), out);
            }
            Err(error) => return self.fail(error.to_string(), 1, out),
        }
        self.send_all(&Command::Change { fence: self.fence, change, state }, out);
    }

    /// A worker has changed its state.
    pub(super) fn on_changed(
        &mut self,
        worker: WorkerId,
        fence: Fence,
        state: Digest,
        out: &mut Vec<Effect>,
    ) -> Result<(), Rejection> {
        self.check_fence(worker, fence)?;
        let name = self.phase.name();
        let Phase::Changing { answers } = &mut self.phase else {
            return Err(self.unexpected("a change of state"));
        };
        answers.add(worker, state, name)?;
        self.settle_change(out);
        Ok(())
    }

    /// Goes on once all members have answered.
    pub(super) fn settle_change(&mut self, out: &mut Vec<Effect>) {
        let members = self.members();
        let Phase::Changing { answers } = &self.phase else {
            return;
        };
        match answers.verdict(&members) {
            Verdict::Waiting | Verdict::Failed(_) => {}
            Verdict::Majority(others) => self.lose_all(&others, out),
            Verdict::Split(who) => {
                let at = self.place();
                self.fail(format!("digests differ after a change of the training state {at}: {who}"), 1, out);
            }
            Verdict::Equal(after) => {
                let before = self.state.replace(after).unwrap_or(after);
                if let NextAction::Change(change) = self.cursor.next_action() {
                    self.cursor.changes.push(StateLink { change, before, after });
                }
                if self.advance(Performed::Changed, out) {
                    self.proceed(out);
                }
            }
        }
    }
}
