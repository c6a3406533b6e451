//! The rules of `[reward]` and `[reward.swing]`.

use super::Findings;
use crate::spec::{RewardSpec, SwingSpec};

/// Checks `[reward]`.
pub(super) fn check(reward: &RewardSpec, findings: &mut Findings) {
    let RewardSpec {
        variant: _, // the enum is the rule
        gamma,
        truncate_below,
        swing,
    } = reward;
    findings.not_negative("reward.gamma", *gamma);
    findings.require(
        (-1.0..=1.0).contains(truncate_below),
        "reward.truncate_below",
        truncate_below,
        "-1 to 1: it is compared with a cosine",
    );
    let SwingSpec {
        alpha1,
        theta,
        alpha2,
        min_common: _, // every number is allowed: 0 takes every pair with a user in common
        neighbours: _, // every number is allowed: 0 turns the extension off
        max_users,
    } = swing;
    findings.not_negative("reward.swing.alpha1", *alpha1);
    findings.not_negative("reward.swing.theta", *theta);
    findings.not_negative("reward.swing.alpha2", *alpha2);
    findings.require(
        *max_users != 1,
        "reward.swing.max_users",
        max_users,
        "2 or more, or 0 for all: one user makes no pair",
    );
}
