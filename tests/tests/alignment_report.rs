//! `conrec alignment-report` on a tiny run: what it measures again is what the run's leases measured, its controls show
//! chance, and it changes nothing.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use conrec_tests::{run, text};
use serde_json::Value;
use std::fs;
use tempfile::tempdir;

const TRAIN: [&str; 10] = [
    "train",
    "tests/configs/tiny.toml",
    "--run-id",
    "aligned",
    "--set",
    "stage.1.kind=alignment",
    "--set",
    "checkpoint.keep_last=100",
    "--set",
    "evaluation.validation_instances=400",
];

#[test]
fn every_stage_is_measured_as_the_run_measured_it_and_controls_are_chance() {
    let folder = tempdir().unwrap();
    let place = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (store, out) = (place("runs"), place("out"));
    let trained = run(&[&TRAIN[..], &["--store", &store]].concat()).unwrap();
    assert!(trained.status.success(), "{}", text(&trained));
    let report = fs::read(folder.path().join("runs/aligned/report.json")).unwrap();
    let report: Value = serde_json::from_slice(&report).unwrap();

    let arguments = ["alignment-report", "aligned", "--store", &store, "--out", &out, "--output", "json"];
    let first = run(&arguments).unwrap();
    assert!(first.status.success(), "{}", text(&first));
    let said: Value = serde_json::from_slice(&first.stdout).unwrap();
    let moments = said["moments"].as_array().unwrap();
    let names: Vec<&str> = moments.iter().map(|moment| moment["after_stage"].as_str().unwrap()).collect();
    assert_eq!(names, ["", "next_item", "recent", "grpo_3d", "grpo_all"]);
    for (at, moment) in moments.iter().enumerate() {
        assert_eq!(moment["questions"], said["questions_by_stage"][at]["questions"], "{}", names[at]);
        let of_positives = &moment["questions"]["positives"];
        let counts = &report["questions"][at]["counts"];
        assert_eq!(of_positives["asked"], counts["asked"][0]);
        let [accuracy, low, high] = ["accuracy", "low", "high"].map(|key| of_positives[key].as_f64().unwrap());
        // The run counts in units of 2^-32.
        let counted = counts["right"][0].as_f64().unwrap() / 4_294_967_296.0 / counts["asked"][0].as_f64().unwrap();
        assert!((accuracy - counted).abs() < 1e-9, "{} {accuracy} {counted}", names[at]);
        assert!(low <= accuracy && accuracy <= high && low < high, "{}: {of_positives}", names[at]);
        for (kind, found) in moment["drawn_answers"].as_object().unwrap() {
            let (accuracy, asked) = (found["accuracy"].as_f64().unwrap(), found["asked"].as_f64().unwrap());
            assert!((accuracy - 0.25).abs() < 5.0 * (0.25 * 0.75 / asked).sqrt(), "{kind}: {accuracy} of {asked}");
        }
    }
    for probed in said["controls"].as_array().unwrap().iter().chain(moments) {
        let drawn = &probed["probe_of_drawn_labels"];
        let (value, n) = (drawn["value"].as_f64().unwrap(), drawn["n"].as_f64().unwrap());
        assert!(n > 50.0 && (value - 0.5).abs() < 5.0 * (0.25 / n).sqrt(), "{probed}");
    }
    for key in ["run_id", "config_digest", "data_digest", "state_digest", "code_version"] {
        assert_eq!(said["identity"][key], report[key], "{key}");
    }
    let lost = &said["forgotten"]["positives"];
    let [before, after, rate] = ["before", "after", "forget_rate"].map(|name| lost[name]["value"].as_f64().unwrap());
    let bound = |name: &str| lost["forget_rate"][name].as_f64().unwrap();
    assert!(bound("low") <= rate && rate <= bound("high"), "{lost}");
    assert_eq!(before, moments[2]["questions"]["positives"]["accuracy"].as_f64().unwrap());
    assert_eq!(after, moments[4]["questions"]["positives"]["accuracy"].as_f64().unwrap());
    assert!((rate - (before - after) / before).abs() < 1e-12);
    let page = fs::read_to_string(folder.path().join("out/alignment.html")).unwrap();
    assert_eq!(page.matches("<svg").count(), 2, "one picture before, one after");
    assert!(fs::metadata(folder.path().join("out/alignment.md")).unwrap().len() > 1000);

    let again = run(&arguments).unwrap();
    assert_eq!((again.status.code(), &again.stdout), (Some(0), &first.stdout));
    let audit = run(&["audit", "aligned", "--store", &store]).unwrap();
    assert!(audit.status.success(), "it changed the run: {}", text(&audit));
}
