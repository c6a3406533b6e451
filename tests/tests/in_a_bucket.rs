//! Jobs and nights whose store is a bucket, with real processes: what `tests/tests/jobs.rs` and `tests/tests/nightly.rs` show
//! in folders holds where there are no locks and no local records. Skipped with a message where an emulator is not installed.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic")]

use conrec_tests::emulators::{self, Emulator, SECRET};
use conrec_tests::processes::started_with;
use conrec_tests::{conrec, run, text};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};
use tempfile::{TempDir, tempdir};

const TINY: &str = "tests/configs/tiny.toml";
/// Nothing that waits takes longer.
const LONG: Duration = Duration::from_secs(300);

/// The tiny run with iterations enough to be paused on the way, and no checkpoint but those that somebody asks for.
const JOB: [&str; 4] =
    ["stage.0.iterations=100", "stage.1.iterations=100", "checkpoint.every=100000", "evaluation.instances_per_lease=2"];

/// The stream has 60 days from 2024-01-01; a night sees 40 of them.
const NIGHT: [&str; 7] = [
    "data.synthetic.days=60",
    "nightly.window_days=40",
    "nightly.min_events=50",
    "nightly.min_instances=10",
    "nightly.floor=\"\"",
    "nightly.metrics=[\"fhr\"]",
    "nightly.tolerance=0.9",
];

/// A bucket, and the folder in which this machine keeps what belongs there.
struct Bucket {
    emulator: Emulator,
    store: String,
    scratch: TempDir,
}

impl Bucket {
    fn of(emulator: Emulator) -> Self {
        let store = format!("{}/some/prefix", emulator.url);
        Self { emulator, store, scratch: tempdir().unwrap() }
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = conrec(&[words, &["--store", &self.store]].concat()).unwrap();
        command.envs(self.emulator.environment.iter().map(|(name, value)| (name, value)));
        command.env("TMPDIR", self.scratch.path());
        command
    }

    /// `conrec VERB … --store …`; both streams hold no secret.
    fn conrec(&self, words: &[&str]) -> Output {
        let output = self.command(words).output().unwrap();
        assert!(!text(&output).contains(SECRET), "{words:?}");
        output
    }

    fn submit(&self, key: &str, more: &[&str]) -> (i32, Value) {
        let mut words = vec!["submit", TINY, "--key", key, "--output", "json"];
        JOB.iter().for_each(|set| words.extend(["--set", set]));
        told(&self.conrec(&[&words, more].concat()))
    }

    /// A verb about a job.
    fn ask(&self, verb: &str, run: &str, more: &[&str]) -> (i32, Value) {
        told(&self.conrec(&[&[verb, run, "--output", "json"], more].concat()))
    }

    fn night(&self, date: &str) -> Command {
        let mut words = vec!["nightly", TINY, "--date", date, "--output", "json", "--quiet"];
        NIGHT.iter().for_each(|set| words.extend(["--set", set]));
        let mut command = self.command(&words);
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        command
    }

    /// Processes that work on what lies in this bucket.
    fn processes(&self) -> Vec<i32> {
        let endpoint = self.emulator.environment.iter().find(|(_, value)| value.starts_with("http://"));
        let (name, value) = endpoint.unwrap();
        started_with("conrec", name, value)
    }

    fn wait_until(&self, what: &str, mut done: impl FnMut() -> bool) {
        let since = Instant::now();
        while !done() {
            assert!(since.elapsed() < LONG, "{what} did not come: {}", self.logs());
            sleep(Duration::from_millis(50));
        }
    }

    fn gone(&self) {
        self.wait_until("the end of all processes", || self.processes().is_empty());
    }

    fn trains(&self, run: &str) {
        self.wait_until("progress", || self.ask("status", run, &[]).1["iteration"].as_u64() >= Some(3));
    }

