//! Rank 0 evaluates on the test window and writes report and adapter; then the run is complete.

use super::leases::Done;
use super::phase::Phase;
use super::{Rejection, Run};
use crate::curriculum::Performed;
use crate::effect::{Command, Effect};
use crate::ids::LeaseId;
use crate::work::{Lease, Outcome, RunSummary, Work};

impl Run {
    /// Grants the report lease.
    pub(super) fn start_report(&mut self, out: &mut Vec<Effect>) {
        let (Some(worker), Some(state_digest)) = (self.first_member(), self.state) else {
            return self.fail("there is no worker to write the report".into(), 1, out);
        };
        let summary = RunSummary {
            state_digest,
            iterations: self.cursor.iteration.0,
            journal_digest: self.cursor.journal,
            wall_seconds: self.seconds(),
            select_checkpoint: self.cursor.select_checkpoint.clone(),
            changes: self.cursor.changes.clone(),
            decisions: self.cursor.decisions.clone(),
            questions: self.cursor.questions.clone(),
        };
        self.enter(Phase::Reporting { worker }, out);
        let lease = Lease { id: LeaseId(0), fence: self.fence, work: Work::Report { summary } };
        out.push(Effect::Send { worker, command: Command::Grant(lease) });
    }

    /// Report and adapter are written.
    pub(super) fn on_reported(&mut self, done: Done, out: &mut Vec<Effect>) -> Result<(), Rejection> {
        let (worker, lease) = (done.worker, done.lease);
        if !matches!(self.phase, Phase::Reporting { worker: w } if w == worker) || lease != LeaseId(0) {
            return Err(Rejection::NotHeld { worker, lease });
        }
        if !self.stamp_is_right(&done, out) {
            return Ok(());
        }
        if done.outcome != Outcome::Reported {
            self.lose(worker, "answered the report lease with another outcome", out);
            return Ok(());
        }
        if self.advance(Performed::Reported, out) {
            self.proceed(out);
        }
        Ok(())
    }
}
