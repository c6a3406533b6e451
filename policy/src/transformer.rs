//! The policy: a decoder with or without an adapter, ready for forward passes, and the gradient of what trains.

use crate::decoder::DecoderLayer;
use crate::decoder::rms_norm;
use crate::error::PolicyError;
use crate::flat_parameters::flat_gradient;
use crate::llama::{LlamaConfig, LlamaWeights};
use crate::lora::{LoraConfig, LoraWeights};
use crate::rope::Rope;
use tch::{Device, Kind, Tensor};

/// Which weights ask for gradients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trains {
    /// None: reference, evaluation.
    Nothing,
    /// All weights of the base.
    Base,
    /// The adapter.
    Lora,
}

/// An adapter: its shape and its weights as one flat tensor.
#[derive(Clone, Copy, Debug)]
pub struct Adapter<'a> {
    /// Rank and scale.
    pub config: LoraConfig,
    /// All weights, in the layout of [`LoraConfig::layout`].
    pub flat: &'a Tensor,
}

/// A decoder with its weights; they share the memory of the flat tensors it was made from, so that an update in
/// place is seen at once.
#[derive(Debug)]
pub struct Policy {
    pub(crate) config: LlamaConfig,
    pub(crate) layers: Vec<DecoderLayer>,
    pub(crate) rope: Rope,
    base: LlamaWeights,
    lora: Option<LoraWeights>,
    trains: Trains,
}

impl Policy {
    /// Cuts flat tensors into a decoder. The kind of `base` (f32, or f64 in tests) is the kind of the computation, and
    /// where it lies is where it computes.
    ///
    /// # Errors
    /// When a flat tensor does not have the length of its layout, or `Trains::Lora` comes without an adapter.
    pub fn new(
        config: &LlamaConfig,
        base: &Tensor,
        adapter: Option<Adapter<'_>>,
        trains: Trains,
    ) -> Result<Self, PolicyError> {
        if trains == Trains::Lora && adapter.is_none() {
            return Err(PolicyError::State("an adapter is to be trained, but the policy has none".into()));
        }
        let weights = LlamaWeights::cut(config, base, trains == Trains::Base)?;
        let lora = match adapter {
            Some(a) => Some(LoraWeights::cut(a.config, config, (a.flat, trains == Trains::Lora))?),
            None => None,
        };
        let layers = weights.layers.iter().enumerate();
        let layers = layers.map(|(i, w)| DecoderLayer::new(config, w, lora.as_ref().map(|l| l.layer(i)))).collect();
        let rope = Rope::new(config.head_dim, config.rope_theta, config.max_positions, (base.kind(), base.device()));
        Ok(Self { config: config.clone(), layers, rope, base: weights, lora, trains })
    }

    /// The decoder's shape.
    pub fn config(&self) -> &LlamaConfig {
        &self.config
    }

    /// What asks for gradients.
    pub fn trains(&self) -> Trains {
        self.trains
    }

    /// The kind of the computation.
    pub fn kind(&self) -> Kind {
        self.base.embedding.kind()
    }

    /// Where it computes: all tensors of a computation are made there.
    pub fn device(&self) -> Device {
        self.base.embedding.device()
    }

    /// Embeds tokens: `[tokens, hidden]`.
    pub(crate) fn embed(&self, tokens: &Tensor) -> Tensor {
        Tensor::embedding(&self.base.embedding, tokens, -1, false, false)
    }

    /// Rows `from..from + count` of the tied head.
    pub(crate) fn head(&self, from: i64, count: i64) -> Tensor {
        self.base.embedding.narrow(0, from, count)
    }

    /// The norm before the head.
    pub(crate) fn final_norm(&self, x: &Tensor) -> Tensor {
        rms_norm(x, &self.base.norm, self.config.rms_norm_eps)
    }

    /// Derivative of `loss` by what trains, as one flat tensor in its layout, on the policy's device; the graph is freed.
    /// Weights that the loss does not reach get zeros.
    ///
    /// # Errors
    /// When nothing trains, or the loss has no graph.
    pub fn gradient(&self, loss: &Tensor) -> Result<Tensor, PolicyError> {
        let leaves = match (self.trains, &self.lora) {
            (Trains::Base, _) => self.base.leaves(),
            (Trains::Lora, Some(lora)) => lora.leaves(),
            (Trains::Lora, None) | (Trains::Nothing, _) => {
                return Err(PolicyError::State("a gradient was asked for, but nothing trains".into()));
            }
        };
        flat_gradient(loss, &leaves)
    }
}
