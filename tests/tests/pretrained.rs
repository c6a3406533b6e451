//! Pretrained decoders on real processes: the same bits for any number of workers and through a crash.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic")]

use conrec_tests::processes::started_by;
use conrec_tests::run_files::{committed, outcome};
use conrec_tests::{root, run, start, text};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};
use tempfile::{TempDir, tempdir};

/// A tiny Qwen3 whose adapter is trained, with gradient checkpointing.
const CONFIG: &str = "tests/configs/pretrained.toml";

fn arguments<'a>(store: &'a str, workers: &'a str) -> Vec<&'a str> {
    vec!["train", CONFIG, "--store", store, "--run-id", "bits", "--workers", workers, "--lanes", "2"]
}

/// Report and ledger of a run that is done.
fn done(store: &Path) -> [Value; 2] {
    let audit = run(&["audit", "bits", "--store", store.to_str().unwrap()]).unwrap();
    assert!(audit.status.success(), "{}", text(&audit));
    outcome(&store.join("bits")).unwrap()
}

fn whole_run(store: &Path, workers: &str) -> [Value; 2] {
    let output = run(&arguments(store.to_str().unwrap(), workers)).unwrap();
    assert!(output.status.success(), "{workers} workers: {}", text(&output));
    done(store)
}

/// Both losses of the translation stage stand in the metrics of its iterations, and in no others.
fn translated(run: &Path) {
    let text = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for key in ["loss_to_title", "loss_to_item"] {
        let with = lines.iter().filter(|line| line[key].as_f64().is_some_and(|loss| loss > 0.1));
        assert!(with.clone().all(|line| line["stage"] == "translate"), "{text}");
        assert!(with.count() >= 2, "{key}: {text}");
    }
    for line in &lines {
        if let (Some(title), Some(item)) = (line["loss_to_title"].as_f64(), line["loss_to_item"].as_f64()) {
            let loss = line["loss"].as_f64().unwrap();
            assert!(loss > title.min(item) && loss < title.max(item), "a mean over both: {line}");
        }
    }
}

#[test]
fn a_pretrained_decoder_gives_the_same_bits_for_two_workers_and_through_a_crash() {
    let stores = [tempdir().unwrap(), tempdir().unwrap(), tempdir().unwrap()];
    let one = whole_run(stores[0].path(), "1");
    translated(&stores[0].path().join("bits"));
    let reasons = one[0]["decisions"].to_string();
    assert!(reasons.contains("tried again with beta 0.3") && one[0]["iterations"].as_u64() > Some(20), "{reasons}");
    assert_eq!(whole_run(stores[1].path(), "2"), one, "two workers");

    // Training, its coordinator and its workers are killed at once, and later all begin again.
    let store = stores[2].path();
    let log = store.join("progress.txt");
    let mut child = start(&arguments(store.to_str().unwrap(), "2"), &log).unwrap();
    let since = Instant::now();
    while committed(&store.join("bits")) < 14 {
        assert!(since.elapsed() < Duration::from_secs(60), "{}", fs::read_to_string(&log).unwrap());
        assert_eq!(child.try_wait().unwrap(), None, "the run was over before it could be killed");
        sleep(Duration::from_millis(2));
    }
    let id = child.id();
    let of_it = started_by(id, "conrec-worker").into_iter().chain(started_by(id, "conrec"));
    for process in std::iter::once(id as i32).chain(of_it.collect::<Vec<_>>()) {
        let _ = kill(Pid::from_raw(process), Signal::SIGKILL);
    }
    child.wait().unwrap();
    assert!(!store.join("bits/report.json").exists(), "the run was over before it was killed");
    assert_eq!(whole_run(store, "1"), one, "after a crash");
}

/// What a verb prints with `--output json`.
fn printed(arguments: &[&str]) -> Value {
    let output = run(arguments).unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", text(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn semantic_ids_are_made_of_the_bases_own_states() {
    let store = tempdir().unwrap();
    let store = store.path().to_str().unwrap();
    let short = ["semantic_id.vectors=base_model", "stage.0.iterations=2", "stage.1.iterations=2"];
    let set = short.map(|pair| ["--set", pair]).concat();
    let output = run(&[arguments(store, "2"), set.clone()].concat()).unwrap();
    assert!(output.status.success(), "{}", text(&output));
    done(Path::new(store));
    let prepared = fs::read_to_string(Path::new(store).join("bits/prepared/manifest.json")).unwrap();
    let said = "Item vectors of 16 dimensions from the base policy/tests/golden/pretrained/qwen3.";
    assert!(prepared.contains(said), "{prepared}");

    // The run's ids are made again from its prepared data, and from the config by another process with the base.
    let of_run = printed(&["sid-report", "bits", "--store", store, "--out", store, "--output", "json"]);
    let of_config = printed(&[vec!["sid-report", CONFIG, "--out", store, "--output", "json"], set].concat());
    assert_eq!(of_run["same_as_run"], true);
    assert_eq!(of_run["columns"], of_config["columns"]);
    let of_text = printed(&["sid-report", CONFIG, "--out", store, "--output", "json"]);
    assert_ne!(of_text["columns"], of_config["columns"]);
}

