//! Real nights: real processes train, evaluate, promote and predict on made-up users, day after day.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic")]

use conrec_tests::processes::{lives, started_by};
use conrec_tests::run_files::committed;
use conrec_tests::{conrec, run, start, text};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Output;
use std::time::{Duration, Instant};
use tempfile::tempdir;

/// The stream has 60 days from 2024-01-01; a night sees 40 of them.
const SETS: [&str; 7] = [
    "data.synthetic.days=60",
    "nightly.window_days=40",
    "nightly.min_events=50",
    "nightly.min_instances=10",
    "nightly.floor=\"\"",
    "nightly.metrics=[\"fhr\"]",
    "nightly.tolerance=0.9",
];

fn arguments<'a>(date: &'a str, store: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut words = vec!["nightly", "tests/configs/tiny.toml", "--date", date, "--store", store, "--output", "json"];
    words.extend(SETS.iter().flat_map(|set| ["--set", *set]));
    words.extend(more);
    words
}

/// Runs a night to its end; gives its exit code and its answer.
fn night(date: &str, store: &str, more: &[&str]) -> (i32, Value) {
    let output = run(&arguments(date, store, more)).unwrap();
    (output.status.code().unwrap_or(-1), answer(&output))
}

fn answer(output: &Output) -> Value {
    let said = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(said.lines().last().unwrap_or_default()).unwrap_or_else(|_| panic!("{}", text(output)))
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))).unwrap()
}

fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(120);
    while !holds() {
        assert!(Instant::now() < deadline, "no {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn nights_go_on_from_each_other_survive_a_kill_and_are_taken_back() {
    let folder = tempdir().unwrap();
    let store = folder.path().to_str().unwrap();
    let at = |name: &str| folder.path().join(name);

    // The first night is cold. It is killed while it trains, and all that it started.
    let log = at("first.log");
    let mut first = start(&arguments("2024-02-20", store, &[]), &log).unwrap();
    let run_folder = at("night-2024-02-20");
    wait_until("iteration", || committed(&run_folder) >= 2);
    let trains = started_by(first.id(), "conrec");
    first.kill().unwrap();
    first.wait().unwrap();
    wait_until("end of what it started", || trains.iter().all(|id| !lives(*id)));
    assert!(!at("nightly/promoted.json").exists() && !at("nightly/nights/2024-02-20/ending.json").exists());
    let (code, said) = night("2024-02-20", store, &[]);
    assert_eq!((code, said["answer"]["outcome"].as_str()), (0, Some("ended")), "{said}");
    assert_eq!(read(&at("nightly/promoted.json"))["run"], "night-2024-02-20");
    let sets = fs::metadata(at("nightly/nights/2024-02-20/predict.parquet")).unwrap();
    assert!(sets.len() > 0);

    // The second begins with the first's weights and ids; the third command about it finds it done.
    let (code, said) = night("2024-02-21", store, &["--workers", "2"]);
    assert_eq!(code, 0, "{said}");
    let plan = read(&at("nightly/nights/2024-02-21/plan.json"));
    assert_eq!(
        (plan["start"]["start"].as_str(), plan["start"]["run"].as_str()),
        (Some("warm"), Some("night-2024-02-20"))
    );
    let trained = read(&at("nightly/nights/2024-02-21/trained.json"));
    assert_eq!(trained["changed_ids"], 0, "{trained}");
    assert!(trained["kept_ids"].as_u64().unwrap() > 100, "{trained}");
    let compared = &said["answer"]["verdict"]["compared"][0];
    assert!(compared["instances"].as_u64().unwrap() >= 10, "{said}");
    let (code, again) = night("2024-02-21", store, &[]);
    assert_eq!((code, &again["answer"]["run"]), (11, &said["answer"]["run"]));

    // The first night's policy on its own data, with ids that its quantizer gives anew, is what its report says.
    let words =
        ["evaluate", "night-2024-02-20", "--policy-of", "night-2024-02-20", "--store", store, "--output", "json"];
    let again: Value = serde_json::from_slice(&run(&words).unwrap().stdout).unwrap();
    let report = read(&at("night-2024-02-20/report.json"));
    assert_eq!(again["models"]["grpo"]["fhr@20"], report["models"]["grpo"]["fhr@20"]);

    // A bad night: at this learning rate nothing is left of what was learned. What served goes on, and predicts.
    let ruin =
        ["--set", "stage.0.learning_rate=3.0", "--set", "nightly.tolerance=0.0", "--set", "stage.1.learning_rate=3.0"];
    let (code, said) = night("2024-02-22", store, &ruin);
    assert_eq!(code, 10, "{said}");
    assert_eq!(read(&at("nightly/promoted.json"))["run"], "night-2024-02-21");
    assert_eq!(said["answer"]["predicted_with"], "night-2024-02-21");

    // Before the newest night, and on a day that has no data.
    assert_eq!(night("2024-02-19", store, &[]).0, 12);
    let (code, said) = night("2024-03-20", store, &[]);
    assert_eq!((code, said["answer"]["data"].as_str()), (14, Some("empty")), "{said}");

    let back = run(&["rollback", "--store", store, "--output", "json"]).unwrap();
    assert!(back.status.success(), "{}", text(&back));
    assert_eq!(read(&at("nightly/promoted.json"))["run"], "night-2024-02-20");
    let further = run(&["rollback", "--store", store]).unwrap();
    assert_eq!(further.status.code(), Some(64), "{}", text(&further));
    let listed = run(&["rollback", "--list", "--store", store]).unwrap();
    assert_eq!(String::from_utf8_lossy(&listed.stdout).lines().count(), 3, "{}", text(&listed));
}

#[test]
fn two_commands_of_one_night_train_it_once_and_a_refit_says_what_changed() {
    let folder = tempdir().unwrap();
    let store = folder.path().to_str().unwrap();
    let both: Vec<_> = (0..2)
        .map(|_| conrec(&arguments("2024-02-20", store, &["--quiet"])).unwrap())
        .map(|mut command| {
            command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
            command.spawn().unwrap()
        })
        .collect();
    let outputs: Vec<Output> = both.into_iter().map(|child| child.wait_with_output().unwrap()).collect();
    let mut codes: Vec<_> = outputs.iter().map(|output| output.status.code().unwrap()).collect();
    codes.sort_unstable();
    assert_eq!(codes, [0, 11], "{} {}", text(&outputs[0]), text(&outputs[1]));
    let answers: Vec<Value> = outputs.iter().map(answer).collect();
    assert_eq!(answers[0]["answer"]["verdict"], answers[1]["answer"]["verdict"]);
    let report = read(&folder.path().join("night-2024-02-20/report.json"));
    assert_eq!(report["state_digest"], read(&folder.path().join("nightly/promoted.json"))["state"]);

    let (code, said) = night("2024-02-21", store, &["--refit", "--set", "seed=5"]);
    assert_eq!(code, 0, "{said}");
    let plan = read(&folder.path().join("nightly/nights/2024-02-21/plan.json"));
    assert_eq!(plan["start"]["start"], "refit");
    let trained = read(&folder.path().join("nightly/nights/2024-02-21/trained.json"));
    assert!(trained["changed_ids"].as_u64().unwrap() > 50, "{trained}");
}
