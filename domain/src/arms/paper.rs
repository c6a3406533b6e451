//! The paper's own reward and advantages, always printed beside a config whose reward is another: so that nobody has to
//! take it on trust that the other is better.

use super::{Arm, is_grpo};
use crate::spec::{
    ExcludedCells, Objective, RewardShape, RewardSpec, RewardTargets, RewardVariant, RunConfig, SwingSpec,
};

/// The arm's name.
pub const PAPER: &str = "paper_shape";

/// The config with the reward of the paper (variant c, each completion for itself, the horizon with its Swing neighbours) and
/// the advantages of its GRPO stages as [`Objective::paper`] has them. Gamma, beta and how long is trained, of which the
/// paper tells nothing, stay what they are. None where the config is that already.
pub fn paper_arm(given: &RunConfig) -> Option<Arm> {
    let mut config = given.clone();
    let neighbours = match config.reward.swing.neighbours {
        0 => SwingSpec::default().neighbours,
        own => own,
    };
    config.reward = RewardSpec {
        variant: RewardVariant::C,
        targets: RewardTargets::Horizon,
        shape: RewardShape::Single,
        hit_weight: 0.0,
        excluded: ExcludedCells::Rewarded,
        swing: SwingSpec { neighbours, ..given.reward.swing.clone() },
        ..given.reward.clone()
    };
    let paper = Objective::paper();
    for stage in config.stage.iter_mut().filter(|stage| is_grpo(stage)) {
        if Objective::of(stage) != paper {
            (stage.loss, stage.sampler, stage.baseline) = (paper.loss, paper.sampler, paper.baseline);
            (stage.advantage, stage.advantage_floor) = (None, paper.floor);
            (stage.clip_low, stage.clip_high) = (None, None);
        }
        (stage.refill, stage.nll_weight) = (0, 0.0);
    }
    let says = "the paper's reward (variant c, shape single, horizon with Swing) and advantages (over the group's standard \
                deviation); gamma, beta and samples as given";
    (config != *given).then(|| Arm::new(PAPER, says, config))
}

#[cfg(test)]
mod tests {
    use super::super::tests::demo;
    use super::*;
    use crate::spec::{GrpoLoss, RunSpec};

    #[test]
    fn the_paper_s_arm_is_the_paper_s_whatever_the_config_has() {
        let mut given = demo();
        given.reward.shape = RewardShape::SetHit;
        given.reward.excluded = ExcludedCells::Unpaid;
        (given.reward.hit_weight, given.reward.swing.neighbours, given.reward.gamma) = (1.0, 0, 0.25);
        given.stage[3].loss = GrpoLoss::DrGrpo;
        given.stage[4].nll_weight = 0.5;
        let arm = paper_arm(&given).unwrap();
        assert_eq!((arm.config.reward.shape, arm.config.reward.hit_weight), (RewardShape::Single, 0.0));
        assert_eq!((arm.config.reward.swing.neighbours, arm.config.reward.gamma), (10, 0.25));
        for (stage, own) in arm.config.stage.iter().zip(&given.stage).filter(|(stage, _)| is_grpo(stage)) {
            assert_eq!((Objective::of(stage), stage.nll_weight), (Objective::paper(), 0.0));
            assert_eq!((stage.beta, stage.iterations), (own.beta, own.iterations));
        }
        assert_eq!(arm.config.stage[..3], given.stage[..3]);
        RunSpec::check(arm.config.clone()).unwrap();
        assert_eq!(paper_arm(&arm.config), None, "it is that already");
    }

    #[test]
    fn a_config_that_does_not_divide_by_the_deviation_is_not_the_paper_s() {
        let mut given = demo();
        assert!(given.stage.iter().any(|stage| stage.advantage_floor >= 1.0));
        assert!(paper_arm(&given).is_some());
        given.stage.iter_mut().for_each(|stage| stage.advantage_floor = 1e-4);
        given.reward = RewardSpec::default();
        assert_eq!(paper_arm(&given), None);
    }
}