/// What makes a base without words learn some titles by heart: room for them, and weights enough.
const BY_HEART: [&str; 13] = [
    "stage.0.held_out=0.3",
    "stage.0.iterations=150",
    "stage.0.prompts=24",
    "stage.0.prompts_per_lease=12",
    "stage.0.learning_rate=0.005",
    "stage.0.title_tokens=24",
    "model.max_prompt_tokens=80",
    "model.micro_batch_tokens=2048",
    "lora.rank=32",
    "stage.1.iterations=2",
    "stage.2.iterations=2",
    "evaluation.statistics=frozen",
    "checkpoint.keep_stage_ends=true",
];

/// A run whose translation stage keeps a third of the semantic ids back; gives its store.
fn translated_in_part() -> TempDir {
    let store = tempdir().unwrap();
    let place = store.path().to_str().unwrap();
    let set = ["lora.alpha=64.0", "stage.0.recent_days=2"].into_iter().chain(BY_HEART).flat_map(|pair| ["--set", pair]);
    let output = run(&arguments(place, "2").into_iter().chain(set).collect::<Vec<_>>()).unwrap();
    assert!(output.status.success(), "{}", text(&output));
    store
}

fn copy_of(base: &str) -> TempDir {
    let folder = tempdir().unwrap();
    for file in fs::read_dir(root().join("policy/tests/golden/pretrained").join(base)).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), folder.path().join(file.file_name())).unwrap();
    }
    folder
}

/// Rewrites a file of a folder.
fn change(folder: &Path, name: &str, edit: impl FnOnce(Vec<u8>) -> Vec<u8>) {
    let path = folder.join(name);
    fs::write(&path, edit(fs::read(&path).unwrap())).unwrap();
}

fn replaced(pairs: &[(&str, &str)], bytes: Vec<u8>) -> Vec<u8> {
    let replace = |text: String, (from, to): &(&str, &str)| {
        assert!(text.contains(from), "no {from}");
        text.replace(from, to)
    };
    pairs.iter().fold(String::from_utf8(bytes).unwrap(), replace).into_bytes()
}

#[test]
fn words_are_asked_for_on_items_held_out_and_adapters_are_evaluated_on_other_bases() {
    let store = translated_in_part();
    let place = store.path().to_str().unwrap();
    asked_on_items_held_out(place);

    let adapter = store.path().join("bits/adapter");
    let adapter = adapter.to_str().unwrap();
    let evaluated =
        |more: &[&str]| printed(&[&["evaluate", "bits", "--store", place, "--output", "json"], more].concat());
    let [report, _] = done(store.path());
    let own = evaluated(&["--adapter", adapter]);
    assert_eq!(own["models"]["adapter"], report["models"]["grpo"]);
    assert_eq!(own["base"]["weights_digest"], own["base"]["run_weights_digest"]);
    let base = copy_of("qwen3");
    let folder = base.path().to_str().unwrap();
    let same = evaluated(&["--adapter", adapter, "--base", folder]);
    assert_eq!((&same["models"], &same["base"]["weights_digest"]), (&own["models"], &own["base"]["weights_digest"]));

    // Other weights of the same shape: the last tensor's signs are turned (bf16: the upper byte of two).
    change(base.path(), "model.safetensors", |mut bytes| {
        let from = bytes.len() - 512;
        bytes[from..].iter_mut().skip(1).step_by(2).for_each(|byte| *byte ^= 0x80);
        bytes
    });
    let other = evaluated(&["--adapter", adapter, "--base", folder]);
    assert_ne!(other["models"]["adapter"], own["models"]["adapter"]);
    assert_ne!(other["base"]["weights_digest"], own["base"]["weights_digest"]);
    assert_eq!(other["base"]["run_weights_digest"], own["base"]["weights_digest"]);
    let shown = run(&["evaluate", "bits", "--store", place, "--adapter", adapter, "--base", folder]).unwrap();
    assert!(text(&shown).contains("not the run's own, which have"), "{}", text(&shown));

    let refused = |adapter: &str, base: &[&str], code: i32, words: &str| {
        let output = run(&[&["evaluate", "bits", "--store", place, "--adapter", adapter], base].concat()).unwrap();
        assert_eq!(output.status.code(), Some(code), "{}", text(&output));
        assert!(text(&output).contains(words), "`{words}` is missing in: {}", text(&output));
    };
    // An adapter that was made for it says so, and the run's own base is not taken for it.
    let copied = tempdir().unwrap();
    for name in ["adapter_config.json", "adapter_model.safetensors"] {
        fs::copy(Path::new(adapter).join(name), copied.path().join(name)).unwrap();
    }
    let named = fs::canonicalize(root().join("policy/tests/golden/pretrained/qwen3")).unwrap();
    change(copied.path(), "adapter_config.json", |bytes| replaced(&[(named.to_str().unwrap(), folder)], bytes));
    let copied = copied.path().to_str().unwrap();
    refused(copied, &[], 64, "it was made for the base");
    assert_eq!(evaluated(&["--adapter", copied, "--base", folder])["models"], other["models"]);

    let words =
        "config.json: architectures: found Qwen2ForCausalLM, expected Qwen3ForCausalLM, as in the base that the run";
    refused(adapter, &["--base", "policy/tests/golden/pretrained/qwen2"], 65, words);
    let swapped = [("\"Wh\":280", "\"Wh\":282"), ("\"at\":282", "\"at\":280")];
    change(base.path(), "tokenizer.json", |bytes| replaced(&swapped, bytes));
    refused(
        adapter,
        &["--base", folder],
        65,
        "tokenizer.json: model.instruction and model.question: found [282, 280, ",
    );
}

