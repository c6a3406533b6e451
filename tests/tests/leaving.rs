//! Processes that are asked to end, one or all at once: what is committed is in a checkpoint when they have ended, or the
//! run goes on with those left, and it ends with the bits of an undisturbed run.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic")]

use conrec_tests::chance::Chance;
use conrec_tests::processes::{catches, lives, started_by};
use conrec_tests::run_files::{committed, newest_checkpoint, outcome};
use conrec_tests::{conrec, run, spawn, text};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::path::Path;
use std::process::Child;
use std::sync::OnceLock;
use std::thread::sleep;
use std::time::{Duration, Instant};
use tempfile::{TempDir, tempdir};

/// Nothing that waits takes longer.
const LONG: Duration = Duration::from_secs(400);

/// The tiny run with more iterations, validations that take a while, and no checkpoint but those that somebody asks for.
const SETS: [&str; 5] = [
    "stage.0.iterations=60",
    "stage.1.iterations=60",
    "checkpoint.every=100000",
    "evaluation.instances_per_lease=2",
    "cluster.rejoin_seconds=1",
];

fn arguments<'a>(store: &'a Path, verb: &'a str, workers: &'a str) -> Vec<&'a str> {
    let mut arguments = vec![verb, "tests/configs/tiny.toml", "--store", store.to_str().unwrap(), "--run-id", "bits"];
    arguments.extend(["--workers", workers]);
    SETS.iter().for_each(|set| arguments.extend(["--set", set]));
    arguments
}

fn start(arguments: &[&str], log: &Path) -> Child {
    let mut command = conrec(arguments).unwrap();
    command.env("CONREC_LOG", "info,conrec_coordinator=debug");
    spawn(&mut command, log).unwrap()
}

fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let since = Instant::now();
    while !done() {
        assert!(since.elapsed() < LONG, "{what} did not come");
        sleep(Duration::from_millis(2));
    }
}

fn children(train: &Child) -> Vec<i32> {
    [started_by(train.id(), "conrec"), started_by(train.id(), "conrec-worker")].concat()
}

fn signal_all(ids: &[i32], signal: Signal) {
    for id in ids {
        // One may have ended.
        let _ = kill(Pid::from_raw(*id), signal);
    }
}

/// What a run of one worker that nobody disturbs ends with; the same for all tests.
fn undisturbed() -> [serde_json::Value; 2] {
    static ONCE: OnceLock<[serde_json::Value; 2]> = OnceLock::new();
    let make = || {
        let store = tempdir().unwrap();
        let output = run(&arguments(store.path(), "train", "1")).unwrap();
        assert!(output.status.success(), "{}", text(&output));
        outcome(&store.path().join("bits")).unwrap()
    };
    ONCE.get_or_init(make).clone()
}

/// The run goes on to its end, with the bits of an undisturbed one.
fn finishes(store: &TempDir) {
    let output = run(&arguments(store.path(), "train", "2")).unwrap();
    assert!(output.status.success(), "{}", text(&output));
    assert_eq!(outcome(&store.path().join("bits")).unwrap(), undisturbed());
}

/// A phase, as the coordinator's log names it.
const PHASES: [&str; 5] = [
    "activity: WaitingForWorkers",
    "activity: Preparing,",
    "pass: Select, stage: \"next_item\", done: 7,",
    "activity: Validating { stage: \"recent\"",
    "pass: Refit, stage: \"next_item\", done: 5,",
];

