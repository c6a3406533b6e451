//! Jobs with real processes: submitted under a key, paused, resumed, cancelled, killed; what the store says of them when
//! they are gone; and the bits of an undisturbed run.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic")]

use conrec_tests::processes::lives;
use conrec_tests::run_files::{committed, newest_checkpoint, outcome};
use conrec_tests::{conrec, run, text};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::OnceLock;
use std::thread::sleep;
use std::time::{Duration, Instant};
use tempfile::{TempDir, tempdir};

/// Nothing that waits takes longer.
const LONG: Duration = Duration::from_secs(400);

/// The tiny run with more iterations, and no checkpoint but those that somebody asks for.
const SETS: [&str; 4] =
    ["stage.0.iterations=60", "stage.1.iterations=60", "checkpoint.every=100000", "evaluation.instances_per_lease=2"];

struct Jobs {
    store: TempDir,
}

impl Jobs {
    fn new() -> Self {
        Self { store: tempdir().unwrap() }
    }

    fn folder(&self, run: &str) -> PathBuf {
        self.store.path().join(run)
    }

    /// `conrec VERB ARGUMENTS --store …`.
    fn conrec(&self, arguments: &[&str]) -> Output {
        run(&[arguments, &["--store", self.store.path().to_str().unwrap()]].concat()).unwrap()
    }

    fn submit(&self, key: &str, more: &[&str]) -> Output {
        let mut arguments = vec!["submit", "tests/configs/tiny.toml", "--key", key, "--output", "json"];
        SETS.iter().for_each(|set| arguments.extend(["--set", set]));
        self.conrec(&[&arguments, more].concat())
    }

    fn status(&self, run: &str) -> Value {
        json(&self.conrec(&["status", run, "--output", "json"]))
    }

    /// Processes of the run, from their command lines: they are nobody's children.
    fn processes(&self, run: &str) -> Vec<i32> {
        let store = self.store.path().to_str().unwrap().to_owned();
        let of_this = |id: &i32| {
            let line = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            line.contains(&store)
                && (line.contains(&format!("run-job {run} ")) || line.contains(&format!("--job {run} ")))
                || line.contains(&store) && line.contains("conrec-worker worker")
        };
        let all = fs::read_dir("/proc").unwrap().flatten();
        all.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(of_this).collect()
    }

    fn wait_until(&self, what: &str, mut done: impl FnMut() -> bool) {
        let since = Instant::now();
        while !done() {
            let said = || fs::read_to_string(self.folder("k").join("logs/job.log")).unwrap_or_default();
            assert!(since.elapsed() < LONG, "{what} did not come: {}", said());
            sleep(Duration::from_millis(20));
        }
    }

    fn gone(&self, run: &str) {
        self.wait_until("the end of all processes", || self.processes(run).is_empty());
    }

    fn trains(&self, run: &str, enough: usize) {
        self.wait_until("progress", || committed(&self.folder(run)) >= enough);
    }
}

/// What is left over of a failed test ends with it.
impl Drop for Jobs {
    fn drop(&mut self) {
        for id in self.processes("k") {
            let _ = kill(Pid::from_raw(id), Signal::SIGKILL);
        }
    }
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", text(output)))
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap_or_else(|| panic!("{}", text(output)))
}

/// What a run that nobody disturbs ends with.
fn undisturbed() -> [Value; 2] {
    static ONCE: OnceLock<[Value; 2]> = OnceLock::new();
    let make = || {
        let store = tempdir().unwrap();
        let mut arguments = vec!["train", "tests/configs/tiny.toml", "--run-id", "k", "--quiet"];
        arguments.extend(["--store", store.path().to_str().unwrap()]);
        SETS.iter().for_each(|set| arguments.extend(["--set", set]));
        let output = run(&arguments).unwrap();
        assert!(output.status.success(), "{}", text(&output));
        outcome(&store.path().join("k")).unwrap()
    };
    ONCE.get_or_init(make).clone()
}

fn digest(value: &Value) -> Value {
    value["results"]["state_digest"].clone()
}

