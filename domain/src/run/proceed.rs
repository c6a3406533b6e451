//! From the curriculum's next action to the phase that does it. A stop that was asked for comes first.

use super::Run;
use super::roster::Then;
use crate::curriculum::{Cursor, NextAction, Performed};
use crate::effect::{Effect, Ending};
use crate::status::{Activity, Status};

impl Run {
    /// Moves the cursor and shows what was decided; whether it could. If not, the run has ended.
    pub(super) fn advance(&mut self, performed: Performed, out: &mut Vec<Effect>) -> bool {
        match self.cursor.advance(&self.setup.spec, performed) {
            Ok(cursor) => {
                self.move_to(cursor, out);
                true
            }
            Err(error) => {
                self.fail(error.to_string(), 1, out);
                false
            }
        }
    }

    /// Moves the cursor and shows what was decided on the way.
    pub(super) fn move_to(&mut self, cursor: Cursor, out: &mut Vec<Effect>) {
        let known = self.cursor.decisions.len();
        self.cursor = cursor;
        self.show_decisions(known, out);
    }

    /// Shows the decisions after the first `known`.
    fn show_decisions(&self, known: usize, out: &mut Vec<Effect>) {
        for decision in self.cursor.decisions.iter().skip(known) {
            let activity = Activity::Decided {
                stage: decision.stage.clone(),
                iteration: decision.iteration,
                score: decision.score,
                reason: decision.reason.clone(),
            };
            out.push(Effect::Show(Status { activity, ..self.status() }));
        }
    }

    /// Starts what comes next.
    pub(super) fn proceed(&mut self, out: &mut Vec<Effect>) {
        if self.stopping {
            return self.stop_with_checkpoint(out);
        }
        let action = self.cursor.next_action();
        // What remains at the end is one worker's: nobody has to meet for it.
        if self.roster_is_due() && !matches!(action, NextAction::Report | NextAction::Nothing) {
            return self.start_forming(Then::Proceed, out);
        }
        match action {
            // What is evaluated must be in the store too.
            NextAction::Report | NextAction::Nothing if self.save.is_some() => self.wait_for_save(out),
            NextAction::Change(change) => self.start_change(change, out),
            NextAction::Validate => self.start_validation(out),
            NextAction::Ask => self.start_questions(out),
            NextAction::Clean => self.start_cleaning(out),
            NextAction::Train if self.wanted && self.write_wanted(out) => {}
            NextAction::Train => self.start_rollout(out),
            NextAction::Checkpoint => self.start_checkpoint(out),
            NextAction::Report => self.start_report(out),
            NextAction::Nothing => self.finish(Ending::Completed, "the run is complete", out),
        }
    }
}
