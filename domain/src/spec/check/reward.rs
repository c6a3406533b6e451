//! The rules of `[reward]` and `[reward.swing]`.

use super::Findings;
use crate::spec::{RewardShape, RewardSpec, StageSpec, SwingSpec};

/// Checks `[reward]`; a shape that compares users needs leases of two prompts and more.
pub(super) fn check(reward: &RewardSpec, stages: &[StageSpec], findings: &mut Findings) {
    let RewardSpec {
        variant: _, // the enum is the rule
        targets: _, // the enum is the rule
        gamma,
        truncate_below,
        shape,
        hit_weight,
        popularity_alpha,
        popularity_days: _, // every number is allowed: 0 counts all of training time
        excluded: _,        // the enum is the rule
        swing,
    } = reward;
    findings.not_negative("reward.gamma", *gamma);
    findings.require(
        (-1.0..=1.0).contains(truncate_below),
        "reward.truncate_below",
        truncate_below,
        "-1 to 1: it is compared with a cosine",
    );
    findings.not_negative("reward.hit_weight", *hit_weight);
    findings.require(
        popularity_alpha.is_finite(),
        "reward.popularity_alpha",
        popularity_alpha,
        "a finite number; below 0 popular cells are paid more",
    );
    if *shape == RewardShape::Lift {
        check_lift(stages, findings);
    }
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

/// A lease of one prompt holds no other user to compare with.
fn check_lift(stages: &[StageSpec], findings: &mut Findings) {
    let grpo = stages.iter().enumerate().filter(|(_, stage)| !stage.kind.is_supervised());
    for (index, stage) in grpo {
        let left = stage.prompts.checked_rem(stage.prompts_per_lease).unwrap_or(0);
        findings.require(
            stage.prompts_per_lease != 1 && left != 1,
            &format!("stage.{index}.prompts_per_lease"),
            stage.prompts_per_lease,
            &format!(
                "leases of 2 prompts or more, the last of {} too: reward.shape = \"lift\" compares the users of a lease",
                stage.prompts
            ),
        );
    }
}
