//! What turns item vectors into codes: one face for all kinds.

use crate::residual_k_means::{ResidualKMeans, fit_residual_k_means};
use crate::rq_vae::{Assigned, Epoch, RqVaeError, RqVaeInput, TrainedRqVae, train_rq_vae};
use conrec_domain::spec::Quantizer;
use conrec_feedback::matrix::Matrix;

/// A fitted quantizer.
pub enum Fitted {
    /// `quantizer = "rq_vae"`
    RqVae(TrainedRqVae),
    /// `quantizer = "residual_k_means"`
    ResidualKMeans(ResidualKMeans),
}

impl Fitted {
    /// Fits a quantizer of this kind to the candidates' vectors. `progress` is told of each epoch, where there are any.
    ///
    /// # Errors
    /// When a value is not finite, sizes do not fit, items are fewer than codes, or training diverges.
    pub fn fit(kind: Quantizer, input: &RqVaeInput<'_>, progress: &mut dyn FnMut(&Epoch)) -> Result<Self, RqVaeError> {
        match kind {
            Quantizer::RqVae => train_rq_vae(input, progress).map(Self::RqVae),
            Quantizer::ResidualKMeans => fit_residual_k_means(input).map(Self::ResidualKMeans),
        }
    }

    /// Codes of vectors of the width that was fitted.
    ///
    /// # Errors
    /// When libtorch refuses the width.
    pub fn assign(&self, vectors: &Matrix) -> Result<Assigned, RqVaeError> {
        match self {
            Self::RqVae(trained) => trained.assign(vectors),
            Self::ResidualKMeans(fitted) => fitted.assign(vectors),
        }
    }

    /// One matrix `[codes, latent]` a level; E(sid) is the sum of its codewords.
    pub fn codebooks(&self) -> &[Matrix] {
        match self {
            Self::RqVae(trained) => &trained.output.codebooks,
            Self::ResidualKMeans(fitted) => &fitted.codebooks,
        }
    }

    /// What is left of the candidates' vectors after each level, relative to their spread about the mean.
    pub fn input_error(&self) -> &[f64] {
        match self {
            Self::RqVae(trained) => &trained.output.input_error,
            Self::ResidualKMeans(fitted) => &fitted.input_error,
        }
    }
}
