//! The encoder: embeddings, then layers of self-attention and feed-forward, each followed by a norm (post-norm).
//! `x = LN(x + Attention(x)); x = LN(x + W2 act(W1 x))`, after Vaswani et al. (2017) and Devlin et al. (2019).

use super::config::{Activation, Encoding, Family, Shape};
use super::weights::{Opened, Weights};
use crate::file_error::FileError;
use tch::{Kind, TchError, Tensor};

/// Weight and bias.
struct Affine(Tensor, Tensor);

struct Layer {
    query: Affine,
    key: Affine,
    value: Affine,
    output: Affine,
    attention_norm: Affine,
    up: Affine,
    down: Affine,
    norm: Affine,
}

/// All weights of an encoder.
pub(super) struct Layers {
    shape: Shape,
    /// `[vocabulary, hidden]`
    words: Tensor,
    /// `[positions, hidden]`
    positions: Tensor,
    /// The row of token type 0 `[hidden]`, where the family has types.
    kind: Option<Tensor>,
    norm: Affine,
    /// MPNet: `[buckets, heads]`.
    relative: Option<Tensor>,
    layers: Vec<Layer>,
}

/// Where a layer's parts are called what; `{}` is the layer.
struct Names {
    prefix: &'static str,
    layer: &'static str,
    /// query, key, value, output, norm after attention, up, down, norm.
    parts: [&'static str; 8],
}

const BERT: Names = Names {
    prefix: "bert.",
    layer: "encoder.layer.",
    parts: [
        "attention.self.query",
        "attention.self.key",
        "attention.self.value",
        "attention.output.dense",
        "attention.output.LayerNorm",
        "intermediate.dense",
        "output.dense",
        "output.LayerNorm",
    ],
};

fn names(family: Family) -> Names {
    match family {
        Family::Bert => BERT,
        Family::Roberta => Names { prefix: "roberta.", ..BERT },
        Family::DistilBert => Names {
            prefix: "distilbert.",
            layer: "transformer.layer.",
            parts: [
                "attention.q_lin",
                "attention.k_lin",
                "attention.v_lin",
                "attention.out_lin",
                "sa_layer_norm",
                "ffn.lin1",
                "ffn.lin2",
                "output_layer_norm",
            ],
        },
        Family::MpNet => Names {
            prefix: "mpnet.",
            layer: "encoder.layer.",
            parts: [
                "attention.attn.q",
                "attention.attn.k",
                "attention.attn.v",
                "attention.attn.o",
                "attention.LayerNorm",
                "intermediate.dense",
                "output.dense",
                "output.LayerNorm",
            ],
        },
    }
}

impl Layers {
    /// Reads all weights; a file with more of them (pooler, heads for pre-training) is fine.
    pub fn read(encoding: &Encoding) -> Result<Self, FileError> {
        let shape = encoding.shape.clone();
        let names = names(shape.family);
        let weights = Weights::map(&encoding.folder)?;
        let file = weights.open("embeddings.word_embeddings.weight", [names.prefix, ""])?;
        let hidden = shape.hidden;
        let kind = match shape.family {
            // Items are one text each: all tokens are of type 0.
            Family::Bert | Family::Roberta => {
                Some(file.tensor("embeddings.token_type_embeddings.weight", &[shape.kinds, hidden])?)
            }
            Family::DistilBert | Family::MpNet => None,
        };
        let relative = match shape.family {
            Family::MpNet => {
                Some(file.tensor("encoder.relative_attention_bias.weight", &[shape.buckets, shape.heads])?)
            }
            Family::Bert | Family::Roberta | Family::DistilBert => None,
        };
        let layers = (0..shape.layers).map(|layer| read_layer(&file, &shape, layer)).collect::<Result<_, _>>()?;
        Ok(Self {
            words: file.tensor("embeddings.word_embeddings.weight", &[shape.vocabulary, hidden])?,
            positions: file.tensor("embeddings.position_embeddings.weight", &[shape.positions, hidden])?,
            kind: kind.map(|table| table.f_select(0, 0)).transpose()?,
            norm: affine(&file, "embeddings.LayerNorm", &[hidden], hidden)?,
            relative,
            layers,
            shape,
        })
    }

