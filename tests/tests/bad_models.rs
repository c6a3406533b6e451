//! Pretrained decoders that cannot be used, against the real program: each mistake has its exit code and a message that
//! names it. A copy of a tiny Qwen3 or Qwen2 is harmed in one place.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic")]

use conrec_tests::{conrec, root, run, text};
use std::fs;
use std::path::Path;
use tempfile::{TempDir, tempdir};

const CONFIG: &str = "tests/configs/pretrained.toml";

fn copy(name: &str) -> TempDir {
    let folder = tempdir().unwrap();
    for file in fs::read_dir(root().join("policy/tests/golden/pretrained").join(name)).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), folder.path().join(file.file_name())).unwrap();
    }
    folder
}

fn change(folder: &Path, name: &str, from: &str, to: &str) {
    let text = fs::read_to_string(folder.join(name)).unwrap();
    assert!(text.contains(from), "{name} has no {from}");
    fs::write(folder.join(name), text.replace(from, to)).unwrap();
}

/// `conrec VERB` with this base ends with `code` and says `words`.
fn refused(verb: &str, base: &str, more: &[&str], code: i32, words: &str) {
    let (base, into) = (format!("model.base={base:?}"), tempdir().unwrap());
    let into = into.path().join("run");
    let mut arguments = vec![verb, CONFIG, "--set", &base];
    arguments.extend(more);
    if verb == "prepare" {
        arguments.extend(["--into", into.to_str().unwrap()]);
    }
    let mut command = conrec(&arguments).unwrap();
    let output = command.env("HF_HUB_OFFLINE", "1").env("HF_HOME", &into).env_remove("HF_HUB_CACHE").output().unwrap();
    let message = text(&output);
    assert_eq!(output.status.code(), Some(code), "{verb} {base} {more:?}: {message}");
    assert!(message.contains(words), "{verb} {base} {more:?}: `{words}` is missing in: {message}");
    assert!(!into.join("prepared").exists(), "nothing is prepared before the base is known to be good");
}

fn refused_by_all(base: &TempDir, code: i32, words: &str) {
    for verb in ["validate", "prepare"] {
        refused(verb, base.path().to_str().unwrap(), &[], code, words);
    }
}

fn refused_by_prepare(base: &TempDir, words: &str) {
    refused("prepare", base.path().to_str().unwrap(), &[], 65, words);
}

#[test]
fn an_architecture_that_is_not_computed_is_named_with_those_that_are() {
    let base = copy("qwen3");
    change(base.path(), "config.json", "Qwen3ForCausalLM", "GemmaForCausalLM");
    let words = "config.json: architecture GemmaForCausalLM: expected one of LlamaForCausalLM, Qwen2ForCausalLM, Qwen3ForCausalLM";
    refused_by_all(&base, 65, words);
    let base = copy("qwen2");
    change(base.path(), "config.json", "\"use_sliding_window\": false", "\"use_sliding_window\": true");
    // Windows begin at this layer; the model has two.
    change(base.path(), "config.json", "\"max_window_layers\": 28", "\"max_window_layers\": 1");
    refused_by_all(&base, 65, "use_sliding_window: found true");
    fs::write(base.path().join("config.json"), "{\"architectures\": [").unwrap();
    refused_by_all(&base, 65, "config.json");
    fs::remove_file(base.path().join("config.json")).unwrap();
    refused_by_all(&base, 65, "config.json");
}

#[test]
fn weights_that_are_damaged_missing_or_of_another_shape_are_named() {
    let base = copy("qwen3");
    let path = base.path().join("model.safetensors");
    let whole = fs::read(&path).unwrap();
    for length in [0, 4, 900, whole.len() - 1] {
        fs::write(&path, &whole[..length]).unwrap();
        refused_by_prepare(&base, "model.safetensors: damaged or of another format");
    }
    fs::remove_file(&path).unwrap();
    refused_by_prepare(&base, "cannot read");
    let base = copy("qwen3");
    change(base.path(), "config.json", "\"intermediate_size\": 24", "\"intermediate_size\": 32");
    refused_by_prepare(&base, "mlp.down_proj.weight`: found BF16 [16, 24], expected F32, F16 or BF16 [16, 32]");
    let base = copy("qwen3");
    change(base.path(), "config.json", "\"tie_word_embeddings\": true", "\"tie_word_embeddings\": false");
    refused_by_prepare(&base, "tensor `lm_head.weight`: found no such tensor, expected F32, F16 or BF16 [304, 16]");
    let base = copy("qwen2");
    fs::remove_file(base.path().join("model-00002-of-00002.safetensors")).unwrap();
    refused_by_prepare(&base, "model-00002-of-00002.safetensors");
}

#[test]
fn a_tokeniser_that_does_not_match_is_named() {
    let base = copy("qwen3");
    change(base.path(), "tokenizer.json", ":299}", ":304}");
    refused_by_prepare(&base, "has the number 304, but the base has rows for 0 to 303 only");
    let base = copy("qwen3");
    change(base.path(), "tokenizer.json", "<end>", "<a_0>");
    refused_by_prepare(&base, "<a_0> is token 0 of the base, and the name of a token that is to be added");
    fs::remove_file(base.path().join("tokenizer.json")).unwrap();
    refused_by_prepare(&base, "tokenizer.json");
}

#[test]
fn a_base_that_is_nowhere_and_prompts_that_do_not_fit_are_refused() {
    for verb in ["validate", "prepare"] {
        refused(verb, "./no/such/folder", &[], 78, "no such folder, and no name on the Hub");
    }
    refused("prepare", "someone/absent", &[], 69, "config.json of revision main is not in the cache");
    let base = copy("qwen3");
    let base = base.path().to_str().unwrap();
    refused(
        "prepare",
        base,
        &["--set", "model.max_prompt_tokens=12"],
        78,
        "model.max_prompt_tokens = 12: expected at least",
    );
    refused("prepare", base, &["--set", "model.max_prompt_tokens=250"], 78, "the base was made for 256 positions");
    refused(
        "prepare",
        base,
        &["--set", "model.end_of_text=\"\""],
        78,
        "model.end_of_text = \"\": expected the name of a token",
    );
    refused("prepare", base, &["--set", "model.instruction=\"\""], 78, "model.instruction = \"\": expected a text");
}

/// A run goes on with the base that it began with, or not at all: silently beginning anew would lose what was learned.
#[test]
fn a_base_that_was_replaced_between_two_starts_is_refused() {
    let (base, store) = (copy("qwen3"), tempdir().unwrap());
    let set = format!("model.base={:?}", base.path().display().to_string());
    let mut arguments =
        vec!["train", CONFIG, "--store", store.path().to_str().unwrap(), "--run-id", "bits", "--set", &set];
    let output = run(&arguments).unwrap();
    assert!(output.status.success(), "{}", text(&output));
    // As if it had been stopped before its report.
    fs::remove_file(store.path().join("bits/report.json")).unwrap();
    let path = base.path().join("model.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 0x40;
    fs::write(&path, bytes).unwrap();
    arguments.extend(["--workers", "1"]);
    let output = run(&arguments).unwrap();
    let message = text(&output);
    assert_eq!(output.status.code(), Some(65), "{message}");
    assert!(message.contains("but the run's data was prepared for a base with"), "{message}");
}
