//! Workers and coordinator are killed and stopped at seeded random moments of a run of real processes; it goes on with
//! what is left and ends with the bits of an undisturbed run of one worker.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic")]

use conrec_tests::chance::Chance;
use conrec_tests::processes::started_by;
use conrec_tests::run_files::{committed, outcome};
use conrec_tests::{run, spawn, start, text};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread::sleep;
use std::time::{Duration, Instant};
use tempfile::tempdir;

/// Faults of one run.
const FAULTS: usize = 20;

/// The tiny run with iterations enough to be disturbed so often, and a deadline that a stopped worker misses soon.
fn arguments<'a>(store: &'a str, workers: &'a str) -> Vec<&'a str> {
    let mut arguments = vec!["train", "tests/configs/tiny.toml", "--store", store, "--run-id", "bits"];
    arguments.extend(["--workers", workers]);
    for set in
        ["cluster.heartbeat_seconds=1", "cluster.rejoin_seconds=1", "stage.0.iterations=250", "stage.1.iterations=250"]
    {
        arguments.extend(["--set", set]);
    }
    arguments
}

/// It does nothing for a while.
fn pause(process: Pid, millis: u64) {
    let _ = kill(process, Signal::SIGSTOP);
    std::thread::spawn(move || {
        sleep(Duration::from_millis(millis));
        let _ = kill(process, Signal::SIGCONT);
    });
}

/// One fault; gives its kind. A stopped worker goes on after the deadline, with an old fence.
fn disturb(run: &Child, chance: &mut Chance) -> &'static str {
    let mut one_of = |named: &str| {
        let all = started_by(run.id(), named);
        all.get(chance.below(all.len() as u64) as usize).map(|id| Pid::from_raw(*id))
    };
    let (worker, coordinator) = (one_of("conrec-worker"), one_of("conrec"));
    let (kind, process) = match chance.below(7) {
        0 | 1 => ("coordinator killed", coordinator),
        2 => ("coordinator stopped", coordinator),
        3 => ("worker stopped", worker),
        4 => ("worker asked to end", worker),
        _ => ("worker killed", worker),
    };
    // Between its death and its next start there is none.
    let Some(process) = process else { return "nobody" };
    match kind {
        "coordinator stopped" => pause(process, 400),
        "worker stopped" => pause(process, 1_600),
        "worker asked to end" => drop(kill(process, Signal::SIGTERM)),
        _ => drop(kill(process, Signal::SIGKILL)),
    }
    kind
}

#[test]
fn twenty_faults_change_no_bit() {
    let (quiet, loud) = (tempdir().unwrap(), tempdir().unwrap());
    let output = run(&arguments(quiet.path().to_str().unwrap(), "1")).unwrap();
    assert!(output.status.success(), "{}", text(&output));

    let log = loud.path().join("progress.txt");
    let mut child = start(&arguments(loud.path().to_str().unwrap(), "3"), &log).unwrap();
    let (mut chance, mut faults, mut seen, since) = (Chance(11), Vec::new(), 0, Instant::now());
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        let now = committed(&loud.path().join("bits"));
        // Each fault waits for some iterations, so that they meet all stages; and for a worker to disturb.
        if faults.len() < FAULTS && now > seen + 8 {
            seen = now;
            sleep(Duration::from_millis(chance.below(40)));
            faults.push(disturb(&child, &mut chance));
        }
        assert!(
            since.elapsed() < Duration::from_secs(400),
            "no end after {faults:?}: {}",
            fs::read_to_string(&log).unwrap()
        );
        sleep(Duration::from_millis(5));
    };
    let said = fs::read_to_string(&log).unwrap();
    assert!(status.success(), "{faults:?}, then {status}: {said}");
    assert_eq!(faults.len(), FAULTS, "the run was over before it was disturbed often enough");
    for kind in ["coordinator killed", "coordinator stopped", "worker killed", "worker stopped"] {
        assert!(faults.contains(&kind), "{faults:?}");
    }
    assert!(said.contains("lost, the run goes on without it") && said.contains("is started again"), "{said}");
    let ended = |store: &tempfile::TempDir| outcome(&store.path().join("bits")).unwrap();
    let ([found, ledger], [expected, expected_ledger]) = (ended(&loud), ended(&quiet));
    assert_eq!(found["state_digest"], expected["state_digest"], "{said}");
    assert_eq!((found, ledger), (expected, expected_ledger), "{said}");
}

/// `conrec` beside a `conrec-worker` that is the real one until a file `broken` appears.
fn with_a_worker_that_may_break(folder: &Path) -> PathBuf {
    let real = conrec_tests::program().unwrap();
    let program = folder.join("conrec");
    // Copied by another process: a program that this one has open for writing while another thread forks cannot be executed.
    let placed =
        |from: &Path, to: &Path| assert!(Command::new("cp").arg("-p").args([from, to]).status().unwrap().success());
    placed(&real, &program);
    let broken = folder.join("broken");
    let worker = real.with_file_name("conrec-worker");
    let script = format!(
        "#!/bin/sh\nif [ -e '{}' ]; then echo 'cannot start' >&2; exit 127; fi\nexec '{}' \"$@\"\n",
        broken.display(),
        worker.display()
    );
    fs::write(folder.join("script"), script).unwrap();
    fs::set_permissions(folder.join("script"), fs::Permissions::from_mode(0o755)).unwrap();
    placed(&folder.join("script"), &folder.join("conrec-worker"));
    program
}

#[test]
fn workers_that_cannot_be_started_again_end_nothing_while_another_lives() {
    let folder = tempdir().unwrap();
    let (store, program) = (folder.path().join("store"), with_a_worker_that_may_break(folder.path()));
    let log = folder.path().join("progress.txt");
    let mut command = Command::new(program);
    command.args(arguments(store.to_str().unwrap(), "3")).current_dir(conrec_tests::root());
    let mut child = spawn(&mut command, &log).unwrap();
    let since = Instant::now();
    while committed(&store.join("bits")) < 10 {
        assert!(since.elapsed() < Duration::from_secs(60), "{}", fs::read_to_string(&log).unwrap());
        sleep(Duration::from_millis(5));
    }
    fs::write(folder.path().join("broken"), "").unwrap();
    for worker in &started_by(child.id(), "conrec-worker")[..2] {
        kill(Pid::from_raw(*worker), Signal::SIGKILL).unwrap();
    }
    let status = child.wait().unwrap();
    let said = fs::read_to_string(&log).unwrap();
    assert!(status.success(), "{status}: {said}");
    assert_eq!(said.matches("is not started again; the others go on: ").count(), 2, "{said}");
    assert!(said.contains("cannot start"), "{said}");
    outcome(&store.join("bits")).unwrap();
}
