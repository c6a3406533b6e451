//! Files of pretrained decoders that are damaged, missing or of another model.

use conrec_domain::spec::{ModelSpec, RunConfig, RunSpec};
use conrec_policy::base_model::BaseModel;
use conrec_policy::llama::LlamaConfig;
use conrec_policy::pretrained_files::{files_digest, read_shape, read_weights};
use std::fs;
use std::path::Path;
use tch::Kind;

/// A copy of a tiny model that may be harmed.
pub fn copy(name: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/pretrained").join(name);
    for file in fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), folder.path().join(file.file_name())).unwrap();
    }
    folder
}

fn read(folder: &Path) -> String {
    let read = read_shape(folder).and_then(|shape| {
        let spec = ModelSpec { max_prompt_tokens: 64, ..ModelSpec::default() };
        let config = LlamaConfig::pretrained(&shape, 0, &spec).unwrap();
        read_weights(folder, &config, Kind::Float)
    });
    read.map_or_else(|e| e.to_string(), |_| "read".to_owned())
}

pub fn change(folder: &Path, name: &str, from: &str, to: &str) {
    let text = fs::read_to_string(folder.join(name)).unwrap();
    assert!(text.contains(from), "{name} has no {from}");
    fs::write(folder.join(name), text.replace(from, to)).unwrap();
}

pub fn spec(folder: &Path, more: &str) -> RunSpec {
    let text = format!(
        "[semantic_id]\nlevels = 2\ncodes = 8\n[model]\nbase = {:?}\nmax_prompt_tokens = 64\n{more}\n[[stage]]\nname = \"a\"\n\
         kind = \"next_item\"\niterations = 1\nprompts = 2\nprompts_per_lease = 1\nlearning_rate = 0.01\n",
        folder.display()
    );
    let config = RunConfig::parse(&text, "test").unwrap();
    RunSpec::check(config).unwrap()
}

pub fn load(folder: &Path, more: &str) -> String {
    BaseModel::load(&spec(folder, more), folder).map_or_else(|e| e.to_string(), |_| "loaded".to_owned())
}

#[test]
fn a_truncated_file_is_refused_at_every_length() {
    let folder = copy("qwen3");
    let path = folder.path().join("model.safetensors");
    let whole = fs::read(&path).unwrap();
    for length in (0..whole.len()).step_by(97).chain([whole.len() - 1]) {
        fs::write(&path, &whole[..length]).unwrap();
        let message = read(folder.path());
        assert!(message.contains("model.safetensors: damaged or of another format"), "{length}: {message}");
    }
    fs::write(&path, &whole).unwrap();
    assert_eq!(read(folder.path()), "read");
}

#[test]
fn tensors_that_do_not_fit_the_config_are_named() {
    let folder = copy("qwen3");
    change(folder.path(), "config.json", "\"intermediate_size\": 24", "\"intermediate_size\": 32");
    let message = read(folder.path());
    assert!(message.contains("mlp."), "{message}");
    assert!(
        message.contains("found BF16 [24, 16], expected F32, F16 or BF16 [32, 16]") || message.contains("[16, 24]"),
        "{message}"
    );
    let folder = copy("qwen3");
    change(folder.path(), "config.json", "\"tie_word_embeddings\": true", "\"tie_word_embeddings\": false");
    let message = read(folder.path());
    let expected =
        "tensor `lm_head.weight`: found no such tensor, expected F32, F16 or BF16 [304, 16], as config.json says";
    assert!(message.ends_with(expected), "{message}");
    let folder = copy("qwen3");
    change(folder.path(), "config.json", "Qwen3ForCausalLM", "LlamaForCausalLM");
    change(folder.path(), "config.json", "\"model_type\": \"qwen3\"", "\"model_type\": \"llama\"");
    let message = read(folder.path());
    assert!(
        message.contains("_norm.weight`: found an unknown tensor, expected only the weights of a LlamaForCausalLM"),
        "{message}"
    );
    let folder = copy("qwen3");
    change(folder.path(), "config.json", "Qwen3ForCausalLM", "GemmaForCausalLM");
    let message = read(folder.path());
    assert!(
        message.contains("config.json: architecture GemmaForCausalLM: expected one of LlamaForCausalLM, Qwen2"),
        "{message}"
    );
}

#[test]
fn an_index_with_a_missing_file_or_one_elsewhere_is_named() {
    let folder = copy("qwen2");
    assert_eq!(read(folder.path()), "read");
    fs::remove_file(folder.path().join("model-00002-of-00002.safetensors")).unwrap();
    let message = read(folder.path());
    assert!(message.contains("model-00002-of-00002.safetensors"), "{message}");
    let folder = copy("qwen2");
    change(folder.path(), "model.safetensors.index.json", "\"model-00002-of-00002", "\"../model-00002-of-00002");
    let message = read(folder.path());
    assert!(
        message.contains("weight_map: found \"../model-00002-of-00002.safetensors\", expected names of files"),
        "{message}"
    );
}

#[test]
fn a_tokeniser_of_another_model_is_refused() {
    let folder = copy("qwen3");
    assert_eq!(load(folder.path(), ""), "loaded");
    // The last token gets a number that the embedding has no row for.
    change(folder.path(), "tokenizer.json", ":299}", ":304}");
    let message = load(folder.path(), "");
    assert!(message.contains("has the number 304, but the base has rows for 0 to 303 only"), "{message}");
    let folder = copy("qwen3");
    change(folder.path(), "tokenizer.json", "<end>", "<a_0>");
    let message = load(folder.path(), "");
    assert!(message.contains("<a_0> is token 0 of the base, and the name of a token that is to be added"), "{message}");
    fs::remove_file(folder.path().join("tokenizer.json")).unwrap();
    assert!(load(folder.path(), "").contains("tokenizer.json"));
}

#[test]
fn prompts_that_do_not_fit_are_refused() {
    let folder = copy("llama");
    let message = load(folder.path(), "instruction = \"\"");
    assert!(message.contains("model.instruction = \"\": expected a text of at least one token"), "{message}");
    let long = format!("instruction = {:?}", "the film was too long ".repeat(20));
    let message = load(folder.path(), &long);
    assert!(message.starts_with("model.max_prompt_tokens = 64: expected at least "), "{message}");
    let spec = ModelSpec { max_prompt_tokens: 225, ..ModelSpec::default() };
    let config = LlamaConfig::pretrained(&read_shape(folder.path()).unwrap(), 0, &spec).unwrap_err().to_string();
    assert!(
        config.starts_with("model.max_prompt_tokens = 225: expected at most 224: the base was made for 256"),
        "{config}"
    );
}

#[test]
fn the_digest_names_every_file() {
    let folder = copy("qwen2");
    let digest = files_digest(folder.path()).unwrap();
    assert_eq!(digest, files_digest(copy("qwen2").path()).unwrap());
    let mut all = vec![digest];
    for file in ["config.json", "tokenizer.json", "model-00001-of-00002.safetensors"] {
        let path = folder.path().join(file);
        let mut bytes = fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&path, &bytes).unwrap();
        let changed = files_digest(folder.path()).unwrap();
        assert!(!all.contains(&changed), "{file}");
        all.push(changed);
    }
}
