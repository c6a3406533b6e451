//! How a GRPO stage draws completions, compares them and turns them into a loss (`docs/losses.md`).

use super::StageSpec;
use serde::{Deserialize, Serialize};

/// What is minimised.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GrpoLoss {
    /// Clipped ratio a code, mean over the codes of each completion (DeepSeekMath, 2402.03300; CoNRec).
    #[default]
    Grpo,
    /// As `Grpo`, but divided by a constant length and without division by the deviation (2503.20783).
    DrGrpo,
    /// As `Grpo`, but the mean of all codes that train, and a wider upper bound (2503.14476).
    Dapo,
    /// One ratio a completion: the geometric mean of its codes' (2507.18071).
    Gspo,
    /// The clipped ratio is a constant weight of log pi, so that no code is left out (MiniMax-M1, 2506.13585).
    Cispo,
}

impl GrpoLoss {
    /// Whether the loss is a mean over codes that train; otherwise it is one over groups.
    pub fn is_mean_over_codes(self) -> bool {
        matches!(self, Self::Dapo | Self::Cispo)
    }

    /// The bounds of the ratio where the config has none, as far as the loss's own paper says.
    fn clip(self) -> Clip {
        match self {
            Self::Grpo | Self::DrGrpo => Clip { low: 0.2, high: 0.2 },
            Self::Dapo => Clip { low: 0.2, high: 0.28 },
            Self::Gspo => Clip { low: 3e-4, high: 4e-4 },
            // No lower bound; weights of up to 5.
            Self::Cispo => Clip { low: 1.0, high: 4.0 },
        }
    }
}

/// Bounds of the ratio of new to old probability: `1 - low ..= 1 + high`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Clip {
    /// eps_lo.
    pub low: f64,
    /// eps_hi.
    pub high: f64,
}

/// What advantages are divided by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AdvantageScale {
    /// The standard deviation of the group's rewards.
    #[default]
    GroupStd,
    /// The standard deviation of all rewards of the lease, which the config fixes.
    BatchStd,
    /// Nothing.
    None,
}

/// What a reward is compared with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Baseline {
    /// The group's mean.
    #[default]
    Mean,
    /// The mean of the group's other completions.
    LeaveOneOut,
}

/// How a group's completions are chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sampler {
    /// Each drawn from the policy for itself; a semantic id may come twice.
    #[default]
    Iid,
    /// Drawn without replacement (stochastic beam search, 1903.06059) and weighted for that.
    GumbelTopK,
    /// The most probable ones that beam search finds; nothing is drawn.
    Beam,
}

/// The keys of a stage that shape its loss, with what stands for those that are left out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Objective {
    /// What is minimised.
    pub loss: GrpoLoss,
    /// Bounds of the ratio.
    pub clip: Clip,
    /// What advantages are divided by.
    pub scale: AdvantageScale,
    /// What rewards are compared with.
    pub baseline: Baseline,
    /// The least divisor of advantages.
    pub floor: f64,
    /// How completions are chosen.
    pub sampler: Sampler,
}

impl Objective {
    /// The paper's, with the bounds and the floor that a stage has by default.
    pub fn paper() -> Self {
        Self {
            loss: GrpoLoss::Grpo,
            clip: GrpoLoss::Grpo.clip(),
            scale: AdvantageScale::GroupStd,
            baseline: Baseline::Mean,
            floor: super::stage::default_advantage_floor(),
            sampler: Sampler::Iid,
        }
    }

    /// A stage's.
    pub fn of(stage: &StageSpec) -> Self {
        let clip = stage.loss.clip();
        let own_scale = if stage.loss == GrpoLoss::DrGrpo { AdvantageScale::None } else { AdvantageScale::GroupStd };
        Self {
            loss: stage.loss,
            clip: Clip { low: stage.clip_low.unwrap_or(clip.low), high: stage.clip_high.unwrap_or(clip.high) },
            scale: stage.advantage.unwrap_or(own_scale),
            baseline: stage.baseline,
            floor: stage.advantage_floor,
            sampler: stage.sampler,
        }
    }
}
