//! Leases that read the policy and change nothing: validation, alignment questions, the cleaning of a stage's prompts.
//! What comes back is integers, so a sum of it has no order; then the curriculum decides.

use super::leases::{Done, LeaseBook};
use super::phase::Phase;
use super::{Rejection, Run};
use crate::bookmark::JournalLine;
use crate::curriculum::{NextAction, Performed};
use crate::effect::Effect;
use crate::schedule::evaluation_ranges;
use crate::work::{Cleaned, Outcome, QuestionCounts, ValidationCounts, Work};

impl Run {
    /// Cuts the validation window into leases and grants the first.
    pub(super) fn start_validation(&mut self, out: &mut Vec<Effect>) {
        let works = self.over_validation(|(from, to)| Work::Validate { from, to });
        self.start_measuring(works, "the validation window holds no instance", out);
    }

    /// Cuts the validation window into leases that ask alignment questions and grants the first.
    pub(super) fn start_questions(&mut self, out: &mut Vec<Effect>) {
        let works = self.over_validation(|(from, to)| Work::Ask { from, to });
        self.start_measuring(works, "the validation window holds no instance to ask about", out);
    }

    /// Cuts the prompts of the stage that comes next into leases and grants the first.
    pub(super) fn start_cleaning(&mut self, out: &mut Vec<Effect>) {
        let (pass, stage) = (self.cursor.pass, self.cursor.stage);
        let size = self.setup.spec.evaluation.instances_per_lease;
        let ranges = evaluation_ranges(self.stage_prompts().unwrap_or_default(), size);
        let works = ranges.into_iter().map(|(from, to)| Work::Clean { pass, stage, from, to }).collect();
        self.start_measuring(works, "the stage has no prompt to clean", out);
    }

    fn over_validation(&self, work: impl Fn((u32, u32)) -> Work) -> Vec<Work> {
        let instances = self.setup.prepared.as_ref().map_or(0, |p| p.validation_instances);
        let ranges = evaluation_ranges(instances, self.setup.spec.evaluation.instances_per_lease);
        ranges.into_iter().map(work).collect()
    }

    /// Training prompts of the current stage, before any cleaning.
    pub(super) fn stage_prompts(&self) -> Option<u32> {
        let prepared = self.setup.prepared.as_ref()?;
        let pass = prepared.passes.iter().find(|part| part.pass == self.cursor.pass)?;
        pass.prompts.get(self.cursor.stage as usize).copied()
    }

    fn start_measuring(&mut self, works: Vec<Work>, missing: &str, out: &mut Vec<Effect>) {
        if works.is_empty() {
            return self.fail(missing.into(), 65, out);
        }
        let mut leases = LeaseBook::new(works, &self.lanes());
        let mut grants = Vec::new();
        leases.send_grants(self.fence, self.now, &mut grants);
        self.enter(Phase::Measuring { leases }, out);
        out.append(&mut grants);
    }

    /// What a lease found is here.
    pub(super) fn on_measured(&mut self, done: Done, out: &mut Vec<Effect>) -> Result<(), Rejection> {
        let worker = done.worker;
        let Phase::Measuring { leases } = &self.phase else {
            return Err(self.unexpected("a measured lease"));
        };
        if !leases.holds(worker, done.lease) {
            return Err(Rejection::NotHeld { worker, lease: done.lease });
        }
        let fits = answers(leases.works().get(done.lease.0 as usize), &done.outcome);
        if !self.stamp_is_right(&done, out) {
            return Ok(());
        }
        if !fits {
            let what = match done.outcome {
                Outcome::Cleaned(_) => "flagged prompts that its lease does not name",
                _ => "answered a lease of this phase with another outcome",
            };
            self.lose(worker, what, out);
            return Ok(());
        }
        let (now, fence) = (self.now, self.fence);
        let Phase::Measuring { leases } = &mut self.phase else {
            return Ok(());
        };
        leases.complete(done, now)?;
        leases.send_grants(fence, now, out);
        let outcomes = leases.is_complete().then(|| leases.outcomes().cloned().collect::<Vec<_>>());
        self.show(out);
        if let Some(outcomes) = outcomes {
            self.measured(outcomes, out);
        }
        Ok(())
    }

    /// All outcomes are here, in the order of their leases: the curriculum decides.
    fn measured(&mut self, outcomes: Vec<Outcome>, out: &mut Vec<Effect>) {
        let mut counts = ValidationCounts::default();
        let mut questions = QuestionCounts::default();
        let mut flagged = Vec::new();
        for outcome in outcomes {
            match outcome {
                Outcome::Validated(part) => counts.add(&part),
                Outcome::Asked(part) => questions.add(&part),
                Outcome::Cleaned(part) => flagged.extend(part),
                Outcome::Prepared(_) | Outcome::Trained(_) | Outcome::Reported => {}
            }
        }
        let performed = match self.cursor.next_action() {
            NextAction::Ask => Performed::Asked(questions),
            NextAction::Clean => {
                let (stage, prompts) = (self.cursor.stage, self.stage_prompts().unwrap_or_default());
                Performed::Cleaned(Cleaned { stage, prompts, flagged })
            }
            _ => {
                let score = counts.score();
                if let Some(mut line) = self.cursor.held_line.take() {
                    line.validation_fhr = Some(score.fhr);
                    line.validation_candidate_accuracy = Some(score.candidate_accuracy);
                    self.cursor.journal = line.journal(self.cursor.journal);
                    self.write_line(JournalLine::Metrics(*line), out);
                }
                Performed::Validated(score, counts.instances)
            }
        };
        if self.advance(performed, out) {
            self.proceed(out);
        }
    }
}

/// Whether an outcome answers a work. Flagged prompts must be the lease's own, ascending.
fn answers(work: Option<&Work>, outcome: &Outcome) -> bool {
    match (work, outcome) {
        (Some(Work::Validate { .. }), Outcome::Validated(_)) | (Some(Work::Ask { .. }), Outcome::Asked(_)) => true,
        (Some(Work::Clean { from, to, .. }), Outcome::Cleaned(flagged)) => {
            flagged.iter().all(|prompt| (*from..*to).contains(prompt)) && flagged.is_sorted_by(|a, b| a < b)
        }
        _ => false,
    }
}
