//! What lies between stages: questions asked at a stage's end, and the cleaning of the next stage's prompts by the
//! policy that the stage before left (method, section 5). Neither changes the training state.

use super::{Cursor, StagePoint};
use crate::spec::{Clean, RunSpec, StageSpec};
use crate::work::{Cleaned, Pass, QuestionCounts, QuestionPoint};

impl Cursor {
    /// After the weights of a pass were drawn. Questions belong to the select pass: its validation window lies behind
    /// its training, that of the refit pass does not.
    pub(super) fn begin_pass(&mut self, spec: &RunSpec) {
        let asks = self.pass == Pass::Select && spec.asks_questions();
        self.at = if asks { StagePoint::Ask { stage_over: false } } else { self.before_stage(spec) };
    }

    /// The stage's policy is what it will be.
    pub(super) fn stage_is_over(&mut self, spec: &RunSpec) {
        let asks = self.pass == Pass::Select && spec.asks_questions();
        self.at = if asks { StagePoint::Ask { stage_over: true } } else { StagePoint::Checkpoint { stage_over: true } };
    }

    /// Where a stage that comes next begins: with its cleaning, if it has one and will train.
    pub(super) fn before_stage(&self, spec: &RunSpec) -> StagePoint {
        let cleans = spec.stage.get(self.stage as usize).is_some_and(|stage| stage.clean != Clean::None);
        let trains = self.stage_limit(spec, self.stage) > 0;
        // Before the first stage nothing has learned anything that could clean.
        if cleans && trains && self.stage > 0 { StagePoint::Clean } else { StagePoint::BeginStage }
    }

    /// Takes in how the questions were answered.
    pub(super) fn note_answers(&mut self, stage: &StageSpec, counts: QuestionCounts, stage_over: bool) {
        let by_kind: Vec<String> = counts
            .accuracies()
            .into_iter()
            .map(|(kind, accuracy, asked)| format!("{kind} {accuracy:.4} of {asked}"))
            .collect();
        let when = if stage_over { "after the stage" } else { "before the first stage" };
        let found = if by_kind.is_empty() { "none could be asked".to_owned() } else { by_kind.join(", ") };
        self.decide(stage, None, format!("alignment questions {when}, right answers: {found} (chance 0.25)"));
        let name = if stage_over { stage.name.clone() } else { String::new() };
        self.questions.push(QuestionPoint { pass: self.pass, stage: name, counts });
        self.at = if stage_over { StagePoint::Checkpoint { stage_over: true } } else { StagePoint::BeginStage };
    }

    /// Takes in which prompts of the stage were flagged. Where too few would be left for an iteration none is.
    pub(super) fn take_cleaned(&mut self, spec: &RunSpec, stage: &StageSpec, mut cleaned: Cleaned) {
        let before = self.stage.checked_sub(1).and_then(|before| spec.stage.get(before as usize));
        let before = before.map_or("", |stage| stage.name.as_str());
        let (flagged, of) = (cleaned.flagged.len(), cleaned.prompts);
        let left = of.saturating_sub(u32::try_from(flagged).unwrap_or(u32::MAX));
        let outcome = match stage.clean {
            Clean::Drop if left < stage.prompts => {
                cleaned.flagged.clear();
                format!("none is dropped, as {left} would be left and an iteration takes {}", stage.prompts)
            }
            Clean::Drop => format!("they are dropped, {left} are left"),
            Clean::Reweight => format!("their gradients count {}", stage.clean_weight),
            Clean::None => "nothing is done".to_owned(),
        };
        let reason = format!(
            "cleaning by the policy of stage `{before}`: of {of} prompts {flagged} are completed nearer than {} to what \
             the user will like; {outcome}",
            stage.clean_above
        );
        self.decide(stage, None, reason);
        self.cleaned = Some(cleaned);
        self.at = StagePoint::BeginStage;
    }
}
