//! `[baseline]`: the models that ours is held against, and how they are tuned.

use serde::{Deserialize, Serialize};

/// Which baselines are reported beside those that always are (method, section 8).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BaselineSpec {
    /// Choose the settings of the simple baselines on validation, by the scores that the gate reads, and report them
    /// as further models (`neg_pop_tuned`, …).
    pub tune: bool,
    /// `[baseline.sasrec]`
    pub sasrec: SasRecSpec,
}

/// SASRec (Kang and McAuley, 2018) in its three variants; see `conrec_policy::sasrec`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SasRecSpec {
    /// Whether it is trained at all.
    pub enabled: bool,
    /// d: width of embeddings and layers.
    pub hidden: u32,
    /// b: attention blocks.
    pub layers: u32,
    /// Attention heads of a block.
    pub heads: u32,
    /// n: events of a sequence that are seen at once, the beginning counted.
    pub positions: u32,
    /// Share of activations set to zero while training.
    pub dropout: f64,
    /// Passes over the training sequences at most; validation chooses how many.
    pub epochs: u32,
    /// Training ends after this many epochs in a row without a better validation score; 0: never before `epochs`.
    pub patience: u32,
    /// Adam's learning rate.
    pub learning_rate: f64,
    /// Sequences in one optimiser step.
    pub sequences: u32,
    /// Items drawn as negatives of each step; 0 takes the whole catalogue.
    pub negatives: u32,
    /// What is minimised.
    pub loss: SasRecLoss,
}

impl Default for SasRecSpec {
    fn default() -> Self {
        Self {
            enabled: false,
            hidden: 64,
            layers: 2,
            heads: 1,
            positions: 50,
            dropout: 0.2,
            epochs: 20,
            patience: 3,
            learning_rate: 1e-3,
            sequences: 128,
            negatives: 256,
            loss: SasRecLoss::Softmax,
        }
    }
}

/// SASRec's loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SasRecLoss {
    /// Cross-entropy of the true item among itself and the drawn negatives.
    Softmax,
    /// The paper's: binary cross-entropy of the true item against 1 and of each drawn negative against 0, the
    /// negatives weighing together as much as the true item.
    Binary,
}
