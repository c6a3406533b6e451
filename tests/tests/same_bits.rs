//! The promise of the project on real processes: the same bits for 1, 2 and 3 workers, and through stops.

use conrec_tests::{conrec, run, text};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};
use tempfile::tempdir;

/// A run small enough to be done several times: two supervised stages and two GRPO stages of a few iterations.
const CONFIG: &str = "tests/configs/tiny.toml";

fn arguments<'a>(store: &'a str, workers: &'a str) -> Vec<&'a str> {
    vec!["train", CONFIG, "--store", store, "--run-id", "bits", "--workers", workers]
}

fn report(store: &Path) -> Value {
    let path = store.join("bits/report.json");
    let bytes = fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_slice(&bytes).unwrap()
}

/// What must be equal: everything in the report but the time it took.
fn comparable(mut report: Value) -> Value {
    report.as_object_mut().unwrap().remove("wall_seconds");
    report
}

/// The ledger without the fence, the one field that may differ.
fn ledger(store: &Path) -> Vec<Value> {
    let text = fs::read_to_string(store.join("bits/ledger.jsonl")).unwrap();
    text.lines()
        .map(|line| {
            let mut entry: Value = serde_json::from_str(line).unwrap();
            entry.as_object_mut().unwrap().remove("fence");
            entry
        })
        .collect()
}

fn whole_run(workers: &str) -> (Value, Vec<Value>) {
    let store = tempdir().unwrap();
    let output = run(&arguments(store.path().to_str().unwrap(), workers)).unwrap();
    assert!(output.status.success(), "{workers} workers: {}", text(&output));
    (comparable(report(store.path())), ledger(store.path()))
}

/// Starts a run, sends SIGINT after a while, and again until it is done; gives the number of stops.
fn stopped_run(store: &Path, every: Duration) -> u32 {
    for stops in 0..20 {
        let workers = ["1", "2"][stops as usize % 2];
        let mut child = conrec(&arguments(store.to_str().unwrap(), workers))
            .unwrap()
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Later attempts run longer, so that every run ends.
        let patience = every + every.mul_f64(f64::from(stops) * 0.37);
        let started = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if started.elapsed() > patience {
                let _ = kill(Pid::from_raw(child.id() as i32), Signal::SIGINT);
                break child.wait().unwrap();
            }
            sleep(Duration::from_millis(20));
        };
        match status.code() {
            Some(0) => return stops,
            Some(75) => {}
            other => panic!("attempt {stops} ended with {other:?}"),
        }
    }
    panic!("20 stops and no end");
}

#[test]
fn any_number_of_workers_gives_the_same_bits() {
    let (one, ledger_of_one) = whole_run("1");
    for workers in ["2", "3"] {
        let (report, ledger) = whole_run(workers);
        assert_eq!(report["state_digest"], one["state_digest"], "{workers} workers");
        assert_eq!(report, one, "{workers} workers");
        assert_eq!(ledger, ledger_of_one, "{workers} workers");
    }
    let store = tempdir().unwrap();
    let stops = stopped_run(store.path(), Duration::from_millis(2500));
    assert!(stops > 0, "the run was over before it could be stopped");
    assert_eq!(comparable(report(store.path())), one, "after {stops} stops");
    assert_eq!(ledger(store.path()), ledger_of_one, "after {stops} stops");
}
