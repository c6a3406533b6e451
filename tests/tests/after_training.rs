//! What is asked of a finished run, by real processes on the tiny config: its metrics again, what its filter takes away,
//! and predict sets, which must be the same bytes for any number of processes and through kills.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use conrec_feedback::predict_sets::{PredictRow, RowSource, read};
use conrec_tests::{conrec, run, text};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};
use tempfile::{TempDir, tempdir};

/// Users of the tiny config, and of a part: 30 parts.
const USERS: usize = 120;
const PART: &str = "4";

/// A finished run and a place for what is asked of it.
struct Finished {
    folder: TempDir,
}

impl Finished {
    fn train() -> Self {
        let finished = Self { folder: tempdir().unwrap() };
        let arguments = ["train", "tests/configs/tiny.toml", "--run-id", "tiny", "--quiet", "--store"];
        let output = run(&[&arguments[..], &[&finished.store()]].concat()).unwrap();
        assert!(output.status.success(), "{}", text(&output));
        finished
    }

    fn store(&self) -> String {
        self.path("runs").to_str().unwrap().to_owned()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn predict(&self, out: &str, more: &[&str]) -> Output {
        let (store, out) = (self.store(), self.path(out));
        let arguments =
            ["predict", "tiny", "--store", &store, "--users-per-part", PART, "--out", out.to_str().unwrap()];
        run(&[&arguments[..], more].concat()).unwrap()
    }

    /// The bytes of a prediction that went well.
    fn predicted(&self, out: &str, more: &[&str]) -> Vec<u8> {
        let output = self.predict(out, more);
        assert!(output.status.success(), "{}", text(&output));
        assert!(!self.path(&format!("{out}.parts")).exists(), "parts are left behind");
        fs::read(self.path(out)).unwrap()
    }

    /// Starts a prediction with two processes and kills the first when its first part is there.
    fn killed(&self, out: &str) {
        let (store, out) = (self.store(), self.path(out));
        let arguments =
            ["predict", "tiny", "--store", &store, "--users-per-part", PART, "--out", out.to_str().unwrap()];
        let mut command = conrec(&[&arguments[..], &["--workers", "2"]].concat()).unwrap();
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let first = out.with_extension("parquet.parts").join("000000.parquet");
        let since = Instant::now();
        while !first.exists() && child.try_wait().unwrap().is_none() {
            assert!(since.elapsed() < Duration::from_secs(60), "no part after a minute");
            sleep(Duration::from_millis(1));
        }
        let _ = kill(Pid::from_raw(child.id() as i32), Signal::SIGKILL);
        child.wait().unwrap();
        assert!(!out.exists(), "it was done before it was killed");
    }
}

#[test]
fn predict_sets_are_the_same_bytes_for_any_number_of_processes_and_through_kills() {
    let finished = Finished::train();
    let one = finished.predicted("one.parquet", &[]);
    holds_all_users(&finished.path("one.parquet"), RowSource::Policy);
    assert_eq!(finished.predicted("two.parquet", &["--workers", "2"]), one);

    finished.killed("killed.parquet");
    assert_eq!(finished.predicted("killed.parquet", &["--workers", "3"]), one);

    // A process of two did its share and the other died, with a part that did not reach the disk.
    let half = finished.predict("half.parquet", &["--share", "0/2"]);
    assert!(half.status.success() && !finished.path("half.parquet").exists(), "{}", text(&half));
    fs::write(finished.path("half.parquet.parts").join("000001.parquet"), b"PAR1").unwrap();
    let other = finished.predict("half.parquet", &["--at", "2013-04-03"]);
    assert_eq!(other.status.code(), Some(69));
    assert!(text(&other).contains("another job"), "{}", text(&other));
    let rest = finished.predict("half.parquet", &[]);
    assert!(text(&rest).contains("15 of 30 parts are there already"), "{}", text(&rest));
    assert_eq!(fs::read(finished.path("half.parquet")).unwrap(), one);

    let again = finished.predict("one.parquet", &[]);
    assert!(again.status.success() && text(&again).contains("already complete"), "{}", text(&again));
    assert!(text(&again).contains("120 by the policy, 0 without negatives by the fallback, 0 "), "{}", text(&again));
}

#[test]
fn users_whose_dislikes_are_not_known_get_the_fallback_and_wrong_requests_are_told() {
    let finished = Finished::train();
    // Before the first event nobody has disliked anything.
    let early = finished.predict("early.parquet", &["--at", "1970-01-01"]);
    assert!(early.status.success() && text(&early).contains("is no prediction"), "{}", text(&early));
    let rows = holds_all_users(&finished.path("early.parquet"), RowSource::Fallback);
    fs::write(finished.path("users.txt"), format!("{}\n", rows[20].user)).unwrap();
    let users = finished.path("users.txt");
    let one_user = finished.predict("early.parquet", &["--at", "1970-01-01", "--users", users.to_str().unwrap()]);
    assert!(one_user.status.success(), "{}", text(&one_user));
    assert_eq!(read(&finished.path("early.parquet")).unwrap(), rows[20..40]);

    assert!(
        text(&one_user).contains("0 by the policy, 1 without negatives by the fallback, 0 "),
        "{}",
        text(&one_user)
    );

    // Half of the users are known by then, the others are left out and counted.
    let known = finished.predict("half.parquet", &["--at", "2024-01-03", "--json"]);
    assert!(known.status.success(), "{}", text(&known));
    let of_known: Value = serde_json::from_slice(&known.stdout).unwrap();
    let skip = ["--at", "2024-01-03", "--without-negatives", "skip", "--workers", "2", "--json"];
    let skipped = finished.predict("skip.parquet", &skip);
    assert!(skipped.status.success(), "{}", text(&skipped));
    let said: Value = serde_json::from_slice(&skipped.stdout).unwrap();
    let count = |said: &Value, key: &str| said["counts"][key].as_u64().unwrap();
    assert!(count(&said, "policy") > 0 && count(&said, "skipped") > 0, "{said}");
    assert_eq!((count(&said, "fallback"), count(&of_known, "fallback")), (0, count(&said, "skipped")));
    assert_eq!(count(&said, "policy") + count(&said, "skipped"), USERS as u64);
    let of_policy: Vec<PredictRow> =
        read(&finished.path("half.parquet")).unwrap().into_iter().filter(|r| r.source == RowSource::Policy).collect();
    assert_eq!(read(&finished.path("skip.parquet")).unwrap(), of_policy, "those who stay get what they got");

    fs::write(finished.path("strange.parquet"), "a table of mine").unwrap();
    fs::write(&users, "nobody\n").unwrap();
    let cases: [(&str, &[&str], i32, &str); 5] = [
        ("strange.parquet", &[], 69, "did not write"),
        ("sets.csv", &[], 64, ".parquet"),
        ("a.parquet", &["--at", "1365000061000"], 64, "milliseconds"),
        ("a.parquet", &["--users", users.to_str().unwrap()], 65, "line 1: user `nobody`"),
        ("a.parquet", &["--workers", "0"], 64, "--workers"),
    ];
    for (out, more, code, says) in cases {
        let output = finished.predict(out, more);
        assert_eq!(output.status.code(), Some(code), "{more:?}: {}", text(&output));
        assert!(text(&output).contains(says), "{more:?}: {}", text(&output));
    }
    assert_eq!(fs::read(finished.path("strange.parquet")).unwrap(), b"a table of mine");
}

/// Every user of the data in a row, each with 20 ranks, best first, and at least one row of this source.
fn holds_all_users(file: &Path, source: RowSource) -> Vec<PredictRow> {
    let rows = read(file).unwrap();
    let users: BTreeSet<&str> = rows.iter().map(|row| row.user.as_str()).collect();
    assert_eq!((rows.len(), users.len()), (20 * USERS, USERS));
    for of_user in rows.chunks(20) {
        assert!(of_user.iter().all(|row| row.user == of_user[0].user && row.source == of_user[0].source));
        assert!(of_user.iter().zip(1..).all(|(row, rank)| row.rank == rank));
        assert!(of_user.windows(2).all(|pair| pair[0].score >= pair[1].score));
        assert!(of_user.iter().map(|row| row.score.exp()).sum::<f64>() < 1.0 + 1e-6);
        let sids: BTreeSet<&str> = of_user.iter().map(|row| row.sid.as_str()).collect();
        assert!(sids.len() == 20 && sids.iter().all(|sid| sid.starts_with("<a_")), "{sids:?}");
    }
    assert!(rows.iter().any(|row| row.source == source), "no row of {source:?}");
    assert!(rows.iter().any(|row| !row.items.is_empty()));
    rows
}

/// The models of `conrec evaluate` as JSON.
fn evaluated(arguments: &[&str]) -> Value {
    let output = run(&[&["evaluate"], arguments, &["--output", "json"]].concat()).unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", text(&output));
    serde_json::from_slice::<Value>(&output.stdout).unwrap()["models"].clone()
}

#[test]
fn evaluation_of_run_and_adapter_is_the_reports_and_the_filter_report_holds_together() {
    let finished = Finished::train();
    let store = finished.store();
    let report: Value = serde_json::from_slice(&fs::read(finished.path("runs/tiny/report.json")).unwrap()).unwrap();
    assert_eq!(evaluated(&["tiny", "--store", &store, "--baselines"]), report["models"]);
    let policies = evaluated(&["tiny", "--store", &store]);
    assert_eq!(policies.as_object().unwrap().keys().collect::<Vec<_>>(), ["chance", "grpo", "sft"]);

    let adapter = finished.path("runs/tiny/adapter");
    let adapter = adapter.to_str().unwrap();
    assert_eq!(evaluated(&["--adapter", adapter])["adapter"], report["models"]["grpo"]);
    // Elsewhere it needs a run, and its base.
    let moved = finished.path("moved");
    fs::rename(adapter, &moved).unwrap();
    let moved = moved.to_str().unwrap();
    let alone = run(&["evaluate", "--adapter", moved]).unwrap();
    assert_eq!(alone.status.code(), Some(64), "{}", text(&alone));
    let base = finished.path("runs/tiny/base_model");
    let with_base = evaluated(&["tiny", "--store", &store, "--adapter", moved, "--base", base.to_str().unwrap()]);
    assert_eq!(with_base["adapter"], report["models"]["grpo"]);

    let out = finished.path("filter");
    let asked = ["filter-report", "tiny", "--store", &store, "--instances", "40", "--out", out.to_str().unwrap()];
    let output = run(&[&asked[..], &["--output", "json"]].concat()).unwrap();
    assert!(output.status.success(), "{}", text(&output));
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(said["instances"], 40);
    assert_eq!(said["identity"]["entered"]["instances"], 40);
    assert_eq!(said["identity"]["state_digest"], report["state_digest"]);
    for name in ["grpo", "sft", "neg_pop", "rocchio"] {
        let column = |key: &str| -> Vec<f64> {
            said["filters"][name][key].as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect()
        };
        // A higher threshold filters less.
        for key in ["filtered", "catalogue", "recall", "false_filter"] {
            assert!(column(key).windows(2).all(|pair| pair[0] >= pair[1]), "{name} {key}");
        }
        assert!(column("coverage").windows(2).all(|pair| pair[0] <= pair[1]), "{name}");
        assert!(column("filtered")[0] > 0.5 && column("recall")[0] > 0.5, "{name}");
    }
    let rates: Vec<&Value> = said["at_rates"].as_array().unwrap().iter().collect();
    assert_eq!(rates.iter().map(|rate| rate["at_most"].as_f64().unwrap()).collect::<Vec<_>>(), [0.01, 0.05, 0.1, 0.2]);
    let at_rates: Vec<&Value> = rates.iter().flat_map(|rate| rate["filters"].as_array().unwrap()).collect();
    assert!(!at_rates.is_empty(), "{rates:?}");
    for filter in at_rates {
        let [value, low, high] =
            ["value", "low", "high"].map(|key| filter["measures"]["recall"][key].as_f64().unwrap());
        assert!(low <= value && value <= high, "{filter}");
    }
    smaller_sets_filter_less(&asked, &said);
    for name in ["filter-report.html", "filter-report.md", "filter-report.json"] {
        assert!(fs::metadata(out.join(name)).unwrap().len() > 1000, "{name}");
    }
}

fn smaller_sets_filter_less(asked: &[&str], said: &Value) {
    let output = run(&[asked, &["--set-size", "5", "--output", "json"]].concat()).unwrap();
    assert!(output.status.success(), "{}", text(&output));
    let small: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&small["set_size"], &said["set_size"]), (&5.into(), &20.into()));
    assert_eq!(small["identity"]["config_digest"], said["identity"]["config_digest"]);
    for name in ["sft", "neg_pop"] {
        let filtered = |of: &Value, at: usize| of["filters"][name]["filtered"][at].as_f64().unwrap();
        // A narrower beam search may find other cells; a baseline's set is the beginning of the larger one.
        assert!(name == "sft" || (0..75).all(|at| filtered(&small, at) <= filtered(said, at)), "{name}");
        assert!(filtered(&small, 40) < filtered(said, 40), "{name}");
    }
    let output = run(&[asked, &["--set-size", "5000"]].concat()).unwrap();
    assert_eq!(output.status.code(), Some(64), "{}", text(&output));
    assert!(text(&output).contains("--set-size"), "{}", text(&output));
}

