//! All leases are done: the roster adds up its integer sums, and all must hold the same.

use super::answers::{Answers, Verdict};
use super::commit::Totals;
use super::phase::Phase;
use super::{Rejection, Run};
use crate::effect::{Command, Effect};
use crate::ids::{Digest, Fence, Iteration, WorkerId};

impl Run {
    /// Tells the roster to reduce.
    pub(super) fn start_reduce(&mut self, totals: Totals, out: &mut Vec<Effect>) {
        self.enter(Phase::Reducing { totals, answers: Answers::default() }, out);
        self.send_all(&Command::Reduce { fence: self.fence, iteration: self.coming() }, out);
    }

    /// A worker holds the reduced sum; `from` is who and in which roster.
    pub(super) fn on_reduced(
        &mut self,
        from: (WorkerId, Fence),
        iteration: Iteration,
        gradient: Digest,
        out: &mut Vec<Effect>,
    ) -> Result<(), Rejection> {
        let (worker, fence) = from;
        self.check_fence(worker, fence)?;
        let (members, expected, name) = (self.members(), self.coming(), self.phase.name());
        let Phase::Reducing { answers, totals } = &mut self.phase else {
            return Err(self.unexpected("a reduced sum"));
        };
        if iteration != expected {
            return Err(Rejection::WrongIteration { worker, found: iteration, expected });
        }
        answers.add(worker, gradient, name)?;
        match answers.verdict(&members) {
            Verdict::Waiting => {}
            Verdict::Differ(who) => {
                let at = self.place();
                self.fail(format!("digests differ after the reduce {at}: {who}"), 1, out);
            }
            Verdict::Equal(gradient) => {
                let totals = totals.clone();
                self.start_commit(totals, gradient, out);
            }
        }
        Ok(())
    }
}
