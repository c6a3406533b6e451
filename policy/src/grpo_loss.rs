//! The losses of group relative policy optimisation, with an exact KL term (method, section 5; `docs/losses.md`).
//! They differ in what is made of the ratio of new to old probability, and in weights that their caller gives.

use conrec_domain::spec::{Clip, GrpoLoss};
use tch::{Kind, Tensor};

/// One entry a sampled code, level by level: entry `level * completions + i` is of completion i. All tensors are
/// `[levels * completions]`, if nothing else is said.
#[derive(Debug)]
pub struct GrpoTerms<'a> {
    /// log pi of the code under the policy that is trained; exactly 0 for forced codes.
    pub log_probs: &'a Tensor,
    /// log pi of the code under the policy that sampled it; no gradient flows here.
    pub old_log_probs: &'a Tensor,
    /// A: the completion's advantage.
    pub advantages: &'a Tensor,
    /// Exact KL to the reference at the code's node; none without a KL term.
    pub kl: Option<&'a Tensor>,
    /// What the code counts in the sum, or 0 for codes that do not count.
    pub weights: &'a Tensor,
    /// |y_i|: codes of the completion that were not forced, but at least 1: `[completions]`.
    pub lengths: &'a Tensor,
}

/// What became of the ratios of codes that count.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Ratios {
    /// Codes whose ratio was cut, so that it no longer pulls.
    pub clipped: u64,
    /// Sum of the ratios, before they are cut.
    pub sum: f64,
    /// Sum of their squares.
    pub squares: f64,
}

/// - sum of w (gain - beta KL), a scalar, with rho = pi / pi_old over masked log-probabilities and
/// - `Grpo`, `DrGrpo`, `Dapo`: gain = min(rho A, clip(rho) A);
/// - `Gspo`: the same with the completion's ratio s = exp(1/|y| sum of log rho) for each of its codes;
/// - `Cispo`: gain = clip(rho) A log pi, where no gradient flows through clip(rho).
pub fn grpo_loss(terms: &GrpoTerms<'_>, (loss, clip): (GrpoLoss, Clip), beta: f64) -> Tensor {
    let (low, high) = (1.0 - clip.low, 1.0 + clip.high);
    let ratio = ratio(terms, loss);
    let mut gain = match loss {
        GrpoLoss::Grpo | GrpoLoss::DrGrpo | GrpoLoss::Dapo | GrpoLoss::Gspo => {
            let plain = &ratio * terms.advantages;
            let clipped = ratio.clamp(low, high) * terms.advantages;
            plain.minimum(&clipped)
        }
        GrpoLoss::Cispo => ratio.detach().clamp(low, high) * terms.advantages * terms.log_probs,
    };
    if let Some(kl) = terms.kl {
        gain -= kl * beta;
    }
    -(gain * terms.weights).sum(terms.weights.kind())
}

/// The negated sum over prompts of w (sum of log pi of the codes of a given completion), a scalar: with w = 1/|y| the
/// cross-entropy of each, as a mean over its codes that were not forced. `log_probs` is `[levels * prompts]`, level by
/// level and exactly 0 for forced codes, `weights` is `[prompts]`.
pub fn cross_entropy(log_probs: &Tensor, weights: &Tensor) -> Tensor {
    let prompts = weights.size()[0];
    let levels = log_probs.size()[0] / prompts.max(1);
    -(log_probs * weights.repeat([levels])).sum(weights.kind())
}

/// How far the policy has moved from the one that sampled, over codes that count.
pub fn ratios(terms: &GrpoTerms<'_>, (loss, clip): (GrpoLoss, Clip)) -> Ratios {
    let _no_grad = tch::no_grad_guard();
    let ratio = ratio(terms, loss).to_kind(Kind::Double);
    let counts = terms.weights.ne(0.0);
    let (above, below) = (ratio.gt(1.0 + clip.high), ratio.lt(1.0 - clip.low));
    let cut = match loss {
        // The minimum takes the cut ratio only where that is less.
        GrpoLoss::Grpo | GrpoLoss::DrGrpo | GrpoLoss::Dapo | GrpoLoss::Gspo => {
            let (gain, cost) = (terms.advantages.gt(0.0), terms.advantages.lt(0.0));
            above.logical_and(&gain).logical_or(&below.logical_and(&cost))
        }
        GrpoLoss::Cispo => above.logical_or(&below),
    };
    let counted = &ratio * counts.to_kind(Kind::Double);
    Ratios {
        clipped: u64::try_from(cut.logical_and(&counts).sum(Kind::Int64).int64_value(&[])).unwrap_or(0),
        sum: counted.sum(Kind::Double).double_value(&[]),
        squares: (&counted * &ratio).sum(Kind::Double).double_value(&[]),
    }
}

/// rho of each code; for `Gspo` its completion's.
fn ratio(terms: &GrpoTerms<'_>, loss: GrpoLoss) -> Tensor {
    let log_ratio = terms.log_probs - terms.old_log_probs.detach();
    if loss != GrpoLoss::Gspo {
        return log_ratio.exp();
    }
    let completions = terms.lengths.size()[0];
    let levels = log_ratio.size()[0] / completions.max(1);
    let sums = log_ratio.view([levels, completions]).sum_dim_intlist(0, false, None);
    (sums / terms.lengths).exp().repeat([levels])
}