    fn logs(&self) -> String {
        let mut all = String::new();
        every_file(self.scratch.path(), &mut |path, content| {
            all += &format!("{}:\n{}\n", path.display(), String::from_utf8_lossy(content));
        });
        all
    }

    /// Nothing that was left on this machine holds a secret.
    fn keeps_its_secret(&self) {
        every_file(self.scratch.path(), &mut |path, content| {
            assert!(!String::from_utf8_lossy(content).contains(SECRET), "{}", path.display());
        });
    }
}

/// What is left over of a failed test ends with it.
impl Drop for Bucket {
    fn drop(&mut self) {
        for id in self.processes() {
            let _ = kill(Pid::from_raw(id), Signal::SIGKILL);
        }
    }
}

fn every_file(folder: &Path, look: &mut dyn FnMut(&Path, &[u8])) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { every_file(&path, look) } else { look(&path, &fs::read(&path).unwrap_or_default()) }
    }
}

/// Exit code and what was printed last.
fn told(output: &Output) -> (i32, Value) {
    let said = String::from_utf8_lossy(&output.stdout);
    let value = serde_json::from_str(said.trim()).or_else(|_| serde_json::from_str(said.lines().last().unwrap_or("")));
    (output.status.code().unwrap_or(-1), value.unwrap_or_else(|_| Value::String(text(output))))
}

/// Digest of the state of a job that nobody disturbs.
fn undisturbed() -> Value {
    let store = tempdir().unwrap();
    let mut words = vec!["train", TINY, "--run-id", "k", "--quiet", "--store", store.path().to_str().unwrap()];
    JOB.iter().for_each(|set| words.extend(["--set", set]));
    let output = run(&words).unwrap();
    assert!(output.status.success(), "{}", text(&output));
    let report = fs::read(store.path().join("k/report.json")).unwrap();
    serde_json::from_slice::<Value>(&report).unwrap()["state_digest"].clone()
}

/// Submitted twice, paused, resumed, waited for, asked for when nobody works on it; a second one is cancelled.
fn a_job_lives_in(emulator: Emulator) {
    let bucket = Bucket::of(emulator);
    let both: Vec<(i32, Value)> = scope(|scope| {
        let both = [0, 1].map(|_| scope.spawn(|| bucket.submit("k", &[])));
        both.map(|one| one.join().unwrap()).into()
    });
    let mut actions: Vec<&str> = both.iter().map(|(_, view)| view["action"].as_str().unwrap()).collect();
    actions.sort_unstable();
    assert_eq!(actions, ["attached", "started"], "{both:?}");
    bucket.trains("k");
    assert_eq!(bucket.submit("k", &["--if-exists", "fail"]).0, 11);
    assert_eq!(bucket.submit("k", &["--set", "seed=7"]).0, 78, "another config");

    let (code, paused) = bucket.ask("pause", "k", &["--wait"]);
    assert_eq!((code, paused["state"].as_str()), (0, Some("paused")), "{paused} {}", bucket.logs());
    bucket.gone();
    let (_, status) = bucket.ask("status", "k", &[]);
    assert_eq!((status["state"].as_str(), status["phase"].is_null()), (Some("paused"), true), "{status}");
    assert!(status["checkpoint"].is_string(), "{status}");
    assert_eq!(bucket.ask("wait", "k", &["--timeout", "1"]).0, 75, "it is not over");
    assert_eq!(bucket.submit("k", &[]).1["action"], "attached", "nothing but resume ends a rest");
    assert!(bucket.processes().is_empty());

    assert_eq!(bucket.ask("resume", "k", &[]).1["action"], "resumed");
    let (code, done) = bucket.ask("wait", "k", &[]);
    assert_eq!((code, done["state"].as_str(), done["attempt"].as_u64()), (0, Some("completed"), Some(2)), "{done}");
    bucket.gone();
    let (code, status) = bucket.ask("status", "k", &[]);
    assert_eq!((code, status["percent"].as_f64(), &status["results"]), (0, Some(100.0), &done["results"]));
    assert_eq!(done["results"]["report"], format!("{}/k/report.json", bucket.store));
    assert_eq!(bucket.submit("k", &[]).1["action"], "finished before");
    assert_eq!(done["results"]["state_digest"], undisturbed());

    assert_eq!(bucket.submit("c", &[]).1["action"], "started");
    bucket.trains("c");
    let (code, cancelled) = bucket.ask("cancel", "c", &["--wait"]);
    assert_eq!((code, cancelled["state"].as_str()), (0, Some("cancelled")), "{cancelled} {}", bucket.logs());
    bucket.gone();
    assert_eq!(bucket.ask("wait", "c", &[]).0, 15);
    assert_eq!(bucket.submit("c", &[]).0, 15);
    assert_eq!(bucket.ask("resume", "c", &[]).0, 64, "it is over for good");
    let (_, all) = told(&bucket.conrec(&["status", "--output", "json"]));
    assert_eq!(all.as_array().unwrap().len(), 2, "{all}");
    bucket.keeps_its_secret();
}

