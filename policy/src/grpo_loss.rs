//! The loss of group relative policy optimisation with clipped ratios and an exact KL term (method, section 5).

use conrec_domain::spec::StageSpec;
use tch::Tensor;

/// Bounds of the ratio rho: `1 - low ..= 1 + high`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Clip {
    /// eps_lo.
    pub low: f64,
    /// eps_hi.
    pub high: f64,
}

impl Clip {
    /// The bounds of a stage.
    pub fn of(stage: &StageSpec) -> Self {
        Self { low: stage.clip_low, high: stage.clip_high }
    }
}

/// One entry a sampled code, in any order; all tensors are `[codes]`.
#[derive(Debug)]
pub struct GrpoTerms<'a> {
    /// log pi of the code under the policy that is trained.
    pub log_probs: &'a Tensor,
    /// log pi of the code under the policy that sampled it; no gradient flows here.
    pub old_log_probs: &'a Tensor,
    /// A: the completion's advantage.
    pub advantages: &'a Tensor,
    /// Exact KL to the reference at the code's node; none without a KL term.
    pub kl: Option<&'a Tensor>,
    /// 1 / (G |y_i|), or 0 for codes that do not count.
    pub weights: &'a Tensor,
}

/// - sum of w (min(rho A, clip(rho) A) - beta KL), a scalar; rho = pi / pi_old over masked log-probabilities.
pub fn grpo_loss(terms: &GrpoTerms<'_>, clip: Clip, beta: f64) -> Tensor {
    let ratio = (terms.log_probs - terms.old_log_probs.detach()).exp();
    let plain = &ratio * terms.advantages;
    let clipped = ratio.clamp(1.0 - clip.low, 1.0 + clip.high) * terms.advantages;
    let mut gain = plain.minimum(&clipped);
    if let Some(kl) = terms.kl {
        gain -= kl * beta;
    }
    -(gain * terms.weights).sum(terms.weights.kind())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

    use super::*;
    use conrec_domain::spec::RunConfig;

    #[test]
    fn the_bounds_are_the_stages() {
        let text = "[[stage]]\nname = \"g\"\nkind = \"grpo\"\niterations = 1\nprompts = 1\nprompts_per_lease = 1\n\
                    learning_rate = 0.1\n";
        let clip = |more: &str| Clip::of(&RunConfig::parse(&format!("{text}{more}"), "run.toml").unwrap().stage[0]);
        assert_eq!(clip(""), Clip { low: 0.2, high: 0.2 });
        assert_eq!(clip("clip_low = 0.1\nclip_high = 0.28\n"), Clip { low: 0.1, high: 0.28 });
    }
}
