//! The leases of one training iteration: granted, computed, counted.

use super::commit::Totals;
use super::leases::{Done, LeaseBook};
use super::phase::Phase;
use super::{Rejection, Run};
use crate::effect::Effect;
use crate::schedule::{Schedule, learning_rate};
use crate::spec::Clean;
use crate::work::{Outcome, TrainMetrics, Work};
use std::time::Duration;

impl Run {
    /// Cuts the iteration into leases and grants the first.
    pub(super) fn start_rollout(&mut self, out: &mut Vec<Effect>) {
        let (pass, stage, iteration) = (self.cursor.pass, self.cursor.stage, self.coming());
        let cleaned = self.cursor.cleaned.as_ref().filter(|cleaned| cleaned.stage == stage);
        let prompts = self.stage_prompts();
        let schedule = prompts.and_then(|n| Schedule::of_cleaned(&self.setup.spec, pass, stage, (n, cleaned)));
        let cut = schedule.map(|s| s.leases(self.cursor.stage_iteration)).unwrap_or_default();
        if cut.is_empty() {
            let at = self.place();
            return self.fail(format!("there is no prompt to train on {at}"), 1, out);
        }
        let attempt = self.cursor.attempt;
        let light = |prompts: &[u32]| match self.stage().map(|stage| stage.clean) {
            Some(Clean::Reweight) => cleaned.map(|found| found.flagged_among(prompts)).unwrap_or_default(),
            Some(Clean::Drop | Clean::None) | None => Vec::new(),
        };
        let work = |prompts: Vec<u32>| {
            let light = light(&prompts);
            Work::Train { pass, stage, iteration, attempt, prompts, light }
        };
        let works = cut.into_iter().map(work).collect();
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
        let (prompts, metrics) = sums(leases);
        let rate = self.stage().map_or(0.0, |stage| learning_rate(stage, self.cursor.stage_iteration));
        Totals { prompts, metrics, learning_rate: rate, started }
    }
}

/// The prompts and sums of all leases, in the order of their ids: floating-point sums have an order.
fn sums(leases: &LeaseBook) -> (Vec<u32>, TrainMetrics) {
    let mut metrics = TrainMetrics::default();
    for outcome in leases.outcomes() {
        if let Outcome::Trained(part) = outcome {
            metrics.add(part);
        }
    }
    let mut all = Vec::new();
    for work in leases.works() {
        if let Work::Train { prompts, .. } = work {
            all.extend_from_slice(prompts);
        }
    }
    (all, metrics)
}
