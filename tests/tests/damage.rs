//! Bits are flipped in the memory of real workers while they compute: each damaged worker is named and dropped before
//! what it computed gets to the others, and the run ends with the bits of an undisturbed run.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic")]

use conrec_tests::processes::started_by;
use conrec_tests::run_files::{committed, outcome};
use conrec_tests::{run, start, text};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Child;
use std::thread::sleep;
use std::time::{Duration, Instant};
use tempfile::tempdir;

/// Part of a checkpoint and tensor of it: the policy's base, its adapter, the optimiser's state.
const TARGETS: [(&str, &str); 3] = [
    ("base.safetensors", "mlp.down_proj"),
    ("adapter.safetensors", "lora_B"),
    ("optimizer.safetensors", "second_moment"),
];
/// So much of a tensor is looked for in memory.
const NEEDLE: usize = 64;
/// A mapping that is longer is no heap.
const LONGEST: u64 = 1 << 30;
const PATIENCE: Duration = Duration::from_secs(400);

/// The tiny run with a last stage long enough to meet all this in, and a checkpoint after each iteration.
fn arguments<'a>(store: &'a str, workers: &'a str) -> Vec<&'a str> {
    let mut arguments = vec!["train", "tests/configs/tiny.toml", "--store", store, "--run-id", "bits"];
    arguments.extend(["--workers", workers]);
    for set in ["checkpoint.every=1", "stage.3.iterations=150", "stage.3.patience=1000", "stage.3.validate_every=50"] {
        arguments.extend(["--set", set]);
    }
    arguments
}

/// Bytes from the middle of a tensor as the newest checkpoint has it; none before there is one, and of zeros.
fn needle(run: &Path, (part, tensor): (&str, &str)) -> Option<Vec<u8>> {
    let mut keys: Vec<_> = fs::read_dir(run.join("checkpoints")).ok()?.flatten().map(|entry| entry.path()).collect();
    keys.retain(|key| key.join("manifest.json").is_file());
    keys.sort();
    let bytes = fs::read(keys.last()?.join(part)).ok()?;
    let length = 8 + u64::from_le_bytes(bytes.get(..8)?.try_into().ok()?) as usize;
    let header: Value = serde_json::from_slice(bytes.get(8..length)?).ok()?;
    let (_, found) = header.as_object()?.iter().find(|(name, _)| name.contains(tensor))?;
    let at = |index: usize| found["data_offsets"][index].as_u64().map(|offset| offset as usize);
    let tensor = bytes.get(length + at(0)?..length + at(1)?)?;
    let middle = tensor.len() / 2 / 4 * 4;
    let needle = tensor.get(middle..middle + NEEDLE)?;
    needle.iter().any(|byte| *byte != 0).then(|| needle.to_vec())
}

/// Flips a bit of the exponent wherever the process, which is stopped, holds these bytes; how often.
fn flip(process: Pid, needle: &[u8]) -> usize {
    let memory = OpenOptions::new().read(true).write(true).open(format!("/proc/{process}/mem")).unwrap();
    let mut flipped = 0;
    for line in fs::read_to_string(format!("/proc/{process}/maps")).unwrap().lines() {
        let mut fields = line.split_whitespace();
        let (range, rights) = (fields.next().unwrap(), fields.next().unwrap());
        let (from, to) = range.split_once('-').unwrap();
        let [from, to] = [from, to].map(|address| u64::from_str_radix(address, 16).unwrap());
        let of_a_file = fields.nth(3).is_some_and(|name| name.starts_with('/'));
        if !rights.starts_with("rw") || of_a_file || to - from > LONGEST {
            continue;
        }
        let mut bytes = vec![0; (to - from) as usize];
        if memory.read_exact_at(&mut bytes, from).is_err() {
            continue;
        }
        for at in (0..bytes.len().saturating_sub(needle.len())).step_by(4) {
            if bytes[at..].starts_with(needle) {
                memory.write_all_at(&[needle[2] ^ 0x80], from + at as u64 + 2).unwrap();
                flipped += 1;
            }
        }
    }
    flipped
}

fn named_as_damaged(log: &Path) -> usize {
    fs::read_to_string(log).unwrap().lines().filter(|l| l.contains("lost, the run") && l.contains("damaged")).count()
}

/// Damages one worker after the other until one is found out. What is looked for may have changed since the
/// checkpoint, and then only memory that nothing reads any more holds it.
fn damage_one(child: &mut Child, (run, log): (&Path, &Path), target: (&str, &str), since: Instant) {
    let before = named_as_damaged(log);
    for turn in 0.. {
        let said = || fs::read_to_string(log).unwrap();
        assert!(child.try_wait().unwrap().is_none(), "over before {target:?} was damaged: {}", said());
        assert!(since.elapsed() < PATIENCE, "{target:?} was never found out: {}", said());
        let workers = started_by(child.id(), "conrec-worker");
        let Some(victim) = workers.get(turn % workers.len().max(1)).copied().map(Pid::from_raw) else { continue };
        kill(victim, Signal::SIGSTOP).unwrap();
        sleep(Duration::from_millis(30));
        let flipped = needle(run, target).map_or(0, |needle| flip(victim, &needle));
        kill(victim, Signal::SIGCONT).unwrap();
        let tried = Instant::now();
        while flipped > 0 && tried.elapsed() < Duration::from_secs(2) {
            if named_as_damaged(log) > before {
                return;
            }
            sleep(Duration::from_millis(10));
        }
    }
}

#[test]
fn flipped_bits_in_policy_and_optimiser_are_caught_and_change_nothing() {
    let (quiet, loud) = (tempdir().unwrap(), tempdir().unwrap());
    let output = run(&arguments(quiet.path().to_str().unwrap(), "1")).unwrap();
    assert!(output.status.success(), "{}", text(&output));

    let log = loud.path().join("progress.txt");
    let mut child = start(&arguments(loud.path().to_str().unwrap(), "3"), &log).unwrap();
    let (folder, since) = (loud.path().join("bits"), Instant::now());
    // The last stage of the first pass trains the adapter.
    while committed(&folder) < 30 {
        assert!(since.elapsed() < PATIENCE, "{}", fs::read_to_string(&log).unwrap());
        sleep(Duration::from_millis(10));
    }
    for target in TARGETS {
        damage_one(&mut child, (&folder, &log), target, since);
    }
    let status = child.wait().unwrap();
    let said = fs::read_to_string(&log).unwrap();
    assert!(status.success(), "{status}: {said}");
    let ended = |store: &tempfile::TempDir| outcome(&store.path().join("bits")).unwrap();
    assert_eq!(ended(&loud), ended(&quiet), "{said}");
}
