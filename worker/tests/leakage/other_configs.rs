//! The same with other ways to make vectors, ids and rewards: each of them learns from training time alone.

use super::{Content, added, nothing_leaks_of, sample, spec, with_future};
use conrec_domain::spec::{Collisions, Control, Missing, Quantizer, RewardShape, RunConfig, RunSpec, VectorSource};
use conrec_domain::work::Pass;
use conrec_feedback::dataset::Dataset;
use conrec_feedback::history::History;
use conrec_feedback::split::{DAY, PassWindows};
use conrec_worker::item_vectors::take_vectors;
use conrec_worker::prepare::prepare_pass;
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn edited(edit: impl FnOnce(&mut RunConfig)) -> RunSpec {
    let mut config = RunConfig::clone(&spec());
    edit(&mut config);
    RunSpec::check(config).unwrap()
}

fn no_leak_with(content: Content, edit: impl FnOnce(&mut RunConfig)) {
    let spec = edited(edit);
    let (dataset, windows) = sample(&spec, Pass::Select, content);
    nothing_leaks_of(&spec, dataset, windows);
}

#[test]
fn residual_k_means_and_transport_of_collisions_do_not_leak() {
    no_leak_with(Content::Text, |config| {
        config.semantic_id.quantizer = Quantizer::ResidualKMeans;
        config.semantic_id.collisions = Collisions::Sinkhorn;
    });
}

#[test]
fn suffixes_and_shuffled_ids_do_not_leak() {
    no_leak_with(Content::Given, |config| {
        config.semantic_id.collisions = Collisions::Suffix;
        config.semantic_id.codes = 64;
        config.semantic_id.control = Control::Shuffled;
    });
}

#[test]
fn rewards_by_popularity_do_not_leak() {
    no_leak_with(Content::Given, |config| {
        config.reward.shape = RewardShape::PopularityAware;
        config.reward.popularity_days = 10;
    });
}

/// Content that is centred, as that of a base: what is taken off is the mean of items of training time.
#[test]
fn centred_content_does_not_leak() {
    // The dataset has its vectors: no base is opened.
    let spec = edited(|config| {
        config.semantic_id.vectors = VectorSource::BaseModel;
        config.model.base = "of_the_dataset".into();
    });
    let (dataset, windows) = sample(&spec, Pass::Select, Content::Given);
    let made = |dataset: &Dataset, windows| {
        let history = History::new(&dataset.events, dataset.users.len());
        let pass = prepare_pass(&spec, &Arc::new(dataset.clone()), &history, windows).unwrap();
        (pass.ids, pass.cell_vectors)
    };
    let end = windows.train_end;
    let variant = with_future(&dataset, end, |events| added(events, &dataset, end));
    assert_eq!(made(&dataset, windows), made(&variant, windows));
    let later = PassWindows { train_end: end + DAY, ..windows };
    assert_ne!(made(&dataset, later), made(&variant, later));
}

/// A file that lacks some items: the mean that stands for them.
fn with_vectors_of(file: &Path, dataset: &Dataset, spec: &RunSpec) -> Dataset {
    let mut with = dataset.clone();
    take_vectors(&mut with, spec, None).unwrap();
    assert!(with.vectors.is_some(), "{}", file.display());
    with
}

/// Values that are multiples of 2^-6, so that text holds them.
fn vector_table(folder: &Path, items: usize, lacking: usize) -> (PathBuf, PathBuf) {
    let (file, keys) = (folder.join("vectors.npy"), folder.join("keys.txt"));
    let present = lacking..items;
    let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, 4), }}\n", present.len());
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    for item in present.clone() {
        let value = |column: usize| ((item * 37 + column * 11) % 64) as f32 / 64.0 - 0.5;
        (0..4).for_each(|column| bytes.extend(value(column).to_le_bytes()));
    }
    std::fs::write(&file, bytes).unwrap();
    let names: Vec<String> = present.map(|item| format!("item-{item}\n")).collect();
    std::fs::write(&keys, names.concat()).unwrap();
    (file, keys)
}

/// Of two datasets that differ after training time only, a file's vectors are the same, the mean for those that it lacks
/// too; and where a known item comes later, that mean is another.
#[test]
fn the_mean_that_stands_for_a_vector_does_not_leak() {
    let folder = tempfile::tempdir().unwrap();
    let plain = spec();
    let (mut dataset, windows) = sample(&plain, Pass::Select, Content::Given);
    for (item, at) in dataset.items.iter_mut().zip(0..) {
        item.key = format!("item-{at}");
    }
    let (file, keys) = vector_table(folder.path(), dataset.items.len(), 20);
    let spec = edited(|config| {
        config.semantic_id.vectors = VectorSource::File;
        config.semantic_id.vectors_path = file.display().to_string();
        config.semantic_id.vectors_keys = keys.display().to_string();
        config.semantic_id.missing = Missing::Accept;
    });
    // Item 21 is met after training time only: its vector is in no mean.
    let without = |dataset: &Dataset, item: u32, before: i64| Dataset {
        events: dataset.events.iter().copied().filter(|e| e.item != item || e.time >= before).collect(),
        ..dataset.clone()
    };
    let late = without(&dataset, 21, windows.train_end);
    let never = without(&dataset, 21, i64::MAX);
    let mean = |dataset: &Dataset| with_vectors_of(&file, dataset, &spec).vectors.unwrap().row(0).to_vec();
    assert_eq!(mean(&late), mean(&never));
    assert_ne!(mean(&late), mean(&dataset), "an item of training time has a say");
    nothing_leaks_of(&spec, with_vectors_of(&file, &late, &spec), windows);
}
