//! A whole run learns and chooses nothing from its test window: of two datasets that differ there only, everything that is
//! trained and decided is the same, bit for bit, and only what is measured at the end differs.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use conrec_domain::spec::{RunConfig, RunSpec};
use conrec_feedback::dataset::Dataset;
use conrec_feedback::event::{Event, Sign};
use conrec_feedback::split::{days, passes, test_window};
use conrec_feedback::synthetic;
use conrec_tests::{run, text};
use serde_json::Value;
use std::fs;
use std::path::Path;
use tempfile::tempdir;

const CONFIG: &str = include_str!("../configs/tiny.toml");

/// The events as a table that anybody could have.
fn written(folder: &Path, events: &[Event]) {
    fs::create_dir_all(folder).unwrap();
    let rating = |sign| match sign {
        Sign::Negative => 1,
        Sign::Neutral => 6,
        Sign::Positive => 10,
    };
    let line = |e: &Event| format!("user-{},item-{},{},{}\n", e.user, e.item, e.time, rating(e.sign));
    let lines: String = events.iter().map(line).collect();
    fs::write(folder.join("events.csv"), format!("user,item,time,rating\n{lines}")).unwrap();
}

/// What a run on such a table reports; validation is the gate, the tuned baselines and SASRec.
fn trained(folder: &Path, name: &str, events: &[Event]) -> Value {
    let data = folder.join(name);
    written(&data, events);
    let store = folder.join("runs");
    let path = format!("data.path={}", data.display());
    let mut arguments = vec!["train", "tests/configs/tiny.toml", "--run-id", name, "--store", store.to_str().unwrap()];
    let sets = [
        "data.source=table",
        &path,
        "evaluation.statistics=frozen",
        "stage.3.clean=drop",
        "baseline.tune=true",
        "baseline.sasrec.enabled=true",
        "baseline.sasrec.hidden=8",
        "baseline.sasrec.epochs=2",
    ];
    sets.iter().for_each(|set| arguments.extend(["--set", set]));
    let output = run(&arguments).unwrap();
    assert!([0, 10].contains(&output.status.code().unwrap()), "{}", text(&output));
    serde_json::from_slice(&fs::read(store.join(name).join("report.json")).unwrap()).unwrap()
}

/// Validation's metrics without those of horizons that are longer than the config's: they reach into the test window, are
/// reported beside the others, and nothing reads them.
fn validation(report: &Value) -> Value {
    let mut models = report["validation"].clone();
    for model in models.as_object_mut().unwrap().values_mut() {
        model.as_object_mut().unwrap().retain(|name, _| !name.ends_with("_7d") && !name.ends_with("_14d"));
    }
    models
}

fn sample() -> (RunSpec, Dataset) {
    let spec = RunSpec::check(RunConfig::parse(CONFIG, "tiny.toml").unwrap()).unwrap();
    let dataset = synthetic::generate(&spec.data.synthetic, spec.seed).unwrap();
    (spec, dataset)
}

/// From `from` on every event is of the next event's item and of another sign; the last event stays, so no window moves.
fn changed(events: &[Event], from: i64) -> Vec<Event> {
    let last = events.len() - 1;
    let edit = |(at, e): (usize, &Event)| match at < last && e.time >= from {
        true => {
            let sign = if e.sign == Sign::Negative { Sign::Positive } else { Sign::Negative };
            Event { item: events[at + 1].item, sign, ..*e }
        }
        false => *e,
    };
    events.iter().enumerate().map(edit).collect()
}

#[test]
fn a_run_whose_test_window_is_another_learns_and_decides_the_same() {
    let folder = tempdir().unwrap();
    let (spec, dataset) = sample();
    let (first, last) = (dataset.first_time().unwrap(), dataset.last_time().unwrap());
    let test = test_window(&spec.data, last);
    let given = trained(folder.path(), "given", &dataset.events);
    let other = trained(folder.path(), "other", &changed(&dataset.events, test.from));
    for part in ["state_digest", "journal_digest", "decisions", "baseline_choices", "last_changes", "semantic_ids"] {
        assert!(!given[part].is_null() && given[part] == other[part], "{part}: {} {}", given[part], other[part]);
    }
    assert_eq!(validation(&given), validation(&other));
    assert_ne!(given["models"], other["models"], "the test window is another");
    assert_ne!(given["data_digest"], other["data_digest"]);

    // What is chosen on: the same change, a horizon earlier. Training time is still the same.
    let chosen = trained(folder.path(), "chosen", &changed(&dataset.events, test.from - days(spec.data.gap_days) - 1));
    assert_ne!(validation(&given), validation(&chosen));
    assert_eq!(given["semantic_ids"], chosen["semantic_ids"]);

    // What is learned from: the last event of training time.
    let frozen = passes(&spec.data, conrec_domain::spec::Statistics::Frozen, first, last).unwrap();
    let from = dataset.before(frozen[0].train_end).last().unwrap().time;
    let learned = trained(folder.path(), "learned", &changed(&dataset.events, from));
    assert_ne!(given["state_digest"], learned["state_digest"]);
}
