//! What a lease asks of a worker and what comes back: the vocabulary that coordinator and workers share.

mod cleaning;
mod questions;

pub use cleaning::Cleaned;
pub use questions::{QuestionCounts, QuestionPoint};

use crate::ids::{Digest, Fence, Iteration, LeaseId};
use crate::ledger::StateLink;
use serde::{Deserialize, Serialize};

/// Which training the run is in. Protocol `refit` chooses in the first and trains anew in the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pass {
    /// Statistics and training end before the validation window; everything is chosen here.
    Select,
    /// Statistics and training end at the test window; the choices of `Select` are repeated, nothing is chosen.
    Refit,
}

impl Pass {
    /// Where its prepared data lies in a run's folder.
    pub fn folder(self) -> &'static str {
        match self {
            Self::Select => "prepared/select",
            Self::Refit => "prepared/refit",
        }
    }
}

/// The right and duty of one worker to do one piece of work.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Lease {
    /// Place in the phase's list.
    pub id: LeaseId,
    /// The roster for which it was granted.
    pub fence: Fence,
    /// What to do.
    pub work: Work,
}

/// A piece of work; its result depends only on this, the policy's state, the spec and the prepared data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Work {
    /// Read, clean, split, make semantic ids; for every pass of the run. Writes the prepared data to the store.
    Prepare,
    /// Add the gradient of these prompts to the iteration's sum.
    Train {
        /// Pass.
        pass: Pass,
        /// Index into `[[stage]]`.
        stage: u32,
        /// The iteration that the gradient is for; the first of a run is 1.
        iteration: Iteration,
        /// The attempt at the stage, which decides beta; the first is 0.
        attempt: u32,
        /// Which update of its rollout the iteration is; the first is 0. Its completions are those of the first.
        update: u32,
        /// Indices into the stage's list of training prompts, in the order of computation.
        prompts: Vec<u32>,
        /// Those of them whose gradient counts `clean_weight`, as cleaning flagged them; the others count 1.
        light: Vec<u32>,
        /// Further ones, to be taken in this order in the place of groups whose rewards are all equal.
        reserve: Vec<u32>,
    },
    /// Rank items for validation instances `from..to` of the select pass and count hits.
    Validate {
        /// First instance.
        from: u32,
        /// One past the last instance.
        to: u32,
    },
    /// Ask the held-out alignment questions about validation instances `from..to` of the select pass.
    Ask {
        /// First instance.
        from: u32,
        /// One past the last instance.
        to: u32,
    },
    /// Complete prompts `from..to` of a stage greedily, and name those whose completion is too near to what the user
    /// will like.
    Clean {
        /// Pass.
        pass: Pass,
        /// Index into `[[stage]]`: the stage that is about to begin.
        stage: u32,
        /// First prompt.
        from: u32,
        /// One past the last prompt.
        to: u32,
    },
    /// Evaluate all models on the test window; write report and adapter.
    Report {
        /// What the run knows of itself, for `report.json`.
        summary: RunSummary,
    },
}

/// What comes back from a lease.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Outcome {
    /// The data is prepared and lies in the store.
    Prepared(Prepared),
    /// The gradient is in the worker's sum.
    Trained(TrainMetrics),
    /// Validation counts.
    Validated(ValidationCounts),
    /// Counts of alignment questions.
    Asked(QuestionCounts),
    /// Prompts to be flagged, ascending.
    Cleaned(Vec<u32>),
    /// Report and adapter are written.
    Reported,
}

/// What the coordinator needs to know of the prepared data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prepared {
    /// SHA-256 over the prepared parts of all passes.
    pub data_digest: Digest,
    /// The passes, in order.
    pub passes: Vec<PreparedPass>,
    /// Validation instances of the select pass.
    pub validation_instances: u32,
    /// Test instances.
    pub test_instances: u32,
    /// What was read and made, and what cleaning dropped, as sentences for people.
    #[serde(default)]
    pub summary: Vec<String>,
}

/// One pass of the prepared data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreparedPass {
    /// Which.
    pub pass: Pass,
    /// Number of training prompts of each stage of the config.
    pub prompts: Vec<u32>,
}

/// Sums over the prompts of one lease; added up in the order of lease ids, so that they too have the same bits.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TrainMetrics {
    /// Groups (GRPO) or sequences (supervised).
    pub groups: u64,
    /// Completions (GRPO) or predicted items (supervised).
    pub completions: u64,
    /// Groups whose rewards are all equal; they give no gradient.
    pub zero_variance_groups: u64,
    /// Completions whose reward could not be computed.
    pub abstained: u64,
    /// Sum of rewards.
    pub reward: f64,
    /// Sum over groups of the rewards' standard deviation.
    pub reward_std: f64,
    /// Sum over sampled codes of the exact KL to the reference; 0 where beta is 0, as the reference is not computed then.
    pub kl: f64,
    /// Sum over sampled codes of the entropy of the masked policy.
    pub entropy: f64,
    /// Sampled (not forced) codes.
    pub codes: u64,
    /// Sum of the loss terms.
    pub loss: f64,
    /// Sum over groups of the number of their distinct completions.
    pub distinct: u64,
    /// Prompt tokens computed.
    pub prompt_tokens: u64,
    /// Sampled codes of completions that give a gradient: what losses that are means over codes are divided by.
    pub trained_codes: u64,
    /// Of these, codes whose ratio was cut; 0 in a rollout's first update.
    pub clipped: u64,
    /// Sum over these codes of the ratio of new to old probability; 0 in a rollout's first update, where each is 1.
    pub ratio: f64,
    /// Sum of the squares of these ratios.
    pub ratio_squares: f64,
    /// Prompts taken from the lease's reserve; they are among the groups.
    pub refilled: u64,
    /// Sum over scheduled prompts of the mean -log pi of the next negative's codes; 0 where the anchor has no weight.
    pub nll: f64,
    /// Sum over groups of 1 / (sum of w^2), w being the shares that completions stand for; 0 where all are alike.
    pub effective: f64,
    /// Of the loss terms, those of titles' tokens; translation only.
    pub title_loss: f64,
    /// Of the codes, how many are tokens of titles, their ends counted; translation only.
    pub title_tokens: u64,
}

