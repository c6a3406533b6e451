//! `conrec audit` on the files of a real run: they are whole, and every kind of tampering with them is found and named.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic")]

use conrec_domain::manifest::Manifest;
use conrec_tests::{run, text};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::{TempDir, tempdir};

const CONFIG: &str = "tests/configs/tiny.toml";
/// Keeps every checkpoint, and trains both passes in a second.
const SHORT: [&str; 8] = [
    "--set",
    "checkpoint.keep_last=100",
    "--set",
    "stage.0.iterations=3",
    "--set",
    "stage.1.iterations=2",
    "--set",
    "evaluation.bootstrap=20",
];

/// From a file's text to another.
type Change<'a> = &'a dyn Fn(&str) -> String;
/// Changes a JSON value.
type ChangeValue = dyn Fn(&mut Value);

/// A file of a run, and how a test changes it.
struct Tampering<'a> {
    file: &'a str,
    change: Change<'a>,
    /// What the audit must say, with the place.
    says: &'a str,
}

fn store_of(folder: &TempDir) -> &str {
    folder.path().to_str().unwrap()
}

fn audited(store: &str, more: &[&str]) -> (Option<i32>, String) {
    let output = run(&[&["audit", "audited", "--store", store], more].concat()).unwrap();
    (output.status.code(), text(&output))
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target)
        } else {
            fs::copy(entry.path(), target).map(drop).unwrap()
        }
    }
}

/// The same lines with one of them changed as JSON.
fn line(text: &str, number: usize, change: impl Fn(&mut Value)) -> String {
    let lines = text.lines().enumerate().map(|(index, line)| {
        let mut value: Value = serde_json::from_str(line).unwrap();
        if index + 1 == number {
            change(&mut value);
        }
        value.to_string() + "\n"
    });
    lines.collect()
}

fn without(text: &str, number: usize) -> String {
    text.lines().enumerate().filter(|(index, _)| index + 1 != number).map(|(_, line)| format!("{line}\n")).collect()
}

fn doubled(text: &str, number: usize) -> String {
    let twice = |index| if index + 1 == number { 2 } else { 1 };
    text.lines().enumerate().map(|(index, line)| format!("{line}\n").repeat(twice(index))).collect()
}

fn swapped(text: &str, number: usize) -> String {
    let mut lines: Vec<&str> = text.lines().collect();
    lines.swap(number - 1, number);
    lines.join("\n") + "\n"
}

fn flipped(digest: &mut Value) {
    let text = digest.as_str().unwrap().to_owned();
    let first = if text.starts_with('0') { "1" } else { "0" };
    *digest = Value::from(first.to_owned() + &text[1..]);
}

fn found(store: &Path, tampering: &Tampering<'_>) {
    let Tampering { file, change, says } = tampering;
    let folder = tempdir().unwrap();
    copy(store, folder.path());
    let path = folder.path().join("audited").join(file);
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, change(&text)).unwrap();
    let (code, said) = audited(store_of(&folder), &[]);
    assert_eq!(code, Some(65), "{file}, expected `{says}`: {said}");
    assert!(said.contains(says), "expected `{says}` in: {said}");
}

/// The newest checkpoint's manifest.
fn newest_manifest(store: &Path) -> PathBuf {
    let mut names: Vec<_> =
        fs::read_dir(store.join("audited/checkpoints")).unwrap().map(|e| e.unwrap().path()).collect();
    names.sort();
    names.last().unwrap().join("manifest.json")
}

fn train(store: &str) {
    let arguments = ["train", CONFIG, "--store", store, "--run-id", "audited", "--workers", "2", "--quiet"];
    let output = run(&[&arguments[..], &SHORT].concat()).unwrap();
    assert!(output.status.success(), "{}", text(&output));
}

fn is_whole(store: &Path) {
    let (code, said) = audited(store.to_str().unwrap(), &[]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("each exactly once") && said.contains("its state is the chain's last"), "{said}");
    let (_, said) = audited(store.to_str().unwrap(), &["--output", "json"]);
    let json: Value = serde_json::from_str(&said).unwrap();
    let report: Value = serde_json::from_slice(&fs::read(store.join("audited/report.json")).unwrap()).unwrap();
    assert_eq!(json["last_state"], report["state_digest"]);
    assert_eq!(json["iterations"], report["iterations"]);
    assert_eq!(json["metrics"], report["iterations"]);
    assert!(json["checkpoints"].as_u64() > Some(3), "{json}");
}

