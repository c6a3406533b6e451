//! Nothing at or after the end of training time reaches training: two datasets that differ only there must prepare
//! to the same codes, cells, neighbours, instances, prompts and targets, bit for bit. And where training time ends
//! later, the same comparison must see the difference: it could not pass by looking at nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use conrec_domain::spec::{Context, Distractors, RunConfig, RunSpec, StageKind, StageSpec};
use conrec_domain::work::Pass;
use conrec_feedback::dataset::{Dataset, Truth};
use conrec_feedback::event::{Event, Sign};
use conrec_feedback::history::History;
use conrec_feedback::prepared::EvaluationSet;
use conrec_feedback::split::{DAY, PassWindows, days, passes};
use conrec_feedback::synthetic;
use conrec_policy::base_model::{BaseModel, vocabulary_size};
use conrec_worker::pass_data::PassData;
use conrec_worker::prepare::{prepare, prepare_pass};
use conrec_worker::run_folder::{Place, RunFolder};
use std::collections::BTreeMap;
use std::sync::Arc;

#[path = "leakage/choices.rs"]
mod choices;
#[path = "leakage/other_configs.rs"]
mod other_configs;

const CONFIG: &str = include_str!("../../tests/configs/tiny.toml");

/// Items below this are met only after training time, and so is user 0.
const LATE_ITEMS: u32 = 5;
const LATE_USER: u32 = 0;

/// Where the RQ-VAE's content vectors come from.
#[derive(Clone, Copy, PartialEq)]
enum Content {
    /// The dataset's own vectors.
    Given,
    /// Text features, fitted on training time.
    Text,
}

/// The tiny config with a stage of every kind and context, on all and on recent training time.
fn spec() -> RunSpec {
    let mut config = RunConfig::parse(CONFIG, "tiny.toml").unwrap();
    let mut stages = Vec::new();
    for kind in [StageKind::NextItem, StageKind::NextNegative, StageKind::Grpo] {
        let model = config.stage.iter().find(|stage| stage.kind == kind).unwrap();
        for context in [Context::Negatives3d, Context::Negatives, Context::All] {
            for recent_days in [0, 10] {
                let name = format!("{kind:?} from {context:?}, recent days {recent_days}");
                stages.push(StageSpec { name, context, recent_days, ..model.clone() });
            }
        }
    }
    let model = config.stage.iter().find(|stage| stage.kind == StageKind::NextNegative).unwrap();
    let distractors = Distractors { positives: 1.0, popularity: 1.0, category: 1.0, exposed: 1.0 };
    let name = "Alignment".to_owned();
    stages.insert(0, StageSpec { name, kind: StageKind::Alignment, distractors, ..model.clone() });
    config.stage = stages;
    RunSpec::check(config).unwrap()
}

/// A dataset, and when its training time ends in a pass. Some items and a user are met only later.
fn sample(spec: &RunSpec, pass: Pass, content: Content) -> (Dataset, PassWindows) {
    let mut dataset = synthetic::generate(&spec.data.synthetic, spec.seed).unwrap();
    let (first, last) = (dataset.first_time().unwrap(), dataset.last_time().unwrap());
    let all = passes(&spec.data, spec.evaluation.statistics, first, last).unwrap();
    let windows = *all.iter().find(|windows| windows.pass == pass).unwrap();
    let late = |e: &Event| e.item < LATE_ITEMS || e.user == LATE_USER;
    dataset.events.retain(|e| e.time >= windows.train_end || !late(e));
    if content == Content::Text {
        dataset.vectors = None;
    }
    (dataset, windows)
}

/// The dataset with other events from `end` on.
fn with_future(dataset: &Dataset, end: i64, edit: impl FnOnce(Vec<Event>) -> Vec<Event>) -> Dataset {
    let past = dataset.before(end);
    let mut future = edit(dataset.events[past.len()..].to_vec());
    assert!(future.iter().all(|e| e.time >= end));
    future.sort_by_key(Event::order);
    Dataset { events: [past, &future].concat(), ..dataset.clone() }
}

/// Every event is of another item, and of another sign.
fn changed(future: Vec<Event>, items: u32) -> Vec<Event> {
    let sign = |sign| match sign {
        Sign::Negative => Sign::Positive,
        Sign::Neutral | Sign::Positive => Sign::Negative,
    };
    future.into_iter().map(|e| Event { item: (e.item + 7) % items, sign: sign(e.sign), ..e }).collect()
}

