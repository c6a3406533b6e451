//! The base decoder as a Hugging Face folder: `config.json` (LlamaForCausalLM, for transformers 4 and 5) and
//! `model.safetensors`. The head is tied to the embedding and not written.

use crate::atomic_write::{read_json, write_json};
use crate::file_error::FileError;
use crate::llama::LlamaConfig;
use crate::pretrained_files::{CONFIG, WEIGHTS};
use crate::tensor_file::{read_tensors, write_tensors};
use conrec_feedback::prompt::{BOS, PAD};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use tch::Tensor;

/// `config.json`. Transformers 4 reads `torch_dtype` and `rope_theta`, transformers 5 `dtype` and `rope_parameters`;
/// each ignores the other's.
#[derive(Serialize)]
struct LlamaJson {
    architectures: [&'static str; 1],
    model_type: &'static str,
    vocab_size: i64,
    hidden_size: i64,
    intermediate_size: i64,
    num_hidden_layers: i64,
    num_attention_heads: i64,
    num_key_value_heads: i64,
    head_dim: i64,
    hidden_act: &'static str,
    max_position_embeddings: i64,
    rms_norm_eps: f64,
    rope_theta: f64,
    rope_parameters: RopeJson,
    tie_word_embeddings: bool,
    attention_bias: bool,
    attention_dropout: f64,
    mlp_bias: bool,
    bos_token_id: i64,
    pad_token_id: i64,
    eos_token_id: Option<i64>,
    dtype: &'static str,
    torch_dtype: &'static str,
}

#[derive(Serialize)]
struct RopeJson {
    rope_type: &'static str,
    rope_theta: f64,
}

/// The keys that fix the computation, as they stand in a file.
#[derive(Deserialize)]
struct FoundJson {
    model_type: Option<String>,
    vocab_size: Option<i64>,
    hidden_size: Option<i64>,
    intermediate_size: Option<i64>,
    num_hidden_layers: Option<i64>,
    num_attention_heads: Option<i64>,
    num_key_value_heads: Option<i64>,
    rms_norm_eps: Option<f64>,
    rope_theta: Option<f64>,
    rope_parameters: Option<FoundRope>,
    tie_word_embeddings: Option<bool>,
}

#[derive(Deserialize)]
struct FoundRope {
    rope_theta: Option<f64>,
}

/// Writes the decoder into `folder`. The weights come first and `config.json` last.
///
/// # Errors
/// When `flat` does not have the layout of `config`, or a file cannot be written.
pub fn write_model(folder: &Path, config: &LlamaConfig, flat: &Tensor) -> Result<(), FileError> {
    write_tensors(&folder.join(WEIGHTS), &config.layout(), flat)?;
    let json = LlamaJson {
        architectures: ["LlamaForCausalLM"],
        model_type: "llama",
        vocab_size: config.vocab,
        hidden_size: config.hidden,
        intermediate_size: config.intermediate,
        num_hidden_layers: config.layers,
        num_attention_heads: config.heads,
        num_key_value_heads: config.kv_heads,
        head_dim: config.head_dim,
        hidden_act: "silu",
        max_position_embeddings: config.max_positions,
        rms_norm_eps: config.rms_norm_eps,
        rope_theta: config.rope_theta,
        rope_parameters: RopeJson { rope_type: "default", rope_theta: config.rope_theta },
        tie_word_embeddings: true,
        attention_bias: false,
        attention_dropout: 0.0,
        mlp_bias: false,
        bos_token_id: BOS,
        pad_token_id: PAD,
        eos_token_id: None,
        dtype: "float32",
        torch_dtype: "float32",
    };
    write_json(&folder.join(CONFIG), &json)
}

/// Reads the weights of a decoder of shape `config` from `folder`, as one flat tensor.
///
/// # Errors
/// When `config.json` states another shape, or the weights are missing, damaged or of another shape.
pub fn read_model(folder: &Path, config: &LlamaConfig) -> Result<Tensor, FileError> {
    let path = folder.join(CONFIG);
    let found: FoundJson = read_json(&path)?;
    let check = Check { path: &path };
    check.equal("model_type", found.model_type, "llama".to_owned())?;
    check.equal("vocab_size", found.vocab_size, config.vocab)?;
    check.equal("hidden_size", found.hidden_size, config.hidden)?;
    check.equal("intermediate_size", found.intermediate_size, config.intermediate)?;
    check.equal("num_hidden_layers", found.num_hidden_layers, config.layers)?;
    check.equal("num_attention_heads", found.num_attention_heads, config.heads)?;
    check.equal("num_key_value_heads", found.num_key_value_heads, config.kv_heads)?;
    check.equal("rms_norm_eps", found.rms_norm_eps, config.rms_norm_eps)?;
    let theta = found.rope_parameters.and_then(|rope| rope.rope_theta).or(found.rope_theta);
    check.equal("rope_theta", theta, config.rope_theta)?;
    check.equal("tie_word_embeddings", found.tie_word_embeddings, true)?;
    read_tensors(&folder.join(WEIGHTS), &config.layout())
}

/// Compares settings of one file with those of the model.
pub(crate) struct Check<'a> {
    pub path: &'a Path,
}

