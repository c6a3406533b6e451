//! Sentence encoders against transformers: tiny random ones of every family (`golden/encoders/make_encoders.py`), and
//! all-MiniLM-L6-v2 where its files are.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use conrec_policy::sentence_encoder::SentenceEncoder;
use std::path::{Path, PathBuf};

#[derive(serde::Deserialize)]
struct Expected {
    texts: Vec<String>,
    vectors: Vec<Vec<f32>>,
}

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/encoders").join(name)
}

fn expected(file: &str) -> Expected {
    serde_json::from_slice(&std::fs::read(golden(file)).unwrap()).unwrap()
}

/// Largest difference over all texts and dimensions.
#[track_caller]
fn difference(encoder: &SentenceEncoder, expected: &Expected) -> f32 {
    tch::set_num_threads(1);
    let mut told = Vec::new();
    let found = encoder.encode(&expected.texts, &mut |done| told.push(done)).unwrap();
    assert_eq!(told.last(), Some(&expected.texts.len()));
    assert_eq!((found.rows, found.cols), (expected.texts.len(), expected.vectors[0].len()));
    let expected = expected.vectors.iter().flatten();
    found.data.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// Padding, masks, positions, token types, pooling, normalisation, f32, f16 and bf16 files: the texts are of unequal
/// length and computed together here, one by one there.
#[test]
fn tiny_encoders_of_all_families_equal_transformers() {
    for family in ["bert", "roberta", "distilbert", "mpnet"] {
        let encoder = SentenceEncoder::open(&golden(family)).unwrap();
        let off = difference(&encoder, &expected(&format!("{family}/expected.json")));
        // Sums in another order; the entries are of size 1.
        assert!(off < 5e-6, "{family}: off by {off}");
    }
}

#[test]
#[ignore = "needs the files of all-MiniLM-L6-v2: CONREC_MINILM=FOLDER cargo test -- --ignored"]
fn all_minilm_equals_transformers() {
    let folder = std::env::var("CONREC_MINILM").expect("CONREC_MINILM names the model's folder");
    let encoder = SentenceEncoder::open(Path::new(&folder)).unwrap();
    let off = difference(&encoder, &expected("minilm.json"));
    assert!(off < 2e-6, "off by {off}");
}

#[test]
fn a_text_has_the_same_bits_alone_and_the_same_vector_in_company() {
    let encoder = SentenceEncoder::open(&golden("bert")).unwrap();
    let one = |text: &str| encoder.encode(&[text.to_owned()], &mut |_| ()).unwrap().data;
    assert_eq!(one("the night"), one("the night"));
    assert_ne!(one("the night"), one("the city"));
    assert!(encoder.encode(&[], &mut |_| ()).unwrap().data.is_empty());
}

/// A copy of a golden encoder with one file changed.
fn changed(family: &str, file: &str, change: impl Fn(Vec<u8>) -> Vec<u8>) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    copy(&golden(family), folder.path());
    let path = folder.path().join(file);
    std::fs::write(&path, change(std::fs::read(&path).unwrap_or_default())).unwrap();
    folder
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[track_caller]
fn assert_refused(family: &str, file: &str, (old, new): (&str, &str), words: &[&str]) {
    let folder = changed(family, file, |bytes| {
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.contains(old), "{text}");
        text.replace(old, new).into_bytes()
    });
    let result = SentenceEncoder::open(folder.path()).and_then(|e| e.encode(&["the night".to_owned()], &mut |_| ()));
    let error = result.unwrap_err().to_string();
    for word in words {
        assert!(error.contains(word), "{word} is not in: {error}");
    }
}

