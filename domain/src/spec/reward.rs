//! `[reward]`: the reward of a completion from the negatives and positives of the horizon.

use serde::{Deserialize, Serialize};

/// r(o) = max over GTS of sim - gamma * max over FPS of sim, and its ablations (method, section 5).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RewardSpec {
    /// Which formula.
    pub variant: RewardVariant,
    /// gamma: weight of the future positives.
    pub gamma: f64,
    /// Below this a similarity counts as nothing in variants b and d.
    pub truncate_below: f64,
    /// Which of the user's negatives it is measured against.
    pub targets: RewardTargets,
    /// What of the variant's reward a completion is paid (docs/rewards.md).
    pub shape: RewardShape,
    /// What a completion is paid beside its shape when its cell stands in GTS.
    pub hit_weight: f64,
    /// alpha of the popularity-aware shape: what is taken off for each e-fold of a cell's popularity; below 0 it is added.
    pub popularity_alpha: f64,
    /// The popularity-aware shape counts the negatives of the last n days of training time (0: all).
    pub popularity_days: u32,
    /// What a completion is paid when none of its cell's items may be listed for the user.
    pub excluded: ExcludedCells,
    /// Swing neighbours of the negatives that extend the ground-truth set.
    pub swing: SwingSpec,
}

impl Default for RewardSpec {
    fn default() -> Self {
        Self {
            variant: RewardVariant::C,
            gamma: 0.5,
            truncate_below: 0.6,
            targets: RewardTargets::Horizon,
            shape: RewardShape::Single,
            hit_weight: 0.0,
            popularity_alpha: 0.1,
            popularity_days: 0,
            excluded: ExcludedCells::Rewarded,
            swing: SwingSpec::default(),
        }
    }
}

/// The paper's variants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RewardVariant {
    /// The negative term only.
    A,
    /// The negative term where it is above the truncation.
    B,
    /// Both terms: the default.
    C,
    /// Both terms, each truncated.
    D,
    /// 1, 0.1, 0.01 for 3, 2, 1 leading codes in common with a target.
    E,
}

/// The negatives that make up GTS, before Swing neighbours are added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RewardTargets {
    /// All of the horizon (the paper's).
    Horizon,
    /// The next one alone, as next-item training has it: the ablation of the paper's future negatives.
    Next,
}

/// What of the variant's reward a completion is paid: alone, against other users, or as part of its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RewardShape {
    /// The variant's reward (the paper's).
    Single,
    /// Minus the mean of what the same completion would earn for the other users of the lease.
    Lift,
    /// What the group's coverage of the targets loses without the completion.
    Set,
    /// 1 for a cell of GTS, else 0.
    Hit,
    /// 1 for the group's only hit of GTS, else 0: what the group's FHR loses without the completion.
    SetHit,
    /// Minus alpha times the logarithm of the cell's popularity in training time.
    PopularityAware,
}

/// What a completion is paid when all items of its cell are left out of the user's lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExcludedCells {
    /// Like any other (the paper's).
    Rewarded,
    /// 0, what a cell at a right angle to all targets gets; it takes no part in what a group covers either.
    Unpaid,
}

/// Swing on negatives (Yang et al., 2020, with the parameters that Alibaba documents).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SwingSpec {
    /// Smooths a user's number of negatives.
    pub alpha1: f64,
    /// Exponent of a user's weight.
    pub theta: f64,
    /// Smooths the number of negatives two users share.
    pub alpha2: f64,
    /// Pairs need MORE common users than this.
    pub min_common: u32,
    /// Neighbours kept an item; 0 turns the extension off.
    pub neighbours: u32,
    /// Users of an item that are compared pair by pair: of more, an even sample of so many stands for them (0: all).
    pub max_users: u32,
}

impl Default for SwingSpec {
    fn default() -> Self {
        Self { alpha1: 5.0, theta: 0.35, alpha2: 1.0, min_common: 1, neighbours: 10, max_users: 2000 }
    }
}
