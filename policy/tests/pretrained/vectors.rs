//! Vectors of texts by pretrained bases against transformers (`policy/tests/golden/base_vectors.py` made the expected ones).

use conrec_domain::spec::{RunConfig, RunSpec};
use conrec_policy::base_model::BaseModel;
use conrec_policy::base_vectors::{TextVectors, text_vectors};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

#[derive(serde::Deserialize)]
struct Expected {
    texts: Vec<String>,
    longest: usize,
    /// Every so-many-th dimension is kept.
    every: usize,
    cases: BTreeMap<String, Vec<Vec<f32>>>,
}

/// A config needs one.
const STAGE: &str = "[[stage]]\nname = \"a\"\nkind = \"next_item\"\niterations = 2\nprompts = 3\nprompts_per_lease = 3\nlearning_rate = 0.1\n";

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/pretrained")
}

fn expected(name: &str) -> Expected {
    serde_json::from_slice(&fs::read(golden().join(name)).unwrap()).unwrap()
}

fn base(folder: &Path, more: &str) -> BaseModel {
    tch::set_num_threads(1);
    let text = format!("[model]\nbase = {:?}\nmax_prompt_tokens = 64\n{more}\n{STAGE}", folder.display());
    let spec = RunSpec::check(RunConfig::parse(&text, "test").unwrap()).unwrap();
    BaseModel::load(&spec, folder).unwrap()
}

fn vectors(base: &BaseModel, texts: &[String], longest: usize) -> TextVectors {
    text_vectors(base, texts, longest, &mut |_| ()).unwrap()
}

/// A copy of a golden base with one file changed.
fn changed(name: &str, file: &str, change: impl Fn(Vec<u8>) -> Vec<u8>) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(golden().join(name)).unwrap() {
        let entry = entry.unwrap();
        let bytes = fs::read(entry.path()).unwrap();
        let bytes = if entry.file_name() == file { change(bytes) } else { bytes };
        fs::write(folder.path().join(entry.file_name()), bytes).unwrap();
    }
    folder
}

/// The model "llama" whose tokeniser puts token 0 before a sequence, and asks for padding, which nobody heeds.
fn begun() -> TempDir {
    changed("llama", "tokenizer.json", |bytes| {
        let mut json: Value = serde_json::from_slice(&bytes).unwrap();
        let first = json!({"SpecialToken": {"id": "<end>", "type_id": 0}});
        let of = |name: &str| json!({"Sequence": {"id": name, "type_id": 0}});
        json["post_processor"] = json!({
            "type": "TemplateProcessing",
            "single": [first, of("A")],
            "pair": [first, of("A"), first, of("B")],
            "special_tokens": {"<end>": {"id": "<end>", "ids": [0], "tokens": ["<end>"]}},
        });
        json["padding"] = json!({
            "strategy": {"Fixed": 60}, "direction": "Right", "pad_to_multiple_of": null,
            "pad_id": 7, "pad_type_id": 0, "pad_token": "x",
        });
        serde_json::to_vec(&json).unwrap()
    })
}

#[track_caller]
fn difference(base: &BaseModel, of: &Expected, expected: &[Vec<f32>]) -> f32 {
    let TextVectors { vectors, empty } = vectors(base, &of.texts, of.longest);
    assert_eq!((vectors.rows, empty.len()), (of.texts.len(), 0));
    let mut largest = 0f32;
    for (row, expected) in expected.iter().enumerate() {
        let found: Vec<f32> = vectors.row(row).iter().copied().step_by(of.every).collect();
        assert_eq!(found.len(), expected.len());
        largest = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(largest, f32::max);
    }
    largest
}

/// Texts of unequal length, some cut; all together with much padding, and a few at a time. There: one by one, in f64 after
/// the decoder.
#[test]
fn tiny_bases_of_all_families_have_the_vectors_of_transformers() {
    let expected = expected("vectors.json");
    assert_eq!(expected.cases.len(), 5);
    let begun = begun();
    for (name, rows) in &expected.cases {
        let folder = if name == "llama_begun" { begun.path().to_owned() } else { golden().join(name) };
        for together in ["", "micro_batch_tokens = 64"] {
            let off = difference(&base(&folder, together), &expected, rows);
            assert!(off < 1e-5, "{name} {together}: off by {off}");
        }
    }
}

