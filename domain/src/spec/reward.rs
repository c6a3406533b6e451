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
    /// Swing neighbours of the negatives that extend the ground-truth set.
    pub swing: SwingSpec,
}

impl Default for RewardSpec {
    fn default() -> Self {
        Self { variant: RewardVariant::C, gamma: 0.5, truncate_below: 0.6, swing: SwingSpec::default() }
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
