//! Exact sums over a node's legal codes: the KL divergence to the reference, and the entropy.

use tch::Tensor;

/// sum over legal c of pi(c) (log pi(c) - log pi_ref(c)), one a row (method, section 5). Both are `[rows, codes]`
/// from [`crate::legal::Legal::log_softmax`] with the same mask; illegal codes add exactly 0.
pub fn exact_kl(log_probs: &Tensor, reference: &Tensor) -> Tensor {
    (log_probs.exp() * (log_probs - reference)).sum_dim_intlist(-1, false, None)
}

/// - sum over legal c of pi(c) log pi(c), one a row.
pub fn entropy(log_probs: &Tensor) -> Tensor {
    -(log_probs.exp() * log_probs).sum_dim_intlist(-1, false, None)
}
