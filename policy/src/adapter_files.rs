//! The adapter as a PEFT folder: `adapter_config.json` and `adapter_model.safetensors` (A is `[r, in]`, B `[out, r]`),
//! so that transformers, PEFT, vLLM and their kin load it.

use crate::atomic_write::{read_json, write_json};
use crate::file_error::FileError;
use crate::llama::LlamaConfig;
use crate::lora::LoraConfig;
use crate::model_files::Check;
use crate::tensor_file::{read_tensors, write_tensors};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;
use tch::Tensor;

/// Name of the weights' file.
const WEIGHTS: &str = "adapter_model.safetensors";
/// Name of the settings' file.
const CONFIG: &str = "adapter_config.json";
/// All linear layers of attention and MLP, sorted.
const TARGETS: [&str; 7] = ["down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj"];

/// `adapter_config.json`; what is left out has PEFT's default.
#[derive(Serialize)]
struct LoraJson<'a> {
    peft_type: &'static str,
    task_type: &'static str,
    base_model_name_or_path: &'a str,
    r: i64,
    lora_alpha: serde_json::Number,
    lora_dropout: f64,
    target_modules: [&'static str; 7],
    bias: &'static str,
    fan_in_fan_out: bool,
    use_rslora: bool,
    use_dora: bool,
    inference_mode: bool,
    /// Tokens whose rows are part of the adapter; PEFT's `trainable_token_indices`.
    #[serde(skip_serializing_if = "Option::is_none")]
    trainable_token_indices: Option<BTreeMap<&'static str, Vec<i64>>>,
}

/// The keys that fix the computation, as they stand in a file.
#[derive(Deserialize)]
struct FoundJson {
    peft_type: Option<String>,
    r: Option<i64>,
    lora_alpha: Option<f64>,
    target_modules: Option<Vec<String>>,
    bias: Option<String>,
    #[serde(default)]
    fan_in_fan_out: bool,
    #[serde(default)]
    use_rslora: bool,
    #[serde(default)]
    use_dora: bool,
}

/// What an adapter belongs to.
#[derive(Clone, Copy, Debug)]
pub struct AdapterOf<'a> {
    /// The decoder.
    pub model: &'a LlamaConfig,
    /// Rank and scale.
    pub lora: LoraConfig,
}

impl AdapterOf<'_> {
    /// alpha: the scale times the rank.
    fn alpha(&self) -> f64 {
        self.lora.scale * self.lora.rank as f64
    }
}

/// Writes the adapter into `folder`; `base` is where the base model lies, as PEFT's users name it.
/// The weights come first and `adapter_config.json` last.
///
/// # Errors
/// When `flat` does not have the adapter's layout, or a file cannot be written.
pub fn write_adapter(folder: &Path, of: AdapterOf<'_>, flat: &Tensor, base: &str) -> Result<(), FileError> {
    write_tensors(&folder.join(WEIGHTS), &of.lora.layout(of.model), flat)?;
    let path = folder.join(CONFIG);
    let alpha = of.alpha();
    // PEFT's own files hold an integer; a fraction is written as it is.
    let whole = (alpha.fract() == 0.0 && alpha.abs() < 1e15).then(|| serde_json::Number::from(alpha as i64));
    let lora_alpha = whole.or_else(|| serde_json::Number::from_f64(alpha));
    let lora_alpha = lora_alpha.ok_or_else(|| FileError::Setting {
        path: path.clone(),
        key: "lora_alpha",
        found: alpha.to_string(),
        expected: "a finite number".into(),
    })?;
    let json = LoraJson {
        peft_type: "LORA",
        task_type: "CAUSAL_LM",
        base_model_name_or_path: base,
        r: of.lora.rank,
        lora_alpha,
        lora_dropout: 0.0,
        target_modules: TARGETS,
        bias: "none",
        fan_in_fan_out: false,
        use_rslora: false,
        use_dora: false,
        inference_mode: true,
        trainable_token_indices: new_tokens(of.model),
    };
    write_json(&path, &json)
}

/// The tokens after the base's own, for each module that has rows of them. A tied head follows the embedding.
fn new_tokens(model: &LlamaConfig) -> Option<BTreeMap<&'static str, Vec<i64>>> {
    let modules = if model.tied { &["embed_tokens"][..] } else { &["embed_tokens", "lm_head"] };
    let tokens: Vec<i64> = (model.vocab..model.tokens()).collect();
    (model.new_tokens > 0).then(|| modules.iter().map(|module| (*module, tokens.clone())).collect())
}

