//! `[model]`, `[lora]`, `[optimizer]`: the decoder, its adapter, and AdamW.

use serde::{Deserialize, Serialize};

/// A Llama-architecture decoder trained from scratch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModelSpec {
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

impl Default for ModelSpec {
    fn default() -> Self {
        Self {
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