#[test]
fn a_real_run_is_whole_and_every_tampering_is_found() {
    let folder = tempdir().unwrap();
    let store = folder.path();
    train(store_of(&folder));
    is_whole(store);
    changes_of_single_lines_are_found(store);
    let cases: &[(&str, Change<'_>, &str)] = &[
        ("ledger.jsonl", &|t| without(t, 4), "ledger.jsonl:4: iteration 5 follows iteration 3"),
        ("ledger.jsonl", &|t| doubled(t, 4), "ledger.jsonl:5: iteration 4 was committed twice"),
        ("ledger.jsonl", &|t| swapped(t, 2).replacen("\"fence\":1", "\"fence\":2", 2), "carries fence 1 after fence 2"),
        (
            "ledger.jsonl",
            &|t| line(t, 3, |l| l["prompts"][1] = Value::from(9999)),
            "ledger.jsonl:3: iteration 3: prompt",
        ),
        ("ledger.jsonl", &|t| line(t, 3, |l| l["prompts"][1] = l["prompts"][0].clone()), "entered the sum 2 times"),
        ("ledger.jsonl", &|t| line(t, 3, |l| flipped(&mut l["after"])), "ledger.jsonl:4: `begin stage 1`"),
        ("ledger.jsonl", &|t| line(t, 2, |l| flipped(&mut l["after"])), "ledger.jsonl:3: iteration 3 began from state"),
        ("ledger.jsonl", &|t| line(t, 4, |l| l["changes"] = Value::Array(Vec::new())), "was changed by nothing"),
        ("ledger.jsonl", &|t| line(t, 1, |l| l["stage"] = "grpo_all".into()), "cannot follow one of none"),
        ("ledger.jsonl", &|t| t[..t.len() - 40].to_owned(), "the line is cut off"),
        ("ledger.jsonl", &|t| without(t, t.lines().count()), "the ledger ends with iteration"),
        (
            "ledger.jsonl",
            &|t| t.replacen("\"iteration\":2", "\"iteration\":\"2\"", 1),
            "ledger.jsonl:2: it cannot be read",
        ),
        ("metrics.jsonl", &|t| without(t, 3), "metrics.jsonl:3: iteration 4 is not the next after iteration 2"),
        ("metrics.jsonl", &|t| without(t, t.lines().count()), "has no line of metrics"),
        ("metrics.jsonl", &|t| line(t, 2, |l| l["stage"] = "recent".into()), "in the ledger it is"),
        ("report.json", &|t| line(&one_line(t), 1, |r| flipped(&mut r["state_digest"])), "report.json: its state"),
        ("report.json", &|t| line(&one_line(t), 1, |r| r["iterations"] = 3.into()), "it counts 3 iterations"),
        ("run.toml", &|t| t.replacen("seed = 0", "seed = 1", 1), "it belongs to config"),
        ("run.toml", &|t| t.replacen("horizon_days", "horizon_dayz", 1), "horizon_dayz"),
        ("prepared/manifest.json", &|t| t.replacen("\"prompts\"", "\"promts\"", 1), "without it no schedule is known"),
    ];
    for (file, change, says) in cases {
        found(store, &Tampering { file, change: *change, says });
    }
    let newest = newest_manifest(store);
    let name = newest.strip_prefix(store.join("audited")).unwrap().to_str().unwrap();
    let cases: [(&ChangeValue, &str); 4] = [
        (&|m| flipped(&mut m["state_digest"]), "is not that of the chain after iteration"),
        (&|m| flipped(&mut m["cursor"]["journal"]), "the checkpoint goes on from journal"),
        (&|m| m["run_id"] = "other".into(), "it belongs to run other"),
        (&|m| flipped(&mut m["data_digest"]), "it belongs to data"),
    ];
    for (change, says) in cases {
        let unsealed: &dyn Fn(&str) -> String = &|t| line(&one_line(t), 1, change);
        let seen = "manifest.json was changed: its content has SHA-256";
        found(store, &Tampering { file: name, change: unsealed, says: seen });
        let sealed: &dyn Fn(&str) -> String = &|t| sealed_again(&line(&one_line(t), 1, change));
        found(store, &Tampering { file: name, change: sealed, says });
    }
}

/// What breaks neither the chain of states nor the schedule, but that of the journal.
fn changes_of_single_lines_are_found(store: &Path) {
    let cases: &[(&str, Change<'_>, &str)] = &[
        ("ledger.jsonl", &|t| swapped(t, 2), "ledger.jsonl:3: iteration 2 lies behind iteration 3"),
        (
            "ledger.jsonl",
            &|t| line(t, 3, |l| flipped(&mut l["gradient"])),
            "ledger.jsonl:4: iteration 4 goes on from journal",
        ),
        (
            "ledger.jsonl",
            &|t| line(t, 3, |l| flipped(&mut l["previous"])),
            "one of the lines of iteration 2 was changed",
        ),
        ("ledger.jsonl", &|t| line(t, 3, |l| l["note"] = 1.into()), "ledger.jsonl:3: it cannot be read"),
        (
            "ledger.jsonl",
            &|t| line(t, t.lines().count(), |l| flipped(&mut l["gradient"])),
            "report.json: the report goes on from journal",
        ),
        ("metrics.jsonl", &|t| line(t, 2, |l| l["loss"] = 0.5.into()), "one of the lines of iteration 2 was changed"),
        (
            "metrics.jsonl",
            &|t| line(t, t.lines().count(), |l| l["learning_rate"] = 0.5.into()),
            "report.json: the report goes on from journal",
        ),
        ("metrics.jsonl", &|t| line(t, 2, |l| drop(l.as_object_mut().unwrap().remove("loss"))), "it cannot be read"),
        ("report.json", &|t| line(&one_line(t), 1, |r| flipped(&mut r["journal_digest"])), "the report goes on from"),
    ];
    for (file, change, says) in cases {
        found(store, &Tampering { file, change: *change, says });
    }
}

/// The manifest with the digest that fits what it says now, as somebody would write it who means to deceive.
fn sealed_again(text: &str) -> String {
    let mut content: Value = serde_json::from_str(text).unwrap();
    content.as_object_mut().unwrap().remove("manifest_digest");
    serde_json::from_value::<Manifest>(content).unwrap().to_json().unwrap().to_string()
}

fn one_line(text: &str) -> String {
    serde_json::from_str::<Value>(text).unwrap().to_string() + "\n"
}

#[test]
fn a_run_that_is_not_there_is_refused() {
    let folder = tempdir().unwrap();
    let (code, said) = audited(store_of(&folder), &[]);
    assert_eq!(code, Some(64), "{said}");
    assert!(said.contains("no run `audited`"), "{said}");
}
