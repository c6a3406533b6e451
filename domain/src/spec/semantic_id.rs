//! `[semantic_id]`: item vectors and the RQ-VAE that turns them into tuples of codes.

use serde::{Deserialize, Serialize};

/// Item vectors, RQ-VAE and the rule for cells that hold several items (method, section 3).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SemanticIdSpec {
    /// D: codes in a semantic id.
    pub levels: u32,
    /// K: codewords a level.
    pub codes: u32,
    /// Dimension of the text features after the truncated SVD.
    pub text_dimensions: u32,
    /// Dimension of the interaction features (SVD of training-time interactions); 0 leaves them out.
    pub interaction_dimensions: u32,
    /// Weight of the interaction features against the text features.
    pub interaction_weight: f64,
    /// Width of the encoder's hidden layer.
    pub hidden: u32,
    /// Width of the latent that is quantised.
    pub latent: u32,
    /// lambda: weight of the commitment term.
    pub commitment: f64,
    /// Decay of the exponential moving average that moves the codewords.
    pub ema_decay: f64,
    /// A codeword whose moving count falls below this is set to a random encoding.
    pub dead_below: f64,
    /// Passes over the catalogue.
    pub epochs: u32,
    /// Items in one optimiser step of the RQ-VAE.
    pub items_per_step: u32,
    /// Learning rate of the RQ-VAE.
    pub learning_rate: f64,
}

impl Default for SemanticIdSpec {
    fn default() -> Self {
        Self {
            levels: 3,
            codes: 64,
            text_dimensions: 64,
            interaction_dimensions: 64,
            interaction_weight: 1.0,
            hidden: 128,
            latent: 32,
            commitment: 0.25,
            ema_decay: 0.95,
            dead_below: 0.1,
            epochs: 40,
            items_per_step: 512,
            learning_rate: 1e-3,
        }
    }
}
