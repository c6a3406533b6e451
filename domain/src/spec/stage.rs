//! `[[stage]]`: one step of the progressive curriculum. Any number, any order (supervised before GRPO).

use super::objective::{AdvantageScale, Baseline, GrpoLoss, Sampler};
use super::{Answers, Clean, Distractors};
use serde::{Deserialize, Serialize};

/// One stage: what is learned, from which context, for how long, and when it ends early.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StageSpec {
    /// Shown in progress, metrics and report; unique in a run.
    pub name: String,
    /// What is learned.
    pub kind: StageKind,
    /// What the prompt shows of the user's past.
    #[serde(default)]
    pub context: Context,
    /// Train only on instances of the last n days before the end of training time (0: all).
    #[serde(default)]
    pub recent_days: u32,
    /// Optimiser updates at most.
    pub iterations: u32,
    /// Prompts (or user sequences) an iteration.
    pub prompts: u32,
    /// Prompts a lease: the unit of work, part of what fixes the bits.
    pub prompts_per_lease: u32,
    /// Learning rate.
    pub learning_rate: f64,
    /// Iterations over which the learning rate rises linearly.
    #[serde(default)]
    pub warmup: u32,
    /// The learning rate falls linearly to this share of itself at the last iteration.
    #[serde(default = "one")]
    pub final_rate: f64,
    /// G: completions a prompt (GRPO only).
    #[serde(default = "default_completions")]
    pub completions: u32,
    /// T: temperature of rollout and loss (GRPO only).
    #[serde(default = "one")]
    pub temperature: f64,
    /// beta: weight of the exact KL to the policy at the stage's start (GRPO only).
    #[serde(default = "default_beta")]
    pub beta: f64,
    /// Times that a stage which lost accuracy is trained again from its start with a larger beta (GRPO only; 0: never).
    #[serde(default = "default_retries")]
    pub retries: u32,
    /// Each retry multiplies beta by this (GRPO only).
    #[serde(default = "default_beta_factor")]
    pub beta_factor: f64,
    /// What is minimised (GRPO only).
    #[serde(default)]
    pub loss: GrpoLoss,
    /// How a group's completions are chosen (GRPO only).
    #[serde(default)]
    pub sampler: Sampler,
    /// What advantages are divided by (GRPO only); left out: nothing for `dr_grpo`, else the group's deviation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advantage: Option<AdvantageScale>,
    /// What rewards are compared with (GRPO only).
    #[serde(default)]
    pub baseline: Baseline,
    /// Advantages are divided by a standard deviation, but by no less than this (GRPO only). At 1 and above there is no
    /// division: groups whose completions are alike in reward then teach little.
    #[serde(default = "default_advantage_floor")]
    pub advantage_floor: f64,
    /// eps_lo: the ratio of new to old probability counts as no less than 1 minus this (GRPO only); left out: what the
    /// loss's paper says. In a rollout's first update the ratio is 1 and neither bound changes a result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip_low: Option<f64>,
    /// eps_hi: the ratio counts as no more than 1 plus this (GRPO only); left out: what the loss's paper says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip_high: Option<f64>,
    /// Optimiser updates that are made with the completions of one rollout (GRPO only). The first is on policy; the
    /// others clip the ratio to the policy that sampled.
    #[serde(default = "one_update")]
    pub updates_per_rollout: u32,
    /// Further prompts that a lease may take, at most, in the place of groups whose rewards are all equal (GRPO only; 0:
    /// none).
    #[serde(default)]
    pub refill: u32,
    /// Weight of the anchor: the cross-entropy of the instance's next negative, added to the loss (GRPO only).
    #[serde(default)]
    pub nll_weight: f64,
    /// Weight of predicting an event's sign beside its codes (next_item only).
    #[serde(default = "default_sign_weight")]
    pub sign_weight: f64,
    /// Where the questions' distractors come from (alignment only).
    #[serde(default)]
    pub distractors: Distractors,
    /// Which of the four items is learned as the answer (alignment only).
    #[serde(default)]
    pub answers: Answers,
    /// What the prompt shows of the user's past before the question (alignment only).
    #[serde(default = "default_question_context")]
    pub question_context: Context,
    /// Tokens of a title that are read or asked for at most (translation only); what is longer is cut.
    #[serde(default = "default_title_tokens")]
    pub title_tokens: u32,
    /// Share of the semantic ids whose items the stage does not train on, so that they can be asked for later (translation
    /// only). Left out of what is written where it is 0: it then asks for nothing.
    #[serde(default, skip_serializing_if = "super::is_default")]
    pub held_out: f64,
    /// How the policy of the stage before cleans this stage's prompts (GRPO only).
    #[serde(default)]
    pub clean: Clean,
    /// tau: a prompt is flagged where its greedy completion is nearer than this to a future positive (GRPO only).
    #[serde(default = "default_clean_above")]
    pub clean_above: f64,
    /// Weight of a flagged prompt's gradient where `clean` is `reweight` (GRPO only).
    #[serde(default = "default_clean_weight")]
    pub clean_weight: f64,
    /// Validate every n iterations (0: only at the stage's end).
    #[serde(default)]
    pub validate_every: u32,
    /// The stage ends after this many validations in a row without a new best (0: never).
    #[serde(default)]
    pub patience: u32,
}