impl Check<'_> {
    /// Refuses a setting that is missing or different.
    pub fn equal<T: PartialEq + std::fmt::Debug>(
        &self,
        key: &'static str,
        found: Option<T>,
        expected: T,
    ) -> Result<(), FileError> {
        if found.as_ref() == Some(&expected) {
            return Ok(());
        }
        let found = found.map_or_else(|| "nothing".to_owned(), |value| format!("{value:?}"));
        Err(FileError::Setting { path: PathBuf::from(self.path), key, found, expected: format!("{expected:?}") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use conrec_domain::spec::ModelSpec;
    use conrec_domain::work::Pass;

    fn config() -> LlamaConfig {
        let spec = ModelSpec { hidden: 16, layers: 2, heads: 4, kv_heads: 2, intermediate: 24, ..ModelSpec::default() };
        LlamaConfig::new(&spec, 30).unwrap()
    }

    #[test]
    fn comes_back_and_is_written_alike() {
        let flat = config().initial_weights(1, Pass::Select, 0.05);
        let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        for folder in &folders {
            write_model(folder.path(), &config(), &flat).unwrap();
        }
        assert!(read_model(folders[0].path(), &config()).unwrap() == flat);
        for file in [WEIGHTS, CONFIG] {
            let [a, b] = [&folders[0], &folders[1]].map(|f| std::fs::read(f.path().join(file)).unwrap());
            assert_eq!(a, b, "{file}");
        }
    }

    #[test]
    fn another_shape_is_named() {
        let folder = tempfile::tempdir().unwrap();
        write_model(folder.path(), &config(), &config().initial_weights(1, Pass::Select, 0.05)).unwrap();
        let wider = LlamaConfig { intermediate: 32, ..config() };
        let error = read_model(folder.path(), &wider).unwrap_err().to_string();
        assert!(error.ends_with("config.json: intermediate_size: found 24, expected 32"), "{error}");
        let other = LlamaConfig { rope_theta: 5e5, ..config() };
        let error = read_model(folder.path(), &other).unwrap_err().to_string();
        assert!(error.ends_with("rope_theta: found 10000.0, expected 500000.0"), "{error}");
    }

    #[test]
    fn damaged_config_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        write_model(folder.path(), &config(), &config().initial_weights(1, Pass::Select, 0.05)).unwrap();
        let path = folder.path().join(CONFIG);
        let whole = std::fs::read(&path).unwrap();
        for length in 0..whole.len() - 2 {
            std::fs::write(&path, &whole[..length]).unwrap();
            assert!(matches!(read_model(folder.path(), &config()), Err(FileError::Malformed { .. })), "{length}");
        }
        std::fs::write(&path, b"{}").unwrap();
        let error = read_model(folder.path(), &config()).unwrap_err().to_string();
        assert!(error.ends_with("model_type: found nothing, expected \"llama\""), "{error}");
    }
}
