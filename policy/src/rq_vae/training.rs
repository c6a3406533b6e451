//! The optimiser steps of the RQ-VAE: reconstruct, commit, move the codebooks.

use super::adam::Adam;
use super::autoencoder::{Autoencoder, Widths};
use super::codebook::{Codebook, Movement, nearest};
use super::error::RqVaeError;
use super::k_means::Points;
use super::loss::{QuantisedLevel, commitment, mean_squared_distance};
use super::{Epoch, RqVaeInput};
use crate::random_normal::{shuffle_front, stream};
use rand_chacha::ChaCha8Rng;
use tch::{TchError, Tensor};

/// Autoencoder and codebooks, trained or on the way there.
pub(super) struct Model {
    pub autoencoder: Autoencoder,
    pub codebooks: Vec<Codebook>,
}

/// Codes `[items]` and levels of a set of latents.
pub(super) struct Quantised {
    pub codes: Vec<Vec<i64>>,
    pub levels: Vec<QuantisedLevel>,
    /// Sum of the codewords `[items, latent]`, detached.
    pub sum: Tensor,
}

/// The matrix's rows as a tensor `[rows, cols]`.
pub(crate) fn rows_tensor(data: &[f32], cols: usize) -> Result<Tensor, TchError> {
    Tensor::f_from_slice(data)?.f_reshape([-1, cols as i64])
}

/// All values of a tensor, row by row.
pub(crate) fn values(tensor: &Tensor) -> Result<Vec<f32>, TchError> {
    Vec::<f32>::try_from(&tensor.f_detach()?.f_reshape([-1])?)
}

impl Model {
    /// A fresh autoencoder with codebooks by k-means over the residuals of `x`, level after level.
    pub fn start(input: &RqVaeInput<'_>, x: &Tensor) -> Result<Self, RqVaeError> {
        let spec = input.spec;
        let widths =
            Widths { input: input.vectors.cols as i64, hidden: i64::from(spec.hidden), latent: i64::from(spec.latent) };
        let autoencoder = Autoencoder::new(widths, input.seed)?;
        let _no_grad = tch::no_grad_guard();
        let mut residual = autoencoder.encode(x)?;
        let mut codebooks = Vec::new();
        for level in 0..spec.levels {
            let data = values(&residual)?;
            let points = Points { data: &data, width: spec.latent as usize };
            let mut rng = stream(input.seed, &format!("rq_vae.k_means.{level}"));
            let step_items = (spec.items_per_step as usize).min(points.rows());
            let codebook = Codebook::by_k_means(points, spec.codes as usize, step_items, &mut rng)?;
            let chosen = nearest(&residual, &codebook.table)?;
            residual = residual.f_sub(&codebook.table.f_index_select(0, &chosen)?)?;
            codebooks.push(codebook);
        }
        Ok(Self { autoencoder, codebooks })
    }

    /// Greedy residual quantisation of latents `[items, latent]`.
    pub fn quantise(&self, latents: &Tensor) -> Result<Quantised, TchError> {
        let mut residual = latents.shallow_clone();
        let mut sum = latents.f_detach()?.f_zeros_like()?;
        let mut out = Quantised { codes: Vec::new(), levels: Vec::new(), sum: Tensor::new() };
        for codebook in &self.codebooks {
            let chosen = nearest(&residual.f_detach()?, &codebook.table)?;
            let codeword = codebook.table.f_index_select(0, &chosen)?;
            let next = residual.f_sub(&codeword)?;
            sum = sum.f_add(&codeword)?;
            out.codes.push(Vec::<i64>::try_from(&chosen)?);
            out.levels.push(QuantisedLevel { residual, codeword });
            residual = next;
        }
        out.sum = sum;
        Ok(out)
    }
}

/// Loop over epochs; `progress` is told of each.
pub(super) fn train(
    input: &RqVaeInput<'_>,
    x: &Tensor,
    progress: &mut dyn FnMut(&Epoch),
) -> Result<(Model, Vec<Epoch>), RqVaeError> {
    let spec = input.spec;
    let mut model = Model::start(input, x)?;
    let mut adam = Adam::new(&model.autoencoder.parameters, spec.learning_rate)?;
    let mut dead = stream(input.seed, "rq_vae.dead");
    let mut epochs = Vec::new();
    let mut order: Vec<i64> = (0..input.candidates.len() as i64).collect();
    for number in 1..=spec.epochs {
        let count = order.len();
        shuffle_front(&mut stream(input.seed, &format!("rq_vae.order.{number}")), &mut order, count);
        let mut epoch = Epoch { number, of: spec.epochs, reconstruction: 0.0, commitment: 0.0, revived: 0 };
        for part in order.chunks(spec.items_per_step as usize) {
            let share = part.len() as f64 / count as f64;
            let rows = x.f_index_select(0, &Tensor::f_from_slice(part)?)?;
            let done = step(input, &mut model, &mut adam, (&rows, &mut dead))?;
            epoch.reconstruction += share * done.reconstruction;
            epoch.commitment += share * done.commitment;
            epoch.revived += done.revived;
        }
        if !(epoch.reconstruction + epoch.commitment).is_finite() {
            return Err(RqVaeError::Diverged { epoch: number });
        }
        progress(&epoch);
        epochs.push(epoch);
    }
    Ok((model, epochs))
}

struct Done {
    reconstruction: f64,
    commitment: f64,
    revived: u32,
}

/// One optimiser step on `rows`, then the codebooks' moving averages.
fn step(
    input: &RqVaeInput<'_>,
    model: &mut Model,
    adam: &mut Adam,
    (rows, dead): (&Tensor, &mut ChaCha8Rng),
) -> Result<Done, RqVaeError> {
    let spec = input.spec;
    let latents = model.autoencoder.encode(rows)?;
    let quantised = model.quantise(&latents)?;
    // Straight through: the decoder sees the codewords, the encoder gets the decoder's gradient.
    let through = latents.f_add(&quantised.sum.f_sub(&latents.f_detach()?)?)?;
    let reconstruction = mean_squared_distance(rows, &model.autoencoder.decode(&through)?)?;
    let commitment = commitment(&quantised.levels)?;
    // This is `rq_vae_loss` without its codebook term; the parts are kept for the report.
    let loss = reconstruction.f_add(&commitment.f_mul_scalar(spec.commitment)?)?;
    adam.descend(&model.autoencoder.parameters, &loss)?;
    let movement = Movement { decay: spec.ema_decay, dead_below: spec.dead_below };
    let mut revived = 0;
    for ((codebook, level), codes) in model.codebooks.iter_mut().zip(&quantised.levels).zip(&quantised.codes) {
        let data = values(&level.residual)?;
        let points = Points { data: &data, width: spec.latent as usize };
        revived += codebook.update(points, codes, movement, dead)?;
    }
    Ok(Done {
        reconstruction: reconstruction.f_double_value(&[])?,
        commitment: commitment.f_double_value(&[])?,
        revived,
    })
}