/// From the end of training time on, every user dislikes the late items and likes some others, one an hour.
fn added(mut future: Vec<Event>, dataset: &Dataset, end: i64) -> Vec<Event> {
    for user in 0..dataset.users.len() as u32 {
        for nth in 0..LATE_ITEMS {
            let at = |item, sign| Event { user, item, time: end + i64::from(nth) * 3600, sign };
            let other = LATE_ITEMS + (user * 11 + nth) % (dataset.items.len() as u32 - LATE_ITEMS);
            future.extend([at(nth, Sign::Negative), at(other, Sign::Positive)]);
        }
    }
    future
}

/// One more event, exactly at the end of training time: a late item, disliked by a user whose last horizons reach
/// beyond that end.
fn one_at_the_end(spec: &RunSpec, dataset: &Dataset, end: i64) -> Event {
    let recent = dataset.between(end - days(spec.data.horizon_days), end);
    let user = recent.iter().find(|e| e.sign == Sign::Negative).expect("a recent dislike").user;
    Event { user, item: 0, time: end, sign: Sign::Negative }
}

/// What a pass hands on: to training, by name, each part as text that holds every bit; and to evaluation.
struct Handed {
    training: BTreeMap<String, String>,
    evaluations: Vec<EvaluationSet>,
}

/// Prepares a pass, writes it, and reads it as a worker does.
fn prepared(spec: &RunSpec, dataset: &Dataset, windows: PassWindows) -> Handed {
    tch::set_num_threads(1);
    let store = tempfile::tempdir().unwrap();
    let (run, url) = ("leakage".parse().unwrap(), store.path().to_str().unwrap().to_owned());
    let folder = RunFolder::open(&Place { store: url, scratch: None, run }).unwrap();
    let history = History::new(&dataset.events, dataset.users.len());
    let pass = prepare_pass(spec, &Arc::new(dataset.clone()), &history, windows).unwrap();
    assert!(pass.dataset.truth.is_none());
    pass.save(&folder.path(windows.pass.folder())).unwrap();
    let data = PassData::load(spec, &folder, windows.pass).unwrap();
    let ids = &data.prepared.ids;
    let candidates: Vec<u32> = (0..ids.items() as u32).filter(|item| ids.cell_of(*item).is_some()).collect();
    assert!(data.prepared.swing.iter().any(|list| !list.is_empty()));
    let mut training = BTreeMap::from([
        ("candidates".to_owned(), format!("{candidates:?}")),
        ("codes of all items".to_owned(), format!("{:?}", ids.of_item)),
        ("cells".to_owned(), format!("{ids:?}")),
        ("legal codes".to_owned(), format!("{:?}", data.trie)),
        ("cell vectors".to_owned(), format!("{:?}", data.prepared.cell_vectors)),
        ("reward".to_owned(), format!("{:?}", data.reward)),
        ("swing lists".to_owned(), format!("{:?}", data.prepared.swing)),
        ("training instances".to_owned(), format!("{:?}", data.prepared.training)),
        ("cell shares".to_owned(), format!("{:?}", data.shares)),
    ]);
    assert_eq!(data.stages.len(), spec.stage.len());
    for (at, (stage, all)) in spec.stage.iter().zip(&data.stages).enumerate() {
        assert!(!all.is_empty(), "{}", stage.name);
        let all: Vec<u32> = (0..all.len() as u32).collect();
        let prompts = data.prompts(spec, at as u32, &all).unwrap();
        assert!(data.prompts(spec, at as u32, &[all.len() as u32]).is_err(), "{}", stage.name);
        training.insert(format!("prompts: {}", stage.name), format!("{prompts:?}"));
    }
    Handed { training, evaluations: data.prepared.evaluations }
}

/// Names of the parts that training sees differently.
fn differences(a: &Handed, b: &Handed) -> Vec<String> {
    assert!(a.training.keys().eq(b.training.keys()));
    a.training.iter().filter(|(name, text)| b.training[*name] != **text).map(|(name, _)| name.clone()).collect()
}

/// Prepares the sample and its variants from the same windows: only what is evaluated may differ.
fn nothing_leaks(pass: Pass, content: Content) {
    let spec = spec();
    let (dataset, windows) = sample(&spec, pass, content);
    nothing_leaks_of(&spec, dataset, windows);
}

fn nothing_leaks_of(spec: &RunSpec, dataset: Dataset, windows: PassWindows) {
    let pass = windows.pass;
    let (end, items) = (windows.train_end, dataset.items.len() as u32);
    let future = |edit: &dyn Fn(Vec<Event>) -> Vec<Event>| with_future(&dataset, end, edit);
    let one = one_at_the_end(spec, &dataset, end);
    let many: Vec<Event> = (0..items).step_by(2).map(|item| Event { item, ..one }).collect();
    let variants = [
        ("changed", future(&|events| changed(events, items))),
        ("added", future(&|events| added(events, &dataset, end))),
        ("removed", future(&|events| events.into_iter().step_by(3).collect())),
        ("one event exactly at train_end", future(&|events| [events, vec![one]].concat())),
        // Items that have a cell: the late item above has none, so it cannot show in the shares.
        ("many events exactly at train_end", future(&|events| [events, many.clone()].concat())),
    ];
    let expected = prepared(spec, &dataset, windows);
    for (name, variant) in variants {
        let found = prepared(spec, &variant, windows);
        assert_ne!(found.evaluations, expected.evaluations, "{name}: the variant must be seen by evaluation");
        let differ = differences(&expected, &found);
        assert!(differ.is_empty(), "{pass:?}, events after train_end {name}: training sees it in {differ:#?}");
    }
}

