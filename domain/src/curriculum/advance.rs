//! From one point of the curriculum to the next, given what was done: pure and total.

use super::gate::Verdict;
use super::room::Room;
use super::{Alarms, Chosen, Cursor, Gate, Health, StagePoint};
use crate::spec::{RunSpec, StageSpec, Statistics};
use crate::work::{Cleaned, Decision, Pass, QuestionCounts, Score};

/// What was done at a point.
#[derive(Clone, Debug, PartialEq)]
pub enum Performed {
    /// The change of state was made by every worker.
    Changed,
    /// The scores were measured, on so many instances.
    Validated(Score, u64),
    /// The alignment questions were asked.
    Asked(QuestionCounts),
    /// The prompts of the stage were looked at.
    Cleaned(Cleaned),
    /// The iteration was committed. A GRPO iteration says how the policy is.
    Trained(Option<Health>),
    /// The checkpoint is whole.
    Checkpointed,
    /// Report and adapter are written.
    Reported,
}

/// Why a cursor cannot advance: it is not one of this spec, or it was told of something that was not asked for.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CurriculumError {
    /// The cursor names a stage that the spec does not have.
    #[error("the cursor stands at stage {stage}, but the config has {stages}")]
    NoSuchStage {
        /// Index found.
        stage: u32,
        /// Stages of the config.
        stages: usize,
    },
    /// The refit pass repeats what the select pass chose, and nothing was chosen for this stage.
    #[error("the refit pass has no chosen number of iterations for stage {stage}")]
    NothingChosen {
        /// Index of the stage.
        stage: u32,
    },
    /// Not the result of what comes next.
    #[error("the curriculum stands at {at:?} and was told {performed:?}")]
    Unexpected {
        /// The point.
        at: StagePoint,
        /// What it was told.
        performed: Performed,
    },
}

impl Cursor {
    /// The cursor after `performed`; it must be the result of [`Cursor::next_action`].
    pub fn advance(&self, spec: &RunSpec, performed: Performed) -> Result<Self, CurriculumError> {
        let stage = self.stage_of(spec)?;
        let mut next = self.clone();
        match (self.at, performed) {
            (StagePoint::BeginPass, Performed::Changed) => next.begin_pass(spec),
            (StagePoint::Ask { stage_over }, Performed::Asked(counts)) => next.note_answers(stage, counts, stage_over),
            (StagePoint::Clean, Performed::Cleaned(cleaned)) => next.take_cleaned(spec, stage, cleaned),
            (StagePoint::BeginStage, Performed::Changed) => next.begin_stage(spec, stage)?,
            (StagePoint::Validate, Performed::Validated(score, n)) => next.judge(spec, stage, (score, n)),
            (StagePoint::BeginRollout, Performed::Changed) => next.at = StagePoint::Train,
            (StagePoint::KeepBest, Performed::Changed) => next.go_on(spec, stage),
            (StagePoint::Train, Performed::Trained(health)) => next.count_iteration(spec, stage, health),
            (StagePoint::RestoreBest { retry: true }, Performed::Changed) => next.begin_again(),
            (StagePoint::RestoreBest { retry: false }, Performed::Changed) => next.stage_is_over(spec),
            (StagePoint::Checkpoint { stage_over: false }, Performed::Checkpointed) => next.at = next.training(stage),
            (StagePoint::Checkpoint { stage_over: true }, Performed::Checkpointed) => next.leave_stage(spec),
            (StagePoint::Report, Performed::Reported) => next.at = StagePoint::Done,
            (at, performed) => return Err(CurriculumError::Unexpected { at, performed }),
        }
        Ok(next)
    }