#[test]
fn a_job_in_s3_is_started_once_rests_goes_on_and_is_known_when_its_processes_are_gone() {
    match emulators::s3() {
        Ok(emulator) => a_job_lives_in(emulator),
        Err(why) => println!("skipped: {why}"),
    }
}

#[test]
fn a_job_in_azure_is_started_once_rests_goes_on_and_is_known_when_its_processes_are_gone() {
    match emulators::azure() {
        Ok(emulator) => a_job_lives_in(emulator),
        Err(why) => println!("skipped: {why}"),
    }
}

#[test]
fn nights_in_s3_follow_each_other_one_at_a_time_and_are_taken_back() {
    let bucket = match emulators::s3() {
        Ok(emulator) => Bucket::of(emulator),
        Err(why) => return println!("skipped: {why}"),
    };
    // Two commands of the first night: one trains it, the other waits and gives the same result.
    let both = [0, 1].map(|_| bucket.night("2024-02-20").spawn().unwrap());
    let mut both = both.map(|child| told(&child.wait_with_output().unwrap()));
    both.sort_by_key(|(code, _)| *code);
    let [(first, trained), (second, told_again)] = &both;
    assert_eq!((first, second), (&0, &11), "{both:?}");
    assert_eq!(
        (&trained["answer"]["run"], &trained["answer"]["verdict"]),
        (&told_again["answer"]["run"], &told_again["answer"]["verdict"])
    );
    assert_eq!(trained["answer"]["run"], "night-2024-02-20");

    // The next begins with what serves; what it is held against is that.
    let (code, said) = told(&bucket.night("2024-02-21").output().unwrap());
    assert_eq!(code, 0, "{said}");
    let opponent = &said["answer"]["verdict"]["opponent"];
    assert_eq!((opponent["run"].as_str(), opponent["number"].as_u64()), (Some("night-2024-02-20"), Some(1)), "{said}");
    assert_eq!(said["answer"]["predicted_with"], "night-2024-02-21");
    let warm = bucket.conrec(&["report", "night-2024-02-21"]);
    assert!(warm.status.success(), "{}", text(&warm));
    assert_eq!(told(&bucket.night("2024-02-19").output().unwrap()).0, 12, "a later one was promoted");

    let listed = || String::from_utf8(bucket.conrec(&["rollback", "--list"]).stdout).unwrap();
    assert_eq!(listed().lines().count(), 2, "{}", listed());
    let (code, back) = told(&bucket.conrec(&["rollback", "--output", "json"]));
    assert_eq!((code, back["promoted"]["run"].as_str()), (0, Some("night-2024-02-20")), "{back}");
    assert_eq!(bucket.conrec(&["rollback"]).status.code(), Some(64), "nothing served before the first");
    assert_eq!(listed().lines().count(), 3, "{}", listed());
    bucket.keeps_its_secret();
}
