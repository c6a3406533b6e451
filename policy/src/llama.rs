//! The Llama architecture in small: its shape, the layout of its weights in one flat tensor (Hugging Face names),
//! and the weights that a pass starts from.

use crate::error::PolicyError;
use crate::flat_parameters::FlatParameters;
use crate::random_normal::{standard_normals, stream};
use conrec_domain::spec::ModelSpec;
use conrec_domain::work::Pass;
use tch::Tensor;

/// Positions beyond the longest prompt for which rotary angles exist: room for completions.
const POSITIONS_AFTER_PROMPT: i64 = 32;

/// The shape of a decoder. The head is tied: the rows of the embedding are also the rows of the language-model head.
#[derive(Clone, Debug, PartialEq)]
pub struct LlamaConfig {
    /// Tokens.
    pub vocab: i64,
    /// Width of the residual stream.
    pub hidden: i64,
    /// Decoder layers.
    pub layers: i64,
    /// Query heads.
    pub heads: i64,
    /// Key and value heads; each serves `heads / kv_heads` query heads.
    pub kv_heads: i64,
    /// Width of one head.
    pub head_dim: i64,
    /// Width of the MLP.
    pub intermediate: i64,
    /// Base of the rotary angles.
    pub rope_theta: f64,
    /// Epsilon of the RMS norms.
    pub rms_norm_eps: f64,
    /// Positions for which rotary angles exist.
    pub max_positions: i64,
}

impl LlamaConfig {
    /// The decoder of a checked spec for a vocabulary of `vocab` tokens.
    ///
    /// # Errors
    /// When the heads do not divide the width, the key heads not the heads, or a head's width is odd.
    pub fn new(spec: &ModelSpec, vocab: usize) -> Result<Self, PolicyError> {
        let (hidden, heads, kv_heads) = (i64::from(spec.hidden), i64::from(spec.heads), i64::from(spec.kv_heads));
        if heads == 0 || hidden % heads != 0 || (hidden / heads) % 2 != 0 {
            let expected = format!("a divisor of model.hidden = {hidden} with an even quotient (the width of a head)");
            return Err(PolicyError::Shape { key: "heads", found: heads.to_string(), expected });
        }
        if kv_heads == 0 || heads % kv_heads != 0 {
            let expected = format!("a divisor of model.heads = {heads}");
            return Err(PolicyError::Shape { key: "kv_heads", found: kv_heads.to_string(), expected });
        }
        if spec.layers == 0 {
            return Err(PolicyError::Shape { key: "layers", found: "0".into(), expected: "at least 1".into() });
        }
        Ok(Self {
            vocab: vocab as i64,
            hidden,
            layers: i64::from(spec.layers),
            heads,
            kv_heads,
            head_dim: hidden / heads,
            intermediate: i64::from(spec.intermediate),
            rope_theta: spec.rope_theta,
            rms_norm_eps: spec.rms_norm_eps,
            max_positions: i64::from(spec.max_prompt_tokens) + POSITIONS_AFTER_PROMPT,
        })
    }

    /// Rows of the query projection.
    pub fn query_rows(&self) -> i64 {
        self.heads * self.head_dim
    }

    /// Rows of the key projection, and of the value projection.
    pub fn key_rows(&self) -> i64 {
        self.kv_heads * self.head_dim
    }

    /// Names, shapes and places of all weights. Query, key and value lie side by side, and so do gate and up: each
    /// such run of rows is one matrix in the forward pass.
    pub fn layout(&self) -> FlatParameters {
        let (d, i, q, k) = (self.hidden, self.intermediate, self.query_rows(), self.key_rows());
        let mut layout = FlatParameters::default();
        layout.push("model.embed_tokens.weight".into(), &[self.vocab, d]);
        for layer in 0..self.layers {
            let mut push =
                |name: &str, shape: &[i64]| layout.push(format!("model.layers.{layer}.{name}.weight"), shape);
            push("input_layernorm", &[d]);
            push("self_attn.q_proj", &[q, d]);
            push("self_attn.k_proj", &[k, d]);
            push("self_attn.v_proj", &[k, d]);
            push("self_attn.o_proj", &[d, q]);
            push("post_attention_layernorm", &[d]);
            push("mlp.gate_proj", &[i, d]);
            push("mlp.up_proj", &[i, d]);
            push("mlp.down_proj", &[d, i]);
        }
        layout.push("model.norm.weight".into(), &[d]);
        layout
    }

    /// The weights a pass starts from, as one flat tensor (f32): norms 1, all others normal with mean 0 and standard
    /// deviation `std`, drawn from the stream of (seed, pass, name).
    pub fn initial_weights(&self, seed: u64, pass: Pass, std: f64) -> Tensor {
        let layout = self.layout();
        let mut values = Vec::with_capacity(layout.len());
        for entry in layout.entries() {
            if entry.shape.len() == 1 {
                values.resize(values.len() + entry.len(), 1.0);
                continue;
            }
            let mut rng = stream(seed, &format!("{}/{}", pass_name(pass), entry.name));
            values.extend(standard_normals(&mut rng, entry.len()).iter().map(|v| (f64::from(*v) * std) as f32));
        }
        Tensor::from_slice(&values)
    }
}

/// A pass as it stands in the names of random streams.
pub(crate) fn pass_name(pass: Pass) -> &'static str {
    match pass {
        Pass::Select => "select",
        Pass::Refit => "refit",
    }
}