#[test]
fn sigterm_to_all_processes_at_once_loses_nothing_in_any_phase() {
    let store = tempdir().unwrap();
    let (folder, mut chance) = (store.path().join("bits"), Chance(5));
    let log = folder.join("logs/coordinator.log");
    // In named phases first, then after some iterations, wherever the run is then.
    for stop in 0..PHASES.len() + 6 {
        let before = fs::metadata(&log).map_or(0, |metadata| metadata.len() as usize);
        let mut train = start(&arguments(store.path(), "train", ["2", "3", "1"][stop % 3]), &store.path().join("said"));
        if let Some(phase) = PHASES.get(stop) {
            wait_until(phase, || {
                let bytes = fs::read(&log).unwrap_or_default();
                String::from_utf8_lossy(bytes.get(before..).unwrap_or_default()).contains(phase)
            });
        } else {
            let enough = committed(&folder) + 5;
            wait_until("progress", || committed(&folder) >= enough || train.try_wait().unwrap().is_some());
            sleep(Duration::from_millis(chance.below(30)));
        }
        signal_all(&[&[train.id() as i32][..], &children(&train)].concat(), Signal::SIGTERM);
        let asked = Instant::now();
        let status = train.wait().unwrap();
        assert_eq!(status.code(), Some(75), "stop {stop}: {}", fs::read_to_string(store.path().join("said")).unwrap());
        assert!(asked.elapsed() < Duration::from_secs(25), "stop {stop} took {:?}", asked.elapsed());
        assert_eq!(newest_checkpoint(&folder), committed(&folder), "stop {stop}: all that is committed is kept");
    }
    finishes(&store);
}

#[test]
fn a_run_whose_parent_is_killed_or_whose_terminal_closes_loses_nothing() {
    let store = tempdir().unwrap();
    let folder = store.path().join("bits");
    for signal in [Signal::SIGKILL, Signal::SIGHUP] {
        let enough = committed(&folder) + 12;
        let mut train = start(&arguments(store.path(), "train", "2"), &store.path().join("said"));
        wait_until("progress", || committed(&folder) >= enough);
        let children = children(&train);
        assert_eq!(children.len(), 3);
        kill(Pid::from_raw(train.id() as i32), signal).unwrap();
        let status = train.wait().unwrap();
        assert_eq!(status.code(), (signal == Signal::SIGHUP).then_some(75));
        wait_until("the end of all processes", || !children.iter().any(|id| lives(*id)));
        assert_eq!(newest_checkpoint(&folder), committed(&folder), "after {signal}");
    }
    finishes(&store);
}

#[test]
fn workers_leave_one_by_one_and_the_run_goes_on_or_waits() {
    let store = tempdir().unwrap();
    let (folder, log) = (store.path().join("bits"), store.path().join("coordinator.log"));
    let address_file = store.path().join("address");
    let mut arguments = arguments(store.path(), "coordinator", "2");
    arguments.extend(["--listen", "127.0.0.1:0", "--address-file", address_file.to_str().unwrap()]);
    let mut coordinator = start(&arguments, &log);
    wait_until("the address", || address_file.exists());
    let address = fs::read_to_string(&address_file).unwrap();
    let worker = |name: &str| {
        start(&["worker", "--coordinator", &address, "--name", name], &store.path().join(format!("{name}.log")))
    };
    let (mut first, mut second) = (worker("first"), worker("second"));
    let ask = |worker: &mut Child| {
        kill(Pid::from_raw(worker.id() as i32), Signal::SIGTERM).unwrap();
        assert_eq!(worker.wait().unwrap().code(), Some(75), "it may join again");
    };
    let further = |by: usize| {
        let enough = committed(&folder) + by;
        wait_until("progress", || committed(&folder) >= enough);
    };
    further(5);
    ask(&mut first);
    further(5);
    // The last one leaves: what is committed is in the store, and the coordinator waits for another.
    ask(&mut second);
    assert!(coordinator.try_wait().unwrap().is_none());
    assert_eq!(newest_checkpoint(&folder), committed(&folder));
    let mut third = worker("third");
    assert_eq!(coordinator.wait().unwrap().code(), Some(0));
    assert_eq!(third.wait().unwrap().code(), Some(0));
    let said = fs::read_to_string(&log).unwrap();
    assert!(!said.contains("lost worker") && !said.contains("activity: Lost"), "{said}");
    // A worker that reaches nobody ends at once.
    let mut lonely =
        start(&["worker", "--coordinator", "127.0.0.1:1", "--name", "lonely"], &store.path().join("lonely.log"));
    wait_until("the worker's handler", || catches(lonely.id(), Signal::SIGTERM as i32));
    ask(&mut lonely);
    assert_eq!(outcome(&folder).unwrap(), undisturbed());
}
