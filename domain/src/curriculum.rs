//! Where a run stands and what comes next: a pure function of (spec, prepared data, cursor).
//! The gate lives here: validation FHR@20 and CandAcc decide, never the reward (method, sections 5 and 10).
//!
//! Nothing is chosen in the refit pass. Its weights train on everything before the test window, the validation
//! window included: a score on that window would be a score on training data. So the refit pass repeats the numbers
//! of iterations that the select pass chose, and the learning rates and betas that went with them.

mod advance;
mod alarm;
mod between;
mod gate;
mod room;

pub use advance::{CurriculumError, Performed};
pub use alarm::{Alarms, Health};

use crate::ids::{Digest, Iteration};
use crate::ledger::{StateLink, empty_journal};
use crate::metrics_line::MetricsLine;
use crate::spec::{RunSpec, Statistics};
use crate::work::{Cleaned, Decision, Pass, QuestionPoint, Score, StateChange};
use serde::{Deserialize, Serialize};

/// Where the curriculum stands; part of every checkpoint, so that a resumed run decides alike.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cursor {
    /// The current pass.
    pub pass: Pass,
    /// Index of the current stage.
    pub stage: u32,
    /// Where in the stage.
    pub at: StagePoint,
    /// Iterations of the stage done, in the attempt at hand.
    pub stage_iteration: u32,
    /// The attempt at the current stage; the first is 0. It decides beta ([`StageSpec::beta_at`]).
    ///
    /// [`StageSpec::beta_at`]: crate::spec::StageSpec::beta_at
    pub attempt: u32,
    /// Committed iterations of the run.
    pub iteration: Iteration,
    /// The gate's memory of the current stage.
    pub gate: Gate,
    /// The alarms' memory of the attempt at hand.
    pub alarms: Alarms,
    /// What was chosen for each finished stage of the select pass; the refit pass repeats it.
    pub chosen: Vec<Chosen>,
    /// Scores at the start of the first GRPO stage: the bar of all of them, so that no chain of stages sinks step by step.
    pub bar: Option<Score>,
    /// The last iteration's line of metrics while it waits for its validation's scores, over a stop if need be.
    pub held_line: Option<Box<MetricsLine>>,
    /// Digest of the journal so far: the ledger's next line begins with it.
    pub journal: Digest,
    /// Changes of the training state since the last iteration; they wait for the ledger's next line.
    #[serde(default)]
    pub changes: Vec<StateLink>,
    /// Seconds that coordinators before this one have worked on the run, up to their last checkpoint.
    pub seconds: f64,
    /// Key of the checkpoint at the end of the select pass, once the refit pass has begun; it is never pruned.
    pub select_checkpoint: Option<String>,
    /// All decisions so far.
    pub decisions: Vec<Decision>,
    /// How many of them the ledger's lines hold; the others wait for its next line.
    #[serde(default)]
    pub decisions_told: u32,
    /// What cleaning found for the current stage, where it was cleaned.
    #[serde(default)]
    pub cleaned: Option<Cleaned>,
    /// Accuracy of held-out alignment questions so far.
    #[serde(default)]
    pub questions: Vec<QuestionPoint>,
}

/// What the select pass chose for a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chosen {
    /// Iterations; 0 keeps the stage's start.
    pub iterations: u32,
    /// The attempt that they belong to.
    pub attempt: u32,
}

/// A point of a stage at which the run can stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StagePoint {
    /// The pass is about to begin: fresh weights.
    BeginPass,
    /// The held-out alignment questions are to be asked: of fresh weights, or at a stage's end.
    Ask {
        /// Whether a stage is over; otherwise the first has yet to begin.
        stage_over: bool,
    },
    /// The prompts of the stage that is about to begin are to be cleaned by the policy as it is now.
    Clean,
    /// The stage is about to begin.
    BeginStage,
    /// The scores at the stage's start (iteration 0) or after an iteration are to be measured.
    Validate,
    /// The best so far is about to be kept.
    KeepBest,
    /// A rollout is about to begin: the policy that samples is kept for its later updates.
    BeginRollout,
    /// An iteration is about to be trained.
    Train,
    /// The stage is over, or is to be tried again; its best, or its start, is about to be restored.
    RestoreBest {
        /// Whether the stage begins again afterwards.
        retry: bool,
    },
    /// A checkpoint is due; afterwards the run goes on at `Train`, or with the next stage.
    Checkpoint {
        /// Whether the stage is over.
        stage_over: bool,
    },
    /// All stages are done: evaluate on the test window, write report and adapter.
    Report,
    /// Nothing is left.
    Done,
}

/// The gate's memory of a stage.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gate {
    /// The bar: scores at the start of the first GRPO stage; none in a supervised stage.
    pub start: Option<Score>,
    /// Best scores so far.
    pub best: Option<Score>,
    /// Iteration of the stage with the best scores.
    pub best_iteration: u32,
    /// Validations in a row without a new best.
    pub without_best: u32,
    /// Validations that lay below the bar by more than the tolerance: accuracy was lost.
    pub below_bar: u32,
}

/// What a run has to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextAction {
    /// Every worker changes its training state.
    Change(StateChange),
    /// Measure the scores on validation.
    Validate,
    /// Ask the held-out alignment questions.
    Ask,
    /// Clean the prompts of the stage.
    Clean,
    /// Train one iteration.
    Train,
    /// Write a checkpoint that holds the cursor as it is after it.
    Checkpoint,
    /// Evaluate on the test window, write report and adapter.
    Report,
    /// All is done.
    Nothing,
}

