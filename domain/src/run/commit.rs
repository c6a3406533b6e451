//! The sums are equal: the roster applies one optimiser step, and the iteration enters ledger and metrics.

use super::answers::{Answers, Verdict};
use super::leases::LeaseBook;
use super::phase::Phase;
use super::{LastMeans, Rejection, Run};
use crate::bookmark::{JournalLine, Pending, journal_after};
use crate::curriculum::{CurriculumError, Cursor, Health, Performed, StagePoint};
use crate::effect::{Command, Effect};
use crate::ids::{Digest, Fence, Iteration, WorkerId};
use crate::ledger::LedgerEntry;
use crate::metrics_line::MetricsLine;
use crate::spec::{Sampler, StageKind};
use crate::work::TrainMetrics;
use std::time::Duration;

/// What the leases of an iteration came to.
#[derive(Clone, Debug)]
pub(super) struct Totals {
    /// Prompts in the order of the leases.
    pub(super) prompts: Vec<u32>,
    /// Prompts taken from the leases' reserves, in the order of the leases.
    pub(super) refilled: Vec<u32>,
    pub(super) metrics: TrainMetrics,
    pub(super) learning_rate: f64,
    /// When the first lease was granted.
    pub(super) started: Duration,
}

/// What the commit of an iteration leaves behind.
struct Outcome {
    cursor: Cursor,
    entry: LedgerEntry,
    /// None while it waits for the scores of the validation.
    metrics: Option<MetricsLine>,
}

impl Run {
    /// Tells the roster to commit. The divisor is what the loss is a mean over: groups or the codes that train for GRPO,
    /// target codes for a supervised stage; where nothing entered the sum it is 1, as the sum is 0.
    pub(super) fn start_commit(
        &mut self,
        leases: &LeaseBook,
        started: Duration,
        gradient: Digest,
        out: &mut Vec<Effect>,
    ) {
        let totals = self.totals(leases, started);
        let Some(state) = self.state else {
            return self.fail("no training state is known".into(), 1, out);
        };
        let divisor = self.divisor(&totals);
        // What the state will be is not known yet: `before` stands for it.
        match self.outcome(&totals, gradient, (state, state)) {
            Ok(Outcome { cursor, entry, metrics }) => {
                self.tell_next(cursor, Pending::Commit { entry: Box::new(entry), metrics: metrics.map(Box::new) }, out)
            }
            Err(error) => return self.fail(error.to_string(), 1, out),
        }
        let command = Command::Commit {
            fence: self.fence,
            iteration: self.coming(),
            divisor,
            learning_rate: totals.learning_rate,
            state,
        };
        self.enter(Phase::Committing { totals, gradient, answers: Answers::default() }, out);
        self.send_all(&command, out);
    }

    fn divisor(&self, totals: &Totals) -> u64 {
        let m = &totals.metrics;
        let divisor = match self.stage() {
            Some(stage) if stage.kind.is_supervised() => m.codes,
            Some(stage) if stage.loss.is_mean_over_codes() => m.trained_codes,
            // A group that was replaced does not count: with many of them steps would become small.
            _ => m.groups.saturating_sub(m.refilled),
        };
        divisor.max(1)
    }

    /// A worker has applied the step; `from` is who and in which roster.
    pub(super) fn on_committed(
        &mut self,
        from: (WorkerId, Fence),
        iteration: Iteration,
        state: Digest,
        out: &mut Vec<Effect>,
    ) -> Result<(), Rejection> {
        let (worker, fence) = from;
        self.check_fence(worker, fence)?;
        let (expected, name) = (self.coming(), self.phase.name());
        let Phase::Committing { answers, .. } = &mut self.phase else {
            return Err(self.unexpected("a commit"));
        };
        if iteration != expected {
            return Err(Rejection::WrongIteration { worker, found: iteration, expected });
        }
        answers.add(worker, state, name)?;
        self.settle_commit(out);
        Ok(())
    }

    /// Goes on once all members have answered. One that is lost meanwhile is not missed: the others have the sum.
    pub(super) fn settle_commit(&mut self, out: &mut Vec<Effect>) {
        let members = self.members();
        let Phase::Committing { answers, totals, gradient } = &self.phase else {
            return;
        };
        match answers.verdict(&members) {
            Verdict::Waiting | Verdict::Failed(_) => {}
            Verdict::Majority(others) => self.lose_all(&others, out),
            Verdict::Split(who) => {
                let at = self.place();
                self.fail(format!("digests differ after the commit {at}: {who}"), 1, out);
            }
            Verdict::Equal(after) => {
                let (totals, gradient) = (totals.clone(), *gradient);
                self.committed(totals, gradient, after, out);
            }
        }
    }

    /// The iteration is committed everywhere.
    fn committed(&mut self, totals: Totals, gradient: Digest, after: Digest, out: &mut Vec<Effect>) {
        let before = self.state.replace(after).unwrap_or(after);
        self.failed_rosters = 0;
        let Outcome { cursor, entry, metrics } = match self.outcome(&totals, gradient, (before, after)) {
            Ok(outcome) => outcome,
            Err(error) => return self.fail(error.to_string(), 1, out),
        };
        self.write_line(JournalLine::Ledger(entry), out);
        if let Some(line) = metrics.as_ref().or(cursor.held_line.as_deref()) {
            self.last_means = LastMeans { loss: line.loss, reward: line.reward, kl: line.kl };
        }
        self.move_to(cursor, out);
        if let Some(line) = metrics {
            self.write_line(JournalLine::Metrics(line), out);
        }
        self.proceed(out);
    }

