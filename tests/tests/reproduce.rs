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
    let arguments = [&arguments[..], &["--set", "baseline.tune=true", "--output", "json"]].concat();
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
    let fhr = |row: &Value| row["metrics"]["fhr"].clone();
    let (part, reward) = (fhr(&said["table_2"][0]), fhr(&said["table_3"][2]));
    assert_eq!((&part["value"], &part["runs"]), (&reward["value"], &reward["runs"]), "one run under two names");
    every_number_has_its_runs(&said, &report);
    what_grpo_added_stands_beside_each_arm(&said);

    // Only the config itself computes what does not depend on the policy.
    let names: Vec<&str> =
        said["table_1"].as_array().unwrap().iter().map(|row| row["model"].as_str().unwrap()).collect();
    for name in ["grpo_with_popularity", "sft_with_popularity", "neg_pop_tuned", "neg_pop_28d"] {
        assert!(names.contains(&name), "{name}: {names:?}");
    }
    let other = runs[1]["identity"]["run_id"].as_str().unwrap();
    let other = fs::read_to_string(folder.path().join("runs").join(other).join("report.json")).unwrap();
    assert!(!other.contains("neg_pop_tuned"), "an arm tunes baselines again");
    for name in ["reproduce.html", "reproduce.md", "reproduce.json"] {
        let text = fs::read_to_string(folder.path().join("out").join(name)).unwrap();
        for part in [report["config_digest"].as_str().unwrap(), "Made-up users"] {
            assert!(text.contains(part), "{name}: {part}");
        }
    }

    let again = run(&arguments).unwrap();
    assert!(again.status.success(), "{}", text(&again));
    assert_eq!(first.stdout, again.stdout);
    assert!(again.stderr.is_empty(), "it trained again: {}", text(&again));
}

/// Value, interval, and for each seed the value with run and digests.
fn every_number_has_its_runs(said: &Value, report: &Value) {
    let number = &said["table_1"][0]["metrics"]["cand_acc"];
    let [value, low, high] = ["value", "low", "high"].map(|key| number[key].as_f64().unwrap());
    assert!(low <= value && value <= high && number["users"].as_u64().unwrap() > 10, "{number}");
    let run = &number["runs"][0];
    assert_eq!((&run["seed"], &run["value"]), (&0.into(), &number["value"]));
    for key in ["run_id", "config_digest", "data_digest"] {
        assert_eq!(run[key], report[key], "{key}");
    }
    assert_eq!(run["instances"], report["models"]["grpo"]["cand_acc"]["n"]);
    assert_eq!(said["identity"]["windows"], report["split"]["windows"]);
    assert!(said["identity"]["windows"][1]["users_without_negatives"].is_u64(), "{}", said["identity"]);
}

fn what_grpo_added_stands_beside_each_arm(said: &Value) {
    for row in said["table_2"].as_array().unwrap() {
        let of = |part: &str| row[part]["fhr"]["value"].as_f64().unwrap();
        let added = &row["grpo_minus_sft"]["fhr"];
        assert!((added["value"].as_f64().unwrap() - (of("metrics") - of("sft"))).abs() < 1e-12, "{row}");
        assert!(
            added["low"].as_f64().unwrap() <= added["high"].as_f64().unwrap() && added["runs"][0]["run_id"].is_string()
        );
    }
}

#[test]
fn an_unknown_dataset_is_told_which_there_are() {
    let output = run(&["reproduce", "nothing-of-the-kind"]).unwrap();
    assert_eq!(output.status.code(), Some(64));
    for name in ["demo", "smoke", "synthetic"] {
        assert!(text(&output).contains(&format!("{name}, ")), "{name}: {}", text(&output));
    }
}
