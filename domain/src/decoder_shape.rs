//! The shape of a pretrained decoder, read from the text of its `config.json` (transformers 4 and 5). Whoever plans with
//! it needs no tensors; whoever computes with it may rely on every number.

mod rotary;

pub use rotary::{Llama3Scaling, RopeScaling, YarnScaling, frequencies};

use serde_json::{Map, Value};

/// Architectures that are read, as they stand in `architectures`.
pub const KNOWN: [&str; 3] = ["LlamaForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM"];

/// No width, count or vocabulary of a decoder is larger.
const LARGEST: u64 = 1 << 24;
/// No decoder has more layers.
const MOST_LAYERS: u64 = 4096;
/// No decoder that a machine holds has more weights: 2^40.
const MOST_WEIGHTS: u128 = 1 << 40;

/// Which decoder it is. All share the Llama layout; biases and norms of heads tell them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// `LlamaForCausalLM`.
    Llama,
    /// `Qwen2ForCausalLM`: query, key and value have biases.
    Qwen2,
    /// `Qwen3ForCausalLM`: queries and keys are normed head by head.
    Qwen3,
}

impl Family {
    /// Its name in `architectures`.
    pub fn architecture(self) -> &'static str {
        KNOWN[self as usize]
    }

    /// Its name in `model_type`.
    pub fn model_type(self) -> &'static str {
        ["llama", "qwen2", "qwen3"][self as usize]
    }
}

/// Which linear layers have a bias.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Biases {
    /// Query, key and value.
    pub query_key_value: bool,
    /// Attention's output.
    pub output: bool,
    /// Gate, up and down.
    pub mlp: bool,
}

/// The shape of a decoder.
#[derive(Clone, Debug, PartialEq)]
pub struct DecoderShape {
    /// Which decoder.
    pub family: Family,
    /// Rows of the embedding: text tokens and whatever the model keeps in reserve.
    pub vocab: u32,
    /// Width of the residual stream.
    pub hidden: u32,
    /// Decoder layers.
    pub layers: u32,
    /// Query heads.
    pub heads: u32,
    /// Key and value heads; divides `heads`.
    pub kv_heads: u32,
    /// Width of one head; even.
    pub head_dim: u32,
    /// Width of the MLP.
    pub intermediate: u32,
    /// Base of the rotary angles.
    pub rope_theta: f64,
    /// Rescaling of the rotary angles.
    pub rope_scaling: Option<RopeScaling>,
    /// Epsilon of the RMS norms.
    pub rms_norm_eps: f64,
    /// Positions that the model was made for.
    pub max_positions: u32,
    /// Whether the rows of the embedding are also the rows of the head.
    pub tied: bool,
    /// Which layers have a bias.
    pub biases: Biases,
    /// Whether queries and keys are normed head by head.
    pub head_norms: bool,
}

/// Why a `config.json` gives no shape.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShapeError {
    /// No JSON object.
    #[error("no JSON object: {0}")]
    Json(String),
    /// A decoder that is not known here.
    #[error("architecture {found}: expected one of {}", KNOWN.join(", "))]
    Architecture {
        /// What stands there.
        found: String,
    },
    /// A key with a value that cannot be used.
    #[error("{key}: found {found}, expected {expected}")]
    Value {
        /// The key.
        key: &'static str,
        /// What stands there.
        found: String,
        /// What can be used.
        expected: String,
    },
}

