//! The promise of the project on real processes: the same bits for 1, 2 and 3 workers, and through stops.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic")]

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

/// Each worker has two lanes, whatever the machine has: that several leases are computed at once must change nothing.
fn arguments<'a>(store: &'a str, workers: &'a str) -> Vec<&'a str> {
    vec!["train", CONFIG, "--store", store, "--run-id", "bits", "--workers", workers, "--lanes", "2"]
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
    lines_without(store, "ledger.jsonl", "fence")
}

/// The metrics without the time that an iteration took.
fn metrics(store: &Path) -> Vec<Value> {
    lines_without(store, "metrics.jsonl", "step_time")
}

fn lines_without(store: &Path, file: &str, field: &str) -> Vec<Value> {
    let text = fs::read_to_string(store.join("bits").join(file)).unwrap();
    let line = |line: &str| -> Value {
        let mut value: Value = serde_json::from_str(line).unwrap();
        value.as_object_mut().unwrap().remove(field);
        value
    };
    text.lines().map(line).collect()
}

fn whole_run(workers: &str, lanes: &str, more: &[&str]) -> [Value; 3] {
    let store = tempdir().unwrap();
    let mut arguments = arguments(store.path().to_str().unwrap(), workers);
    *arguments.last_mut().unwrap() = lanes;
    let output = run(&[&arguments[..], more].concat()).unwrap();
    assert!(output.status.success(), "{workers} workers: {}", text(&output));
    outcome(store.path())
}

/// Report, ledger and metrics, without what may differ.
fn outcome(store: &Path) -> [Value; 3] {
    let audit = run(&["audit", "bits", "--store", store.to_str().unwrap()]).unwrap();
    assert!(audit.status.success(), "{}", text(&audit));
    [comparable(report(store)), Value::from(ledger(store)), Value::from(metrics(store))]
}

/// Starts a run, sends SIGINT after a while, and again until it is done; gives the number of stops.
fn stopped_run(store: &Path, every: Duration) -> u32 {
    for stops in 0..20 {
        let workers = ["1", "2", "3"][stops as usize % 3];
        let mut child = conrec(&arguments(store.to_str().unwrap(), workers))
            .unwrap()
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Later attempts run longer, so that every run ends.
        let patience = every.mul_f64(1.4_f64.powf(f64::from(stops)));
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

/// A moment at which a run is stopped.
struct Moment {
    /// What the coordinator's log says when it has come.
    begins: &'static str,
    /// What the log says as long as it lasts.
    lasts: &'static str,
}

/// One in every kind of phase, in the order in which a run meets them.
const MOMENTS: [Moment; 5] = [
    Moment { begins: "activity: Preparing,", lasts: "activity: Preparing," },
    Moment { begins: "stage: \"grpo_3d\", done: 1, of: 4, loss", lasts: "stage: \"grpo_3d\", done: 1, of: 4, loss" },
    Moment { begins: "activity: Validating { stage: \"grpo_all\", done: 2,", lasts: "activity: Validating" },
    Moment { begins: "pass: Refit, stage: \"next_item\", done: 4,", lasts: "pass: Refit, stage: \"next_item\"" },
    Moment { begins: "activity: Evaluating,", lasts: "activity: Evaluating," },
];

/// Starts the run, sends SIGINT when the coordinator's log says that the moment has come, and tells whether the stop
/// came within the moment.
fn stop_at(store: &Path, more: &[&str], moment: &Moment) -> bool {
    let log = store.join("bits/logs/coordinator.log");
    let before = fs::metadata(&log).map_or(0, |metadata| metadata.len() as usize);
    let statuses = || -> Vec<String> {
        let bytes = fs::read(&log).unwrap_or_default();
        let text = String::from_utf8_lossy(bytes.get(before..).unwrap_or_default()).into_owned();
        text.lines().filter(|line| line.contains("status=Status")).map(str::to_owned).collect()
    };
    let mut command = conrec(&[&arguments(store.to_str().unwrap(), "2"), more].concat()).unwrap();
    command.env("CONREC_LOG", "conrec_coordinator=debug").stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let begun = |line: &String| line.contains(moment.begins);
    while !statuses().iter().any(begun) {
        assert_eq!(child.try_wait().unwrap(), None, "the run ended before `{}`", moment.begins);
        sleep(Duration::from_millis(2));
    }
    kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).unwrap();
    let status = child.wait().unwrap();
    assert!([Some(0), Some(75)].contains(&status.code()), "{status} after a stop at `{}`", moment.begins);
    let ends = ["activity: Checkpointing,", "activity: Stopped,"];
    let within = |line: &String| line.contains(moment.lasts) || ends.iter().any(|end| line.contains(end));
    status.code() == Some(75) && statuses().iter().skip_while(|line| !begun(line)).all(within)
}

fn same(found: &[Value; 3], expected: &[Value; 3], of: &str) {
    assert!(expected[0]["state_digest"].is_string(), "{}", expected[0]);
    assert_eq!(found[0]["state_digest"], expected[0]["state_digest"], "{of}");
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!(found, expected, "{of}");
    }
}