/// The report has items that were held out beside items that were trained on; of the latter the policy knows more.
fn asked_on_items_held_out(store: &str) {
    let out = format!("{store}/out");
    let said = printed(&["alignment-report", "bits", "--store", store, "--out", &out, "--output", "json"]);
    let moments = said["moments"].as_array().unwrap();
    let names: Vec<&str> = moments.iter().map(|moment| moment["after_stage"].as_str().unwrap()).collect();
    assert_eq!(names, ["", "translate", "recent", "grpo"]);
    let value = |moment: usize, kind: &str, key: &str| {
        let found = &moments[moment]["translation"][kind][key];
        (found["value"].as_f64().unwrap(), found["n"].as_u64().unwrap())
    };
    let (held_out, trained) = (value(0, "held_out", "tokens").1, value(0, "trained", "tokens").1);
    assert!(
        held_out >= 20 && trained > held_out && trained + held_out <= 120,
        "{held_out} held out, {trained} trained on"
    );
    for moment in 0..4 {
        for kind in ["held_out", "trained"] {
            for key in ["among_beams", "tokens", "title_prefers_id", "id_prefers_title"] {
                let (share, n) = value(moment, kind, key);
                assert!((0.0..=1.0).contains(&share) && n == if kind == "trained" { trained } else { held_out });
            }
            let codes = moments[moment]["translation"][kind]["codes"].as_array().unwrap();
            let codes: Vec<f64> = codes.iter().map(|found| found["value"].as_f64().unwrap()).collect();
            assert!(codes.len() == 3 && codes.is_sorted_by(|a, b| a >= b), "more codes are no easier: {codes:?}");
        }
    }
    // The untrained policy prefers no title; the stage teaches those that it trains on. Of random weights nothing else can be
    // known.
    let nats = |moment, kind| value(moment, kind, "nats").0;
    let bound =
        |moment: usize, kind: &str, key: &str| moments[moment]["translation"][kind]["nats"][key].as_f64().unwrap();
    assert!(nats(0, "trained").abs() < 0.05 && nats(0, "held_out").abs() < 0.08);
    assert!(bound(1, "trained", "low") > 0.05 && value(1, "trained", "title_prefers_id").0 > 0.6, "{moments:?}");
    assert!(nats(1, "held_out") < nats(1, "trained") && bound(1, "held_out", "low") < 0.0, "{moments:?}");
    assert!(value(1, "trained", "tokens").0 > value(0, "trained", "tokens").0 + 0.1);
    assert!(value(1, "trained", "among_beams").0 > value(1, "held_out", "among_beams").0 + 0.1);
    let page = fs::read_to_string(format!("{out}/alignment.md")).unwrap();
    assert!(
        page.contains("Do titles and semantic ids tell each other?") && page.contains("translate, held out"),
        "{page}"
    );
}
