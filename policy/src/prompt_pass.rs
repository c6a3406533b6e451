//! The pass over prompts, layer by layer, so that a layer can be computed once, or again for its gradient.

use crate::attention::{KeysValues, branching, causal};
use crate::error::PolicyError;
use crate::padded::Padded;
use crate::rope::Angles;
use crate::transformer::Policy;
use tch::Tensor;

/// Prompts that are about to be computed.
#[derive(Debug)]
pub(crate) struct PromptPass {
    pub padded: Padded,
    /// See [`Padded::mask`].
    pub mask: Option<Tensor>,
    angles: Angles,
    /// Index of each prompt's last token among all tokens.
    ends: Tensor,
}

impl PromptPass {
    pub(crate) fn new(policy: &Policy, prompts: &[&[i64]]) -> Result<Self, PolicyError> {
        let padded = Padded::new(policy, prompts)?;
        if policy.layers.is_empty() {
            return Err(PolicyError::State("the decoder has no layer: expected at least one".into()));
        }
        let (mask, angles) = (padded.mask(policy.hidden_kind()), policy.rope.first(padded.positions));
        let ends = padded.last();
        Ok(Self { padded, mask, angles, ends })
    }

    fn rows(&self) -> i64 {
        self.padded.lengths.len() as i64
    }

    /// The hidden states of all positions: `[prompts, positions, hidden]`.
    pub(crate) fn everywhere(&self, policy: &Policy) -> Tensor {
        let embedded = policy.embed(&self.padded.tokens);
        (0..policy.layers.len()).fold(embedded, |x, layer| self.layer_everywhere(policy, layer, &x))
    }

    /// One layer of [`Self::everywhere`], with the final norm after the last.
    pub(crate) fn layer_everywhere(&self, policy: &Policy, index: usize, x: &Tensor) -> Tensor {
        let layer = &policy.layers[index];
        let a = layer.attend_all(&layer.before_attention(x), self.rows(), (&policy.rope, &self.angles));
        let prompt = KeysValues { keys: a.keys.transpose(1, 2), values: a.values.transpose(1, 2) };
        let x = layer.after_attention(x, &causal(&a.queries, &prompt));
        if index + 1 < policy.layers.len() {
            return x;
        }
        policy.final_norm(&x).view([self.rows(), self.padded.positions, -1])
    }

    /// Keys and values of all layers, and the hidden states at the last positions: `[prompts, hidden]`.
    pub(crate) fn prefix(&self, policy: &Policy) -> (Vec<KeysValues>, Tensor) {
        let mut x = policy.embed(&self.padded.tokens);
        let mut layers = Vec::with_capacity(policy.layers.len());
        for index in 0..policy.layers.len() {
            let (prompt, next) = self.layer_of_prefix(policy, index, &x);
            layers.push(prompt);
            x = next;
        }
        (layers, x)
    }

    /// One layer of [`Self::prefix`]: its keys and values, and what the next layer reads; the last layer gives the hidden
    /// states at the last positions instead.
    pub(crate) fn layer_of_prefix(&self, policy: &Policy, index: usize, x: &Tensor) -> (KeysValues, Tensor) {
        let (layer, rope) = (&policy.layers[index], (&policy.rope, &self.angles));
        // Branches multiply with keys and values again and again: they are laid out for that once.
        let store = |keys: &Tensor, values: &Tensor| KeysValues {
            keys: keys.transpose(1, 2).contiguous(),
            values: values.transpose(1, 2).contiguous(),
        };
        let normed = layer.before_attention(x);
        if index + 1 < policy.layers.len() {
            let a = layer.attend_all(&normed, self.rows(), rope);
            let prompt = store(&a.keys, &a.values);
            let next = layer.after_attention(x, &causal(&a.queries, &prompt));
            return (prompt, next);
        }
        let (keys, values) = layer.keys_values(&normed, self.rows(), rope);
        let prompt = store(&keys, &values);
        let at: Vec<i64> = self.padded.lengths.iter().map(|n| n - 1).collect();
        let queries = layer.queries(&normed.index_select(0, &self.ends), (&policy.rope, &policy.rope.at(&at)));
        let attention = branching(&queries, &prompt, self.mask.as_ref(), &[]);
        let hidden = policy.final_norm(&layer.after_attention(&x.index_select(0, &self.ends), &attention));
        (prompt, hidden)
    }
}
