//! Tests of the prepared folder: round trip, stable bytes, and errors that name the file.

use super::*;
use crate::dataset::{Dropped, Item};
use crate::event::{Event, Sign};
use conrec_domain::work::Pass;
use std::time::Instant;

fn item(key: &str, year: Option<u16>, categories: &[&str]) -> Item {
    let categories = categories.iter().map(|c| (*c).to_owned()).collect();
    Item { key: key.into(), title: format!("Title of {key}"), year, categories }
}

fn dataset() -> Dataset {
    let event = |user, item, time, sign| Event { user, item, time, sign };
    let dropped =
        Dropped { duplicate_items: 2, first_malformed: Some("ratings.dat:7: no time".into()), ..Dropped::default() };
    Dataset {
        events: vec![
            event(0, 2, -5, Sign::Negative),
            event(1, 0, 10, Sign::Neutral),
            event(1, 1, 60, Sign::Positive),
            event(0, 1, 70, Sign::Negative),
        ],
        users: vec!["u one".into(), "u2".into()],
        items: vec![item("0", Some(1999), &["Drama", "Sci-Fi"]), item("x", None, &[]), item("ü", None, &["A"])],
        vectors: Some(Matrix { rows: 3, cols: 2, data: vec![0.5, -1.0, 0.1, 3e-39, f32::MAX, 0.0] }),
        dropped,
        truth: None,
    }
}

fn sample() -> PreparedPass {
    let instance =
        |user, t0, next, gts: &[u32], fps: &[u32]| Instance { user, t0, next, gts: gts.to_vec(), fps: fps.to_vec() };
    PreparedPass {
        windows: PassWindows { pass: Pass::Select, train_end: 50, evaluate: Window { from: 50, to: 90 } },
        dataset: Arc::new(dataset()),
        training: vec![instance(0, -5, 2, &[2], &[]), instance(1, 20, 0, &[0, 1], &[2])],
        evaluations: vec![
            EvaluationSet {
                role: Role::Validation,
                window: Window { from: 50, to: 90 },
                instances: vec![instance(0, 70, 1, &[1], &[0, 2])],
                candidates: vec![vec![1, 0, 2]],
            },
            EvaluationSet {
                role: Role::Test,
                window: Window { from: 100, to: 120 },
                instances: Vec::new(),
                candidates: Vec::new(),
            },
        ],
        swing: vec![vec![(2, 0.125), (1, 1e-9)], vec![], vec![(0, 0.1)]],
        ids: SemanticIds::new(2, 300, vec![1, 299, 1, 299, 0, 7], &[true, true, false]).unwrap(),
        cell_vectors: Matrix { rows: 1, cols: 3, data: vec![0.25, -0.0, 1.5] },
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_place_that_takes_no_files_is_no_fault_of_the_data() {
    let folder = tempfile::tempdir().unwrap();
    // A file where the folder should be.
    let taken = folder.path().join("select");
    std::fs::write(&taken, "").unwrap();
    let error = sample().save(&taken).unwrap_err();
    assert!(matches!(error, PreparedError::Write { .. }), "{error}");
    assert!(error.to_string().starts_with("cannot write "), "{error}");
}

#[test]
fn what_is_saved_is_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let pass = sample();
    pass.save(folder.path()).unwrap();
    assert_eq!(PreparedPass::load(folder.path()).unwrap(), pass);
    let expected = [
        "cell_vectors.parquet",
        "events.parquet",
        "index.json",
        "item.json",
        "item_vectors.parquet",
        "items.parquet",
        "pass.json",
        "sids.parquet",
        "swing.parquet",
        "test.parquet",
        "training.parquet",
        "users.parquet",
        "validation.parquet",
    ];
    assert_eq!(names(folder.path()), expected);
}

#[test]
fn a_pass_without_item_vectors_or_test_window_is_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let mut pass = sample();
    Arc::make_mut(&mut pass.dataset).vectors = None;
    pass.evaluations.truncate(1);
    pass.save(folder.path()).unwrap();
    let loaded = PreparedPass::load(folder.path()).unwrap();
    assert_eq!(loaded, pass);
    assert!(loaded.evaluation(Role::Validation).is_some() && loaded.evaluation(Role::Test).is_none());
}

