//! Policies on a GPU, on machines without one: real runs against a stand-in for libtorch's CUDA library
//! (`tests/stand_in/cuda.cpp`), which refuses an operation that gets tensors of the host and of the device together. A
//! GPU's own operations are the matter of `scripts/check-gpu`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic")]

use conrec_tests::{conrec, root, text};
use serde_json::Value;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use tempfile::tempdir;

/// The folder with the stand-in, built once for each of its sources.
fn stand_in() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let source = root().join("tests/stand_in/cuda.cpp");
        let mut hasher = DefaultHasher::new();
        fs::read(&source).unwrap().hash(&mut hasher);
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("stand-in-{:016x}", hasher.finish()));
        let library = folder.join("libtorch_cuda.so");
        if !library.is_file() {
            fs::create_dir_all(&folder).unwrap();
            let unfinished = folder.join(format!("unfinished-{}", std::process::id()));
            compile(&source, &unfinished);
            fs::rename(&unfinished, &library).unwrap();
        }
        folder
    })
}

fn compile(source: &Path, library: &Path) {
    let torch = std::env::var_os("LIBTORCH").map_or_else(|| root().join("third_party/torch/torch"), PathBuf::from);
    let mut compiler = Command::new(std::env::var_os("CXX").unwrap_or_else(|| "c++".into()));
    compiler.args(["-std=c++17", "-O1", "-shared", "-fPIC", "-w"]).arg(source).arg("-o").arg(library);
    for include in ["include", "include/torch/csrc/api/include"] {
        compiler.arg("-isystem").arg(torch.join(include));
    }
    compiler.arg("-L").arg(torch.join("lib")).args(["-ltorch_cpu", "-lc10"]);
    let output = compiler.output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
}

/// `conrec` where the stand-in is found as libtorch's CUDA library, with one more variable.
fn with_stand_in(arguments: &[&str], (name, value): (&str, &str)) -> (i32, String) {
    let mut command = conrec(arguments).unwrap();
    let output = command.env("LD_LIBRARY_PATH", stand_in()).env(name, value).output().unwrap();
    (output.status.code().unwrap_or(-1), text(&output))
}

fn train<'a>(store: &'a Path, workers: &'a str) -> Vec<&'a str> {
    let store = store.to_str().unwrap();
    let begin = ["train", "tests/configs/tiny.toml", "--store", store, "--run-id", "gpu", "--workers", workers];
    [&begin[..], &["--lanes", "2", "--set", "cluster.device=cuda"]].concat()
}

fn report(store: &Path) -> Value {
    let mut report: Value = serde_json::from_slice(&fs::read(store.join("gpu/report.json")).unwrap()).unwrap();
    report.as_object_mut().unwrap().remove("wall_seconds");
    report
}

const NOTHING: (&str, &str) = ("CONREC_STAND_IN", "1");

#[test]
fn policies_on_a_device_make_every_tensor_there_and_any_number_of_workers_gives_the_same_bits() {
    let reports = ["1", "3"].map(|workers| {
        let store = tempdir().unwrap();
        let (code, message) = with_stand_in(&train(store.path(), workers), NOTHING);
        assert_eq!(code, 0, "{workers} workers: {message}");
        let logs = fs::read_to_string(store.path().join("gpu/logs/worker-1.log")).unwrap();
        assert!(logs.contains("the policy computes on the first GPU of 1"), "{logs}");
        report(store.path())
    });
    assert!(reports[0]["state_digest"].is_string());
    assert_eq!(reports[0], reports[1]);
}

/// An update on the host that the device did not see would show here: each iteration's loss is that of the one before.
#[test]
fn policies_on_a_device_learn_what_they_learn_on_the_cpu() {
    let [cpu, device] = ["cpu", "cuda"].map(|device| {
        let store = tempdir().unwrap();
        let set = format!("cluster.device={device}");
        let arguments = [&train(store.path(), "1")[..], &["--set", &set]].concat();
        let (code, message) = with_stand_in(&arguments, NOTHING);
        assert_eq!(code, 0, "{device}: {message}");
        losses(store.path())
    });
    // Later ones hang on decisions, which a last bit may turn.
    for (iteration, (cpu, device)) in cpu.iter().zip(&device).take(5).enumerate() {
        assert!((cpu - device).abs() < 1e-4 * cpu, "iteration {}: {cpu} {device}", iteration + 1);
    }
    assert!(cpu[4] < cpu[0] * 0.98, "the loss has to fall for this test to say something: {cpu:?}");
}

fn losses(store: &Path) -> Vec<f64> {
    let lines = fs::read_to_string(store.join("gpu/metrics.jsonl")).unwrap();
    let loss = |line: &str| serde_json::from_str::<Value>(line).unwrap()["loss"].as_f64().unwrap();
    let losses: Vec<f64> = lines.lines().map(loss).collect();
    assert!(losses.len() > 5, "{lines}");
    losses
}

#[test]
fn a_full_device_ends_the_run_with_a_sentence() {
    let store = tempdir().unwrap();
    let (code, message) = with_stand_in(&train(store.path(), "1"), ("CONREC_STAND_IN_BYTES", "4000000"));
    // The worker ends with 69 each time it is started, and so does the run.
    assert_eq!(code, 69, "{message}");
    assert!(message.contains("the GPU has no memory left: CUDA out of memory. Tried to allocate"), "{message}");
    assert!(message.contains("fewer --lanes"), "{message}");
}

#[test]
fn a_device_that_is_hidden_is_said_with_what_to_do() {
    let store = tempdir().unwrap();
    let (code, message) = with_stand_in(&train(store.path(), "1"), ("CUDA_VISIBLE_DEVICES", ""));
    assert_eq!(code, 69, "{message}");
    assert!(message.contains("CUDA is not available: looked for a GPU; found none; check nvidia-smi"), "{message}");
}