impl DecoderShape {
    /// Reads the text of a `config.json`.
    ///
    /// # Errors
    /// An unknown architecture, and every setting that this program would compute otherwise than the model was made for.
    pub fn parse(text: &str) -> Result<Self, ShapeError> {
        let json: Map<String, Value> = serde_json::from_str(text).map_err(|e| ShapeError::Json(e.to_string()))?;
        let keys = Keys(&json);
        let family = family(&json)?;
        keys.refuse_unlike(family)?;
        let (hidden, heads) = (keys.count("hidden_size", None)?, keys.count("num_attention_heads", None)?);
        // Qwen3 has a width of its own; the others share the residual stream's.
        let usual = if family == Family::Qwen3 { 128 } else { hidden / heads };
        let head_dim = keys.count("head_dim", Some(usual))?;
        let kv_heads = keys.count("num_key_value_heads", Some(heads))?;
        if !head_dim.is_multiple_of(2) {
            let expected = "an even width of a head: rotary positions turn pairs of numbers";
            return Err(wrong("head_dim", head_dim, expected));
        }
        if !heads.is_multiple_of(kv_heads) {
            return Err(wrong("num_key_value_heads", kv_heads, format!("a divisor of num_attention_heads = {heads}")));
        }
        let (rope_theta, rope_scaling) = keys.rope()?;
        let attention_bias = keys.flag("attention_bias", false)?;
        let layers = keys.count("num_hidden_layers", None)?;
        if u64::from(layers) > MOST_LAYERS {
            return Err(wrong("num_hidden_layers", layers, format!("a whole number of 1 to {MOST_LAYERS}")));
        }
        let biases = Biases {
            query_key_value: attention_bias || family == Family::Qwen2,
            output: attention_bias && family != Family::Qwen2,
            mlp: keys.flag("mlp_bias", false)? && family == Family::Llama,
        };
        let shape = Self {
            family,
            vocab: keys.count("vocab_size", None)?,
            hidden,
            layers,
            heads,
            kv_heads,
            head_dim,
            intermediate: keys.count("intermediate_size", None)?,
            rope_theta,
            rope_scaling,
            rms_norm_eps: above_zero(keys.number("rms_norm_eps", Some(1e-6))?, "rms_norm_eps")?,
            max_positions: keys.count("max_position_embeddings", Some(2048))?,
            tied: keys.flag("tie_word_embeddings", false)?,
            biases,
            head_norms: family == Family::Qwen3,
        };
        shape.refuse_absurd()
    }

    /// The shape, unless no machine could hold it: a wrong digit in a size is better told than tried.
    fn refuse_absurd(self) -> Result<Self, ShapeError> {
        let weights = self.weights();
        if weights <= MOST_WEIGHTS {
            return Ok(self);
        }
        let found = format!(
            "{} in {} layers with {} heads of {}, num_key_value_heads = {}, intermediate_size = {} and vocab_size = {}: {weights} \
             weights",
            self.hidden, self.layers, self.heads, self.head_dim, self.kv_heads, self.intermediate, self.vocab
        );
        Err(wrong("hidden_size", found, format!("sizes of at most {MOST_WEIGHTS} weights together")))
    }

    /// Weights of the decoder, by what it is made of; the head counts where it is not the embedding.
    pub fn parameters(&self) -> u64 {
        u64::try_from(self.weights()).unwrap_or(u64::MAX)
    }

    fn weights(&self) -> u128 {
        let [hidden, mlp, dim] = [self.hidden, self.intermediate, self.head_dim].map(u128::from);
        let (query, key) = (u128::from(self.heads) * dim, u128::from(self.kv_heads) * dim);
        let when = |has: bool, size: u128| if has { size } else { 0 };
        let a_layer = hidden * (2 * query + 2 * key + 3 * mlp + 2)
            + when(self.biases.query_key_value, query + 2 * key)
            + when(self.biases.output, hidden)
            + when(self.biases.mlp, 2 * mlp + hidden)
            + when(self.head_norms, 2 * dim);
        let embeddings = if self.tied { 1 } else { 2 };
        u128::from(self.vocab) * hidden * embeddings + u128::from(self.layers) * a_layer + hidden
    }
}