impl StageSpec {
    /// Trainings of the stage in the select pass at most: the first and its retries. A supervised stage has no bar to
    /// fall below, and without a beta there is nothing to raise: neither is retried.
    pub fn attempts(&self) -> u32 {
        let retried = !self.kind.is_supervised() && self.beta > 0.0;
        if retried { self.retries.saturating_add(1) } else { 1 }
    }

    /// Updates that a rollout serves: 1 where nothing is sampled.
    fn updates(&self) -> u32 {
        if self.kind.is_supervised() { 1 } else { self.updates_per_rollout.max(1) }
    }

    /// Reserve prompts of a lease at most: none where nothing is sampled.
    pub fn reserve(&self) -> u32 {
        if self.kind.is_supervised() { 0 } else { self.refill }
    }

    /// The rollout that an iteration of the stage belongs to; both count from 0.
    pub fn rollout_of(&self, iteration: u32) -> u32 {
        iteration / self.updates()
    }

    /// Which update of its rollout an iteration of the stage is; both count from 0.
    pub fn update_of(&self, iteration: u32) -> u32 {
        iteration % self.updates()
    }

    /// Whether the policy that samples must be kept before an iteration, as later ones compare themselves with it.
    pub fn begins_rollout(&self, iteration: u32) -> bool {
        self.updates() > 1 && self.update_of(iteration) == 0
    }

    /// beta of an attempt (the first is 0): `beta * beta_factor ^ attempt`, multiplied one after another, so that every
    /// machine gets the same bits.
    pub fn beta_at(&self, attempt: u32) -> f64 {
        (0..attempt.min(self.retries)).fold(self.beta, |beta, _| beta * self.beta_factor)
    }
}

fn one_update() -> u32 {
    1
}

fn one() -> f64 {
    1.0
}

fn default_completions() -> u32 {
    16
}

fn default_beta() -> f64 {
    0.1
}

fn default_retries() -> u32 {
    1
}

fn default_beta_factor() -> f64 {
    3.0
}

pub(super) fn default_advantage_floor() -> f64 {
    1e-4
}

fn default_sign_weight() -> f64 {
    0.2
}

fn default_question_context() -> Context {
    Context::None
}

fn default_title_tokens() -> u32 {
    24
}

fn default_clean_above() -> f64 {
    0.8
}

fn default_clean_weight() -> f64 {
    0.25
}

/// What a stage learns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StageKind {
    /// Every item of a user's sequence with its sign, by cross-entropy; trains all weights.
    NextItem,
    /// The instance's next negative, by cross-entropy; trains all weights.
    NextNegative,
    /// An item's title from its semantic id and its semantic id from its title, by cross-entropy; trains the adapter of a
    /// pretrained base, as only that has words.
    Translation,
    /// Item-Level Alignment: which of four items is the disliked one, by cross-entropy; trains all weights.
    Alignment,
    /// Group relative policy optimisation of the LoRA adapter.
    Grpo,
}

impl StageKind {
    /// Whether the stage trains all weights (otherwise the adapter only).
    pub fn is_supervised(self) -> bool {
        matches!(self, Self::NextItem | Self::NextNegative | Self::Alignment | Self::Translation)
    }

    /// Whether the stage's prompts show a user's past and ask for the next item, as a served policy is asked.
    pub fn asks_for_next_item(self) -> bool {
        !matches!(self, Self::Alignment | Self::Translation)
    }
}

/// The part of a user's past that a prompt shows; the curriculum makes it grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Context {
    /// The negatives of the last 3 days.
    #[serde(rename = "negatives_3d")]
    Negatives3d,
    /// All negatives.
    Negatives,
    /// All positives: a control.
    Positives,
    /// Of each instance another of the three above that the curriculum goes through, drawn: a control without an order.
    Mixed,
    /// Nothing: a control, and what the paper's alignment questions show.
    None,
    /// All events: negatives, positives and neutral ones.
    #[default]
    All,
}