    /// The stage at which the cursor stands.
    fn stage_of<'a>(&self, spec: &'a RunSpec) -> Result<&'a StageSpec, CurriculumError> {
        let stages = spec.stage.len();
        spec.stage.get(self.stage as usize).ok_or(CurriculumError::NoSuchStage { stage: self.stage, stages })
    }

    /// After the stage's beginning: GRPO measures its start (a retry has the scores already), the refit pass says what
    /// it repeats.
    fn begin_stage(&mut self, spec: &RunSpec, stage: &StageSpec) -> Result<(), CurriculumError> {
        self.at = match self.pass {
            Pass::Select if stage.kind.is_supervised() => StagePoint::Train,
            Pass::Select if self.attempt > 0 => StagePoint::KeepBest,
            Pass::Select => StagePoint::Validate,
            Pass::Refit => {
                let chosen = self.chosen.get(self.stage as usize).copied();
                let chosen = chosen.ok_or(CurriculumError::NothingChosen { stage: self.stage })?;
                let Chosen { iterations, attempt } = chosen;
                self.attempt = attempt;
                let raised = iterations > 0 && attempt > 0;
                let beta = if raised { format!(" with beta {}", shown_beta(stage, attempt)) } else { String::new() };
                let reason =
                    format!("repeats the {iterations} iterations that the select pass chose{beta}; nothing is chosen");
                self.decide(stage, None, reason);
                if iterations == 0 {
                    self.stage_is_over(spec);
                    return Ok(());
                }
                self.training(stage)
            }
        };
        Ok(())
    }

    /// After a validation: the gate decides.
    fn judge(&mut self, spec: &RunSpec, stage: &StageSpec, (score, instances): (Score, u64)) {
        let room = Room::new(&spec.evaluation, instances);
        let (verdict, reason) = self.gate.judge(self.stage_iteration, score, (self.bar, room));
        self.bar = self.bar.or(self.gate.start);
        self.decide(stage, Some(score), reason);
        match verdict {
            Verdict::Start | Verdict::NewBest => self.at = StagePoint::KeepBest,
            Verdict::Worse => self.go_on(spec, stage),
        }
    }

    /// After the gate: the stage is over, or the next iteration is trained.
    fn go_on(&mut self, spec: &RunSpec, stage: &StageSpec) {
        let waited = self.gate.without_best;
        if stage.patience > 0 && waited >= stage.patience {
            self.end_stage(spec, stage, format!("{waited} validations in a row without a new best"));
        } else if self.stage_iteration >= self.stage_limit(spec, self.stage) {
            self.end_stage(spec, stage, "all iterations are done".into());
        } else {
            self.at = self.before_training(spec, stage);
        }
    }

    /// After an iteration.
    fn count_iteration(&mut self, spec: &RunSpec, stage: &StageSpec, health: Option<Health>) {
        self.iteration.0 += 1;
        self.stage_iteration += 1;
        for alarm in health.map(|h| self.alarms.hear(&spec.alarm, stage.completions, h)).unwrap_or_default() {
            self.decide(stage, None, alarm);
        }
        let over = self.stage_iteration >= self.stage_limit(spec, self.stage);
        let gated = self.pass == Pass::Select && (!stage.kind.is_supervised() || stage.validate_every > 0);
        let regular = stage.validate_every > 0 && self.stage_iteration.is_multiple_of(stage.validate_every);
        if gated && (over || regular) {
            self.at = StagePoint::Validate;
        } else if over {
            if self.pass == Pass::Select {
                self.gate.best_iteration = self.stage_iteration;
                let reason = format!("kept after all {} iterations: the stage is not validated", self.stage_iteration);
                self.decide(stage, None, reason);
            }
            self.stage_is_over(spec);
        } else {
            self.at = self.before_training(spec, stage);
        }
    }

    /// A checkpoint is due every so many iterations of the run, but not where the stage has not trained yet:
    /// the stage before ended with one, and a retry begins where the stage did.
    fn before_training(&self, spec: &RunSpec, stage: &StageSpec) -> StagePoint {
        let due = self.stage_iteration > 0 && self.iteration.0.is_multiple_of(u64::from(spec.checkpoint.every));
        if due { StagePoint::Checkpoint { stage_over: false } } else { self.training(stage) }
    }

    /// An iteration is trained next; where it is the first of several updates, its rollout begins before it.
    fn training(&self, stage: &StageSpec) -> StagePoint {
        if stage.begins_rollout(self.stage_iteration) { StagePoint::BeginRollout } else { StagePoint::Train }
    }

    /// The stage is over: its best stays, or comes back; or it has lost accuracy and is tried again with a larger beta.
    fn end_stage(&mut self, spec: &RunSpec, stage: &StageSpec, cause: String) {
        let best = self.gate.best_iteration;
        let retry = self.gate.has_lost() && self.attempt + 1 < stage.attempts();
        let outcome = if retry {
            let (beta, larger) = (shown_beta(stage, self.attempt), shown_beta(stage, self.attempt + 1));
            format!(
                "no iteration was better than the stage's start and accuracy was lost (validations below the bar: {}), \
                 so the policy goes back to it and the stage is tried again with beta {larger} instead of {beta}, \
                 retry {} of {}",
                self.gate.below_bar,
                self.attempt + 1,
                stage.retries
            )
        } else if best == self.stage_iteration {
            format!("iteration {best} is kept")
        } else if best == 0 {
            "no iteration was better than the stage's start, so the policy goes back to it".into()
        } else {
            format!("the policy goes back to iteration {best}, the best")
        };
        let reason = format!("the stage ends after iteration {}: {cause}; {outcome}", self.stage_iteration);
        self.decide(stage, self.gate.best, reason);
        if best == self.stage_iteration {
            self.stage_is_over(spec);
        } else {
            self.at = StagePoint::RestoreBest { retry };
        }
    }

    /// The stage begins anew from its start, with the next attempt's beta.
    fn begin_again(&mut self) {
        self.at = StagePoint::BeginStage;
        self.attempt += 1;
        self.stage_iteration = 0;
        self.gate = self.gate.of_retry();
        self.alarms = Alarms::default();
    }

    /// On to the next stage, the next pass, or the report.
    fn leave_stage(&mut self, spec: &RunSpec) {
        if self.pass == Pass::Select {
            self.chosen.push(Chosen { iterations: self.gate.best_iteration, attempt: self.attempt });
        }
        self.cleaned = None;
        if (self.stage as usize) + 1 < spec.stage.len() {
            self.stage += 1;
            self.at = self.before_stage(spec);
        } else if self.pass == Pass::Select && spec.evaluation.statistics == Statistics::Refit {
            self.pass = Pass::Refit;
            self.stage = 0;
            self.at = StagePoint::BeginPass;
        } else {
            self.at = StagePoint::Report;
            return;
        }
        self.stage_iteration = 0;
        self.attempt = 0;
        self.gate = Gate::default();
        self.alarms = Alarms::default();
    }

    /// Records a decision with its reason.
    pub(super) fn decide(&mut self, stage: &StageSpec, score: Option<Score>, reason: String) {
        let (pass, iteration) = (self.pass, self.stage_iteration);
        self.decisions.push(Decision { pass, stage: stage.name.clone(), iteration, score, reason });
    }
}

/// beta for people: in single precision 0.3 x 3 is 0.9.
fn shown_beta(stage: &StageSpec, attempt: u32) -> String {
    (stage.beta_at(attempt) as f32).to_string()
}
