//! Gives every parser its committed corpus, and seeded mutations of it: nothing panics, nothing allocates without bound.
//! Fuzzing goes further (CONTRIBUTING.md); what it finds is kept in the corpus and so runs here.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic")]

#[path = "replay/mutate.rs"]
mod mutate;
#[path = "replay/peak.rs"]
mod peak;
#[path = "replay/seeds.rs"]
mod seeds;

use conrec_parsers::{PARSERS, Parser};
use mutate::Mutator;
use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Mutations for each parser, unless its time is over before: parsers that write files are slower.
const MUTATIONS: u64 = 3000;
const TIME: Duration = Duration::from_millis(600);
/// What a parser may allocate at most at a time for one input of some kilobytes.
const MOST_BYTES: usize = 64 << 20;

#[global_allocator]
static PEAK: peak::Peak = peak::Peak::new();

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus")
}

/// Inputs of a parser, in the order of their names.
fn inputs(name: &str) -> Vec<Vec<u8>> {
    let folder = corpus().join(name);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

fn survives(name: &str, parser: Parser, bytes: &[u8], what: &str) {
    let before = PEAK.begin();
    let ended = catch_unwind(|| parser(bytes)).is_ok();
    let most = PEAK.most().saturating_sub(before);
    if ended && most <= MOST_BYTES {
        return;
    }
    let kept = std::env::temp_dir().join(format!("conrec-{name}.input"));
    fs::write(&kept, bytes).unwrap();
    panic!("parser {name}, {what}: panicked: {}, allocated {most} bytes; the input is {}", !ended, kept.display());
}

#[test]
fn every_parser_survives_its_corpus_and_mutations_of_it() {
    for (name, parser) in PARSERS {
        let inputs = inputs(name);
        assert!(!inputs.is_empty(), "{name} has no corpus");
        for (at, bytes) in inputs.iter().enumerate() {
            survives(name, *parser, bytes, &format!("input {at}"));
        }
        let (mut mutator, begun, mut done) = (Mutator::new(name), Instant::now(), 0);
        while done < MUTATIONS && begun.elapsed() < TIME {
            let bytes = mutator.mutate(&inputs);
            survives(name, *parser, &bytes, &format!("mutation {done}"));
            done += 1;
        }
        println!("{name}: {} inputs, {done} mutations", inputs.len());
    }
}

/// `CONREC_REPLAY="safetensors 120" cargo test --release -p conrec-parsers -- --ignored longer` goes on for 120 seconds.
#[test]
#[ignore = "takes as long as it is told"]
fn one_parser_survives_mutations_for_longer() {
    let Ok(asked) = std::env::var("CONREC_REPLAY") else {
        return;
    };
    let (name, seconds) = asked.split_once(' ').unwrap();
    let (_, parser) = PARSERS.iter().find(|(known, _)| *known == name).unwrap();
    let (inputs, time) = (inputs(name), Duration::from_secs(seconds.parse().unwrap()));
    let (mut mutator, begun, mut done) = (Mutator::new(name), Instant::now(), 0u64);
    while begun.elapsed() < time {
        survives(name, *parser, &mutator.mutate(&inputs), &format!("mutation {done}"));
        done += 1;
    }
    println!("{name}: {done} mutations");
}

#[test]
fn the_corpus_is_small_and_each_part_belongs_to_a_parser() {
    let (mut bytes, mut names) = (0, Vec::new());
    for folder in fs::read_dir(corpus()).unwrap() {
        let folder = folder.unwrap().path();
        names.push(folder.file_name().unwrap().to_string_lossy().into_owned());
        bytes += fs::read_dir(folder).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).sum::<u64>();
    }
    let mut known: Vec<&str> = PARSERS.iter().map(|(name, _)| *name).collect();
    known.sort_unstable();
    names.sort_unstable();
    assert_eq!(names, known);
    assert!(bytes < 200_000, "the corpus has {bytes} bytes");
    let manifest = fs::read_to_string(corpus().join("../Cargo.toml")).unwrap();
    for name in known {
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")), "no fuzz target `{name}`");
    }
}