#[test]
fn of_two_submitters_at_once_one_starts_the_job_and_both_get_its_result() {
    let jobs = Jobs::new();
    let outputs: Vec<Output> = std::thread::scope(|scope| {
        let submit = || jobs.submit("k", &["--wait", "--workers", "2"]);
        let both = [scope.spawn(submit), scope.spawn(submit)];
        both.map(|one| one.join().unwrap()).into()
    });
    for output in &outputs {
        assert_eq!(code(output), 0, "{}", text(output));
        assert_eq!((&json(output)["state"], &json(output)["exit_code"]), (&"completed".into(), &0.into()));
    }
    jobs.gone("k");
    assert_eq!(outcome(&jobs.folder("k")).unwrap(), undisturbed());
    let log = fs::read_to_string(jobs.folder("k").join("logs/job.log")).unwrap();
    assert_eq!(log.matches("files in").count(), 1, "one starts it: {log}");
    // Nobody is there any more; the store knows all.
    let status = jobs.status("k");
    assert_eq!((status["attempt"].as_u64(), status["percent"].as_f64()), (Some(1), Some(100.0)));
    assert_eq!(digest(&status), undisturbed()[0]["state_digest"]);
    assert!(Path::new(status["results"]["report"].as_str().unwrap()).is_file());
    let again = jobs.submit("k", &[]);
    assert_eq!((code(&again), &json(&again)["action"]), (0, &"finished before".into()));
    let refused = jobs.submit("k", &["--if-exists", "fail"]);
    assert_eq!((code(&refused), &json(&refused)["state"]), (11, &"completed".into()));
    let other = jobs.submit("k", &["--set", "seed=7"]);
    assert_eq!(code(&other), 78, "{}", text(&other));
    assert!(text(&other).contains("another config"), "{}", text(&other));
    assert_eq!(code(&jobs.conrec(&["wait", "--key", "k"])), 0);
    let logs = text(&jobs.conrec(&["logs", "k", "--process", "coordinator", "--tail", "3"]));
    assert!(logs.lines().count() <= 3 && !logs.is_empty(), "{logs}");
    assert!(text(&jobs.conrec(&["logs", "k"])).contains("worker-2 | "), "each line has its process's name");
    for (arguments, words) in
        [(&["status", "absent"][..], "it holds k"), (&["logs", "k", "--process", "x"], "worker-1")]
    {
        let output = jobs.conrec(arguments);
        assert!(code(&output) == 64 && text(&output).contains(words), "{}", text(&output));
    }
}

#[test]
fn a_job_rests_when_it_is_paused_and_goes_on_with_the_same_bits() {
    let jobs = Jobs::new();
    assert_eq!(json(&jobs.submit("k", &[]))["action"], "started");
    jobs.trains("k", 5);
    assert_eq!(json(&jobs.submit("k", &[]))["action"], "attached");
    let saved = jobs.conrec(&["checkpoint", "k"]);
    assert_eq!(code(&saved), 0, "{}", text(&saved));
    let key = String::from_utf8(saved.stdout).unwrap();
    assert!(jobs.folder("k").join(key.trim()).join("manifest.json").is_file(), "{key} is whole");
    let paused = jobs.conrec(&["pause", "k", "--wait", "--output", "json"]);
    assert_eq!((code(&paused), &json(&paused)["state"]), (0, &"paused".into()), "{}", text(&paused));
    jobs.gone("k");
    assert_eq!(newest_checkpoint(&jobs.folder("k")), committed(&jobs.folder("k")), "all that is committed is kept");
    assert_eq!(code(&jobs.conrec(&["wait", "k", "--timeout", "1"])), 75, "it is not over");
    assert_eq!(json(&jobs.submit("k", &[]))["action"], "attached", "nothing but resume ends a rest");
    assert!(jobs.processes("k").is_empty());
    assert_eq!(code(&jobs.conrec(&["checkpoint", "k"])), 64, "a job at rest writes none");
    let resumed = jobs.conrec(&["resume", "k", "--output", "json"]);
    assert_eq!((code(&resumed), &json(&resumed)["action"]), (0, &"resumed".into()));
    let done = jobs.conrec(&["wait", "k", "--output", "json"]);
    assert_eq!(code(&done), 0, "{}", text(&done));
    assert_eq!(
        (json(&done)["attempt"].as_u64(), digest(&json(&done))),
        (Some(2), undisturbed()[0]["state_digest"].clone())
    );
    jobs.gone("k");
    assert_eq!(outcome(&jobs.folder("k")).unwrap(), undisturbed());
    assert_eq!(code(&jobs.conrec(&["pause", "k"])), 64, "it is over");
}

