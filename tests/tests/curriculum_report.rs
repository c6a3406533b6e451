//! `conrec curriculum-report` on the tiny config: real runs of its arms, tables from their outcomes, nothing trained twice.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use conrec_tests::{run, text};
use serde_json::Value;
use std::fs;
use tempfile::tempdir;

#[test]
fn arms_are_compared_with_the_config_and_trained_once() {
    let folder = tempdir().unwrap();
    let place = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (store, out) = (place("runs"), place("out"));
    let arguments = ["curriculum-report", "tests/configs/tiny.toml", "--seeds", "1", "--store", &store, "--out", &out];
    // Of the horizons 3 is the config's own, and longer ones reach over the gap between the windows.
    let arguments = [&arguments[..], &["--sweep", "horizon,order", "--output", "json"]].concat();
    let first = run(&arguments).unwrap();
    assert!(first.status.success(), "{}", text(&first));
    let said: Value = serde_json::from_slice(&first.stdout).unwrap();

    let names = |table: &str| -> Vec<&str> {
        said["tables"][table].as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap()).collect()
    };
    assert_eq!(names("order"), ["conrec", "backwards", "only_last", "mixed"]);
    assert_eq!(names("horizon"), ["conrec", "horizon_1d"]);
    let runs = said["runs"].as_array().unwrap();
    assert_eq!((runs.len(), fs::read_dir(&store).unwrap().count()), (5, 5), "the config itself stands in both tables");
    let digests: std::collections::BTreeSet<&str> =
        runs.iter().map(|run| run["identity"]["config_digest"].as_str().unwrap()).collect();
    assert_eq!(digests.len(), 5);

    let given = runs[0]["identity"]["run_id"].as_str().unwrap();
    let report = fs::read(folder.path().join("runs").join(given).join("report.json")).unwrap();
    let report: Value = serde_json::from_slice(&report).unwrap();
    let reported = |metric: &str| report["models"]["grpo"][metric]["value"].as_f64().unwrap();
    let row = |table: &str, at: usize, metric: &str| said["tables"][table][at]["metrics"][metric].clone();
    assert!((row("order", 0, "fhr")["value"].as_f64().unwrap() - reported("fhr@20")).abs() < 1e-12);
    assert!((row("horizon", 0, "fhr_3d")["value"].as_f64().unwrap() - reported("fhr@20_3d")).abs() < 1e-12);
    assert!(row("horizon", 1, "fhr_3d")["difference"]["low"].is_number(), "{said:#}");
    assert_eq!(said["identity"]["config_digest"], report["config_digest"]);
    assert!(row("order", 0, "fhr").get("difference").is_none(), "the config has no difference to itself");

    for name in ["curriculum.html", "curriculum.md", "curriculum.json"] {
        assert!(fs::metadata(folder.path().join("out").join(name)).unwrap().len() > 1000, "{name}");
    }
    let again = run(&arguments).unwrap();
    assert!(again.status.success(), "{}", text(&again));
    assert_eq!(first.stdout, again.stdout);
    assert!(again.stderr.is_empty(), "it trained again: {}", text(&again));
}
