//! The shape of a pretrained decoder, read from the text of its `config.json` (transformers 4 and 5). Whoever plans with
//! it needs no tensors; whoever computes with it may rely on every number.

use serde_json::{Map, Value};

/// Architectures that are read, as they stand in `architectures`.
pub const KNOWN: [&str; 3] = ["LlamaForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM"];

/// No width, count or vocabulary of a decoder is larger.
const LARGEST: u64 = 1 << 24;

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

/// The rescaling of rotary angles of Llama 3.1 (rope type "llama3"): waves longer than the first context are slowed down.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Llama3Scaling {
    /// How many times longer the context became.
    pub factor: f64,
    /// Waves longer than context / this are slowed by the whole factor.
    pub low_freq_factor: f64,
    /// Waves shorter than context / this stay as they are.
    pub high_freq_factor: f64,
    /// Positions of the first training.
    pub original_positions: f64,
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
    pub rope_scaling: Option<Llama3Scaling>,
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
        let biases = Biases {
            query_key_value: attention_bias || family == Family::Qwen2,
            output: attention_bias && family != Family::Qwen2,
            mlp: keys.flag("mlp_bias", false)? && family == Family::Llama,
        };
        Ok(Self {
            family,
            vocab: keys.count("vocab_size", None)?,
            hidden,
            layers: keys.count("num_hidden_layers", None)?,
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
        })
    }

    /// Weights of the decoder, by what it is made of; the head counts where it is not the embedding.
    pub fn parameters(&self) -> u64 {
        let [hidden, mlp, dim] = [self.hidden, self.intermediate, self.head_dim].map(u64::from);
        let (query, key) = (u64::from(self.heads) * dim, u64::from(self.kv_heads) * dim);
        let when = |has: bool, size: u64| if has { size } else { 0 };
        let a_layer = hidden * (2 * query + 2 * key + 3 * mlp + 2)
            + when(self.biases.query_key_value, query + 2 * key)
            + when(self.biases.output, hidden)
            + when(self.biases.mlp, 2 * mlp + hidden)
            + when(self.head_norms, 2 * dim);
        let embeddings = if self.tied { 1 } else { 2 };
        u64::from(self.vocab) * hidden * embeddings + u64::from(self.layers) * a_layer + hidden
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
    found.ok_or_else(|| ShapeError::Architecture { found: named.or(kind).unwrap_or("nothing").to_owned() })
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

    /// Base and rescaling of the angles: `rope_parameters` (transformers 5), else `rope_theta` and `rope_scaling`.
    fn rope(&self) -> Result<(f64, Option<Llama3Scaling>), ShapeError> {
        let section = ["rope_parameters", "rope_scaling"].into_iter().find_map(|key| Some((key, self.get(key)?)));
        let theta = self.number("rope_theta", Some(10_000.0))?;
        let Some((name, value)) = section else { return Ok((above_zero(theta, "rope_theta")?, None)) };
        let object = value.as_object().ok_or_else(|| wrong(name, value, "an object"))?;
        let keys = Keys(object);
        let theta = above_zero(keys.number("rope_theta", Some(theta))?, "rope_theta")?;
        if let Some(found) = keys.get("partial_rotary_factor").filter(|value| value.as_f64() != Some(1.0)) {
            return Err(wrong("partial_rotary_factor", found, "1.0: every column of a head is rotated"));
        }
        match keys.get("rope_type").or_else(|| keys.get("type")).map(|kind| kind.as_str().unwrap_or_default()) {
            None | Some("default") => Ok((theta, None)),
            Some("llama3") => {
                let number = |key| above_zero(keys.number(key, None)?, key);
                let scaling = Llama3Scaling {
                    factor: number("factor")?,
                    low_freq_factor: number("low_freq_factor")?,
                    high_freq_factor: number("high_freq_factor")?,
                    original_positions: number("original_max_position_embeddings")?,
                };
                if scaling.high_freq_factor <= scaling.low_freq_factor {
                    let expected = format!("a number above low_freq_factor = {}", scaling.low_freq_factor);
                    return Err(wrong("high_freq_factor", scaling.high_freq_factor, expected));
                }
                Ok((theta, Some(scaling)))
            }
            Some(other) => Err(wrong("rope_type", format!("{other:?}"), "\"default\" or \"llama3\"")),
        }
    }
}

fn above_zero(found: f64, key: &'static str) -> Result<f64, ShapeError> {
    if found > 0.0 { Ok(found) } else { Err(wrong(key, found, "a number above 0")) }
}

