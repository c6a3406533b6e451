//! Pretrained decoders on real processes: the same bits for any number of workers and through a crash.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic")]

use conrec_tests::processes::started_by;
use conrec_tests::run_files::{committed, outcome};
use conrec_tests::{run, start, text};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};
use tempfile::tempdir;

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