/// Weight and window of the mix with popularity are chosen on validation, once, and the test window takes them as they are.
#[test]
fn policies_are_mixed_with_popularity_as_validation_chose() {
    let folder = tempdir().unwrap();
    let store = folder.path().to_str().unwrap();
    let arguments = ["train", "tests/configs/tiny.toml", "--run-id", "mixed", "--quiet", "--store", store];
    let sets = ["--set", "baseline.tune=true", "--set", "evaluation.validation_instances=0"];
    let output = run(&[&arguments[..], &sets].concat()).unwrap();
    assert!(output.status.success(), "{}", text(&output));
    let report: Value = serde_json::from_slice(&fs::read(folder.path().join("mixed/report.json")).unwrap()).unwrap();
    for policy in ["grpo", "sft"] {
        let name = format!("{policy}_with_popularity");
        let choices = report["baseline_choices"].as_array().unwrap();
        let chosen = choices.iter().find(|choice| choice["model"] == name.as_str()).unwrap();
        assert_eq!(chosen["tried"], 41);
        // What was chosen is what validation shows, and nothing there is better without popularity.
        let sum = |model: &str, window: &str| {
            let value = |metric: &str| report[window][model][metric]["value"].as_f64().unwrap();
            value("fhr@20") + value("cand_acc")
        };
        let score = |key: &str| chosen["score"][key].as_f64().unwrap();
        let expected = score("fhr") + score("candidate_accuracy");
        assert!((sum(&name, "validation") - expected).abs() < 1e-9, "{name}: {chosen}");
        assert!(sum(&name, "validation") >= sum(policy, "validation") - 1e-9, "{name}");
        if chosen["setting"] == "no popularity" {
            assert_eq!(report["models"][&name]["fhr@20"], report["models"][policy]["fhr@20"], "{name}");
        }
        assert!(sum(&name, "models") > 0.0, "{name} is on the test window too");
    }
}
