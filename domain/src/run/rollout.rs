//! The leases of one training iteration: granted, computed, counted.

use super::commit::Totals;
use super::leases::{Done, LeaseBook};
use super::phase::Phase;
use super::{Rejection, Run};
use crate::effect::Effect;
use crate::schedule::{Schedule, learning_rate};
use crate::spec::{Clean, StageSpec};
use crate::work::{Outcome, TrainMetrics, Work};
use std::time::Duration;

impl Run {
    /// Cuts the iteration into leases and grants the first.
    pub(super) fn start_rollout(&mut self, out: &mut Vec<Effect>) {
        let (pass, stage, iteration) = (self.cursor.pass, self.cursor.stage, self.coming());
        let cleaned = self.cursor.cleaned.as_ref().filter(|cleaned| cleaned.stage == stage);
        let prompts = self.stage_prompts();
        let schedule = prompts.and_then(|n| Schedule::of_cleaned(&self.setup.spec, pass, stage, (n, cleaned)));
        let done = self.cursor.stage_iteration;
        let (rollout, update) = self.stage().map_or((done, 0), |s| (s.rollout_of(done), s.update_of(done)));
        let refill = self.stage().map_or(0, StageSpec::reserve);
        let cut = schedule.as_ref().map(|s| s.leases(rollout)).unwrap_or_default();
        let reserves = schedule.map(|s| s.reserves(rollout, refill)).unwrap_or_default();
        if cut.is_empty() {
            let at = self.place();
            return self.fail(format!("there is no prompt to train on {at}"), 1, out);
        }
        let attempt = self.cursor.attempt;
        let light = |prompts: &[u32]| match self.stage().map(|stage| stage.clean) {
            Some(Clean::Reweight) => cleaned.map(|found| found.flagged_among(prompts)).unwrap_or_default(),
            Some(Clean::Drop | Clean::None) | None => Vec::new(),
        };
        let work = |(prompts, reserve): (Vec<u32>, _)| {
            let light = light(&prompts);
            Work::Train { pass, stage, iteration, attempt, update, prompts, light, reserve }
        };
        let works = cut.into_iter().zip(reserves).map(work).collect();
        let mut leases = LeaseBook::new(works, &self.lanes());
        let mut grants = Vec::new();
        leases.send_grants(self.fence, self.now, &mut grants);
        self.enter(Phase::Rollout { leases, started: self.now }, out);
        out.append(&mut grants);
    }

    /// The gradient of a lease is in its worker's sum.
    pub(super) fn on_trained(&mut self, done: Done, out: &mut Vec<Effect>) -> Result<(), Rejection> {
        let worker = done.worker;
        let Phase::Rollout { leases, .. } = &self.phase else {
            return Err(self.unexpected("a trained lease"));
        };
        if !leases.holds(worker, done.lease) {
            return Err(Rejection::NotHeld { worker, lease: done.lease });
        }
        if !self.stamp_is_right(&done, out) {
            return Ok(());
        }
        if !matches!(done.outcome, Outcome::Trained(_)) {
            self.lose(worker, "answered a train lease with another outcome", out);
            return Ok(());
        }
        let (now, fence) = (self.now, self.fence);
        let Phase::Rollout { leases, started } = &mut self.phase else {
            return Ok(());
        };
        leases.complete(done, now)?;
        if !leases.is_complete() {
            leases.send_grants(fence, now, out);
            return Ok(());
        }
        let (leases, started) = (leases.clone(), *started);
        self.start_reduce(leases, started, out);
        Ok(())
    }

    /// What the leases of the iteration came to.
    pub(super) fn totals(&self, leases: &LeaseBook, started: Duration) -> Totals {
        let (prompts, refilled, metrics) = sums(leases);
        let rate = self.stage().map_or(0.0, |stage| learning_rate(stage, self.cursor.stage_iteration));
        Totals { prompts, refilled, metrics, learning_rate: rate, started }
    }
}

/// The prompts, those taken from reserves, and the sums of all leases, in the order of their ids: floating-point sums
/// have an order.
fn sums(leases: &LeaseBook) -> (Vec<u32>, Vec<u32>, TrainMetrics) {
    let (mut all, mut refilled, mut metrics) = (Vec::new(), Vec::new(), TrainMetrics::default());
    for (work, outcome) in leases.works().iter().zip(leases.outcomes()) {
        if let (Work::Train { prompts, reserve, .. }, Outcome::Trained(part)) = (work, outcome) {
            all.extend_from_slice(prompts);
            refilled.extend(reserve.iter().take(usize::try_from(part.refilled).unwrap_or(usize::MAX)));
            metrics.add(part);
        }
    }
    (all, refilled, metrics)
}