    /// What the commit of an iteration leaves behind; `states` before and after it.
    fn outcome(
        &self,
        totals: &Totals,
        gradient: Digest,
        (before, after): (Digest, Digest),
    ) -> Result<Outcome, CurriculumError> {
        let entry = LedgerEntry {
            iteration: self.coming(),
            pass: self.cursor.pass,
            stage: self.stage_name(),
            attempt: self.cursor.attempt,
            fence: self.fence,
            changes: self.cursor.changes.clone(),
            decisions: self.cursor.decisions.iter().skip(self.cursor.decisions_told as usize).cloned().collect(),
            cleaned: self.cursor.cleaned.clone().filter(|_| self.cursor.stage_iteration == 0).map(Box::new),
            prompts: totals.prompts.clone(),
            refilled: totals.refilled.clone(),
            gradient,
            before,
            after,
            previous: self.cursor.journal,
        };
        let line = self.line(totals);
        let grpo = self.stage().is_some_and(|s| !s.kind.is_supervised());
        let performed = Performed::Trained(grpo.then(|| Health::of(&totals.metrics)));
        let mut cursor = self.cursor.advance(&self.setup.spec, performed)?;
        cursor.changes.clear();
        cursor.decisions_told = u32::try_from(self.cursor.decisions.len()).unwrap_or(u32::MAX);
        // The line of an iteration that is validated waits for the scores, over a stop and resume if need be.
        let waits = cursor.at == StagePoint::Validate;
        let metrics = (!waits).then(|| line.clone());
        cursor.held_line = waits.then(|| Box::new(line));
        cursor.journal = journal_after(&entry, metrics.as_ref());
        Ok(Outcome { cursor, entry, metrics })
    }

    /// The iteration's line of metrics, without validation scores.
    fn line(&self, totals: &Totals) -> MetricsLine {
        let m = &totals.metrics;
        let health = Health::of(m);
        let mean = |sum: f64, count: u64| sum / count.max(1) as f64;
        let beta = self.stage().filter(|s| !s.kind.is_supervised()).map(|s| s.beta_at(self.cursor.attempt));
        let weighted = self.stage().is_some_and(|s| !s.kind.is_supervised() && s.sampler == Sampler::GumbelTopK);
        let several = self.stage().is_some_and(|s| !s.kind.is_supervised() && s.updates_per_rollout > 1);
        let anchored = self.stage().is_some_and(|s| !s.kind.is_supervised() && s.nll_weight > 0.0);
        let refills = self.stage().is_some_and(|s| s.reserve() > 0);
        let (to_title, to_item) = self.translation_losses(m);
        let only_grpo = |value: f64| beta.map(|_| value);
        MetricsLine {
            iteration: self.coming(),
            pass: self.cursor.pass,
            stage: self.stage_name(),
            stage_iteration: self.cursor.stage_iteration + 1,
            loss: m.loss / self.divisor(totals) as f64,
            loss_to_title: to_title,
            loss_to_item: to_item,
            reward: only_grpo(mean(m.reward, m.completions.saturating_sub(m.abstained))),
            reward_std: only_grpo(mean(m.reward_std, m.groups)),
            frac_reward_zero_std: only_grpo(mean(m.zero_variance_groups as f64, m.groups)),
            beta,
            // Without beta the reference is not computed.
            kl: beta.filter(|beta| *beta > 0.0).map(|_| mean(m.kl, m.codes)),
            entropy: only_grpo(health.entropy),
            clip_ratio: only_grpo(mean(m.clipped as f64, m.trained_codes)),
            ratio_std: several.then(|| ratio_std(m)),
            nll: anchored.then(|| mean(m.nll, m.groups.saturating_sub(m.refilled))),
            refilled: refills.then_some(m.refilled),
            effective_completions: weighted.then(|| mean(m.effective, m.groups)),
            distinct: only_grpo(health.distinct),
            abstained: only_grpo(health.abstained),
            learning_rate: totals.learning_rate,
            step_time: self.now.saturating_sub(totals.started).as_secs_f64(),
            validation_fhr: None,
            validation_candidate_accuracy: None,
        }
    }

    /// The mean losses of a title's tokens and of a semantic id's codes, where the stage translates.
    fn translation_losses(&self, m: &TrainMetrics) -> (Option<f64>, Option<f64>) {
        let translates = self.stage().is_some_and(|s| s.kind == StageKind::Translation);
        let mean = |sum: f64, count: u64| (translates && count > 0).then(|| sum / count as f64);
        let codes = m.codes.saturating_sub(m.title_tokens);
        (mean(m.title_loss, m.title_tokens), mean(m.loss - m.title_loss, codes))
    }
}

/// The standard deviation of the ratios of new to old probability over the codes that train; 0 in a rollout's first
/// update, which does not sum them, as all are 1.
fn ratio_std(m: &TrainMetrics) -> f64 {
    let n = m.trained_codes.max(1) as f64;
    (m.ratio_squares / n - (m.ratio / n) * (m.ratio / n)).max(0.0).sqrt()
}
