//! Workers are killed and stopped at seeded random moments of a run of real processes; it goes on with those left and
//! ends with the bits of an undisturbed run of one worker.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic")]

use conrec_tests::{conrec, run, text};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};
use tempfile::tempdir;

/// Faults of one run.
const FAULTS: u32 = 20;

/// The tiny run with iterations enough to be disturbed so often, and a deadline that a stopped worker misses soon.
fn arguments<'a>(store: &'a str, workers: &'a str) -> Vec<&'a str> {
    let mut arguments = vec!["train", "tests/configs/tiny.toml", "--store", store, "--run-id", "bits"];
    arguments.extend(["--workers", workers]);
    for set in ["cluster.heartbeat_seconds=1", "stage.0.iterations=250", "stage.1.iterations=250"] {
        arguments.extend(["--set", set]);
    }
    arguments
}

/// A few bits of chance; the same seed meets the same kinds of faults, though never the same moments.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// The workers that a run has started and that live.
fn workers_of(run: &Child) -> Vec<Pid> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        // A process may end while it is looked at.
        let status = fs::read_to_string(entry.path().join("status")).unwrap_or_default();
        let program = fs::read_link(entry.path().join("exe")).unwrap_or_default();
        let is_worker = program.file_name().is_some_and(|name| name == "conrec-worker");
        if is_worker && status.lines().any(|line| line == format!("PPid:\t{}", run.id())) {
            found.push(Pid::from_raw(pid));
        }
    }
    found.sort();
    found
}

fn committed(store: &Path) -> usize {
    fs::read_to_string(store.join("bits/ledger.jsonl")).map_or(0, |text| text.lines().count())
}

/// One fault; a stopped worker goes on after the deadline, with an old fence.
fn disturb(workers: &[Pid], chance: &mut Chance) {
    let Some(worker) = workers.get(chance.below(workers.len().max(1) as u64) as usize).copied() else { return };
    match chance.below(4) {
        0 => {
            let _ = kill(worker, Signal::SIGSTOP);
            std::thread::spawn(move || {
                sleep(Duration::from_millis(1_600));
                let _ = kill(worker, Signal::SIGCONT);
            });
        }
        1 => drop(kill(worker, Signal::SIGTERM)),
        _ => drop(kill(worker, Signal::SIGKILL)),
    }
}

/// State digest, iterations, test metrics; the ledger without fences.
fn outcome(store: &Path) -> [Value; 2] {
    let mut report: Value = serde_json::from_slice(&fs::read(store.join("bits/report.json")).unwrap()).unwrap();
    report.as_object_mut().unwrap().remove("wall_seconds");
    let ledger = fs::read_to_string(store.join("bits/ledger.jsonl")).unwrap();
    let without_fence = |line: &str| {
        let mut entry: Value = serde_json::from_str(line).unwrap();
        entry.as_object_mut().unwrap().remove("fence");
        entry
    };
    [report, ledger.lines().map(without_fence).collect()]
}

#[test]
fn twenty_lost_workers_change_no_bit() {
    let (quiet, loud) = (tempdir().unwrap(), tempdir().unwrap());
    let output = run(&arguments(quiet.path().to_str().unwrap(), "1")).unwrap();
    assert!(output.status.success(), "{}", text(&output));

    let log = loud.path().join("progress.txt");
    let mut child = conrec(&arguments(loud.path().to_str().unwrap(), "3"))
        .unwrap()
        .stdout(Stdio::null())
        .stderr(fs::File::create(&log).unwrap())
        .spawn()
        .unwrap();
    let (mut chance, mut faults, mut seen, since) = (Chance(11), 0, 0, Instant::now());
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        let now = committed(loud.path());
        // Each fault waits for some iterations, so that they meet all stages; and for a worker to disturb.
        if faults < FAULTS && now > seen + 8 {
            seen = now;
            sleep(Duration::from_millis(chance.below(40)));
            disturb(&workers_of(&child), &mut chance);
            faults += 1;
        }
        assert!(
            since.elapsed() < Duration::from_secs(180),
            "no end after {faults} faults: {}",
            fs::read_to_string(&log).unwrap()
        );
        sleep(Duration::from_millis(5));
    };
    let said = fs::read_to_string(&log).unwrap();
    assert!(status.success(), "{faults} faults, then {status}: {said}");
    assert_eq!(faults, FAULTS, "the run was over before it was disturbed often enough");
    assert!(said.matches("lost, the run goes on without it").count() >= 10, "{said}");
    let ([found, ledger], [expected, expected_ledger]) = (outcome(loud.path()), outcome(quiet.path()));
    assert_eq!(found["state_digest"], expected["state_digest"], "{said}");
    assert_eq!((found, ledger), (expected, expected_ledger), "{said}");
}