#[test]
fn given_vectors_and_the_select_pass_do_not_leak() {
    nothing_leaks(Pass::Select, Content::Given);
}

#[test]
fn given_vectors_and_the_refit_pass_do_not_leak() {
    nothing_leaks(Pass::Refit, Content::Given);
}

#[test]
fn text_features_and_the_select_pass_do_not_leak() {
    nothing_leaks(Pass::Select, Content::Text);
}

#[test]
fn text_features_and_the_refit_pass_do_not_leak() {
    nothing_leaks(Pass::Refit, Content::Text);
}

/// What a leak of a day would look like.
#[test]
fn a_later_end_of_training_time_shows_in_every_part() {
    let spec = spec();
    let (dataset, windows) = sample(&spec, Pass::Select, Content::Given);
    let later = PassWindows { train_end: windows.train_end + DAY, ..windows };
    let variant = with_future(&dataset, windows.train_end, |events| added(events, &dataset, windows.train_end));
    let (a, b) = (prepared(&spec, &dataset, later), prepared(&spec, &variant, later));
    assert_eq!(differences(&a, &b), a.training.keys().cloned().collect::<Vec<_>>());
}

/// What `<=` in the place of `<` would look like.
#[test]
fn an_event_at_train_end_shows_a_second_later() {
    let spec = spec();
    let (dataset, windows) = sample(&spec, Pass::Select, Content::Given);
    let later = PassWindows { train_end: windows.train_end + 1, ..windows };
    let one = one_at_the_end(&spec, &dataset, windows.train_end);
    let variant = with_future(&dataset, windows.train_end, |events| [events, vec![one]].concat());
    let differ = differences(&prepared(&spec, &dataset, later), &prepared(&spec, &variant, later));
    for part in ["candidates", "cells", "cell vectors", "cell shares", "training instances"] {
        assert!(differ.iter().any(|name| name == part), "{part} is not among {differ:#?}");
    }
    for kind in ["NextItem", "NextNegative", "Grpo", "Alignment"] {
        assert!(differ.iter().any(|name| name.starts_with(&format!("prompts: {kind}"))), "{kind}: {differ:#?}");
    }
}

/// What the generator knows may be measured with and never be learnt from: another truth about the same events, or none,
/// prepares to the same bits.
#[test]
fn the_generators_truth_reaches_no_pass() {
    let spec = spec();
    let (dataset, windows) = sample(&spec, Pass::Select, Content::Given);
    assert!(dataset.truth.as_ref().is_some_and(|truth| !truth.disliked.is_empty()));
    let known = prepared(&spec, &dataset, windows);
    for truth in [None, Some(Truth::default())] {
        let other = prepared(&spec, &Dataset { truth, ..dataset.clone() }, windows);
        assert!(known.training == other.training && known.evaluations == other.evaluations);
    }
}

/// The truth lies in a folder of its own, which reports read; the passes' files are the same with and without it.
#[test]
fn the_generators_truth_lies_beside_the_passes() {
    let store = tempfile::tempdir().unwrap();
    let (run, url) = ("truth".parse().unwrap(), store.path().to_str().unwrap().to_owned());
    let folder = RunFolder::open(&Place { store: url, scratch: None, run }).unwrap();
    let spec = spec();
    let base = BaseModel::from_scratch(&spec, vocabulary_size(&spec)).unwrap();
    prepare(&spec, &base, &folder).unwrap();
    let names = |place: &str| -> Vec<String> {
        let entries = std::fs::read_dir(folder.path(place)).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    };
    assert!(names("prepared/truth").contains(&"disliked.parquet".to_owned()));
    for pass in names("prepared").iter().filter(|name| ["select", "refit"].contains(&name.as_str())) {
        let has = names(&format!("prepared/{pass}"));
        assert!(!has.iter().any(|name| name.contains("truth") || name.contains("disliked") || name.contains("region")));
    }
    // Lost truth is no loss to training.
    std::fs::remove_dir_all(folder.path("prepared/truth")).unwrap();
    let data = PassData::load(&spec, &folder, Pass::Select).unwrap();
    assert!(data.prepared.dataset.truth.is_none());
}
