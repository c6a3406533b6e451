//! The policy: a decoder with or without an adapter, ready for forward passes, and the gradient of what trains.

use crate::decoder::DecoderLayer;
use crate::decoder::rms_norm;
use crate::error::PolicyError;
use crate::flat_parameters::flatten;
use crate::llama::LlamaConfig;
use crate::llama_weights::LlamaWeights;
use crate::lora::{LoraConfig, LoraWeights, NewRows};
use crate::recompute::Recorded;
use crate::rope::Rope;
use std::cell::RefCell;
use tch::{Device, Kind, Tensor};

/// Which weights ask for gradients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trains {
    /// None: reference, evaluation.
    Nothing,
    /// All weights of the base.
    Base,
    /// The low-rank factors of the adapter.
    Lora,
    /// These and the rows of new tokens.
    Adapter,
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
    /// Whether activations of prompts are dropped and computed again.
    recomputes: bool,
    /// Passes whose activations were dropped since the last gradient.
    recorded: RefCell<Vec<Recorded>>,
}

impl Policy {
    /// Cuts flat tensors into a decoder. The kind of `base` (f32, bf16, or f64 in tests) is the kind of the computation,
    /// and where it lies is where it computes.
    ///
    /// # Errors
    /// When a flat tensor does not have the length of its layout, or an adapter is to be trained, or has the rows of
    /// tokens, and there is none.
    pub fn new(
        config: &LlamaConfig,
        base: &Tensor,
        adapter: Option<Adapter<'_>>,
        trains: Trains,
    ) -> Result<Self, PolicyError> {
        let needed = matches!(trains, Trains::Lora | Trains::Adapter) || config.new_tokens > 0;
        if needed && adapter.is_none() {
            let message = "an adapter is to be trained or has the rows of new tokens, but the policy has none";
            return Err(PolicyError::State(message.into()));
        }
        let weights = LlamaWeights::cut(config, base, trains == Trains::Base)?;
        let lora = match adapter {
            Some(a) => Some(LoraWeights::cut(a.config, config, (a.flat, trains))?),
            None => None,
        };
        let layers = weights.layers.iter().enumerate();
        let low_rank = |i: usize| lora.as_ref().map(|l| l.layer(i, base.kind()));
        let layers = layers.map(|(i, w)| DecoderLayer::new(config, w, low_rank(i))).collect();
        let rope = Rope::new(config, (base.kind(), base.device()));
        Ok(Self {
            config: config.clone(),
            layers,
            rope,
            base: weights,
            lora,
            trains,
            recomputes: false,
            recorded: RefCell::default(),
        })
    }

    /// The same policy, which drops the activations of prompts and computes them again for the gradient, or does not.
    pub fn recomputing(self, recomputes: bool) -> Self {
        Self { recomputes, ..self }
    }

    /// Whether activations of prompts are to be dropped: where nothing trains, or gradients are off, there is nothing to
    /// compute again for.
    pub(crate) fn recomputes(&self) -> bool {
        self.recomputes && self.trains != Trains::Nothing && gradients_are_on()
    }

    /// Keeps in mind that a pass was made whose gradient is to be computed by itself.
    pub(crate) fn record(&self, pass: Recorded) {
        self.recorded.borrow_mut().push(pass);
    }

    /// The decoder's shape.
    pub fn config(&self) -> &LlamaConfig {
        &self.config
    }

    /// What asks for gradients.
    pub fn trains(&self) -> Trains {
        self.trains
    }

    /// The kind of logits, log-probabilities and losses: that of the computation, but no less than f32.
    pub fn kind(&self) -> Kind {
        wide(self.hidden_kind())
    }

    /// The kind of hidden states.
    pub(crate) fn hidden_kind(&self) -> Kind {
        self.base.embedding.kind()
    }

    /// Where it computes: all tensors of a computation are made there.
    pub fn device(&self) -> Device {
        self.base.embedding.device()
    }

    /// Embeds tokens: one row more a token.
    pub(crate) fn embed(&self, tokens: &Tensor) -> Tensor {
        let look_up = |rows: &Tensor, tokens: &Tensor| Tensor::embedding(rows, tokens, -1, false, false);
        let Some(new) = self.new_rows() else { return look_up(&self.base.embedding, tokens) };
        // Both tables are asked for every token, each for one that it has; the base's table is never copied.
        let first_new = self.config.vocab;
        let old = look_up(&self.base.embedding, &tokens.clamp_max(first_new - 1));
        let new = look_up(&new.embedding, &(tokens - first_new).clamp_min(0)).to_kind(self.hidden_kind());
        new.where_self(&tokens.ge(first_new).unsqueeze(-1), &old)
    }

    /// Rows `from..from + count` of the head, in [`Self::kind`].
    pub(crate) fn head(&self, from: i64, count: i64) -> Tensor {
        let old = self.base.head.as_ref().unwrap_or(&self.base.embedding);
        let of_old = (self.config.vocab - from).clamp(0, count);
        let mut parts = Vec::new();
        if of_old > 0 {
            parts.push(old.narrow(0, from, of_old).to_kind(self.kind()));
        }
        if let Some(new) = self.new_rows().filter(|_| of_old < count) {
            let rows = new.head.as_ref().unwrap_or(&new.embedding);
            parts.push(rows.narrow(0, (from - self.config.vocab).max(0), count - of_old));
        }
        if let [only] = parts.as_slice() { only.shallow_clone() } else { Tensor::cat(&parts, 0) }
    }

    /// Logits of `count` tokens from token `from`: `[rows, count]` from hidden states `[rows, hidden]`.
    pub fn logits(&self, hidden: &Tensor, from: i64, count: i64) -> Tensor {
        hidden.to_kind(self.kind()).matmul(&self.head(from, count).tr())
    }

    fn new_rows(&self) -> Option<&NewRows> {
        self.lora.as_ref().and_then(|lora| lora.rows.as_ref())
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
            (Trains::Lora | Trains::Adapter, Some(lora)) => lora.leaves(self.trains),
            (Trains::Lora | Trains::Adapter, None) | (Trains::Nothing, _) => {
                return Err(PolicyError::State("a gradient was asked for, but nothing trains".into()));
            }
        };
        // Passes that the loss does not reach (groups without variance) get no gradient and cost nothing.
        let recorded = self.recorded.take();
        let mut inputs = leaves.clone();
        inputs.extend(recorded.iter().flat_map(Recorded::leaves));
        let mut gradients = Tensor::f_run_backward(&[loss], &inputs, false, false)?;
        let mut rest = gradients.split_off(leaves.len());
        for pass in &recorded {
            let after = rest.split_off(pass.leaves().len());
            pass.backward(self, &rest, &leaves, &mut gradients)?;
            rest = after;
        }
        flatten(&gradients, &leaves)
    }
}

/// Whether operations are recorded: libtorch can be told, not asked.
fn gradients_are_on() -> bool {
    let leaf = Tensor::zeros([1], (Kind::Float, Device::Cpu)).set_requires_grad(true);
    (leaf + 1).requires_grad()
}

/// Sums and logarithms of probabilities need more digits than 16 bits have.
fn wide(kind: Kind) -> Kind {
    if matches!(kind, Kind::BFloat16 | Kind::Half) { Kind::Float } else { kind }
}