#[test]
fn the_same_pass_gives_the_same_bytes_and_another_pass_another_digest() {
    let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let first = sample().save(a.path()).unwrap();
    let second = sample().save(b.path()).unwrap();
    assert_eq!(first, second);
    for name in names(a.path()) {
        assert_eq!(
            std::fs::read(a.path().join(&name)).unwrap(),
            std::fs::read(b.path().join(&name)).unwrap(),
            "{name}"
        );
    }
    assert_eq!(digest(a.path()).unwrap(), first);
    let mut changed = sample();
    changed.windows.train_end += 1;
    assert_ne!(changed.save(b.path()).unwrap(), first);
    let mut changed = sample();
    Arc::make_mut(&mut changed.dataset).events[3].time += 1;
    assert_ne!(changed.save(b.path()).unwrap(), first);
    // Saving again over another pass leaves nothing of it behind.
    assert_eq!(sample().save(b.path()).unwrap(), first);
}

#[test]
fn a_truncated_file_is_named_with_found_and_expected_size() {
    for name in ["events.parquet", "swing.parquet", "validation.parquet", "index.json"] {
        let folder = tempfile::tempdir().unwrap();
        sample().save(folder.path()).unwrap();
        let file = folder.path().join(name);
        let bytes = std::fs::read(&file).unwrap();
        std::fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
        let message = PreparedPass::load(folder.path()).unwrap_err().to_string();
        let expected = format!("{}: found {} bytes, expected {} bytes", file.display(), bytes.len() / 2, bytes.len());
        assert!(message.starts_with(&expected), "{message}");
        assert!(digest(folder.path()).is_err());
    }
}

#[test]
fn an_altered_a_missing_and_a_foreign_file_are_named() {
    let folder = tempfile::tempdir().unwrap();
    sample().save(folder.path()).unwrap();
    let file = folder.path().join("sids.parquet");
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[10] ^= 1;
    std::fs::write(&file, &bytes).unwrap();
    let message = PreparedPass::load(folder.path()).unwrap_err().to_string();
    assert!(message.contains("sids.parquet: found SHA-256"), "{message}");
    std::fs::remove_file(&file).unwrap();
    let message = PreparedPass::load(folder.path()).unwrap_err().to_string();
    assert!(message.contains("sids.parquet") && message.contains("conrec prepare"), "{message}");
    std::fs::write(folder.path().join("pass.json"), "{").unwrap();
    let message = PreparedPass::load(folder.path()).unwrap_err().to_string();
    assert!(message.contains("pass.json"), "{message}");
    std::fs::remove_file(folder.path().join("pass.json")).unwrap();
    assert!(matches!(PreparedPass::load(folder.path()), Err(PreparedError::File { .. })));
}

/// Writes `pass.json` with one of its texts replaced.
fn with_manifest(folder: &Path, from: &str, to: &str) -> String {
    sample().save(folder).unwrap();
    let file = folder.join("pass.json");
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains(from), "{text}");
    std::fs::write(&file, text.replace(from, to)).unwrap();
    PreparedPass::load(folder).unwrap_err().to_string()
}

/// Found by mutation: room for every level was made before the number of levels was looked at.
#[test]
fn levels_without_end_are_refused_before_room_is_made_for_them() {
    let folder = tempfile::tempdir().unwrap();
    let levels = format!("\"levels\": {}", sample().ids.levels);
    let message = with_manifest(folder.path(), &levels, "\"levels\": 4294967295");
    assert!(message.contains("4294967295 levels: expected 1 to 26"), "{message}");
}

#[test]
fn a_part_may_not_lead_out_of_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["../users.parquet", "/etc/hosts", "..", "", "a/users.parquet", "users.parquet/"] {
        let message = with_manifest(folder.path(), "users.parquet", name);
        assert!(message.contains(&format!("a part named {name:?}")), "{message}");
    }
}

#[test]
fn an_index_outside_the_catalogue_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut pass = sample();
    pass.training[0].gts = vec![3];
    pass.save(folder.path()).unwrap();
    let message = PreparedPass::load(folder.path()).unwrap_err().to_string();
    assert!(message.contains("training.parquet: found 3 in column `gts`, expected an index below 3"), "{message}");
}

#[test]
fn rows_beyond_one_batch_come_back_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let mut pass = sample();
    let event = |n: u32| Event { user: n % 2, item: n % 3, time: i64::from(n) * 7, sign: Sign::Negative };
    Arc::make_mut(&mut pass.dataset).events = (0..150_000).map(event).collect();
    pass.save(folder.path()).unwrap();
    let begun = Instant::now();
    let loaded = PreparedPass::load(folder.path()).unwrap();
    println!("loaded 150,000 events in {:?}", begun.elapsed());
    assert_eq!(loaded.dataset.events, pass.dataset.events);
}
