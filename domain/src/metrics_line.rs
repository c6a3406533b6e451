//! A line of `metrics.jsonl`: TRL's names where they exist.

use crate::ids::Iteration;
use crate::work::Pass;
use serde::{Deserialize, Serialize};

/// What one committed iteration measured; means over the prompts of all its leases.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetricsLine {
    /// The iteration.
    pub iteration: Iteration,
    /// Pass.
    pub pass: Pass,
    /// Name of the stage.
    pub stage: String,
    /// Iterations of the stage done, this one included; a retry counts from 1 again.
    pub stage_iteration: u32,
    /// The loss that the update minimises: its mean over groups (supervised: over target codes).
    pub loss: f64,
    /// Of a translation stage: the mean loss of a title's token, given the semantic id. Only where the iteration has such
    /// prompts.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub loss_to_title: Option<f64>,
    /// Of a translation stage: the mean loss of a semantic id's code, given the title. Only where the iteration has such
    /// prompts.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub loss_to_item: Option<f64>,
    /// Mean reward; GRPO only, as all that follow.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reward: Option<f64>,
    /// Mean over groups of the standard deviation of rewards.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reward_std: Option<f64>,
    /// Share of groups whose rewards are all equal.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub frac_reward_zero_std: Option<f64>,
    /// beta: weight of the KL in use, which a retry of the stage raises.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub beta: Option<f64>,
    /// Mean exact KL to the reference a sampled code; none where beta is 0, as the reference is not computed then.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub kl: Option<f64>,
    /// Mean entropy of the masked policy a sampled code.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub entropy: Option<f64>,
    /// Share of the codes that train whose ratio of new to old probability was cut; 0 in a rollout's first update.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub clip_ratio: Option<f64>,
    /// Standard deviation of the ratio of new to old probability over the codes that train: how far the policy has moved
    /// from the one that sampled. Only where a rollout serves several updates; 0 in the first.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ratio_std: Option<f64>,
    /// Mean over the scheduled prompts of the anchor's cross-entropy, before its weight. Only where it has one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub nll: Option<f64>,
    /// Prompts taken beyond the schedule's, in the place of groups without variance. Only where the stage refills.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub refilled: Option<u64>,
    /// How many equal completions a group's weighted ones are worth, on average: 1 / (sum of the squared shares). Only
    /// where the sampler weights them.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub effective_completions: Option<f64>,
    /// Mean number of distinct completions of a group.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub distinct: Option<f64>,
    /// Share of completions whose reward could not be computed; they take no part in their group.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub abstained: Option<f64>,
    /// Learning rate.
    pub learning_rate: f64,
    /// Seconds from the first grant to the commit; the only field that differs between equal runs.
    pub step_time: f64,
    /// Validation after this iteration, where there was one: FHR@20.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub validation_fhr: Option<f64>,
    /// And CandAcc.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub validation_candidate_accuracy: Option<f64>,
}
