//! All leases are done: the roster adds up its integer sums, and all must hold the same.

use super::answers::{Answers, Verdict};
use super::leases::LeaseBook;
use super::phase::Phase;
use super::roster::Then;
use super::{Rejection, Run};
use crate::effect::{Command, Effect};
use crate::ids::{Digest, Fence, Iteration, WorkerId};
use std::time::Duration;

impl Run {
    /// Tells the roster to reduce; a broken one forms anew first.
    pub(super) fn start_reduce(&mut self, leases: LeaseBook, started: Duration, out: &mut Vec<Effect>) {
        if self.roster_is_broken() {
            return self.start_forming(Then::Reduce { leases, started }, out);
        }
        self.enter(Phase::Reducing { leases, started, answers: Answers::default() }, out);
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
        let (expected, name) = (self.coming(), self.phase.name());
        let Phase::Reducing { answers, .. } = &mut self.phase else {
            // The sum of a roster that has lost a member since counts for nothing.
            return if self.roster_is_broken() { Ok(()) } else { Err(self.unexpected("a reduced sum")) };
        };
        if iteration != expected {
            return Err(Rejection::WrongIteration { worker, found: iteration, expected });
        }
        answers.add(worker, gradient, name)?;
        self.settle_reduce(out);
        Ok(())
    }

    /// Goes on once all members have answered.
    fn settle_reduce(&mut self, out: &mut Vec<Effect>) {
        let members = self.members();
        let Phase::Reducing { answers, leases, started } = &self.phase else {
            return;
        };
        match answers.verdict(&members) {
            Verdict::Waiting => {}
            Verdict::Failed(message) => {
                let then = Then::Reduce { leases: leases.clone(), started: *started };
                self.try_again(then, &message, out);
            }
            Verdict::Majority(others) => self.lose_all(&others, out),
            Verdict::Split(who) => {
                let at = self.place();
                self.fail(format!("digests differ after the reduce {at}: {who}"), 1, out);
            }
            Verdict::Equal(gradient) => {
                let (leases, started) = (leases.clone(), *started);
                self.start_commit(&leases, started, gradient, out);
            }
        }
    }

    /// A call of the roster's collective did not succeed for a worker. Who is lost shows by itself: its stream ends, or
    /// it falls silent. Where nobody is, the members try again under a new fence.
    pub(super) fn on_collective_failed(&mut self, worker: WorkerId, message: String, out: &mut Vec<Effect>) {
        match &mut self.phase {
            Phase::Forming { answers, .. } => {
                answers.add_failure(worker, message);
                self.settle_forming(out);
            }
            Phase::Reducing { answers, .. } => {
                answers.add_failure(worker, message);
                self.settle_reduce(out);
            }
            // The call was given up when a member was lost, and the run has gone on since.
            _ => {}
        }
    }

    /// Forms a new roster because the last one's collective failed, a bounded number of times without a commit.
    pub(super) fn try_again(&mut self, then: Then, message: &str, out: &mut Vec<Effect>) {
        self.failed_rosters += 1;
        if self.failed_rosters > MOST_FAILED_ROSTERS {
            let (at, times) = (self.place(), self.failed_rosters);
            let reason = format!("the workers could not work together {times} times in a row, {at}: {message}");
            return self.fail(reason, 69, out);
        }
        self.start_forming(then, out);
    }
}

/// Rosters in a row whose collective may fail although none of their members is lost.
const MOST_FAILED_ROSTERS: u32 = 5;