#[test]
fn a_job_whose_processes_are_all_killed_goes_on_when_its_key_is_submitted_again() {
    let jobs = Jobs::new();
    jobs.submit("k", &["--workers", "2"]);
    jobs.trains("k", 5);
    jobs.conrec(&["checkpoint", "k"]);
    let all = jobs.processes("k");
    assert_eq!(all.len(), 4, "watcher, coordinator, two workers");
    for id in &all {
        kill(Pid::from_raw(*id), Signal::SIGKILL).unwrap();
    }
    jobs.wait_until("their end", || !all.iter().any(|id| lives(*id) && !is_zombie(*id)));
    assert_eq!(jobs.status("k")["state"], "running", "nobody could say otherwise");
    let again = jobs.submit("k", &["--wait"]);
    assert_eq!(code(&again), 0, "{}", text(&again));
    assert_eq!(json(&again)["attempt"], 2);
    assert_eq!(outcome(&jobs.folder("k")).unwrap(), undisturbed());
}

#[test]
fn a_cancelled_job_is_over_for_good() {
    let jobs = Jobs::new();
    jobs.submit("k", &[]);
    jobs.trains("k", 5);
    let cancelled = jobs.conrec(&["cancel", "k", "--wait", "--output", "json"]);
    assert_eq!((code(&cancelled), &json(&cancelled)["state"]), (0, &"cancelled".into()), "{}", text(&cancelled));
    jobs.gone("k");
    assert_eq!(code(&jobs.conrec(&["wait", "k"])), 15);
    let again = jobs.submit("k", &[]);
    assert_eq!((code(&again), &json(&again)["state"]), (15, &"cancelled".into()));
    assert_eq!(code(&jobs.conrec(&["resume", "k"])), 64);
    assert!(jobs.processes("k").is_empty());
}

#[test]
fn a_job_that_cannot_be_done_says_why_and_one_that_waits_for_a_coordinator_is_served() {
    let jobs = Jobs::new();
    let missing = jobs.submit("k", &["--set", "data.source=movietweetings", "--set", "data.path=absent", "--wait"]);
    let view = json(&missing);
    assert_eq!((code(&missing), &view["state"]), (65, &"failed".into()), "{}", text(&missing));
    assert!(view["reason"].as_str().unwrap().contains("absent"), "{view}");
    jobs.gone("k");
    // Started elsewhere: the request is all that is there.
    let queued = jobs.submit("elsewhere", &["--enqueue"]);
    assert_eq!((&json(&queued)["action"], &json(&queued)["state"]), (&"enqueued".into(), &"queued".into()));
    jobs.conrec(&["pause", "elsewhere"]);
    let paused = jobs.conrec(&["coordinator", "--job", "elsewhere"]);
    assert_eq!(code(&paused), 75, "{}", text(&paused));
    let cancelled = jobs.conrec(&["cancel", "elsewhere", "--output", "json"]);
    assert_eq!(json(&cancelled)["state"], "cancelled", "nobody works on it, so it is over at once");
    assert_eq!(code(&jobs.conrec(&["coordinator", "--job", "elsewhere"])), 15);
    let all = json(&jobs.conrec(&["status", "--output", "json"]));
    assert_eq!(all.as_array().unwrap().len(), 2);
}

fn is_zombie(id: i32) -> bool {
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    status.lines().any(|line| line.starts_with("State:") && line.contains('Z'))
}

/// A coordinator's own port, with its operators' verbs.
#[test]
fn wishes_over_the_network_are_kept_in_the_store() {
    let jobs = Jobs::new();
    jobs.submit("k", &[]);
    jobs.trains("k", 5);
    let address = fs::read_to_string(jobs.folder("k").join("logs/coordinator.address")).unwrap();
    let saved = conrec(&["checkpoint", &address]).unwrap().output().unwrap();
    let key = String::from_utf8(saved.stdout.clone()).unwrap();
    assert!(jobs.folder("k").join(key.trim()).join("manifest.json").is_file(), "{}", text(&saved));
    let paused = conrec(&["pause", &address]).unwrap().output().unwrap();
    assert_eq!(code(&paused), 0, "{}", text(&paused));
    jobs.gone("k");
    assert_eq!((&jobs.status("k")["state"], &jobs.status("k")["wish"]), (&"paused".into(), &"pause".into()));
}
