//! Model and checkpoint files: what becomes tensors.

use crate::scratch::with_files;
use conrec_domain::spec::{LoraSpec, ModelSpec, RunConfig, RunSpec};
use conrec_policy::adapter_files::{AdapterOf, read_adapter};
use conrec_policy::base_model::BaseModel;
use conrec_policy::flat_parameters::FlatParameters;
use conrec_policy::llama::LlamaConfig;
use conrec_policy::lora::LoraConfig;
use conrec_policy::model_files::read_model;
use conrec_policy::pretrained_files::read_shape;
use conrec_policy::state_parts::{ADAPTER, BASE, OPTIMIZER};
use conrec_policy::tensor_file::{read_tensors, write_tensors};
use conrec_policy::training_state::TrainingState;

/// Tokens of the small model.
pub(crate) const VOCABULARY: usize = 9;

const CONFIG: &str = "[model]\nhidden = 4\nlayers = 1\nheads = 1\nkv_heads = 1\nintermediate = 4\n[lora]\nrank = 1\n\
                      [[stage]]\nname = \"a\"\nkind = \"next_item\"\niterations = 1\nprompts = 2\nprompts_per_lease = 1\n\
                      learning_rate = 0.01\n";

/// A safetensors file of two weights.
pub(crate) fn safetensors(bytes: &[u8]) {
    with_files(&[("w.safetensors", bytes)], |folder| {
        let _ = read_tensors(&folder.join("w.safetensors"), &weights());
    });
}

/// One part of a checkpoint; the first byte says which, the others are as they were written.
pub(crate) fn checkpoint_parts(bytes: &[u8]) {
    let Some((spec, state)) = small_state() else {
        return;
    };
    let (Some((which, part)), Ok(parts)) = (bytes.split_first(), state.to_parts()) else {
        return;
    };
    let replaced = [ADAPTER, BASE, OPTIMIZER][usize::from(*which) % 3];
    let find = |name: &str| {
        if name == replaced {
            return Some(part);
        }
        parts.iter().find(|(known, _)| *known == name).map(|(_, content)| content.as_slice())
    };
    let read =
        BaseModel::from_scratch(&spec, VOCABULARY).and_then(|base| TrainingState::from_parts(&spec, &base, &find));
    if let Ok(read) = read {
        assert!(read.digest().is_ok());
    }
}

/// `config.json` of a model, and the same bytes as `adapter_config.json`; weights are missing.
pub(crate) fn model_settings(bytes: &[u8]) {
    let spec = ModelSpec { hidden: 4, layers: 1, heads: 1, kv_heads: 1, intermediate: 4, ..ModelSpec::default() };
    let (Ok(model), Ok(lora)) = (LlamaConfig::new(&spec, VOCABULARY), LoraConfig::new(&LoraSpec::default())) else {
        return;
    };
    with_files(&[("config.json", bytes), ("adapter_config.json", bytes)], |folder| {
        let _ = read_model(folder, &model);
        let _ = read_shape(folder);
        let _ = read_adapter(folder, AdapterOf { model: &model, lora });
    });
}

/// A file that [`safetensors`] takes.
pub fn some_safetensors() -> Option<Vec<u8>> {
    let mut file = None;
    with_files(&[], |folder| {
        let path = folder.join("seed.safetensors");
        let flat = tch::Tensor::from_slice(&[0.5f32, -1.0, 2.0, 3.0, 4.0]);
        file = write_tensors(&path, &weights(), &flat).ok().and_then(|()| std::fs::read(&path).ok());
    });
    file
}

/// Inputs that [`checkpoint_parts`] takes: every part of a small model.
pub fn some_parts() -> Option<Vec<Vec<u8>>> {
    let (_, state) = small_state()?;
    let parts = (0u8..).zip(state.to_parts().ok()?);
    Some(parts.map(|(which, (_, content))| [vec![which], content].concat()).collect())
}

fn weights() -> FlatParameters {
    let mut layout = FlatParameters::default();
    layout.push("a".into(), &[2]);
    layout.push("b".into(), &[1, 3]);
    layout
}

/// The state of a model as small as can be, before its first pass.
fn small_state() -> Option<(RunSpec, TrainingState)> {
    let spec = RunConfig::parse(CONFIG, "small.toml").and_then(RunSpec::check).ok()?;
    let state = TrainingState::new(&spec, &BaseModel::from_scratch(&spec, VOCABULARY).ok()?).ok()?;
    Some((spec, state))
}
