//! Datasets, files of semantic ids, and the prepared data of a pass.

use crate::scratch::with_files;
use conrec_domain::spec::DataSpec;
use conrec_domain::work::Pass;
use conrec_feedback::dataset::{Dataset, Item};
use conrec_feedback::event::{Event, Sign};
use conrec_feedback::instance::Instance;
use conrec_feedback::matrix::Matrix;
use conrec_feedback::prepared::{EvaluationSet, PreparedPass, Role};
use conrec_feedback::readers::read;
use conrec_feedback::semantic_id::SemanticIds;
use conrec_feedback::sid_files::{SidIndex, read_item_texts};
use conrec_feedback::split::{PassWindows, Window};
use std::path::Path;
use std::sync::OnceLock;
use tempfile::TempDir;

/// `index.json`, and the same bytes as `item.json`.
pub(crate) fn sid_files(bytes: &[u8]) {
    with_files(&[("index.json", bytes)], |folder| {
        let file = folder.join("index.json");
        if let Ok(index) = SidIndex::read(&file) {
            assert!(index.codes() <= 1 << 16);
            assert!(index.items.iter().all(|(_, codes)| codes.len() == index.levels));
        }
        let _ = read_item_texts(&file);
    });
}

/// `movies.dat`, a line of `====`, `ratings.dat`.
pub(crate) fn movietweetings(bytes: &[u8]) {
    let mark = crate::run_files::BREAK;
    let at = bytes.windows(mark.len()).position(|window| window == mark);
    let (movies, ratings) = at.map_or((bytes, &[][..]), |at| (&bytes[..at], &bytes[at + mark.len()..]));
    with_files(&[("movies.dat", movies), ("ratings.dat", ratings)], |folder| {
        let path = folder.display().to_string();
        let spec = DataSpec { path, malformed_share: 1.0, ..DataSpec::default() };
        if let Ok(data) = read(&spec, i64::MAX) {
            assert!(data.events.is_sorted_by_key(Event::order));
            let known =
                |event: &Event| (event.user as usize) < data.users.len() && (event.item as usize) < data.items.len();
            assert!(data.events.iter().all(known));
        }
    });
}

/// `pass.json` over the tables of a small pass. The tables themselves are compared with its digests before they are read.
pub(crate) fn prepared_pass(bytes: &[u8]) {
    static BASE: OnceLock<Option<TempDir>> = OnceLock::new();
    let base = BASE.get_or_init(|| {
        let folder = tempfile::tempdir().ok()?;
        some_pass()?.save(folder.path()).ok()?;
        Some(folder)
    });
    let Some(base) = base else {
        return;
    };
    let names = std::fs::read_dir(base.path())
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let tables: Vec<(String, Vec<u8>)> = names
        .filter(|name| name != "pass.json")
        .filter_map(|name| Some((name.clone(), std::fs::read(base.path().join(name)).ok()?)))
        .collect();
    let mut files: Vec<(&str, &[u8])> =
        tables.iter().map(|(name, content)| (name.as_str(), content.as_slice())).collect();
    files.push(("pass.json", bytes));
    with_files(&files, |folder: &Path| {
        if let Ok(pass) = PreparedPass::load(folder) {
            assert!(pass.ids.levels > 0 && pass.training.iter().all(|i| (i.user as usize) < pass.dataset.users.len()));
        }
    });
}

/// The smallest pass that has every table.
pub fn some_pass() -> Option<PreparedPass> {
    let item = |key: &str| Item { key: key.into(), title: key.into(), year: Some(1999), categories: vec!["A".into()] };
    let event = |item, time| Event { user: 0, item, time, sign: Sign::Negative };
    let dataset = Dataset {
        events: vec![event(0, 1), event(1, 60)],
        users: vec!["u".into()],
        items: vec![item("x"), item("y")],
        vectors: Some(Matrix { rows: 2, cols: 1, data: vec![0.5, -1.0] }),
        ..Dataset::default()
    };
    let window = Window { from: 50, to: 90 };
    let instance = Instance { user: 0, t0: 60, next: 1, gts: vec![1], fps: Vec::new() };
    Some(PreparedPass {
        windows: PassWindows { pass: Pass::Select, train_end: 50, evaluate: window },
        dataset: dataset.into(),
        training: vec![instance.clone()],
        evaluations: vec![EvaluationSet {
            role: Role::Test,
            window,
            instances: vec![instance],
            candidates: vec![vec![1, 0]],
        }],
        swing: vec![vec![(1, 0.5)], Vec::new()],
        ids: SemanticIds::new(2, 8, vec![1, 2, 1, 3], &[true, true]).ok()?,
        cell_vectors: Matrix { rows: 2, cols: 1, data: vec![0.25, 1.5] },
    })
}