#[test]
fn vectors_are_of_length_1_and_depend_on_the_text_alone() {
    let Expected { texts, longest, .. } = expected("vectors.json");
    let folder = golden().join("qwen3");
    let whole = vectors(&base(&folder, ""), &texts, longest).vectors;
    for row in 0..whole.rows {
        let length: f32 = whole.row(row).iter().map(|v| v * v).sum();
        assert!((length - 1.0).abs() < 1e-5, "{length}");
    }
    // The base as published: tokens that a run adds, and what trains, do not reach the vectors.
    let other = base(&folder, "[semantic_id]\nlevels = 2\ncodes = 9\n[lora]\nrank = 1\n");
    assert_eq!(vectors(&other, &texts, longest).vectors, whole);
    let turned: Vec<String> = texts.iter().rev().cloned().collect();
    let turned = vectors(&other, &turned, longest).vectors;
    for row in 0..whole.rows {
        let alone = vectors(&other, &texts[row..=row], longest).vectors;
        for found in [alone.row(0), turned.row(whole.rows - 1 - row)] {
            let off = found.iter().zip(whole.row(row)).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(off < 1e-6, "{row}: {off}");
        }
    }
    // A cut text is what is left of it.
    let cut = |longest| vectors(&other, &texts[2..3], longest).vectors;
    assert!(cut(5) != cut(6) && cut(47) != cut(48));
    assert_eq!(vectors(&other, &texts[1..2], 9).vectors, vectors(&other, &texts[1..2], 96).vectors);
}

/// More texts than are tokenised together.
#[test]
fn every_text_has_its_row_and_texts_without_tokens_are_named() {
    let base = base(&golden().join("llama"), "");
    let mut texts: Vec<String> = (0..4200).map(|i| format!("{}", i % 7)).collect();
    for at in [0, 2048, 4199] {
        texts[at].clear();
    }
    let mut told = Vec::new();
    let TextVectors { vectors, empty } = text_vectors(&base, &texts, 8, &mut |done| told.push(done)).unwrap();
    assert_eq!(empty, [0, 2048, 4199]);
    assert!(told.is_sorted() && told.last() == Some(&4200));
    let near = |a: usize, b: usize| vectors.row(a).iter().zip(vectors.row(b)).all(|(a, b)| (a - b).abs() < 1e-6);
    for row in 0..4200 {
        assert_eq!(vectors.row(row).iter().all(|v| *v == 0.0), empty.contains(&row), "{row}");
        assert!(empty.contains(&row) || near(row, row % 7 + 7), "{row}");
    }
    assert!(!near(1, 2));
    let nothing = text_vectors(&base, &[], 8, &mut |_| ()).unwrap();
    assert!(nothing.vectors.data.is_empty() && nothing.empty.is_empty());
    let with_a_first_token = text_vectors(&self::base(begun().path(), ""), &texts[..2], 8, &mut |_| ()).unwrap();
    assert_eq!(with_a_first_token.empty, [0], "the token before a sequence is not the text's");
}

#[test]
fn what_gives_no_vectors_is_refused() {
    let texts = ["the film".to_owned()];
    let spec = RunSpec::check(RunConfig::parse(STAGE, "test").unwrap()).unwrap();
    let scratch = BaseModel::from_scratch(&spec, 200).unwrap();
    let error = text_vectors(&scratch, &texts, 8, &mut |_| ()).unwrap_err().to_string();
    assert!(error.contains("model.base = a decoder from scratch") && error.contains("pretrained"), "{error}");

    // 1 to 96 positions: 64 of prompts and 32 of completions.
    let long = ["long ".repeat(200)];
    assert!(text_vectors(&base(&golden().join("qwen3"), ""), &long, 97, &mut |_| ()).is_err());
}

/// `CONREC_SMOLLM2` names the folder of SmolLM2-135M in f16.
#[test]
#[ignore = "needs the 270 MB of SmolLM2-135M: CONREC_SMOLLM2=FOLDER cargo test -- --ignored smollm2"]
fn smollm2_has_the_vectors_of_transformers() {
    let folder = PathBuf::from(std::env::var("CONREC_SMOLLM2").expect("CONREC_SMOLLM2 names the folder"));
    let expected = expected("vectors_smollm2.json");
    let f32 = difference(&base(&folder, ""), &expected, &expected.cases["smollm2"]);
    let bf16 = difference(&base(&folder, "dtype = \"bf16\""), &expected, &expected.cases["smollm2"]);
    eprintln!("largest difference: f32 {f32:e}, bf16 {bf16:e}");
    assert!(f32 < 1e-5 && bf16 < 0.02, "{f32} {bf16}");
}
