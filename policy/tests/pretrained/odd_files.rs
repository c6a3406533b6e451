//! A hundred odd forms of the files of a pretrained base: each is read or refused by name, none brings the program down, takes
//! memory without end or is waited for.

use super::files::{change, copy, load, spec};
use conrec_policy::base_model::{BaseError, BaseModel};
use serde_json::{Map, Value, json};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Keys of `config.json` that a shape is made from.
const KEYS: [&str; 14] = [
    "architectures",
    "model_type",
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "intermediate_size",
    "max_position_embeddings",
    "rms_norm_eps",
    "rope_parameters",
    "rope_scaling",
    "tie_word_embeddings",
];

fn odd_values() -> Vec<Value> {
    vec![
        json!(null),
        json!(0),
        json!(-1),
        json!(3),
        json!(1_u64 << 24),
        json!(u64::MAX),
        json!(1e300),
        json!("2"),
        json!([]),
        json!({}),
        json!(true),
        json!({"rope_type": "llama3", "factor": 0, "low_freq_factor": 1, "high_freq_factor": 4}),
    ]
}

fn config(folder: &Path) -> Map<String, Value> {
    serde_json::from_slice(&fs::read(folder.join("config.json")).unwrap()).unwrap()
}

/// What a run with this base ends with: 0 where it is read, 65 for its files, 78 for a config that does not fit it.
fn exit_code(folder: &Path) -> (u8, String) {
    match BaseModel::load(&spec(folder, ""), folder) {
        Ok(_) => (0, String::new()),
        Err(error @ BaseError::File(_)) => (65, error.to_string()),
        Err(error @ BaseError::Policy(_)) => (78, error.to_string()),
    }
}

#[test]
fn every_odd_setting_is_read_or_refused_with_its_name() {
    let (mut read, mut refused) = (0, 0);
    for model in ["llama", "qwen3"] {
        let folder = copy(model);
        let whole = config(folder.path());
        for key in KEYS {
            for value in odd_values() {
                let mut odd = whole.clone();
                odd.insert(key.into(), value.clone());
                fs::write(folder.path().join("config.json"), Value::from(odd).to_string()).unwrap();
                let (code, said) = exit_code(folder.path());
                match code {
                    0 => read += 1,
                    65 => {
                        // Fewer rows than the tokeniser has tokens: that file is named.
                        let of_tokens = key == "vocab_size" && said.contains("tokenizer.json: token");
                        let named = said.contains("config.json") || said.contains("model.safetensors");
                        assert!(of_tokens || (named && said.contains("expected")), "{key} = {value}: {said}");
                        refused += 1;
                    }
                    // A base that was made for shorter prompts than the config's.
                    _ => assert!(key == "max_position_embeddings" && said.contains("max_prompt_tokens"), "{said}"),
                }
            }
        }
    }
    assert!(refused > 200 && read > 10, "{refused} refused, {read} read");
}

fn refused(folder: &Path, words: &[&str]) {
    let (code, said) = exit_code(folder);
    assert_eq!(code, 65, "{said}");
    words.iter().for_each(|word| assert!(said.contains(word), "`{word}` is missing in: {said}"));
}

const POINTER: &str = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 269060552\n";

#[test]
fn pointers_of_git_lfs_are_told_in_every_file() {
    for file in ["model.safetensors", "tokenizer.json", "config.json"] {
        let folder = copy("qwen3");
        fs::write(folder.path().join(file), POINTER).unwrap();
        refused(folder.path(), &[file, "a pointer of git-lfs", "git lfs pull"]);
    }
    let folder = copy("qwen2");
    fs::write(folder.path().join("model-00001-of-00002.safetensors"), POINTER).unwrap();
    refused(folder.path(), &["model-00001-of-00002.safetensors", "a pointer of git-lfs"]);
}

#[test]
fn pipes_and_folders_in_the_place_of_files_are_not_waited_for() {
    for file in ["config.json", "tokenizer.json", "model.safetensors"] {
        let folder = copy("qwen3");
        let path = folder.path().join(file);
        fs::remove_file(&path).unwrap();
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        refused(folder.path(), &[file]);
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        refused(folder.path(), &[file]);
    }
}

/// The weights of a model as they lie in its file, changed and written again.
fn with_weights(folder: &Path, edit: impl FnOnce(&mut Vec<(String, safetensors::Dtype, Vec<usize>, Vec<u8>)>)) {
    let path = folder.join("model.safetensors");
    let bytes = fs::read(&path).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let own = |(name, view): (&str, safetensors::tensor::TensorView<'_>)| {
        (name.to_owned(), view.dtype(), view.shape().to_vec(), view.data().to_vec())
    };
    let mut all: Vec<_> = tensors.iter().map(own).collect();
    edit(&mut all);
    let views = all.iter().map(|(name, dtype, shape, data)| {
        (name.as_str(), safetensors::tensor::TensorView::new(*dtype, shape.clone(), data).unwrap())
    });
    fs::write(&path, safetensors::serialize(views, None).unwrap()).unwrap();
}

#[test]
fn weights_that_are_no_finite_numbers_are_named_with_their_place() {
    for (bits, shown) in [(0x7fc0_u16, "NaN"), (0x7f80, "inf"), (0xff80, "-inf")] {
        let folder = copy("qwen3");
        with_weights(folder.path(), |all| {
            let (.., data) = all.iter_mut().find(|(name, ..)| name == "model.norm.weight").unwrap();
            data[6..8].copy_from_slice(&bits.to_le_bytes());
        });
        let words =
            ["model.safetensors: tensor `model.norm.weight`", &format!("found {shown} at position 3"), "finite"];
        refused(folder.path(), &words);
    }
}

