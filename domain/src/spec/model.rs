//! `[model]`, `[lora]`, `[optimizer]`: the decoder, its adapter, and AdamW.

use serde::{Deserialize, Serialize};

/// A Llama-architecture decoder trained from scratch, or a pretrained one whose adapter is trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModelSpec {
    /// A pretrained decoder in Hugging Face layout: a folder, or a name on the Hub; empty: from scratch.
    pub base: String,
    /// Branch, tag or commit of a base on the Hub.
    pub revision: String,
    /// What a pretrained base is held and computed in; its adapter is held in f32 all the same.
    pub dtype: BaseKind,
    /// Activations of prompts are computed again for the backward pass instead of kept.
    pub gradient_checkpointing: bool,
    /// Tokens, padding included, that are computed together at most.
    pub micro_batch_tokens: u32,
    /// Standard deviation of what is added to the mean row where a new token has no words to begin with.
    pub new_row_std: f64,
    /// Whether GRPO stages train the rows of new tokens too.
    pub rows_in_grpo: bool,
    /// What stands before the events in a prompt of a pretrained base.
    pub instruction: String,
    /// What stands after them, before the sign whose item is asked for.
    pub question: String,
    /// What the tokens of the three signs mean before anything is learned: negative, neutral, positive.
    pub sign_words: [String; 3],
    /// What stands before and after a semantic id whose title is asked for.
    pub title_prompt: [String; 2],
    /// What stands before and after a title whose semantic id is asked for.
    pub item_prompt: [String; 2],
    /// The token of a pretrained base that ends a title; empty: the `eos_token_id` of its `config.json`.
    pub end_of_text: String,
    /// Width of the residual stream.
    pub hidden: u32,
    /// Decoder layers.
    pub layers: u32,
    /// Query heads.
    pub heads: u32,
    /// Key and value heads; divides `heads`.
    pub kv_heads: u32,
    /// Width of the MLP.
    pub intermediate: u32,
    /// Base of the rotary position angles.
    pub rope_theta: f64,
    /// Epsilon of the RMS norms.
    pub rms_norm_eps: f64,
    /// Standard deviation of the initial weights.
    pub init_std: f64,
    /// The longest prompt, in tokens; older events are left out first.
    pub max_prompt_tokens: u32,
}

impl ModelSpec {
    /// Whether the decoder is a pretrained one.
    pub fn is_pretrained(&self) -> bool {
        !self.base.is_empty()
    }

    /// Whether the base's name is one that the Hub could know: OWNER/NAME, or the NAME of an old model.
    pub fn may_be_on_the_hub(&self) -> bool {
        let parts: Vec<&str> = self.base.split('/').collect();
        let good = |part: &&str| {
            let allowed = |c: char| c.is_ascii_alphanumeric() || ['-', '_', '.'].contains(&c);
            !part.is_empty() && !part.starts_with('.') && part.chars().all(allowed)
        };
        parts.len() <= 2 && parts.iter().all(good)
    }
}

/// What the weights of a pretrained base are held in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BaseKind {
    /// 32 bits.
    #[default]
    F32,
    /// 16 bits: 8 of exponent, 7 of fraction.
    Bf16,
}

impl BaseKind {
    /// Bytes of one weight.
    pub fn bytes(self) -> u64 {
        match self {
            Self::F32 => 4,
            Self::Bf16 => 2,
        }
    }
}

impl Default for ModelSpec {
    fn default() -> Self {
        Self {
            base: String::new(),
            revision: "main".to_owned(),
            dtype: BaseKind::F32,
            gradient_checkpointing: false,
            micro_batch_tokens: 4096,
            new_row_std: 0.01,
            rows_in_grpo: false,
            instruction: "What a user did, oldest first:".to_owned(),
            question: " Next:".to_owned(),
            sign_words: [" disliked", " saw", " liked"].map(str::to_owned),
            title_prompt: ["The title of", " is:"].map(str::to_owned),
            item_prompt: ["The item with this title:", " is:"].map(str::to_owned),
            end_of_text: String::new(),
            hidden: 128,
            layers: 3,
            heads: 4,
            kv_heads: 4,
            intermediate: 352,
            rope_theta: 10_000.0,
            rms_norm_eps: 1e-5,
            init_std: 0.05,
            max_prompt_tokens: 128,
        }
    }
}

/// Low-rank adapters on every linear layer of attention and MLP.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LoraSpec {
    /// r: rank.
    pub rank: u32,
    /// alpha: the product is scaled by alpha / r.
    pub alpha: f64,
}

impl Default for LoraSpec {
    fn default() -> Self {
        Self { rank: 16, alpha: 32.0 }
    }
}

/// AdamW (Loshchilov and Hutter, 2019) and gradient clipping by global norm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OptimizerSpec {
    /// beta1.
    pub beta1: f64,
    /// beta2.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub eps: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// The gradient is scaled down to this global norm; 0 turns clipping off.
    pub max_grad_norm: f64,
    /// Scale of the exact sum as a power of two: 48 gives a resolution of 3.6e-15 and a range of 32768.
    pub exact_sum_bits: u32,
}

impl Default for OptimizerSpec {
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.0, max_grad_norm: 1.0, exact_sum_bits: 48 }
    }
}