impl Cursor {
    /// The stage of the select pass that had just ended when a checkpoint with this cursor was written: at the start of the
    /// next, or, `last` of all, where only the report was left.
    pub fn ended_stage(&self, last: u32) -> Option<u32> {
        if self.pass != Pass::Select {
            return None;
        }
        match self.at {
            StagePoint::Report | StagePoint::Done => Some(last),
            StagePoint::Clean | StagePoint::BeginStage if self.stage_iteration == 0 && self.attempt == 0 => {
                self.stage.checked_sub(1)
            }
            StagePoint::Clean
            | StagePoint::BeginStage
            | StagePoint::BeginPass
            | StagePoint::Ask { .. }
            | StagePoint::Validate
            | StagePoint::KeepBest
            | StagePoint::BeginRollout
            | StagePoint::Train
            | StagePoint::RestoreBest { .. }
            | StagePoint::Checkpoint { .. } => None,
        }
    }

    /// Where every run begins.
    pub fn start() -> Self {
        Self {
            pass: Pass::Select,
            stage: 0,
            at: StagePoint::BeginPass,
            stage_iteration: 0,
            attempt: 0,
            iteration: Iteration(0),
            gate: Gate::default(),
            alarms: Alarms::default(),
            chosen: Vec::new(),
            bar: None,
            held_line: None,
            journal: empty_journal(),
            changes: Vec::new(),
            seconds: 0.0,
            select_checkpoint: None,
            decisions: Vec::new(),
            decisions_told: 0,
            cleaned: None,
            questions: Vec::new(),
        }
    }

    /// Where it stands, as a number that grows with every move that changes the training state or needs a checkpoint.
    pub fn place(&self) -> (Iteration, Pass, u32, u32, u8) {
        let point = match self.at {
            StagePoint::BeginPass => 0,
            StagePoint::Ask { stage_over: false } => 1,
            StagePoint::Clean => 2,
            StagePoint::BeginStage => 3,
            StagePoint::Validate => 4,
            StagePoint::KeepBest => 5,
            StagePoint::RestoreBest { .. } => 6,
            StagePoint::Ask { stage_over: true } => 7,
            StagePoint::Checkpoint { .. } => 8,
            StagePoint::BeginRollout => 9,
            StagePoint::Train => 10,
            StagePoint::Report => 11,
            StagePoint::Done => 12,
        };
        (self.iteration, self.pass, self.stage, self.attempt, point)
    }

    /// What comes next; [`Cursor::advance`] takes its result.
    pub fn next_action(&self) -> NextAction {
        match self.at {
            StagePoint::BeginPass => NextAction::Change(StateChange::BeginPass { pass: self.pass }),
            StagePoint::BeginStage => NextAction::Change(StateChange::BeginStage { stage: self.stage }),
            StagePoint::KeepBest => NextAction::Change(StateChange::KeepBest),
            StagePoint::RestoreBest { .. } => NextAction::Change(StateChange::RestoreBest),
            StagePoint::Validate => NextAction::Validate,
            StagePoint::BeginRollout => NextAction::Change(StateChange::BeginRollout),
            StagePoint::Ask { .. } => NextAction::Ask,
            StagePoint::Clean => NextAction::Clean,
            StagePoint::Train => NextAction::Train,
            StagePoint::Checkpoint { .. } => NextAction::Checkpoint,
            StagePoint::Report => NextAction::Report,
            StagePoint::Done => NextAction::Nothing,
        }
    }

    /// Iterations of a stage at most in the current pass: the spec's while choosing, the chosen ones afterwards.
    pub fn stage_limit(&self, spec: &RunSpec, stage: u32) -> u32 {
        let index = stage as usize;
        match self.pass {
            Pass::Select => spec.stage.get(index).map_or(0, |s| s.iterations),
            Pass::Refit => self.chosen.get(index).map_or(0, |chosen| chosen.iterations),
        }
    }

    /// Iterations that the whole run takes at most, as far as is known: stages already chosen count as chosen, and a
    /// retry counts once it is decided.
    pub fn iterations_planned(&self, spec: &RunSpec) -> u64 {
        let rest: u64 = (self.stage..)
            .take(spec.stage.len().saturating_sub(self.stage as usize))
            .map(|stage| u64::from(self.stage_limit(spec, stage)))
            .sum();
        let rest = match self.at {
            StagePoint::Report | StagePoint::Done => 0,
            // The whole of the stage is still to come, once more.
            StagePoint::RestoreBest { retry: true } => rest,
            StagePoint::RestoreBest { retry: false }
            | StagePoint::Ask { stage_over: true }
            | StagePoint::Checkpoint { stage_over: true } => {
                rest.saturating_sub(u64::from(self.stage_limit(spec, self.stage)))
            }
            _ => rest.saturating_sub(u64::from(self.stage_iteration)),
        };
        let refit: u64 = match (self.pass, spec.evaluation.statistics) {
            (Pass::Select, Statistics::Refit) => {
                let known = self.chosen.iter().map(|chosen| u64::from(chosen.iterations));
                let unknown = spec.stage.iter().skip(self.chosen.len()).map(|s| u64::from(s.iterations));
                known.chain(unknown).sum()
            }
            (Pass::Refit, _) | (_, Statistics::Frozen) => 0,
        };
        self.iteration.0 + rest + refit
    }
}
