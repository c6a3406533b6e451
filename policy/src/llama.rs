//! The shape of a decoder of the Llama family, the layout of its weights in one flat tensor (Hugging Face names), and
//! the weights that a pass from scratch starts from.

use crate::error::PolicyError;
use crate::flat_parameters::FlatParameters;
use crate::random_normal::{standard_normals, stream};
use conrec_domain::decoder_shape::{Biases, DecoderShape, Family, RopeScaling};
use conrec_domain::spec::ModelSpec;
use conrec_domain::work::Pass;
use tch::Tensor;

/// Positions beyond the longest prompt for which rotary angles exist: room for completions.
const POSITIONS_AFTER_PROMPT: i64 = 32;

/// The shape of a decoder.
#[derive(Clone, Debug, PartialEq)]
pub struct LlamaConfig {
    /// Which decoder of the family.
    pub family: Family,
    /// Rows of the base's embedding.
    pub vocab: i64,
    /// Tokens after these, whose rows belong to the adapter; none in a decoder from scratch.
    pub new_tokens: i64,
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
    /// Rescaling of the rotary angles.
    pub rope_scaling: Option<RopeScaling>,
    /// Epsilon of the RMS norms.
    pub rms_norm_eps: f64,
    /// Positions for which rotary angles exist.
    pub max_positions: i64,
    /// Whether the rows of the embedding are also the rows of the head.
    pub tied: bool,
    /// Which linear layers have a bias.
    pub biases: Biases,
    /// Whether queries and keys are normed head by head.
    pub head_norms: bool,
    /// Tokens, padding included, that are computed together at most.
    pub micro_batch_tokens: usize,
}

impl LlamaConfig {
    /// The decoder from scratch of a checked spec for a vocabulary of `vocab` tokens.
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
            family: Family::Llama,
            vocab: vocab as i64,
            new_tokens: 0,
            hidden,
            layers: i64::from(spec.layers),
            heads,
            kv_heads,
            head_dim: hidden / heads,
            intermediate: i64::from(spec.intermediate),
            rope_theta: spec.rope_theta,
            rope_scaling: None,
            rms_norm_eps: spec.rms_norm_eps,
            max_positions: i64::from(spec.max_prompt_tokens) + POSITIONS_AFTER_PROMPT,
            tied: true,
            biases: Biases::default(),
            head_norms: false,
            micro_batch_tokens: spec.micro_batch_tokens as usize,
        })
    }

    /// A pretrained decoder of this shape, with `new_tokens` tokens after its own.
    ///
    /// # Errors
    /// When the model was made for shorter sequences.
    pub fn pretrained(shape: &DecoderShape, new_tokens: usize, spec: &ModelSpec) -> Result<Self, PolicyError> {
        let positions = i64::from(spec.max_prompt_tokens) + POSITIONS_AFTER_PROMPT;
        let most = i64::from(shape.max_positions);
        if positions > most {
            let expected = format!(
                "at most {}: the base was made for {most} positions, and {POSITIONS_AFTER_PROMPT} are left for completions",
                most - POSITIONS_AFTER_PROMPT
            );
            let found = spec.max_prompt_tokens.to_string();
            return Err(PolicyError::Shape { key: "max_prompt_tokens", found, expected });
        }
        Ok(Self {
            family: shape.family,
            vocab: i64::from(shape.vocab),
            new_tokens: new_tokens as i64,
            hidden: i64::from(shape.hidden),
            layers: i64::from(shape.layers),
            heads: i64::from(shape.heads),
            kv_heads: i64::from(shape.kv_heads),
            head_dim: i64::from(shape.head_dim),
            intermediate: i64::from(shape.intermediate),
            rope_theta: shape.rope_theta,
            rope_scaling: shape.rope_scaling,
            rms_norm_eps: shape.rms_norm_eps,
            max_positions: positions,
            tied: shape.tied,
            biases: shape.biases,
            head_norms: shape.head_norms,
            micro_batch_tokens: spec.micro_batch_tokens as usize,
        })
    }

    /// Tokens that the policy knows: the base's and the new ones after them.
    pub fn tokens(&self) -> i64 {
        self.vocab + self.new_tokens
    }

    /// Rows of the query projection.
    pub fn query_rows(&self) -> i64 {
        self.heads * self.head_dim
    }

    /// Rows of the key projection, and of the value projection.
    pub fn key_rows(&self) -> i64 {
        self.kv_heads * self.head_dim
    }

    /// Names, shapes and places of the base's weights. Query, key and value lie side by side, and so do gate and up: each
    /// such run of rows is one matrix in the forward pass, and each run of their biases one vector.
    pub fn layout(&self) -> FlatParameters {
        let (d, i, q, k) = (self.hidden, self.intermediate, self.query_rows(), self.key_rows());
        let mut layout = FlatParameters::default();
        layout.push("model.embed_tokens.weight".into(), &[self.vocab, d]);
        for layer in 0..self.layers {
            let mut push = |when: bool, names: &[(&str, &[i64])]| {
                for (name, shape) in names.iter().filter(|_| when) {
                    layout.push(format!("model.layers.{layer}.{name}"), shape);
                }
            };
            push(true, &[("input_layernorm.weight", &[d])]);
            let qkv: [(&str, &[i64]); 3] = [
                ("self_attn.q_proj.weight", &[q, d]),
                ("self_attn.k_proj.weight", &[k, d]),
                ("self_attn.v_proj.weight", &[k, d]),
            ];
            push(true, &qkv);
            let biases: [(&str, &[i64]); 3] =
                [("self_attn.q_proj.bias", &[q]), ("self_attn.k_proj.bias", &[k]), ("self_attn.v_proj.bias", &[k])];
            push(self.biases.query_key_value, &biases);
            let norms: [(&str, &[i64]); 2] =
                [("self_attn.q_norm.weight", &[self.head_dim]), ("self_attn.k_norm.weight", &[self.head_dim])];
            push(self.head_norms, &norms);
            push(true, &[("self_attn.o_proj.weight", &[d, q])]);
            push(self.biases.output, &[("self_attn.o_proj.bias", &[d])]);
            push(true, &[("post_attention_layernorm.weight", &[d])]);
            push(true, &[("mlp.gate_proj.weight", &[i, d]), ("mlp.up_proj.weight", &[i, d])]);
            push(self.biases.mlp, &[("mlp.gate_proj.bias", &[i]), ("mlp.up_proj.bias", &[i])]);
            push(true, &[("mlp.down_proj.weight", &[d, i])]);
            push(self.biases.mlp, &[("mlp.down_proj.bias", &[d])]);
        }
        layout.push("model.norm.weight".into(), &[d]);
        if !self.tied {
            layout.push("lm_head.weight".into(), &[self.vocab, d]);
        }
        layout
    }

    /// The weights a pass from scratch starts from, as one flat tensor (f32): norms 1, all others normal with mean 0 and
    /// standard deviation `std`, drawn from the stream of (seed, pass, name).
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
