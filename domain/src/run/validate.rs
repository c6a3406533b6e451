//! Validation: leases over the validation instances, integer counts added up, then the gate.

use super::leases::{Done, LeaseBook};
use super::phase::Phase;
use super::{Rejection, Run};
use crate::bookmark::JournalLine;
use crate::curriculum::Performed;
use crate::effect::Effect;
use crate::schedule::evaluation_ranges;
use crate::work::{Outcome, Score, ValidationCounts, Work};

impl Run {
    /// Cuts the validation window into leases and grants the first.
    pub(super) fn start_validation(&mut self, out: &mut Vec<Effect>) {
        let instances = self.setup.prepared.as_ref().map_or(0, |p| p.validation_instances);
        let ranges = evaluation_ranges(instances, self.setup.spec.evaluation.instances_per_lease);
        if ranges.is_empty() {
            return self.fail("the validation window holds no instance".into(), 65, out);
        }
        let works = ranges.into_iter().map(|(from, to)| Work::Validate { from, to }).collect();
        let mut leases = LeaseBook::new(works, &self.lanes());
        let mut grants = Vec::new();
        leases.send_grants(self.fence, self.now, &mut grants);
        self.enter(Phase::Validating { leases }, out);
        out.append(&mut grants);
    }

    /// The counts of a lease are here.
    pub(super) fn on_validated(&mut self, done: Done, out: &mut Vec<Effect>) -> Result<(), Rejection> {
        let worker = done.worker;
        let Phase::Validating { leases } = &self.phase else {
            return Err(self.unexpected("a validated lease"));
        };
        if !leases.holds(worker, done.lease) {
            return Err(Rejection::NotHeld { worker, lease: done.lease });
        }
        if !self.stamp_is_right(&done, out) {
            return Ok(());
        }
        if !matches!(done.outcome, Outcome::Validated(_)) {
            self.lose(worker, "answered a validation lease with another outcome", out);
            return Ok(());
        }
        let (now, fence) = (self.now, self.fence);
        let Phase::Validating { leases } = &mut self.phase else {
            return Ok(());
        };
        leases.complete(done, now)?;
        leases.send_grants(fence, now, out);
        let counts = leases.is_complete().then(|| sum(leases));
        self.show(out);
        if let Some(counts) = counts {
            self.validated(counts.score(), out);
        }
        Ok(())
    }

    /// All counts are here: the gate decides.
    fn validated(&mut self, score: Score, out: &mut Vec<Effect>) {
        if let Some(mut line) = self.cursor.held_line.take() {
            line.validation_fhr = Some(score.fhr);
            line.validation_candidate_accuracy = Some(score.candidate_accuracy);
            self.cursor.journal = line.journal(self.cursor.journal);
            self.write_line(JournalLine::Metrics(*line), out);
        }
        if self.advance(Performed::Validated(score), out) {
            self.proceed(out);
        }
    }
}

fn sum(leases: &LeaseBook) -> ValidationCounts {
    let mut counts = ValidationCounts::default();
    for outcome in leases.outcomes() {
        if let Outcome::Validated(part) = outcome {
            counts.add(part);
        }
    }
    counts
}
