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
    /// Where the content vectors of items come from.
    pub vectors: VectorSource,
    /// Folder of the encoder, or file of the vectors; empty where `vectors` needs neither.
    pub vectors_path: String,
    /// File with the item key of each row of a `.npy`; empty: its rows are the catalogue's items, in its order.
    pub vectors_keys: String,
    /// What happens to items without a vector (in `vectors_path`, or without a text for the base), or without a semantic id
    /// in `file`.
    pub missing: Missing,
    /// What turns vectors into codes.
    pub quantizer: Quantizer,
    /// What happens to items that share all their codes.
    pub collisions: Collisions,
    /// epsilon of the optimal transport of `collisions = "sinkhorn"`.
    pub sinkhorn_epsilon: f64,
    /// Semantic ids that mean less than they seem to, for experiments.
    pub control: Control,
    /// A published file of semantic ids, used instead of a quantizer; empty: codes are fitted.
    pub file: String,
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
            vectors: VectorSource::Text,
            vectors_path: String::new(),
            vectors_keys: String::new(),
            missing: Missing::Refuse,
            quantizer: Quantizer::RqVae,
            collisions: Collisions::None,
            sinkhorn_epsilon: 0.003,
            control: Control::None,
            file: String::new(),
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

impl SemanticIdSpec {
    /// Codes that an item's semantic id has in the end: D, and one more where a suffix tells items apart.
    pub fn id_levels(&self) -> u32 {
        self.levels.saturating_add(u32::from(self.collisions == Collisions::Suffix))
    }
}

/// Where the content vectors of items come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VectorSource {
    /// TF-IDF and SVD of title, year and categories; or the vectors that the source of the data brings.
    Text,
    /// A sentence encoder in Hugging Face layout over the item's text.
    Encoder,
    /// The pretrained decoder of the policy itself, as it was published, over the item's text.
    BaseModel,
    /// A `.npy` or Parquet file.
    File,
}

/// What happens to items without a vector, or without a semantic id in a published file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Missing {
    /// An error that names the first of them and how many there are.
    Refuse,
    /// Without a vector: the mean of the others. Without a semantic id: no cell, so in no prompt and in no list.
    Accept,
}

/// What turns vectors into codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quantizer {
    /// A residual-quantised autoencoder (the paper's).
    RqVae,
    /// K-means over the vectors, then over what is left of them, level after level.
    ResidualKMeans,
}

/// What happens to items that share all their codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Collisions {
    /// They form a cell.
    None,
    /// One more level numbers the items of a cell.
    Suffix,
    /// They are spread over the last level's codes that are free under their prefix (LC-Rec).
    Sinkhorn,
}

/// Semantic ids for experiments that ask whether the codes mean anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Control {
    /// The codes as they are.
    None,
    /// Every code drawn at random.
    Random,
    /// The codes as they are, dealt out to the items at random.
    Shuffled,
}