fn family(json: &Map<String, Value>) -> Result<Family, ShapeError> {
    let named = json.get("architectures").and_then(|list| list.get(0)).and_then(Value::as_str);
    let kind = json.get("model_type").and_then(Value::as_str);
    let all = [Family::Llama, Family::Qwen2, Family::Qwen3];
    let found = all.into_iter().find(|family| match named {
        Some(name) => name == family.architecture(),
        None => kind == Some(family.model_type()),
    });
    let family =
        found.ok_or_else(|| ShapeError::Architecture { found: named.or(kind).unwrap_or("nothing").to_owned() })?;
    match json.get("model_type").filter(|kind| !kind.is_null() && kind.as_str() != Some(family.model_type())) {
        None => Ok(family),
        Some(other) => {
            let expected = format!("{:?}, as architectures says {}", family.model_type(), family.architecture());
            Err(wrong("model_type", other, expected))
        }
    }
}

/// The settings of a file, or of a section of it.
struct Keys<'a>(&'a Map<String, Value>);

impl Keys<'_> {
    /// What is there and not null.
    fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(key).filter(|value| !value.is_null())
    }

    fn count(&self, key: &'static str, default: Option<u32>) -> Result<u32, ShapeError> {
        let expected = || format!("a whole number of 1 to {LARGEST}");
        let Some(value) = self.get(key) else {
            return default.filter(|n| *n > 0).ok_or_else(|| wrong(key, "nothing", expected()));
        };
        let whole = value.as_u64().filter(|n| (1..=LARGEST).contains(n)).and_then(|n| u32::try_from(n).ok());
        whole.ok_or_else(|| wrong(key, value, expected()))
    }

    fn number(&self, key: &'static str, default: Option<f64>) -> Result<f64, ShapeError> {
        match self.get(key) {
            None => default.ok_or_else(|| wrong(key, "nothing", "a number")),
            Some(value) => value.as_f64().filter(|n| n.is_finite()).ok_or_else(|| wrong(key, value, "a finite number")),
        }
    }

    fn flag(&self, key: &'static str, default: bool) -> Result<bool, ShapeError> {
        self.get(key).map_or(Ok(default), |value| value.as_bool().ok_or_else(|| wrong(key, value, "true or false")))
    }

    /// Refuses what would make the model compute something else than this program does.
    fn refuse_unlike(&self, family: Family) -> Result<(), ShapeError> {
        if let Some(found) = self.get("quantization_config") {
            return Err(wrong("quantization_config", found, "none: weights in F32, F16 or BF16"));
        }
        if let Some(found) = self.get("hidden_act").filter(|value| value.as_str() != Some("silu")) {
            return Err(wrong("hidden_act", found, "\"silu\""));
        }
        if let Some(found) = self.get("partial_rotary_factor").filter(|value| value.as_f64() != Some(1.0)) {
            return Err(wrong("partial_rotary_factor", found, "1.0: every column of a head is rotated"));
        }
        let full = |kind: &Value| kind.as_str() == Some("full_attention");
        if let Some(found) = self.get("layer_types").filter(|list| !list.as_array().is_some_and(|l| l.iter().all(full)))
        {
            return Err(wrong("layer_types", found, "\"full_attention\" in every layer"));
        }
        let windowed = family != Family::Llama && self.flag("use_sliding_window", false)?;
        let layers = self.count("num_hidden_layers", None)?;
        let first = self.get("max_window_layers").and_then(Value::as_u64).unwrap_or(0);
        if windowed && first < u64::from(layers) && self.get("layer_types").is_none() {
            let expected = "false: sliding windows are not computed; every layer attends to all positions";
            return Err(wrong("use_sliding_window", "true", expected));
        }
        Ok(())
    }

    fn shown(&self, key: &str) -> String {
        self.get(key).map_or_else(String::new, ToString::to_string)
    }
}

fn above_zero(found: f64, key: &'static str) -> Result<f64, ShapeError> {
    if found > 0.0 { Ok(found) } else { Err(wrong(key, found, "a number above 0")) }
}

fn wrong(key: &'static str, found: impl ToString, expected: impl Into<String>) -> ShapeError {
    ShapeError::Value { key, found: found.to_string(), expected: expected.into() }
}

#[cfg(test)]
mod tests;