#[test]
fn a_head_beside_a_tied_embedding_must_be_the_embedding() {
    let head = |all: &mut Vec<(String, safetensors::Dtype, Vec<usize>, Vec<u8>)>, change: bool| {
        let (_, dtype, shape, mut data) =
            all.iter().find(|(name, ..)| name == "model.embed_tokens.weight").unwrap().clone();
        data[0] ^= u8::from(change);
        all.push(("lm_head.weight".into(), dtype, shape, data));
    };
    let folder = copy("qwen3");
    with_weights(folder.path(), |all| head(all, false));
    assert_eq!(load(folder.path(), ""), "loaded");
    let folder = copy("qwen3");
    with_weights(folder.path(), |all| head(all, true));
    let words = ["tensor `lm_head.weight`: found other values, expected those of `model.embed_tokens.weight`"];
    refused(folder.path(), &[words[0], "tie_word_embeddings = true", "asks for false there"]);
}

#[test]
fn sizes_that_the_files_cannot_hold_take_no_memory() {
    let folder = copy("qwen3");
    let mut large = config(folder.path());
    for key in ["hidden_size", "intermediate_size"] {
        large.insert(key.into(), json!(1 << 16));
    }
    large.insert("vocab_size".into(), json!(1 << 22));
    fs::write(folder.path().join("config.json"), Value::from(large).to_string()).unwrap();
    refused(folder.path(), &["config.json: hidden_size: found sizes of", "expected sizes that fit the"]);
}

#[test]
fn tokenisers_to_which_nothing_can_be_added_are_told_before_training() {
    let folder = copy("qwen3");
    let unigram = r#"{"version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
        "pre_tokenizer": null, "post_processor": null, "decoder": null,
        "model": {"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0.0], ["a", -1.0]], "byte_fallback": false}}"#;
    fs::write(folder.path().join("tokenizer.json"), unigram).unwrap();
    refused(folder.path(), &["tokenizer.json: a tokeniser of kind Unigram (SentencePiece), expected BPE, WordPiece"]);
    fs::remove_file(folder.path().join("tokenizer.json")).unwrap();
    fs::write(folder.path().join("tokenizer.model"), b"\n\x0e\n\x05<unk>").unwrap();
    refused(
        folder.path(),
        &["tokenizer.json: not there, but tokenizer.model is: save the tokeniser as tokenizer.json"],
    );
}

#[test]
fn an_index_that_is_cut_off_or_names_nothing_is_told() {
    let folder = copy("qwen2");
    let path = folder.path().join("model.safetensors.index.json");
    let whole = fs::read(&path).unwrap();
    for length in (0..whole.len() - 2).step_by(41) {
        fs::write(&path, &whole[..length]).unwrap();
        refused(folder.path(), &["model.safetensors.index.json: damaged or of another format"]);
    }
    for empty in ["{}", "[]", "{\"weight_map\": 3}", "{\"weight_map\": {\"a\": 1}}"] {
        fs::write(&path, empty).unwrap();
        refused(folder.path(), &["model.safetensors.index.json: damaged or of another format"]);
    }
    fs::write(&path, "{\"weight_map\": {}}").unwrap();
    let (code, said) = exit_code(folder.path());
    assert!(code == 65 && said.contains("expected"), "{said}");
}

#[test]
fn words_that_end_the_bases_texts_are_refused() {
    let folder = copy("qwen3");
    let end = |more: &str| load(folder.path(), more);
    assert_eq!(end("question = \" Next <end>:\""), "loaded", "its config.json names no end");
    let mut named = config(folder.path());
    let tokenizer: Value = serde_json::from_slice(&fs::read(folder.path().join("tokenizer.json")).unwrap()).unwrap();
    let of = |token: &Value| token["content"] == "<end>";
    let id = tokenizer["added_tokens"].as_array().unwrap().iter().find(|token| of(token)).unwrap()["id"].clone();
    named.insert("eos_token_id".into(), id);
    fs::write(folder.path().join("config.json"), Value::from(named).to_string()).unwrap();
    assert_eq!(end(""), "loaded");
    for (key, more) in [
        ("instruction", "instruction = \"A user.<end>\""),
        ("question", "question = \" Next <end>:\""),
        ("sign_words", "sign_words = [\" bad\", \"<end>\", \" good\"]"),
    ] {
        let message = end(more);
        let words = format!("model.{key} = ");
        assert!(message.starts_with(&words) && message.contains("without the token that ends"), "{message}");
    }
}

#[test]
fn another_model_type_or_two_rotary_settings_are_refused() {
    let folder = copy("qwen3");
    change(folder.path(), "config.json", "\"model_type\": \"qwen3\"", "\"model_type\": \"llama\"");
    refused(folder.path(), &["config.json: model_type: found \"llama\", expected \"qwen3\""]);
    let folder = copy("qwen3");
    let mut both = config(folder.path());
    both.insert("rope_scaling".into(), json!({"rope_type": "default", "rope_theta": 5e5}));
    fs::write(folder.path().join("config.json"), Value::from(both).to_string()).unwrap();
    refused(folder.path(), &["config.json: rope_scaling: found", "expected the same as rope_parameters"]);
}
