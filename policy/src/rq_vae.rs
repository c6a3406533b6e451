//! Item vectors to semantic ids: a residual-quantised autoencoder (method.md, section 3; Lee et al., 2022).
//! `R1 = encoder(x); Z_d = nearest codeword of codebook d to R_d; R_(d+1) = R_d - Z_d; x_hat = decoder(Z_1 + ... + Z_D)`.
//! Codebooks start from k-means, move by exponential averages, and codes that nobody uses are set anew.

mod adam;
mod autoencoder;
mod cell_vectors;
pub(crate) mod codebook;
mod error;
pub(crate) mod k_means;
mod loss;
pub(crate) mod training;

pub use cell_vectors::cell_vectors;
pub use error::RqVaeError;
pub use loss::{LossWeights, QuantisedLevel, rq_vae_loss};

use autoencoder::Autoencoder;
use codebook::Codebook;
use conrec_domain::spec::SemanticIdSpec;
use conrec_feedback::matrix::Matrix;
use tch::{Kind, TchError, Tensor};
use training::{Model, rows_tensor, train, values};

/// What the RQ-VAE learns from.
#[derive(Clone, Copy, Debug)]
pub struct RqVaeInput<'a> {
    /// Levels, codes, widths, epochs.
    pub spec: &'a SemanticIdSpec,
    /// Seeds weights, orders and codewords.
    pub seed: u64,
    /// One row for each item of the catalogue.
    pub vectors: &'a Matrix,
    /// The items of training time; the model sees no other while it learns.
    pub candidates: &'a [u32],
}

/// What happened in one pass over the candidate items.
#[derive(Clone, Debug, PartialEq)]
pub struct Epoch {
    /// From 1.
    pub number: u32,
    /// Epochs in all.
    pub of: u32,
    /// `|x - x_hat|^2`, mean over items.
    pub reconstruction: f64,
    /// `sum_d |R_d - Z_d|^2`, mean over items, without lambda.
    pub commitment: f64,
    /// Dead codes that were set anew, all levels.
    pub revived: u32,
}

/// Semantic ids of all items, and how well they describe the candidates.
#[derive(Clone, Debug, PartialEq)]
pub struct RqVaeOutput {
    /// Codes of every item of the catalogue, items x levels, row by row.
    pub codes: Vec<u16>,
    /// One matrix `[codes, latent]` a level.
    pub codebooks: Vec<Matrix>,
    /// After each level: what is left of the candidates' inputs, `sum |x - decoder(Z_1 + ... + Z_d)|^2` over
    /// `sum |x - mean x|^2`. 1 is no better than the mean.
    pub input_error: Vec<f64>,
    /// The same in the latent space: `sum |R_(d+1)|^2` over `sum |R_1 - mean R_1|^2`.
    pub latent_error: Vec<f64>,
    /// One entry an epoch.
    pub epochs: Vec<Epoch>,
}

/// Tensors of an autoencoder: weight and bias of four layers.
pub(crate) const AUTOENCODER_TENSORS: usize = 8;

/// A trained model: what turns further vectors into codes.
pub struct TrainedRqVae {
    model: Model,
    /// Codes of all items, and how well they describe the candidates.
    pub output: RqVaeOutput,
}

/// Codes of some vectors, and what the last level had to describe.
#[derive(Clone, Debug, PartialEq)]
pub struct Assigned {
    /// Rows x levels, row by row.
    pub codes: Vec<u16>,
    /// R_D: what was left of each vector when the last level chose, rows x latent.
    pub last_residuals: Matrix,
}

/// Trains on the candidate items and returns codes for all items. `progress` is called after each epoch.
///
/// The result depends on the input alone as long as libtorch computes with the same number of threads.
///
/// # Errors
/// When a value is not finite, sizes do not fit, items are fewer than codes, or training diverges.
pub fn train_rq_vae(input: &RqVaeInput<'_>, progress: &mut dyn FnMut(&Epoch)) -> Result<TrainedRqVae, RqVaeError> {
    check(input)?;
    let all = rows_tensor(&input.vectors.data, input.vectors.cols)?;
    let index: Vec<i64> = input.candidates.iter().map(|i| i64::from(*i)).collect();
    let x = all.f_index_select(0, &Tensor::f_from_slice(&index)?)?;
    let (model, epochs) = train(input, &x, progress)?;
    let _no_grad = tch::no_grad_guard();
    let (input_error, latent_error) = errors(&model, &x)?;
    let cols = input.spec.latent as usize;
    let codebooks = model
        .codebooks
        .iter()
        .map(|book| Matrix { rows: book.codewords().len() / cols, cols, data: book.codewords().to_vec() })
        .collect();
    let output = RqVaeOutput { codes: Vec::new(), codebooks, input_error, latent_error, epochs };
    let mut trained = TrainedRqVae { model, output };
    trained.output.codes = trained.assign(input.vectors)?.codes;
    Ok(trained)
}

impl TrainedRqVae {
    /// The autoencoder's tensors, in the order of computation.
    pub(crate) fn autoencoder(&self) -> &[Tensor] {
        &self.model.autoencoder.parameters
    }