impl TrainMetrics {
    /// Adds another lease's sums.
    pub fn add(&mut self, other: &Self) {
        self.groups += other.groups;
        self.completions += other.completions;
        self.zero_variance_groups += other.zero_variance_groups;
        self.abstained += other.abstained;
        self.reward += other.reward;
        self.reward_std += other.reward_std;
        self.kl += other.kl;
        self.entropy += other.entropy;
        self.codes += other.codes;
        self.loss += other.loss;
        self.distinct += other.distinct;
        self.prompt_tokens += other.prompt_tokens;
        self.trained_codes += other.trained_codes;
        self.clipped += other.clipped;
        self.ratio += other.ratio;
        self.ratio_squares += other.ratio_squares;
        self.refilled += other.refilled;
        self.nll += other.nll;
        self.effective += other.effective;
        self.title_loss += other.title_loss;
        self.title_tokens += other.title_tokens;
    }
}

/// Integer counts of a validation lease: exact, so their sum has no order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValidationCounts {
    /// Instances ranked.
    pub instances: u64,
    /// Instances with at least one negative of the horizon in the top list.
    pub hits: u64,
    /// Sum of CandAcc's per-instance values in units of 2^-32 (a tie of n counts 1/n).
    pub candidate_accuracy: u64,
}

impl ValidationCounts {
    /// Adds another lease's counts.
    pub fn add(&mut self, other: &Self) {
        self.instances += other.instances;
        self.hits += other.hits;
        self.candidate_accuracy += other.candidate_accuracy;
    }

    /// The two scores that the gate reads.
    pub fn score(&self) -> Score {
        let n = self.instances.max(1) as f64;
        Score { fhr: self.hits as f64 / n, candidate_accuracy: self.candidate_accuracy as f64 / 4_294_967_296.0 / n }
    }
}

/// FHR@20 and CandAcc on validation: what the gate reads, never the reward.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// FHR@20.
    pub fhr: f64,
    /// CandAcc.
    pub candidate_accuracy: f64,
}

impl Score {
    /// Both together: by this validation chooses.
    pub fn sum(self) -> f64 {
        self.fhr + self.candidate_accuracy
    }
}

/// A change of the training state that every worker makes alike, between iterations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StateChange {
    /// Fresh weights for a pass, drawn from the seed.
    BeginPass {
        /// Pass.
        pass: Pass,
    },
    /// A stage begins: what trains is chosen, moments are zeroed, the reference is the policy as it is now.
    BeginStage {
        /// Index into `[[stage]]`.
        stage: u32,
    },
    /// A rollout begins: what trains, as it is now, is the policy that samples for all of its updates. Only where a
    /// rollout serves more than one.
    BeginRollout,
    /// The policy as it is now is the stage's best. The kept copy is part of the training state and of its digest.
    KeepBest,
    /// Go back to the stage's best.
    RestoreBest,
}

/// What the run knows of itself when it is evaluated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunSummary {
    /// Digest over adapter, trained weights and optimiser state after the last iteration.
    pub state_digest: Digest,
    /// Committed iterations.
    pub iterations: u64,
    /// Digest of the journal: of all lines of ledger and metrics.
    pub journal_digest: Digest,
    /// Seconds that coordinators worked on the run until it was evaluated; what one did after its last checkpoint is lost.
    pub wall_seconds: f64,
    /// Key of the checkpoint at the end of the select pass, where a refit pass followed: what validation measures.
    pub select_checkpoint: Option<String>,
    /// Changes of the training state after the last iteration: the ledger has no line after it that could hold them.
    pub changes: Vec<StateLink>,
    /// Decisions of the gate, and alarms, in order.
    pub decisions: Vec<Decision>,
    /// Accuracy of held-out alignment questions at the stages' ends; empty where no stage asks any.
    pub questions: Vec<QuestionPoint>,
}

/// One decision of the gate with its reason, or an alarm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// Pass.
    pub pass: Pass,
    /// Name of the stage.
    pub stage: String,
    /// Iterations of the stage done when it was taken.
    pub iteration: u32,
    /// The validation scores it was taken from; none in the refit pass and for alarms.
    pub score: Option<Score>,
    /// What was decided and why, as a sentence.
    pub reason: String,
}
