//! Alignment, questions and cleaning on real processes: the same bits for 1 and 3 workers and through kills, and a trail
//! in report and ledger that an audit follows.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic")]

use conrec_tests::run_files::{committed, outcome};
use conrec_tests::{conrec, run, text};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::path::Path;
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};
use tempfile::tempdir;

/// The tiny run with an alignment stage in place of its second one, and both GRPO stages cleaned.
const CHANGES: [&str; 6] = [
    "stage.1.kind=alignment",
    "stage.1.distractors={ positives = 1.0, popularity = 1.0, exposed = 1.0 }",
    "stage.2.clean=drop",
    "stage.2.clean_above=0.3",
    "stage.3.clean=reweight",
    "stage.3.clean_above=0.3",
];

/// So often the run is killed at most.
const MOST_KILLS: u32 = 4;

fn arguments<'a>(store: &'a str, workers: &'a str) -> Vec<&'a str> {
    let mut all =
        vec!["train", "tests/configs/tiny.toml", "--store", store, "--run-id", "between", "--workers", workers];
    all.extend(CHANGES.iter().flat_map(|change| ["--set", *change]));
    all
}

fn finished(store: &Path) -> [Value; 2] {
    let audit = run(&["audit", "between", "--store", store.to_str().unwrap()]).unwrap();
    assert!(audit.status.success(), "{}", text(&audit));
    outcome(&store.join("between")).unwrap()
}

fn whole_run(workers: &str) -> [Value; 2] {
    let store = tempdir().unwrap();
    let output = run(&arguments(store.path().to_str().unwrap(), workers)).unwrap();
    assert!(output.status.success(), "{}", text(&output));
    finished(store.path())
}

/// Kills `train` each time that some more iterations are committed, and begins again; gives the number of kills. Its
/// children end a little later: until then the run is theirs, and a new start is refused.
fn killed_run(store: &Path) -> u32 {
    let folder = store.join("between");
    let (mut kills, limit) = (0, Instant::now() + Duration::from_secs(240));
    while Instant::now() < limit {
        let mut child = conrec(&arguments(store.to_str().unwrap(), "2")).unwrap();
        let mut child = child.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let begun = committed(&folder);
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if kills < MOST_KILLS && committed(&folder) > begun + 10 {
                kill(Pid::from_raw(child.id() as i32), Signal::SIGKILL).unwrap();
                kills += 1;
                break child.wait().unwrap();
            }
            sleep(Duration::from_millis(5));
        };
        if status.success() {
            return kills;
        }
        sleep(Duration::from_millis(200));
    }
    panic!("the run did not end, after {kills} kills");
}

/// The values of a field that the ledger's lines hold at all.
fn held<'a>(ledger: &'a Value, field: &str) -> Vec<&'a Value> {
    ledger.as_array().unwrap().iter().filter_map(|line| line.get(field)).collect()
}

#[test]
fn what_lies_between_stages_is_the_same_for_any_number_of_workers_and_through_kills() {
    let alone = whole_run("1");
    assert_eq!(whole_run("3"), alone);
    let store = tempdir().unwrap();
    assert!(killed_run(store.path()) > 0, "it was never killed");
    assert_eq!(finished(store.path()), alone);

    let [report, ledger] = &alone;
    let stages: Vec<&str> =
        report["questions"].as_array().unwrap().iter().map(|point| point["stage"].as_str().unwrap()).collect();
    assert_eq!(stages, ["", "next_item", "recent", "grpo_3d", "grpo_all"]);
    let asked = &report["questions"][1]["counts"]["asked"];
    assert!(asked.as_array().unwrap().iter().any(|n| n.as_u64() > Some(20)), "{asked}");
    let cleaned = held(ledger, "cleaned");
    assert!(cleaned.iter().any(|found| !found["flagged"].as_array().unwrap().is_empty()), "nothing was flagged");
    let reasons: Vec<&Value> = held(ledger, "decisions").into_iter().flat_map(|all| all.as_array().unwrap()).collect();
    let told = |words: &str| reasons.iter().any(|decision| decision["reason"].as_str().unwrap().contains(words));
    assert!(told("cleaning by the policy of stage") && told("alignment questions after the stage"), "{reasons:?}");
}