    /// One that was trained before, from what it was then; it knows no items yet.
    ///
    /// # Errors
    /// Tensors of another number, or that do not fit each other.
    pub(crate) fn of(parameters: Vec<Tensor>, codebooks: Vec<Matrix>) -> Result<Self, RqVaeError> {
        let other = |found: String| RqVaeError::OtherCodebooks {
            found,
            expected: "an encoder to the codewords' width and a decoder from it".to_owned(),
        };
        let sizes: Vec<Vec<i64>> = parameters.iter().map(Tensor::size).collect();
        let latent = codebooks.first().map_or(0, |book| book.cols as i64);
        let fits = match sizes.as_slice() {
            [a, a0, b, b0, c, c0, d, d0] => {
                let &[hidden, input] = a.as_slice() else { return Err(other(format!("{sizes:?}"))) };
                *a0 == [hidden]
                    && *b == [latent, hidden]
                    && *b0 == [latent]
                    && *c == [hidden, latent]
                    && *c0 == [hidden]
                    && *d == [input, hidden]
                    && *d0 == [input]
            }
            _ => false,
        };
        if !fits {
            return Err(other(format!("{sizes:?} and codewords of {latent}")));
        }
        let books: Result<Vec<Codebook>, TchError> = codebooks.iter().map(Codebook::fixed).collect();
        let model = Model { autoencoder: Autoencoder { parameters }, codebooks: books? };
        let output = RqVaeOutput {
            codes: Vec::new(),
            codebooks,
            input_error: Vec::new(),
            latent_error: Vec::new(),
            epochs: Vec::new(),
        };
        Ok(Self { model, output })
    }

    /// Codes of vectors of the width that was trained on.
    ///
    /// # Errors
    /// When libtorch refuses the width.
    pub fn assign(&self, vectors: &Matrix) -> Result<Assigned, RqVaeError> {
        let _no_grad = tch::no_grad_guard();
        let rows = rows_tensor(&vectors.data, vectors.cols)?;
        let quantised = self.model.quantise(&self.model.autoencoder.encode(&rows)?)?;
        let last = quantised.levels.last().map(|level| values(&level.residual)).transpose()?.unwrap_or_default();
        let cols = self.output.codebooks.first().map_or(0, |book| book.cols);
        Ok(Assigned {
            codes: by_row(&quantised.codes, vectors.rows),
            last_residuals: Matrix { rows: vectors.rows, cols, data: last },
        })
    }
}

/// Codes level by level to codes row by row.
pub(crate) fn by_row(by_level: &[Vec<i64>], rows: usize) -> Vec<u16> {
    // `check` has seen to it that every code fits.
    (0..rows).flat_map(|row| by_level.iter().map(move |level| level[row] as u16)).collect()
}

/// Refuses what no quantizer can work with.
pub(crate) fn check(input: &RqVaeInput<'_>) -> Result<(), RqVaeError> {
    let (spec, vectors) = (input.spec, input.vectors);
    let (levels, codes) = (spec.levels as usize, spec.codes as usize);
    if !(1..=16).contains(&levels) || !(1..=65_536).contains(&codes) {
        return Err(RqVaeError::CodesOutOfRange { levels, codes });
    }
    for (key, value) in [("hidden", spec.hidden), ("latent", spec.latent), ("items_per_step", spec.items_per_step)] {
        if value == 0 {
            return Err(RqVaeError::Zero { key });
        }
    }
    let (rows, cols) = (vectors.rows, vectors.cols);
    if rows == 0 || cols == 0 || rows.checked_mul(cols) != Some(vectors.data.len()) {
        return Err(RqVaeError::WrongSize { rows, cols, found: vectors.data.len() });
    }
    if let Some(at) = vectors.data.iter().position(|v| !v.is_finite()) {
        return Err(RqVaeError::NotFinite { row: at / cols, column: at % cols, value: vectors.data[at] });
    }
    if let Some(item) = input.candidates.iter().find(|item| **item as usize >= rows) {
        return Err(RqVaeError::NoSuchItem { item: *item, items: rows });
    }
    if input.candidates.len() < codes {
        return Err(RqVaeError::FewerItemsThanCodes { codes, items: input.candidates.len() });
    }
    Ok(())
}

/// Input and latent error after each level, relative to the spread about the mean.
fn errors(model: &Model, x: &Tensor) -> Result<(Vec<f64>, Vec<f64>), TchError> {
    let latents = model.autoencoder.encode(x)?;
    let (input_spread, latent_spread) = (spread(x)?, spread(&latents)?);
    let mut sum = latents.f_zeros_like()?;
    let (mut input_error, mut latent_error) = (Vec::new(), Vec::new());
    for level in model.quantise(&latents)?.levels {
        sum = sum.f_add(&level.codeword)?;
        input_error.push(squared(&x.f_sub(&model.autoencoder.decode(&sum)?)?)? / input_spread);
        latent_error.push(squared(&latents.f_sub(&sum)?)? / latent_spread);
    }
    Ok((input_error, latent_error))
}

/// Sum of squares in f64.
pub(crate) fn squared(x: &Tensor) -> Result<f64, TchError> {
    Ok(values(x)?.iter().map(|v| f64::from(*v) * f64::from(*v)).sum())
}

/// Sum of squared distances from the mean row; at least the smallest positive number, so that it divides.
pub(crate) fn spread(x: &Tensor) -> Result<f64, TchError> {
    let mean = x.f_mean_dim([0i64].as_slice(), true, Kind::Float)?;
    Ok(squared(&x.f_sub(&mean)?)?.max(f64::MIN_POSITIVE))
}