    /// States `[texts, tokens, hidden]` of ids `[texts, tokens]`; `mask` is 0 at padding and 1 elsewhere.
    pub fn forward(&self, ids: &Tensor, mask: &Tensor) -> Result<Tensor, TchError> {
        let size = ids.size();
        let (texts, tokens, hidden) = (size[0], size[1], self.shape.hidden);
        let words = self.words.f_index_select(0, &ids.f_reshape([-1])?)?.f_reshape([texts, tokens, hidden])?;
        let first = if self.shape.starts_after_padding() { self.shape.padding + 1 } else { 0 };
        let mut x = words.f_add(&self.positions.f_narrow(0, first, tokens)?)?;
        if let Some(kind) = &self.kind {
            x = x.f_add(kind)?;
        }
        let mut x = self.normed(&x, &self.norm)?;
        // Added to the scores: padding gets a weight of 0, as exp(-1e9) underflows.
        let mut bias = mask.f_mul_scalar(1e9)?.f_sub_scalar(1e9)?.f_reshape([texts, 1, 1, tokens])?;
        if let Some(relative) = &self.relative {
            let buckets = Tensor::f_from_slice(&buckets(tokens, self.shape.buckets))?;
            let table = relative.f_index_select(0, &buckets)?.f_reshape([tokens, tokens, self.shape.heads])?;
            bias = bias.f_add(&table.f_permute([2, 0, 1])?.f_unsqueeze(0)?)?;
        }
        for layer in &self.layers {
            let attended = self.attention(layer, &x, &bias)?;
            x = self.normed(&x.f_add(&attended)?, &layer.attention_norm)?;
            let up = linear(&x, &layer.up)?;
            let up = match self.shape.activation {
                Activation::Gelu => up.f_gelu("none")?,
                Activation::GeluTanh => up.f_gelu("tanh")?,
                Activation::Relu => up.f_relu()?,
            };
            x = self.normed(&x.f_add(&linear(&up, &layer.down)?)?, &layer.norm)?;
        }
        Ok(x)
    }

    fn attention(&self, layer: &Layer, x: &Tensor, bias: &Tensor) -> Result<Tensor, TchError> {
        let size = x.size();
        let (texts, tokens, heads) = (size[0], size[1], self.shape.heads);
        let width = self.shape.hidden / heads;
        let split = |affine: &Affine| linear(x, affine)?.f_reshape([texts, tokens, heads, width])?.f_transpose(1, 2);
        let (query, key, value) = (split(&layer.query)?, split(&layer.key)?, split(&layer.value)?);
        let scores = query.f_matmul(&key.f_transpose(2, 3)?)?.f_mul_scalar((width as f64).powf(-0.5))?.f_add(bias)?;
        let out = scores.f_softmax(-1, Kind::Float)?.f_matmul(&value)?;
        linear(&out.f_transpose(1, 2)?.f_reshape([texts, tokens, self.shape.hidden])?, &layer.output)
    }

    fn normed(&self, x: &Tensor, Affine(weight, bias): &Affine) -> Result<Tensor, TchError> {
        x.f_layer_norm([self.shape.hidden].as_slice(), Some(weight), Some(bias), self.shape.norm_eps, false)
    }
}

fn linear(x: &Tensor, Affine(weight, bias): &Affine) -> Result<Tensor, TchError> {
    x.f_linear(weight, Some(bias))
}

fn affine(file: &Opened<'_>, name: &str, weight: &[i64], bias: i64) -> Result<Affine, FileError> {
    Ok(Affine(file.tensor(&format!("{name}.weight"), weight)?, file.tensor(&format!("{name}.bias"), &[bias])?))
}

fn read_layer(file: &Opened<'_>, shape: &Shape, layer: i64) -> Result<Layer, FileError> {
    let names = names(shape.family);
    let (hidden, wide) = (shape.hidden, shape.intermediate);
    let part = |at: usize, weight: &[i64], bias: i64| {
        affine(file, &format!("{}{layer}.{}", names.layer, names.parts[at]), weight, bias)
    };
    Ok(Layer {
        query: part(0, &[hidden, hidden], hidden)?,
        key: part(1, &[hidden, hidden], hidden)?,
        value: part(2, &[hidden, hidden], hidden)?,
        output: part(3, &[hidden, hidden], hidden)?,
        attention_norm: part(4, &[hidden], hidden)?,
        up: part(5, &[wide, hidden], wide)?,
        down: part(6, &[hidden, wide], hidden)?,
        norm: part(7, &[hidden], hidden)?,
    })
}

/// MPNet's buckets of relative positions (Song et al., 2020; those of T5, Raffel et al., 2020), `tokens * tokens`, by
/// query and then key: half of them for keys that follow; in each half the first half is exact, the others are
/// logarithmic up to a distance of 128.
fn buckets(tokens: i64, all: i64) -> Vec<i64> {
    const FARTHEST: f32 = 128.0;
    let half = all / 2;
    let exact = half / 2;
    let of = |distance: i64| {
        if distance < exact {
            return distance;
        }
        let share = (distance as f32 / exact as f32).ln() / (FARTHEST / exact as f32).ln();
        (exact + (share * (half - exact) as f32) as i64).min(half - 1)
    };
    (0..tokens)
        .flat_map(|query| (0..tokens).map(move |key| key - query))
        .map(|ahead| if ahead > 0 { half + of(ahead) } else { of(-ahead) })
        .collect()
}