#[test]
fn what_does_not_fit_is_named() {
    let config = "config.json";
    let known = "one of bert, roberta, xlm-roberta, distilbert, mpnet";
    assert_refused("bert", config, ("\"bert\"", "\"deberta\""), &["config.json", "found \"deberta\"", known]);
    assert_refused("bert", config, ("\"gelu\"", "\"silu\""), &["hidden_act", "silu", "gelu_new"]);
    assert_refused(
        "bert",
        config,
        ("\"hidden_size\": 16", "\"hidden_size\": 20"),
        &["model.safetensors", "embeddings.token_type_embeddings.weight", "F32 [2, 16]", "[2, 20]"],
    );
    assert_refused(
        "bert",
        config,
        ("\"hidden_size\": 16", "\"hidden_size\": 18"),
        &["a multiple of num_attention_heads = 4"],
    );
    assert_refused(
        "bert",
        config,
        ("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3"),
        &["encoder.layer.2", "no such tensor"],
    );
    assert_refused(
        "bert",
        "modules.json",
        ("models.Normalize", "models.Dense"),
        &["Dense", "Transformer, Pooling and Normalize"],
    );
    assert_refused("bert", "modules.json", ("1_Pooling", "../1_Pooling"), &["a folder inside the encoder's"]);
    assert_refused(
        "bert",
        "1_Pooling/config.json",
        ("pooling_mode_mean", "pooling_mode_weighted"),
        &["weighted_tokens", "mean_tokens"],
    );
    assert_refused(
        "bert",
        "tokenizer.json",
        ("\"night\": 11", "\"night\": 911"),
        &["token 911", "ids below 27", "its own tokenizer"],
    );
    let missing = SentenceEncoder::open(Path::new("nowhere")).err().unwrap().to_string();
    assert!(missing.contains("nowhere/config.json"), "{missing}");
}

#[test]
fn damaged_weights_are_refused() {
    let whole = std::fs::read(golden("bert/model.safetensors")).unwrap();
    for length in (0..whole.len()).step_by(97) {
        let folder = changed("bert", "model.safetensors", |bytes| bytes[..length].to_vec());
        assert!(SentenceEncoder::open(folder.path()).is_err(), "{length} of {} bytes", whole.len());
    }
    // The first value of a tensor that is read: its place stands in the header.
    let header = u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
    let table: serde_json::Value = serde_json::from_slice(&whole[8..8 + header]).unwrap();
    let at = 8 + header + table["embeddings.LayerNorm.bias"]["data_offsets"][0].as_u64().unwrap() as usize;
    let folder = changed("bert", "model.safetensors", |mut bytes| {
        bytes[at..at + 4].copy_from_slice(&f32::NAN.to_le_bytes());
        bytes
    });
    let error = SentenceEncoder::open(folder.path()).err().unwrap().to_string();
    assert!(error.contains("embeddings.LayerNorm.bias") && error.contains("NaN at position 0"), "{error}");
}

/// The weights in two files with an index give the same bits; a file that is missing, or a pointer in its place, is named.
#[test]
fn weights_in_several_files_are_one_encoder() {
    let folder = changed("bert", "config.json", |bytes| bytes);
    let whole = std::fs::read(golden("bert/model.safetensors")).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&whole).unwrap();
    let mut names: Vec<String> = tensors.names().into_iter().map(ToString::to_string).collect();
    names.sort_unstable();
    let file = |at: usize| format!("model-{:05}-of-00002.safetensors", at % 2 + 1);
    for half in 0..2 {
        let own = names.iter().enumerate().filter(|(at, _)| at % 2 == half);
        let views = own.map(|(_, name)| (name.clone(), tensors.tensor(name).unwrap()));
        std::fs::write(folder.path().join(file(half)), safetensors::serialize(views, None).unwrap()).unwrap();
    }
    let map: Vec<String> = names.iter().enumerate().map(|(at, name)| format!("{name:?}: {:?}", file(at))).collect();
    let index = format!("{{\"weight_map\": {{{}}}}}", map.join(", "));
    std::fs::write(folder.path().join("model.safetensors.index.json"), index).unwrap();
    std::fs::remove_file(folder.path().join("model.safetensors")).unwrap();
    let texts = ["the night", "the city of night"].map(str::to_owned);
    let encoded = |folder: &Path| SentenceEncoder::open(folder).map(|e| e.encode(&texts, &mut |_| ()).unwrap().data);
    assert_eq!(encoded(folder.path()).unwrap(), encoded(&golden("bert")).unwrap());
    std::fs::write(folder.path().join(file(1)), "version https://git-lfs.github.com/spec/v1\n").unwrap();
    let message = encoded(folder.path()).unwrap_err().to_string();
    assert!(message.contains("model-00002-of-00002.safetensors") && message.contains("git-lfs"), "{message}");
    std::fs::remove_file(folder.path().join(file(1))).unwrap();
    assert!(encoded(folder.path()).unwrap_err().to_string().contains("model-00002-of-00002.safetensors"));
}
