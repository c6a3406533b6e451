//! A pretrained base with its adapter folded in and the rows of new tokens after its own, as a Hugging Face folder that
//! needs no other: weights in f32, whatever the base was held in, as folding in would otherwise lose digits.

use crate::atomic_write::{read_json, write_json};
use crate::error::PolicyError;
use crate::file_error::FileError;
use crate::llama::LlamaConfig;
use crate::lora::{LoraConfig, NEW_EMBEDDING, NEW_HEAD, merge};
use crate::pretrained_files::{CONFIG, WEIGHTS};
use crate::tensor_file::write_tensors;
use serde_json::{Map, Value, json};
use std::path::Path;
use tch::{Device, Kind, Tensor};

/// Settings of how texts are made, which stay as they are.
const GENERATION: &str = "generation_config.json";

/// A decoder that has all tokens for its own.
#[derive(Debug)]
pub struct MergedModel {
    config: LlamaConfig,
    flat: Tensor,
}

impl MergedModel {
    /// Folds an adapter into a base; both are flat tensors in their layouts.
    ///
    /// # Errors
    /// When one of them does not have its layout's length.
    pub fn new(
        model: &LlamaConfig,
        lora: LoraConfig,
        (base, adapter): (&Tensor, &Tensor),
    ) -> Result<Self, PolicyError> {
        let old = merge(model, lora, &base.f_to_kind(Kind::Float)?, adapter)?;
        let config = LlamaConfig { vocab: model.tokens(), new_tokens: 0, ..model.clone() };
        let (from, rows, to) = (model.layout(), lora.layout(model), config.layout());
        let flat = Tensor::f_empty([to.len() as i64], (Kind::Float, Device::Cpu))?;
        for (place, entry) in to.entries().iter().enumerate() {
            let new = match entry.name.as_str() {
                "model.embed_tokens.weight" => NEW_EMBEDDING,
                "lm_head.weight" => NEW_HEAD,
                _ => "",
            };
            let view = from.view(&old, place);
            let new = rows.entries().iter().position(|row| row.name == new);
            let whole = match new {
                Some(new) => Tensor::f_cat(&[view, rows.view(adapter, new)], 0)?,
                None => view,
            };
            to.view(&flat, place).f_copy_(&whole)?;
        }
        Ok(Self { config, flat })
    }

    /// The weights and the base's own `config.json`, with as many tokens as there are now, into `folder`.
    ///
    /// # Errors
    /// Files that cannot be read or written.
    pub fn write(&self, folder: &Path, base: &Path) -> Result<(), FileError> {
        write_tensors(&folder.join(WEIGHTS), &self.config.layout(), &self.flat)?;
        let mut config: Map<String, Value> = read_json(&base.join(CONFIG))?;
        config.insert("vocab_size".to_owned(), json!(self.config.vocab));
        // Transformers 4 reads the one, transformers 5 the other.
        for key in ["dtype", "torch_dtype"] {
            config.insert(key.to_owned(), json!("float32"));
        }
        if base.join(GENERATION).is_file() {
            let settings: Map<String, Value> = read_json(&base.join(GENERATION))?;
            write_json(&folder.join(GENERATION), &settings)?;
        }
        write_json(&folder.join(CONFIG), &config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pretrained_files::{read_shape, read_weights};
    use crate::shared_prefix::Prefix;
    use crate::transformer::{Adapter, Policy, Trains};
    use conrec_domain::spec::ModelSpec;

    /// For all families, tied and untied: what was merged, read again as a base of its own, has the adapter's logits.
    #[test]
    fn a_merged_folder_is_a_base_with_the_same_logits() {
        tch::set_num_threads(1);
        for name in ["llama", "llama_biased", "qwen2", "qwen3"] {
            let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/pretrained").join(name);
            let spec = ModelSpec { max_prompt_tokens: 64, ..ModelSpec::default() };
            let model = LlamaConfig::pretrained(&read_shape(&base).unwrap(), 5, &spec).unwrap();
            let weights = read_weights(&base, &model, Kind::Float).unwrap();
            let lora = LoraConfig { rank: 2, scale: 1.5 };
            let length = lora.layout(&model).len() as i64;
            let adapter = (Tensor::arange(length, (Kind::Float, Device::Cpu)) * 0.7).sin() * 0.2;
            let folder = tempfile::tempdir().unwrap();
            let merged = MergedModel::new(&model, lora, (&weights, &adapter)).unwrap();
            merged.write(folder.path(), &base).unwrap();

            let read = LlamaConfig::pretrained(&read_shape(folder.path()).unwrap(), 0, &spec).unwrap();
            assert_eq!(read, merged.config);
            let flat = read_weights(folder.path(), &read, Kind::Float).unwrap();
            assert!(flat == merged.flat);
            let adapted = Adapter { config: lora, flat: &adapter };
            let policies = [
                Policy::new(&model, &weights, Some(adapted), Trains::Nothing).unwrap(),
                Policy::new(&read, &flat, None, Trains::Nothing).unwrap(),
            ];
            let tokens = [5, model.vocab, 17, model.vocab + 4, model.vocab + 2];
            let [expected, found] = policies.map(|policy| {
                let hidden = Prefix::compute(&policy, &[&tokens]).unwrap().hidden().shallow_clone();
                policy.logits(&hidden, 0, model.tokens())
            });
            let difference = (&found - &expected).abs().max().double_value(&[]);
            assert!(difference < 1e-4 && expected.abs().max().double_value(&[]) > 0.5, "{name}: {difference}");
        }
    }
}
