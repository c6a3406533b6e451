//! Logits of pretrained decoders against transformers (`policy/tests/golden/pretrained.py` made the expected ones).

use conrec_domain::spec::ModelSpec;
use conrec_policy::llama::LlamaConfig;
use conrec_policy::lora::LoraConfig;
use conrec_policy::pretrained_files::{read_shape, read_weights};
use conrec_policy::shared_prefix::{Prefix, hidden_everywhere};
use conrec_policy::transformer::{Adapter, Policy, Trains};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tch::{Device, Kind, Tensor};

#[derive(serde::Deserialize)]
struct Row {
    tokens: Vec<i64>,
    /// Tokens whose logits are kept.
    places: Vec<i64>,
    logits: Vec<f64>,
}

fn prompts_of(tokens: u32) -> ModelSpec {
    ModelSpec { max_prompt_tokens: tokens, ..ModelSpec::default() }
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/pretrained").join(name)
}

/// The largest difference of logits after the sequences, computed in both ways that the policy has.
fn largest_difference(folder: &Path, kind: Kind, rows: &[Row]) -> f64 {
    tch::set_num_threads(1);
    let shape = read_shape(folder).unwrap();
    let config = LlamaConfig::pretrained(&shape, 0, &prompts_of(200)).unwrap();
    let policy = Policy::new(&config, &read_weights(folder, &config, kind).unwrap(), None, Trains::Nothing).unwrap();
    let _no_grad = tch::no_grad_guard();
    let mut largest = 0f64;
    for row in rows {
        let everywhere = hidden_everywhere(&policy, &[&row.tokens]).unwrap().select(0, 0).narrow(0, -1, 1);
        let at_the_end = Prefix::compute(&policy, &[&row.tokens]).unwrap().hidden().shallow_clone();
        for hidden in [everywhere, at_the_end] {
            let found = policy.logits(&hidden, 0, config.tokens()).view([-1]);
            let found = found.index_select(0, &Tensor::from_slice(&row.places)).to_kind(Kind::Double);
            let difference = (found - Tensor::from_slice(&row.logits)).abs().max().double_value(&[]);
            largest = largest.max(difference);
        }
    }
    largest
}

fn tiny() -> BTreeMap<String, Vec<Row>> {
    serde_json::from_str(include_str!("../golden/pretrained/logits.json")).unwrap()
}

#[test]
fn tiny_models_of_all_families_have_the_logits_of_transformers() {
    let tiny = tiny();
    assert_eq!(tiny.len(), 6);
    for (name, rows) in &tiny {
        let scale = rows.iter().flat_map(|r| &r.logits).fold(0f64, |m, l| m.max(l.abs()));
        assert!(scale > 0.5, "{name}: logits that are all small show nothing");
        let difference = largest_difference(&folder(name), Kind::Float, rows);
        assert!(difference < 1e-4, "{name}: {difference}");
    }
}

/// 8 bits of fraction: each product is rounded to 0.4 %, and the errors of a few layers add up.
#[test]
fn tiny_models_in_bf16_come_close() {
    for (name, rows) in &tiny() {
        let scale = rows.iter().flat_map(|r| &r.logits).fold(0f64, |m, l| m.max(l.abs()));
        let difference = largest_difference(&folder(name), Kind::BFloat16, rows);
        assert!(difference < 0.05 * scale && difference > 0.0, "{name}: {difference} of {scale}");
    }
}

#[test]
fn new_tokens_are_embedded_and_scored_by_their_own_rows() {
    tch::set_num_threads(1);
    for name in ["qwen2", "qwen3"] {
        let folder = folder(name);
        let shape = read_shape(&folder).unwrap();
        let config = LlamaConfig::pretrained(&shape, 3, &prompts_of(64)).unwrap();
        let base = read_weights(&folder, &config, Kind::Float).unwrap();
        let lora = LoraConfig { rank: 2, scale: 1.0 };
        let layout = lora.layout(&config);
        let adapter = Tensor::zeros([layout.len() as i64], (Kind::Float, Device::Cpu));
        // The new rows are copies of old ones: the same sequence in both kinds of tokens gives the same logits.
        let of_base = config.layout();
        for entry in layout.entries().iter().skip(lora.factors(&config).entries().len()) {
            let from = if entry.name.contains("lm_head") { "lm_head.weight" } else { "model.embed_tokens.weight" };
            let from = of_base.entries().iter().position(|e| e.name == from).unwrap();
            let place = layout.entries().iter().position(|e| e.name == entry.name).unwrap();
            layout.view(&adapter, place).copy_(&of_base.view(&base, from).narrow(0, 11, 3));
        }
        let policy =
            Policy::new(&config, &base, Some(Adapter { config: lora, flat: &adapter }), Trains::Nothing).unwrap();
        let vocab = config.vocab;
        let logits = |tokens: &[i64], from: i64, count: i64| {
            let hidden = Prefix::compute(&policy, &[tokens]).unwrap().hidden().shallow_clone();
            policy.logits(&hidden, from, count)
        };
        let old = logits(&[5, 12, 13, 11], 0, vocab);
        assert!(logits(&[5, vocab + 1, vocab + 2, vocab], 0, vocab) == old, "{name}");
        let close = |a: &Tensor, b: &Tensor| (a - b).abs().max().double_value(&[]) < 1e-5;
        assert!(close(&logits(&[5, 12, 13, 11], vocab, 3), &old.narrow(1, 11, 3)), "{name}");
        let across = logits(&[5, 12, 13, 11], vocab - 2, 4);
        let expected = Tensor::cat(&[old.narrow(1, vocab - 2, 2), old.narrow(1, 11, 2)], 1);
        assert!(close(&across, &expected), "{name}");
        assert!(Policy::new(&config, &base, None, Trains::Nothing).is_err(), "no rows for the new tokens");
        assert!(Prefix::compute(&policy, &[&[vocab + 3]]).is_err());
    }
}

#[derive(serde::Deserialize)]
struct Smol {
    texts: Vec<String>,
    rows: Vec<Row>,
}

/// `CONREC_SMOLLM2` names the folder of SmolLM2-135M in f16.
#[test]
#[ignore = "needs the 270 MB of SmolLM2-135M: CONREC_SMOLLM2=FOLDER cargo test -- --ignored smollm2"]
fn smollm2_has_the_logits_of_transformers() {
    let folder = PathBuf::from(std::env::var("CONREC_SMOLLM2").expect("CONREC_SMOLLM2 names the folder"));
    let smol: Smol = serde_json::from_str(include_str!("../golden/pretrained/smollm2.json")).unwrap();
    let tokenizer = conrec_policy::text_tokenizer::TextTokenizer::open(&folder, 49152).unwrap();
    for (text, row) in smol.texts.iter().zip(&smol.rows) {
        assert_eq!(&tokenizer.encode(text).unwrap(), &row.tokens);
        assert_eq!(&tokenizer.decode(&row.tokens).unwrap(), text);
    }
    let scale = smol.rows.iter().flat_map(|r| &r.logits).fold(0f64, |m, l| m.max(l.abs()));
    let (f32, bf16) =
        (largest_difference(&folder, Kind::Float, &smol.rows), largest_difference(&folder, Kind::BFloat16, &smol.rows));
    eprintln!("largest difference: f32 {f32:e}, bf16 {bf16}, of logits up to {scale}");
    assert!(f32 < 1e-4 * scale.max(1.0), "{f32}");
    assert!(bf16 < 0.05 * scale, "{bf16}");
}
