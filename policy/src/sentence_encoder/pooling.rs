//! From the states of a text's tokens to one vector.

use tch::{Kind, TchError, Tensor};

/// How a text's states become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pooling {
    /// Mean over the text's tokens, special ones included.
    Mean,
    /// The first token's.
    First,
    /// Maximum over the text's tokens, dimension by dimension.
    Maximum,
}

/// Vectors `[texts, hidden]` of states `[texts, tokens, hidden]`; `mask` `[texts, tokens]` is 0 at padding.
pub(super) fn pool(pooling: Pooling, states: &Tensor, mask: &Tensor) -> Result<Tensor, TchError> {
    let mask = mask.f_unsqueeze(-1)?;
    match pooling {
        Pooling::Mean => {
            let sum = states.f_mul(&mask)?.f_sum_dim_intlist([1i64].as_slice(), false, Kind::Float)?;
            let count = mask.f_sum_dim_intlist([1i64].as_slice(), false, Kind::Float)?;
            sum.f_div(&count.f_clamp_min(1e-9)?)
        }
        Pooling::First => states.f_select(1, 0),
        Pooling::Maximum => {
            let padding = mask.f_eq(0.0)?;
            states.f_masked_fill(&padding, -1e9)?.f_amax([1i64].as_slice(), false)
        }
    }
}
