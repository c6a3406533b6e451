//! One decoder layer as the forward pass uses it: norms, projections with their adapters, MLP.

use crate::llama::LlamaConfig;
use crate::llama_weights::LayerWeights;
use crate::lora::LowRank;
use crate::projection::Projection;
use crate::rope::{Angles, Rope};
use tch::Tensor;

/// One decoder layer.
#[derive(Debug)]
pub(crate) struct DecoderLayer {
    attention_norm: Tensor,
    query_key_value: Projection,
    /// The same weights cut in two, for the last layer, where few positions ask and all answer.
    query: Projection,
    key_value: Projection,
    /// Of queries over keys: `[heads + kv_heads, head_dim]`.
    head_norms: Option<Tensor>,
    output: Projection,
    mlp_norm: Tensor,
    gate_up: Projection,
    down: Projection,
    shape: Shape,
}

#[derive(Clone, Copy, Debug)]
struct Shape {
    heads: i64,
    kv_heads: i64,
    head_dim: i64,
    eps: f64,
}

/// Queries, keys and values as `[rows, positions, heads, head_dim]`, rotated.
pub(crate) struct Attended {
    pub queries: Tensor,
    pub keys: Tensor,
    pub values: Tensor,
}

impl DecoderLayer {
    pub(crate) fn new(config: &LlamaConfig, weights: &LayerWeights, low_rank: Option<[LowRank; 4]>) -> Self {
        let [qkv, output, gate_up, down] = match low_rank {
            Some(groups) => groups.map(Some),
            None => [None, None, None, None],
        };
        let query_key_value = Projection::new(&weights.query_key_value, qkv);
        let (q, k) = (config.query_rows(), config.key_rows());
        Self {
            attention_norm: weights.attention_norm.shallow_clone(),
            query: query_key_value.part((0, q), (0, 1)),
            key_value: query_key_value.part((q, 2 * k), (1, 3)),
            query_key_value,
            head_norms: weights.head_norms.as_ref().map(|[query, key]| {
                let wide = |norm: &Tensor, heads: i64| norm.view([1, -1]).expand([heads, config.head_dim], false);
                Tensor::cat(&[wide(query, config.heads), wide(key, config.kv_heads)], 0)
            }),
            output: Projection::new(&weights.output, output),
            mlp_norm: weights.mlp_norm.shallow_clone(),
            gate_up: Projection::new(&weights.gate_up, gate_up),
            down: Projection::new(&weights.down, down),
            shape: Shape {
                heads: config.heads,
                kv_heads: config.kv_heads,
                head_dim: config.head_dim,
                eps: config.rms_norm_eps,
            },
        }
    }

    /// The norm before attention.
    pub(crate) fn before_attention(&self, x: &Tensor) -> Tensor {
        rms_norm(x, &self.attention_norm, self.shape.eps)
    }

    /// Queries, keys and values of all positions; `x` is `[rows * positions, hidden]`, normed.
    pub(crate) fn attend_all(&self, x: &Tensor, rows: i64, rope: (&Rope, &Angles)) -> Attended {
        let Shape { heads, kv_heads, head_dim, .. } = self.shape;
        let y = self.query_key_value.apply(x).view([rows, -1, heads + 2 * kv_heads, head_dim]);
        let parts = y.split_with_sizes([heads + kv_heads, kv_heads], 2);
        let normed = self.norm_heads(&parts[0], 0);
        let rotated = rope.0.rotate(&normed, rope.1).split_with_sizes([heads, kv_heads], 2);
        Attended {
            queries: rotated[0].shallow_clone(),
            keys: rotated[1].shallow_clone(),
            values: parts[1].shallow_clone(),
        }
    }

    /// Keys and values of all positions, each `[rows, positions, kv_heads, head_dim]`; `x` as above.
    pub(crate) fn keys_values(&self, x: &Tensor, rows: i64, rope: (&Rope, &Angles)) -> (Tensor, Tensor) {
        let Shape { heads, kv_heads, head_dim, .. } = self.shape;
        let y = self.key_value.apply(x).view([rows, -1, 2 * kv_heads, head_dim]);
        let parts = y.split_with_sizes([kv_heads, kv_heads], 2);
        (rope.0.rotate(&self.norm_heads(&parts[0], heads), rope.1), parts[1].shallow_clone())
    }

    /// Queries of one position a row: `[rows, 1, heads, head_dim]`; `x` is `[rows, hidden]`, normed.
    pub(crate) fn queries(&self, x: &Tensor, rope: (&Rope, &Angles)) -> Tensor {
        let y = self.query.apply(x).view([-1, 1, self.shape.heads, self.shape.head_dim]);
        rope.0.rotate(&self.norm_heads(&y, 0), rope.1)
    }

    /// Norms each head of `[rows, positions, heads, head_dim]`, where the decoder does so; the first of them is head
    /// `from` of queries and keys together.
    fn norm_heads(&self, x: &Tensor, from: i64) -> Tensor {
        let Some(norms) = &self.head_norms else { return x.shallow_clone() };
        let weight = norms.narrow(0, from, x.size()[2]);
        x.rms_norm([self.shape.head_dim], None::<&Tensor>, self.shape.eps) * weight
    }

    /// What follows attention: output projection, residual, MLP, residual.
    pub(crate) fn after_attention(&self, residual: &Tensor, attention: &Tensor) -> Tensor {
        let x = residual + self.output.apply(attention);
        let gate_up = self.gate_up.apply(&rms_norm(&x, &self.mlp_norm, self.shape.eps)).chunk(2, -1);
        &x + self.down.apply(&(gate_up[0].silu() * &gate_up[1]))
    }
}

/// x / sqrt(mean(x^2) + eps) * weight (Zhang and Sennrich, 2019).
pub(crate) fn rms_norm(x: &Tensor, weight: &Tensor, eps: f64) -> Tensor {
    x.rms_norm([x.size()[1]], Some(weight), eps)
}
