//! `[evaluation]`, `[checkpoint]`, `[cluster]`: how results are measured, kept and computed.

use serde::{Deserialize, Serialize};

/// Beam search, metrics and the gate (method, sections 6, 7, 10).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EvaluationSpec {
    /// When statistics and training end; printed with every table.
    pub statistics: Statistics,
    /// Which items are removed from every ranked list.
    pub exclude: Exclude,
    /// What the prompt of a policy that is measured or served shows.
    pub context: ServedContext,
    /// B: beams of the constrained search.
    pub beams: u32,
    /// Length of the ranked list: the 20 of FHR@20.
    pub top: u32,
    /// A cell becomes items by its probability times the item's share of the cell's negatives in these last days.
    pub share_days: u32,
    /// What an item counts for in these shares beside its negatives, in negatives.
    pub share_smoothing: f64,
    /// Negatives sampled beside the true one for CandAcc.
    pub candidates: u32,
    /// How the policy scores CandAcc's candidates.
    pub candidate_score: CandidateScore,
    /// Bootstrap resamples of users.
    pub bootstrap: u32,
    /// Seed of candidate draws and bootstrap.
    pub seed: u64,
    /// Validate on at most this many instances (0: all), taken evenly over time.
    pub validation_instances: u32,
    /// Instances an evaluation lease.
    pub instances_per_lease: u32,
    /// A validation is no new best when FHR@20 or CandAcc lies more than this below the bar (start of the first GRPO stage).
    pub tolerance: f64,
    /// Nor when it lies more than so many standard errors below the bar, where that is more than `tolerance`; 0: `tolerance`
    /// alone. Left out of what is written where it is 0: it then asks for nothing.
    #[serde(skip_serializing_if = "super::is_default")]
    pub tolerance_errors: f64,
    /// Users with fewer training negatives than this count for LUF.
    pub few_user_negatives: u32,
    /// Items with fewer training negatives than this count for LIF.
    pub few_item_negatives: u32,
    /// Completions sampled for each held-out instance to report the mean reward.
    pub reward_completions: u32,
    /// Dimension of the text features of the baselines that compare contents.
    pub content_dimensions: u32,
}

impl Default for EvaluationSpec {
    fn default() -> Self {
        Self {
            statistics: Statistics::Refit,
            exclude: Exclude::Disliked,
            context: ServedContext::LastStage,
            beams: 20,
            top: 20,
            share_days: 28,
            share_smoothing: 0.01,
            candidates: 19,
            candidate_score: CandidateScore::LogProbability,
            bootstrap: 1000,
            seed: 0,
            validation_instances: 0,
            instances_per_lease: 64,
            tolerance: 0.002,
            tolerance_errors: 0.0,
            few_user_negatives: 3,
            few_item_negatives: 5,
            reward_completions: 8,
            content_dimensions: 64,
        }
    }
}

/// What the prompt of a policy that is measured or served shows of the user's past.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServedContext {
    /// As in the last stage that asks for the next item.
    LastStage,
    /// The negatives of the last 3 days.
    #[serde(rename = "negatives_3d")]
    Negatives3d,
    /// All negatives.
    Negatives,
    /// All events.
    All,
}

/// When statistics and training end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Statistics {
    /// Choose on validation; then train again on all before the test window with what was chosen.
    Refit,
    /// One training that ends a gap before the validation window.
    Frozen,
}

/// How the policy scores a candidate item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CandidateScore {
    /// log P(cell) + log of the item's share of its cell.
    LogProbability,
    /// The filter's score: the largest similarity of the item's cell to a cell of the predict set (method, section 6).
    PredictSet,
}

/// Which items are removed from every ranked list, for every model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exclude {
    /// Items that the user disliked before.
    Disliked,
    /// Items that the user rated before.
    Rated,
}

/// When checkpoints are written and which are kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CheckpointSpec {
    /// A checkpoint every n iterations; one is also written at each stage's end and on SIGTERM.
    pub every: u32,
    /// Keep the last n checkpoints; the one that the select pass ended with is kept beside them.
    pub keep_last: u32,
    /// Keep each checkpoint whose iteration is a multiple of this; 0: none for that reason.
    pub keep_every: u32,
    /// Keep so many of the best by FHR@20 of their last validation; 0: none for that reason.
    pub keep_best: u32,
    /// Keep each that ends a stage of the select pass, which `conrec alignment-report` looks at.
    pub keep_stage_ends: bool,
}

impl Default for CheckpointSpec {
    fn default() -> Self {
        Self { every: 100, keep_last: 3, keep_every: 0, keep_best: 0, keep_stage_ends: false }
    }
}

/// What sums over the workers of a roster. Sums are exact, so that it changes no bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CollectiveKind {
    /// libtorch's Gloo over TCP; any machine.
    Gloo,
    /// NVIDIA's NCCL; each worker needs a GPU of its own.
    Nccl,
}

/// What the policy computes on. Other devices give other bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceKind {
    /// The machine's cores.
    Cpu,
    /// An NVIDIA GPU, which workers of one machine may share.
    Cuda,
}

/// Processes, threads and deadlines. None of it but `threads` and `device` may change a run's bits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClusterSpec {
    /// Address on which the coordinator listens; port 0 takes a free one.
    pub listen: String,
    /// Threads a worker computes with; part of what fixes the bits.
    pub threads: u32,
    /// What the policy computes on; part of what fixes the bits.
    pub device: DeviceKind,
    /// What sums over the workers.
    pub collective: CollectiveKind,
    /// A worker that is silent for this long is taken for lost.
    pub heartbeat_seconds: u32,
    /// Deadline for workers to join and to load the state.
    pub join_seconds: u32,
    /// How long a coordinator that starts while workers of the run live waits for the last of them to come back.
    pub rejoin_seconds: u32,
    /// Deadline for one lease.
    pub lease_seconds: u32,
    /// Deadline for a reduce or a commit.
    pub reduce_seconds: u32,
    /// Deadline for preparing the data, and for the final evaluation.
    pub prepare_seconds: u32,
}

impl Default for ClusterSpec {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:0".into(),
            threads: 1,
            device: DeviceKind::Cpu,
            collective: CollectiveKind::Gloo,
            heartbeat_seconds: 10,
            join_seconds: 60,
            rejoin_seconds: 5,
            lease_seconds: 120,
            reduce_seconds: 30,
            prepare_seconds: 3600,
        }
    }
}

impl ClusterSpec {
    /// Without what cannot change a result: addresses, deadlines and what sums.
    pub fn that_fixes_bits(&self) -> Self {
        Self { threads: self.threads, device: self.device, ..Self::default() }
    }
}