fn wrong(key: &'static str, found: impl ToString, expected: impl Into<String>) -> ShapeError {
    ShapeError::Value { key, found: found.to_string(), expected: expected.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMOL: &str = r#"{"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 49152,
        "hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30, "num_attention_heads": 9,
        "num_key_value_heads": 3, "max_position_embeddings": 8192, "rms_norm_eps": 1e-05, "rope_theta": 100000,
        "tie_word_embeddings": true, "hidden_act": "silu", "torch_dtype": "bfloat16", "rope_scaling": null}"#;

    fn with(key: &str, value: &str) -> Result<DecoderShape, ShapeError> {
        let mut json: Map<String, Value> = serde_json::from_str(SMOL).unwrap();
        json.insert(key.to_owned(), serde_json::from_str(value).unwrap());
        DecoderShape::parse(&Value::from(json).to_string())
    }

    #[test]
    fn a_published_config_is_read() {
        let shape = DecoderShape::parse(SMOL).unwrap();
        assert_eq!((shape.head_dim, shape.kv_heads, shape.tied), (64, 3, true));
        assert_eq!((shape.rope_theta, shape.rope_scaling), (1e5, None));
        // The number that the model is named after.
        assert_eq!(shape.parameters(), 134_515_008);
    }

    #[test]
    fn both_ways_of_writing_rotary_settings_are_one() {
        let of_5 = with("rope_parameters", r#"{"rope_type": "default", "rope_theta": 250000.0}"#).unwrap();
        assert_eq!((of_5.rope_theta, of_5.rope_scaling), (2.5e5, None));
        let llama3 = r#""rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            "original_max_position_embeddings": 8192"#;
        let of_4 = with("rope_scaling", &format!("{{{llama3}}}")).unwrap();
        let of_5 = with("rope_parameters", &format!(r#"{{"rope_theta": 100000.0, {llama3}}}"#)).unwrap();
        assert_eq!(of_4, of_5);
        assert_eq!(of_4.rope_scaling.map(|s| s.factor), Some(8.0));
    }

    #[test]
    fn families_differ_in_biases_and_norms() {
        let qwen2 = with("architectures", r#"["Qwen2ForCausalLM"]"#).unwrap();
        assert!(qwen2.biases.query_key_value && !qwen2.biases.output && !qwen2.head_norms);
        let qwen3 = with("architectures", r#"["Qwen3ForCausalLM"]"#).unwrap();
        assert!(!qwen3.biases.query_key_value && qwen3.head_norms);
        let biased = with("attention_bias", "true").unwrap();
        assert!(biased.biases.query_key_value && biased.biases.output && !biased.biases.mlp);
        assert_eq!(biased.parameters(), 134_515_008 + 30 * (576 + 2 * 192 + 576));
    }

    #[test]
    fn what_would_be_computed_otherwise_is_refused_by_name() {
        let refused = |key, value, says: &str| {
            let error = with(key, value).unwrap_err().to_string();
            assert!(error.contains(says), "{key} = {value}: {error}");
        };
        let known =
            "architecture GemmaForCausalLM: expected one of LlamaForCausalLM, Qwen2ForCausalLM, Qwen3ForCausalLM";
        refused("architectures", r#"["GemmaForCausalLM"]"#, known);
        refused("rope_scaling", r#"{"type": "yarn", "factor": 4}"#, "rope_type: found \"yarn\", expected");
        refused("rope_scaling", r#"{"type": "llama3", "factor": 4}"#, "low_freq_factor: found nothing");
        refused("layer_types", r#"["full_attention", "sliding_attention"]"#, "layer_types: found");
        refused("hidden_act", r#""gelu""#, "hidden_act: found \"gelu\", expected \"silu\"");
        refused("num_key_value_heads", "2", "expected a divisor of num_attention_heads = 9");
        refused("head_dim", "63", "head_dim: found 63, expected an even width");
        refused("vocab_size", "-1", "vocab_size: found -1, expected a whole number of 1 to 16777216");
        refused("quantization_config", r#"{"bits": 4}"#, "quantization_config: found");
        refused("rms_norm_eps", "0", "rms_norm_eps: found 0, expected a number above 0");
        let mut json: Map<String, Value> = serde_json::from_str(SMOL).unwrap();
        json.insert("architectures".into(), serde_json::json!(["Qwen2ForCausalLM"]));
        json.insert("use_sliding_window".into(), true.into());
        json.insert("max_window_layers".into(), 21.into());
        let error = DecoderShape::parse(&Value::from(json.clone()).to_string()).unwrap_err().to_string();
        assert!(error.starts_with("use_sliding_window: found true"), "{error}");
        json.insert("max_window_layers".into(), 30.into());
        assert!(DecoderShape::parse(&Value::from(json).to_string()).is_ok(), "no layer has a window");
        assert!(DecoderShape::parse("[]").is_err() && DecoderShape::parse("{}").is_err());
    }
}