/// The weights of a decoder: leaves of the autograd graph that share the memory of one flat tensor, in its order.
#[derive(Debug)]
pub(crate) struct LlamaWeights {
    /// `[vocab, hidden]`; embedding and head.
    pub embedding: Tensor,
    /// One an entry of the decoder.
    pub layers: Vec<LayerWeights>,
    /// `[hidden]`.
    pub norm: Tensor,
}

/// The weights of one decoder layer.
#[derive(Debug)]
pub(crate) struct LayerWeights {
    /// `[hidden]`.
    pub attention_norm: Tensor,
    /// Query over key over value: `[query_rows + 2 key_rows, hidden]`.
    pub query_key_value: Tensor,
    /// `[hidden, query_rows]`.
    pub output: Tensor,
    /// `[hidden]`.
    pub mlp_norm: Tensor,
    /// Gate over up: `[2 intermediate, hidden]`.
    pub gate_up: Tensor,
    /// `[hidden, intermediate]`.
    pub down: Tensor,
}

impl LlamaWeights {
    /// Cuts a flat tensor into weights; with `trains` they ask for gradients.
    ///
    /// # Errors
    /// When the flat tensor's length is not that of the layout.
    pub(crate) fn cut(config: &LlamaConfig, flat: &Tensor, trains: bool) -> Result<Self, PolicyError> {
        config.layout().check("base weights", flat)?;
        let (d, i, q, k) = (config.hidden, config.intermediate, config.query_rows(), config.key_rows());
        let mut cut = Cutter { flat, offset: 0, trains };
        let embedding = cut.next(&[config.vocab, d]);
        let layers = (0..config.layers)
            .map(|_| LayerWeights {
                attention_norm: cut.next(&[d]),
                query_key_value: cut.next(&[q + 2 * k, d]),
                output: cut.next(&[d, q]),
                mlp_norm: cut.next(&[d]),
                gate_up: cut.next(&[2 * i, d]),
                down: cut.next(&[d, i]),
            })
            .collect();
        Ok(Self { embedding, layers, norm: cut.next(&[d]) })
    }

    /// All weights in the order of the flat tensor.
    pub(crate) fn leaves(&self) -> Vec<&Tensor> {
        let mut leaves = vec![&self.embedding];
        for l in &self.layers {
            leaves.extend([&l.attention_norm, &l.query_key_value, &l.output, &l.mlp_norm, &l.gate_up, &l.down]);
        }
        leaves.push(&self.norm);
        leaves
    }
}

/// Takes one leaf after another from a flat tensor.
pub(crate) struct Cutter<'a> {
    pub flat: &'a Tensor,
    pub offset: i64,
    pub trains: bool,
}

impl Cutter<'_> {
    /// The next leaf: shares memory with the flat tensor, is no node of its graph.
    pub(crate) fn next(&mut self, shape: &[i64]) -> Tensor {
        let length = shape.iter().product();
        let leaf = self.flat.detach().narrow(0, self.offset, length).view(shape).set_requires_grad(self.trains);
        self.offset += length;
        leaf
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> LlamaConfig {
        let spec = ModelSpec { hidden: 16, layers: 2, heads: 4, kv_heads: 2, intermediate: 24, ..ModelSpec::default() };
        LlamaConfig::new(&spec, 30).unwrap()
    }

    #[test]
    fn layout_has_hugging_face_names_and_shapes() {
        let layout = config().layout();
        let key = layout.find("model.layers.1.self_attn.k_proj.weight").unwrap();
        assert_eq!(key.shape, [8, 16]);
        assert_eq!(layout.entries().len(), 1 + 2 * 9 + 1);
        assert!(layout.find("lm_head.weight").is_none(), "the head is tied");
    }

    #[test]
    fn leaves_cover_the_flat_tensor_in_order() {
        let config = config();
        let flat = Tensor::arange(config.layout().len() as i64, (tch::Kind::Float, tch::Device::Cpu));
        let weights = LlamaWeights::cut(&config, &flat, true).unwrap();
        let parts: Vec<Tensor> = weights.leaves().iter().map(|l| l.detach().reshape([-1])).collect();
        assert!(Tensor::cat(&parts, 0) == flat);
        let value = config.layout();
        let value = value.find("model.layers.0.self_attn.v_proj.weight").unwrap();
        assert_eq!(weights.layers[0].query_key_value.double_value(&[24, 0]), value.offset as f64);
    }

    #[test]
    fn initial_weights_depend_on_seed_and_pass() {
        let config = config();
        let draw = |seed, pass| config.initial_weights(seed, pass, 0.05);
        assert!(draw(1, Pass::Select) == draw(1, Pass::Select));
        assert!(draw(1, Pass::Select) != draw(1, Pass::Refit));
        assert!(draw(1, Pass::Select) != draw(2, Pass::Select));
        let norm = draw(1, Pass::Select).narrow(0, 30 * 16, 16);
        assert!(norm == Tensor::ones([16], (tch::Kind::Float, tch::Device::Cpu)));
    }

    #[test]
    fn heads_that_do_not_divide_the_width_are_refused() {
        let spec = ModelSpec { hidden: 100, heads: 3, ..ModelSpec::default() };
        let error = LlamaConfig::new(&spec, 10).unwrap_err().to_string();
        assert!(error.starts_with("model.heads = 3: expected a divisor of model.hidden = 100"), "{error}");
        let spec = ModelSpec { heads: 4, kv_heads: 3, ..ModelSpec::default() };
        assert!(LlamaConfig::new(&spec, 10).is_err());
    }
}
