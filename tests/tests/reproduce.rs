//! `conrec reproduce` on the tiny config: real runs of every arm, tables from their outcomes, nothing trained twice.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use conrec_tests::{run, text};
use serde_json::Value;
use std::fs;
use tempfile::tempdir;

#[test]
fn every_arm_is_trained_once_and_the_tables_say_what_the_runs_say() {
    let folder = tempdir().unwrap();
    let place = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (store, out) = (place("runs"), place("out"));
    let arguments = ["reproduce", "tests/configs/tiny.toml", "--seeds", "1", "--store", &store, "--out", &out];
    let arguments = [&arguments[..], &["--output", "json"]].concat();
    let first = run(&arguments).unwrap();
    assert!(first.status.success(), "{}", text(&first));
    let said: Value = serde_json::from_slice(&first.stdout).unwrap();

    let runs = said["runs"].as_array().unwrap();
    assert_eq!(runs.len(), fs::read_dir(&store).unwrap().count(), "a run of the store is in no table");
    let given = &runs[0]["identity"]["run_id"];
    let report = fs::read(folder.path().join("runs").join(given.as_str().unwrap()).join("report.json")).unwrap();
    let report: Value = serde_json::from_slice(&report).unwrap();
    for (row, model) in [(0, "grpo"), (1, "sft")] {
        let found = said["table_1"][row]["metrics"]["fhr"]["value"].as_f64().unwrap();
        let expected = report["models"][model]["fhr@20"]["value"].as_f64().unwrap();
        assert!((found - expected).abs() < 1e-12, "{model}: {found}, {expected}");
    }
    assert_eq!(said["table_2"][0], renamed(&said["table_3"][2], "conrec"), "one run under two names");
    for name in ["reproduce.html", "reproduce.md", "reproduce.json"] {
        assert!(fs::metadata(folder.path().join("out").join(name)).unwrap().len() > 1000, "{name}");
    }

    let again = run(&arguments).unwrap();
    assert!(again.status.success(), "{}", text(&again));
    assert_eq!(first.stdout, again.stdout);
    assert!(again.stderr.is_empty(), "it trained again: {}", text(&again));
}

/// The same row under another name.
fn renamed(row: &Value, name: &str) -> Value {
    let mut row = row.clone();
    row["name"] = name.into();
    row
}

#[test]
fn an_unknown_dataset_is_told_which_there_are() {
    let output = run(&["reproduce", "nothing-of-the-kind"]).unwrap();
    assert_eq!(output.status.code(), Some(64));
    for name in ["demo", "smoke", "synthetic"] {
        assert!(text(&output).contains(&format!("{name}, ")), "{name}: {}", text(&output));
    }
}