/// Reads the weights of an adapter from `folder`, as one flat tensor.
///
/// # Errors
/// When the settings are those of another adapter, or the weights are missing, damaged or of another shape.
pub fn read_adapter(folder: &Path, of: AdapterOf<'_>) -> Result<Tensor, FileError> {
    let path = folder.join(CONFIG);
    let found: FoundJson = read_json(&path)?;
    let check = Check { path: &path };
    check.equal("peft_type", found.peft_type, "LORA".to_owned())?;
    check.equal("r", found.r, of.lora.rank)?;
    // The scale is alpha / r, so that alpha comes back with a rounding error.
    let close = |alpha: &f64| (alpha - of.alpha()).abs() <= 1e-9 * of.alpha().abs();
    check.equal("lora_alpha", found.lora_alpha.map(|a| if close(&a) { of.alpha() } else { a }), of.alpha())?;
    let targets = found.target_modules.map(|mut names| {
        names.sort_unstable();
        names
    });
    check.equal("target_modules", targets, TARGETS.map(str::to_owned).to_vec())?;
    check.equal("bias", found.bias, "none".to_owned())?;
    check.equal("fan_in_fan_out", Some(found.fan_in_fan_out), false)?;
    check.equal("use_rslora", Some(found.use_rslora), false)?;
    check.equal("use_dora", Some(found.use_dora), false)?;
    read_tensors(&folder.join(WEIGHTS), &of.lora.layout(of.model))
}

#[cfg(test)]
mod tests {
    use super::*;
    use conrec_domain::spec::ModelSpec;

    fn model() -> LlamaConfig {
        let spec = ModelSpec { hidden: 16, layers: 2, heads: 4, kv_heads: 2, intermediate: 24, ..ModelSpec::default() };
        LlamaConfig::new(&spec, 30).unwrap()
    }

    fn weights(of: AdapterOf<'_>) -> Tensor {
        let length = of.lora.layout(of.model).len() as i64;
        Tensor::arange(length, (tch::Kind::Float, tch::Device::Cpu)).sin()
    }

    #[test]
    fn comes_back_and_is_written_alike() {
        let model = model();
        // 10 / 3 is no binary fraction: alpha comes back all the same.
        for scale in [2.0, 10.0 / 3.0, 0.125] {
            let of = AdapterOf { model: &model, lora: LoraConfig { rank: 3, scale } };
            let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
            for folder in &folders {
                write_adapter(folder.path(), of, &weights(of), "../model").unwrap();
            }
            assert!(read_adapter(folders[0].path(), of).unwrap() == weights(of));
            for file in [WEIGHTS, CONFIG] {
                let [a, b] = [&folders[0], &folders[1]].map(|f| std::fs::read(f.path().join(file)).unwrap());
                assert_eq!(a, b, "{file}");
            }
        }
    }

    #[test]
    fn settings_are_those_of_peft() {
        let model = model();
        let of = AdapterOf { model: &model, lora: LoraConfig { rank: 4, scale: 2.0 } };
        let folder = tempfile::tempdir().unwrap();
        write_adapter(folder.path(), of, &weights(of), "../model").unwrap();
        let json: serde_json::Value = read_json(&folder.path().join(CONFIG)).unwrap();
        assert_eq!(json["lora_alpha"], 8);
        assert_eq!(json["r"], 4);
        assert_eq!(json["target_modules"].as_array().unwrap().len(), 7);
        assert_eq!(json["base_model_name_or_path"], "../model");
    }

    #[test]
    fn another_adapter_is_named() {
        let model = model();
        let of = AdapterOf { model: &model, lora: LoraConfig { rank: 4, scale: 2.0 } };
        let folder = tempfile::tempdir().unwrap();
        write_adapter(folder.path(), of, &weights(of), "../model").unwrap();
        let read =
            |rank, scale| read_adapter(folder.path(), AdapterOf { model: &model, lora: LoraConfig { rank, scale } });
        let error = read(8, 1.0).unwrap_err().to_string();
        assert!(error.ends_with("adapter_config.json: r: found 4, expected 8"), "{error}");
        let error = read(4, 1.0).unwrap_err().to_string();
        assert!(error.ends_with("lora_alpha: found 8.0, expected 4.0"), "{error}");
        let other = LlamaConfig { intermediate: 32, ..model.clone() };
        let error = read_adapter(folder.path(), AdapterOf { model: &other, lora: of.lora }).unwrap_err().to_string();
        assert!(error.contains("mlp.gate_proj.lora_B.weight`: found F32 [24, 4], expected F32 [32, 4]"), "{error}");
    }

    #[test]
    fn damaged_files_are_errors() {
        let model = model();
        let of = AdapterOf { model: &model, lora: LoraConfig { rank: 4, scale: 2.0 } };
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(read_adapter(folder.path(), of), Err(FileError::Read { .. })));
        write_adapter(folder.path(), of, &weights(of), "../model").unwrap();
        for (file, keep) in [(WEIGHTS, 5000), (WEIGHTS, 100), (WEIGHTS, 4), (CONFIG, 50), (CONFIG, 0)] {
            let path = folder.path().join(file);
            let whole = std::fs::read(&path).unwrap();
            std::fs::write(&path, &whole[..keep]).unwrap();
            let error = read_adapter(folder.path(), of).unwrap_err();
            assert!(matches!(error, FileError::Malformed { .. }), "{file} {keep}: {error}");
            std::fs::write(&path, &whole).unwrap();
        }
        assert!(read_adapter(folder.path(), of).is_ok());
    }
}