/// The run goes through a retry, and its refit pass repeats the attempt that was chosen.
fn has_retried([report, ledger, metrics]: &[Value; 3]) {
    let reasons: Vec<&str> =
        report["decisions"].as_array().unwrap().iter().filter_map(|d| d["reason"].as_str()).collect();
    assert!(reasons.iter().any(|r| r.contains("tried again with beta 0.3 instead of 0.1")), "{reasons:?}");
    let refit = |lines: &Value, stage: &str, field: &str| -> Vec<Value> {
        let lines = lines.as_array().unwrap().iter();
        lines.filter(|l| l["pass"] == "refit" && l["stage"] == stage).map(|l| l[field].clone()).collect()
    };
    let attempts = refit(ledger, "grpo_3d", "attempt");
    assert!(!attempts.is_empty() && attempts.iter().all(|a| *a == 1), "{attempts:?}");
    assert!(refit(metrics, "grpo_3d", "beta").iter().all(|beta| *beta == 0.1 * 3.0), "{metrics}");
}

#[test]
fn any_number_of_workers_and_lanes_gives_the_same_bits() {
    let one = whole_run("1", "1", &[]);
    has_retried(&one);
    for (workers, lanes) in [("1", "4"), ("2", "1"), ("3", "2")] {
        same(&whole_run(workers, lanes, &[]), &one, &format!("{workers} workers with {lanes} lanes"));
    }
    // From a first stop before anything is prepared to stops in the last stages.
    for first in [50, 350] {
        let store = tempdir().unwrap();
        let stops = stopped_run(store.path(), Duration::from_millis(first));
        assert!(stops > 0, "the run was over before it could be stopped");
        same(&outcome(store.path()), &one, &format!("after {stops} stops, the first at {first} ms"));
    }
}

/// Several updates a rollout, groups without replacement, dynamic sampling and an anchor. The policy that sampled is part
/// of the state, so a run that is stopped between two updates of one rollout goes on alike, with any number of workers.
const EVERYTHING: [&str; 9] = [
    "reward.shape=hit",
    "checkpoint.every=1",
    "stage.2.loss=dapo",
    "stage.2.updates_per_rollout=2",
    "stage.2.refill=2",
    "stage.3.loss=gspo",
    "stage.3.updates_per_rollout=4",
    "stage.3.sampler=gumbel_top_k",
    "stage.3.nll_weight=0.1",
];

#[test]
fn several_updates_refilled_groups_and_an_anchor_give_the_same_bits() {
    let more: Vec<&str> = EVERYTHING.iter().flat_map(|set| ["--set", set]).collect();
    let one = whole_run("1", "1", &more);
    let of = |stage: &str, field: &str| -> Vec<f64> {
        let lines = one[2].as_array().unwrap().iter().filter(|l| l["pass"] == "select" && l["stage"] == stage);
        lines.map(|l| l[field].as_f64().unwrap()).collect()
    };
    let ratios = of("grpo_all", "ratio_std");
    assert!(
        ratios[0] == 0.0 && ratios[1..].iter().any(|std| *std > 0.0),
        "the first update is on policy, then the policy has moved: {ratios:?}"
    );
    assert!(of("grpo_3d", "refilled").iter().any(|n| *n > 0.0), "{:?}", one[2]);
    assert!(of("grpo_all", "nll").iter().all(|nll| *nll > 0.0), "{:?}", one[2]);
    same(&whole_run("2", "2", &more), &one, "2 workers with 2 lanes");
    let between = "stage: \"grpo_3d\", done: 1, of: 4, loss";
    let between = Moment { begins: between, lasts: "stage: \"grpo_3d\", done: 1, of: 4," };
    // On a busy machine a stop may come too late: then again.
    let stopped = |_| {
        let store = tempdir().unwrap();
        stop_at(store.path(), &more, &between).then_some(store)
    };
    let store = (0..8).find_map(stopped).unwrap_or_else(|| panic!("no stop came between the two updates"));
    let output = run(&[&arguments(store.path().to_str().unwrap(), "1"), &more[..]].concat()).unwrap();
    assert!(output.status.success(), "{}", text(&output));
    same(&outcome(store.path()), &one, "after a stop between two updates");
}

#[test]
fn stops_within_every_kind_of_phase_change_no_bit() {
    // Many small leases make a validation last, so that a stop falls into it.
    let more = ["--set", "evaluation.instances_per_lease=1"];
    // On a busy machine a stop may come too late: then all over again.
    let all_moments = |_| {
        let store = tempdir().unwrap();
        MOMENTS.iter().all(|moment| stop_at(store.path(), &more, moment)).then_some(store)
    };
    let store = (0..4).find_map(all_moments).unwrap_or_else(|| panic!("no stop came within its moment"));
    let output = run(&[&arguments(store.path().to_str().unwrap(), "1"), &more[..]].concat()).unwrap();
    assert!(output.status.success(), "{}", text(&output));
    same(&outcome(store.path()), &whole_run("1", "1", &more), "after a stop within every kind of phase");
}
