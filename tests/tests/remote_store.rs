//! A run in a bucket, on real processes: the same bits as in a folder, through a stop, and no secret in anything it writes.
//! Skipped with a message where the emulator of S3 is not installed.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic")]

use conrec_tests::emulators::{self, Emulator, SECRET};
use conrec_tests::{conrec, run, text};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::{Output, Stdio};
use std::thread::sleep;
use std::time::Duration;

const CONFIG: &str = "tests/configs/tiny.toml";

/// A bucket, and the folder in which this machine keeps what belongs there.
struct Bucket {
    emulator: Emulator,
    url: String,
    scratch: tempfile::TempDir,
}

impl Bucket {
    fn train<'a>(&'a self, workers: &'a str) -> Vec<&'a str> {
        let scratch = self.scratch.path().to_str().unwrap();
        let words = ["train", CONFIG, "--store", &self.url, "--run-id", "bits", "--workers", workers, "--lanes", "2"];
        [&words[..], &["--scratch", scratch]].concat()
    }

    fn command(&self, words: &[&str]) -> std::process::Command {
        let mut command = conrec(words).unwrap();
        command.envs(self.emulator.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// A verb that looks at the run; both streams hold no secret.
    fn ask(&self, words: &[&str]) -> Output {
        let output = self.command(&[words, &["--store", &self.url]].concat()).output().unwrap();
        assert!(!text(&output).contains(SECRET), "{words:?}");
        output
    }

    fn json(&self, words: &[&str]) -> Value {
        let output = self.ask(&[words, &["--output", "json"]].concat());
        assert!(output.status.success(), "{words:?}: {}", text(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn coordinator_log(&self) -> String {
        let folders = fs::read_dir(self.scratch.path()).unwrap().map(|entry| entry.unwrap().path());
        let mut logs = folders.map(|folder| folder.join("logs/coordinator.log"));
        let log = logs.find(|log| log.is_file());
        log.map(|log| String::from_utf8_lossy(&fs::read(log).unwrap()).into_owned()).unwrap_or_default()
    }

    /// Trains until the coordinator's log holds these words, then stops as Ctrl-C does.
    fn train_until(&self, words: &str) {
        let mut command = self.command(&self.train("2"));
        command.env("CONREC_LOG", "conrec_coordinator=debug").stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        while !self.coordinator_log().contains(words) {
            assert_eq!(child.try_wait().unwrap(), None, "ended before `{words}`: {}", self.coordinator_log());
            sleep(Duration::from_millis(5));
        }
        kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(75), "{}", self.coordinator_log());
    }
}

fn comparable(mut report: Value) -> Value {
    report.as_object_mut().unwrap().remove("wall_seconds");
    report
}

fn report_in_a_folder() -> Value {
    let store = tempfile::tempdir().unwrap();
    let url = store.path().to_str().unwrap();
    let output = run(&["train", CONFIG, "--store", url, "--run-id", "bits", "--lanes", "2", "--quiet"]).unwrap();
    assert!(output.status.success(), "{}", text(&output));
    serde_json::from_slice(&fs::read(store.path().join("bits/report.json")).unwrap()).unwrap()
}

fn every_file(folder: &Path, look: &mut dyn FnMut(&Path, &[u8])) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { every_file(&path, look) } else { look(&path, &fs::read(&path).unwrap()) }
    }
}

#[test]
fn a_run_in_a_bucket_has_the_bits_of_one_in_a_folder() {
    let emulator = match emulators::s3() {
        Ok(emulator) => emulator,
        Err(why) => return println!("skipped: {why}"),
    };
    let url = format!("{}/some/prefix", emulator.url);
    let bucket = Bucket { emulator, url, scratch: tempfile::tempdir().unwrap() };
    bucket.train_until("stage: \"grpo_3d\", done: 1, of: 4");
    let stopped = bucket.json(&["checkpoints", "list", "bits"]);
    assert!(stopped["checkpoints"].as_array().unwrap().iter().any(|row| row["whole"] == true), "{stopped}");

    let output = bucket.command(&bucket.train("2")).output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    let said = text(&output);
    for place in ["report.html", "report.json", "adapter", "metrics.jsonl", "checkpoints", "logs"] {
        assert!(said.contains(&format!("{}/bits/{place}", bucket.url)), "{place} is not named: {said}");
    }
    assert!(!said.contains(SECRET));
    let expected = comparable(report_in_a_folder());
    assert_eq!(comparable(bucket.json(&["report", "bits"])), expected);

    let verified = bucket.json(&["checkpoints", "verify", "bits"]);
    let rows = verified["checkpoints"].as_array().unwrap();
    let newest = rows[0]["key"].as_str().unwrap();
    let inspected = bucket.json(&["checkpoints", "inspect", "bits", newest]);
    assert_eq!(inspected["manifest"]["iteration"], expected["iterations"]);
    let pruned = bucket.json(&["checkpoints", "prune", "bits", "--keep-last", "1"]);
    assert!(!pruned["removed"].as_array().unwrap().is_empty(), "{pruned}");
    assert!(bucket.ask(&["evaluate", "bits"]).status.success());
    let again = bucket.command(&bucket.train("1")).output().unwrap();
    assert!(text(&again).contains("already complete"), "{}", text(&again));
    let missing = bucket.ask(&["report", "other"]);
    assert_eq!(missing.status.code(), Some(64));
    assert!(text(&missing).contains("it holds bits"), "{}", text(&missing));

    let mut files = 0;
    every_file(bucket.scratch.path(), &mut |path, content| {
        files += 1;
        assert!(!String::from_utf8_lossy(content).contains(SECRET), "{}", path.display());
        assert!(path.components().any(|part| part.as_os_str() == "logs"), "{} is left behind", path.display());
    });
    assert!(files >= 3, "the logs of coordinator and workers");
}

#[test]
fn a_store_of_one_process_is_refused_with_a_sentence() {
    let output = run(&["train", CONFIG, "--store", "memory:///"]).unwrap();
    assert_eq!(output.status.code(), Some(64));
    assert!(text(&output).contains("the memory of one process"), "{}", text(&output));
}

#[test]
fn settings_that_are_missing_are_named_before_anything_is_done() {
    let mut command = conrec(&["train", CONFIG, "--store", "az://container/runs"]).unwrap();
    let output = command.env("AZURE_STORAGE_SAS_TOKEN", SECRET).output().unwrap();
    let said = text(&output);
    assert_eq!(output.status.code(), Some(69), "{said}");
    assert!(said.contains("`az://container`") && said.contains("AZURE_STORAGE_ACCOUNT_NAME"), "{said}");
    assert!(!said.contains(SECRET), "{said}");
}
