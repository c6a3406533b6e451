//! Reports on a run's data and outcomes, of a real run of the tiny config.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use conrec_tests::{run, text};
use serde_json::Value;
use std::fs;
use tempfile::tempdir;

#[test]
fn a_longer_horizon_covers_more_of_an_interest_and_the_files_say_what_stdout_says() {
    let folder = tempdir().unwrap();
    let place = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (store, out) = (place("runs"), place("out"));
    let of = |run_id: &'static str| ["coverage-report", run_id, "--store", store.as_str(), "--out", out.as_str()];
    let unknown = run(&of("coverage")).unwrap();
    assert_eq!(unknown.status.code(), Some(64), "{}", text(&unknown));

    let trained = run(&["train", "tests/configs/tiny.toml", "--run-id", "coverage", "--store", &store]).unwrap();
    assert!(trained.status.success(), "{}", text(&trained));
    let reported = run(&[&of("coverage")[..], &["--output", "json"]].concat()).unwrap();
    assert!(reported.status.success(), "{}", text(&reported));
    let said: Value = serde_json::from_slice(&reported.stdout).unwrap();
    let rows = said["coverage"].as_array().unwrap();
    assert_eq!(rows.len(), 12, "next, 1, 2, 3, 6, 12 days, each without and with Swing: {said}");
    let own = |at: usize| rows[at]["nearness"]["own"]["value"].as_f64().unwrap();
    let difference = |at: usize| rows[at]["nearness"]["difference"]["value"].as_f64().unwrap();
    let (next, longest) = (0, rows.len() - 2);
    assert_eq!((&rows[next]["days"], &rows[longest]["days"]), (&Value::Null, &12.into()));
    assert!(own(longest) > own(next), "{} {}", own(longest), own(next));
    // Made-up users have tastes of their own.
    assert!(difference(longest) > 0.0, "{}", difference(longest));
    let report: Value = serde_json::from_slice(&fs::read(place("runs/coverage/report.json")).unwrap()).unwrap();
    for key in ["run_id", "config_digest", "data_digest"] {
        assert_eq!(said["identity"][key], report[key], "{key}");
    }
    assert_eq!(said["identity"]["windows"][0], report["split"]["windows"][1], "the test window of the refit pass");
    assert_eq!(serde_json::from_slice::<Value>(&fs::read(place("out/coverage.json")).unwrap()).unwrap(), said);
    for name in ["out/coverage.html", "out/coverage.md"] {
        assert!(fs::read_to_string(place(name)).unwrap().contains("12 days + Swing"), "{name}");
    }
}
