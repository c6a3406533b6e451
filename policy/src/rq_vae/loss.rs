//! The loss of method.md, section 3 (RQ-VAE: Lee et al., 2022; Zeghidour et al., 2021):
//! `L = |x - x_hat|^2 + lambda * sum_d ( |R_d - sg[Z_d]|^2 + |sg[R_d] - Z_d|^2 )`, mean over items.

use tch::{Kind, TchError, Tensor};

/// One level's residuals and the codewords that were chosen for them.
pub struct QuantisedLevel {
    /// R_d `[items, latent]`.
    pub residual: Tensor,
    /// Z_d `[items, latent]`.
    pub codeword: Tensor,
}

/// Which terms count beside the reconstruction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LossWeights {
    /// lambda.
    pub commitment: f64,
    /// Whether the second term of the sum, which moves the codewords, is on. With EMA codebooks it is off.
    pub codebook_term: bool,
}

/// Mean over items of the squared length of `a - b` `[items, width]`.
pub(super) fn mean_squared_distance(a: &Tensor, b: &Tensor) -> Result<Tensor, TchError> {
    a.f_sub(b)?.f_square()?.f_sum_dim_intlist([-1i64].as_slice(), false, Kind::Float)?.f_mean(Kind::Float)
}

/// The commitment part `sum_d |R_d - sg[Z_d]|^2`, mean over items, without lambda.
pub(super) fn commitment(levels: &[QuantisedLevel]) -> Result<Tensor, TchError> {
    let mut total = Tensor::f_zeros([], (Kind::Float, tch::Device::Cpu))?;
    for level in levels {
        total = total.f_add(&mean_squared_distance(&level.residual, &level.codeword.f_detach()?)?)?;
    }
    Ok(total)
}

/// The whole loss of inputs `x` `[items, width]`, their reconstructions `x_hat` and the quantised levels, as a scalar.
/// Squared lengths are sums over dimensions; the mean is over items.
///
/// # Errors
/// When shapes do not fit.
pub fn rq_vae_loss(
    x: &Tensor,
    x_hat: &Tensor,
    levels: &[QuantisedLevel],
    weights: LossWeights,
) -> Result<Tensor, TchError> {
    let mut loss = mean_squared_distance(x, x_hat)?;
    loss = loss.f_add(&commitment(levels)?.f_mul_scalar(weights.commitment)?)?;
    if weights.codebook_term {
        for level in levels {
            let term = mean_squared_distance(&level.residual.f_detach()?, &level.codeword)?;
            loss = loss.f_add(&term.f_mul_scalar(weights.commitment)?)?;
        }
    }
    Ok(loss)
}
