//! Checkpoints that are damaged in a way that only their manifest's digest, or only a worker, can see: a resume names them,
//! takes an older one, and ends with the bits of an undisturbed run.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic")]

use conrec_domain::manifest::Manifest;
use conrec_tests::run_files::{committed, outcome};
use conrec_tests::{conrec, run, text};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread::sleep;
use std::time::Duration;
use tempfile::tempdir;

fn arguments(store: &Path) -> Vec<&str> {
    let mut arguments =
        vec!["train", "tests/configs/tiny.toml", "--store", store.to_str().unwrap(), "--run-id", "bits"];
    arguments.extend(["--workers", "2"]);
    for set in ["stage.0.iterations=60", "checkpoint.every=5", "checkpoint.keep_last=100"] {
        arguments.extend(["--set", set]);
    }
    arguments
}

/// A run that was stopped with some checkpoints in its store.
fn stopped(store: &Path) {
    let mut command = conrec(&arguments(store)).unwrap();
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while committed(&store.join("bits")) < 12 {
        assert_eq!(child.try_wait().unwrap(), None, "the run ended before it was stopped");
        sleep(Duration::from_millis(5));
    }
    kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(75));
}

/// Manifests of a run, oldest first.
fn manifests(store: &Path) -> Vec<PathBuf> {
    let folders = fs::read_dir(store.join("bits/checkpoints")).unwrap();
    let mut found: Vec<PathBuf> = folders.map(|folder| folder.unwrap().path().join("manifest.json")).collect();
    found.sort();
    found
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target)
        } else {
            fs::copy(entry.path(), target).map(drop).unwrap()
        }
    }
}

/// Goes on with a copy of the run after a change of its newest manifest; what was said, and what `verify` said before.
fn resumed(stopped: &Path, change: &dyn Fn(&str) -> String, expected: &[Value; 2]) -> [String; 2] {
    let store = tempdir().unwrap();
    copy(stopped, store.path());
    let newest = manifests(store.path()).pop().unwrap();
    fs::write(&newest, change(&fs::read_to_string(&newest).unwrap())).unwrap();
    let verified = run(&["checkpoints", "verify", "bits", "--store", store.path().to_str().unwrap()]).unwrap();
    let output = run(&arguments(store.path())).unwrap();
    assert!(output.status.success(), "{}", text(&output));
    assert_eq!(&outcome(&store.path().join("bits")).unwrap(), expected);
    let audit = run(&["audit", "bits", "--store", store.path().to_str().unwrap()]).unwrap();
    // The audit names the manifest that was changed, and nothing else.
    let findings = text(&audit).lines().filter(|line| line.contains(".json:") || line.contains(".jsonl:")).count();
    assert!(findings <= 1, "{}", text(&audit));
    [text(&output), text(&verified)]
}

#[test]
fn what_cannot_be_used_is_said_and_an_older_one_gives_the_same_bits() {
    let (undisturbed, store) = (tempdir().unwrap(), tempdir().unwrap());
    let output = run(&arguments(undisturbed.path())).unwrap();
    assert!(output.status.success(), "{}", text(&output));
    let expected = outcome(&undisturbed.path().join("bits")).unwrap();
    stopped(store.path());
    let found = manifests(store.path());
    let [.., older, newest] = found.as_slice() else { panic!("two checkpoints: {found:?}") };
    let key = |manifest: &Path| {
        let folder = manifest.parent().unwrap().file_name().unwrap();
        format!("checkpoints/{}", folder.to_str().unwrap())
    };
    let (older, newest) = (key(older), key(newest));

    let edited = |text: &str| text.replacen("\"stage_iteration\": ", "\"stage_iteration\": 9", 1);
    let [said, verified] = resumed(store.path(), &edited, &expected);
    let changed = format!("not used: {newest}: manifest.json was changed");
    assert!(said.contains(&changed), "expected `{changed}` in: {said}");
    assert!(verified.contains("manifest.json was changed"), "{verified}");

    let other_state = |text: &str| {
        let mut manifest = Manifest::parse(text.as_bytes()).unwrap();
        manifest.state_digest = manifest.data_digest;
        manifest.to_json().unwrap().to_string()
    };
    let [said, _] = resumed(store.path(), &other_state, &expected);
    let skipped = format!("not used: {newest}: no worker can load it");
    assert!(
        said.contains(&skipped) && said.contains(&format!("goes back to {older}")),
        "expected `{skipped}` in: {said}"
    );
}
