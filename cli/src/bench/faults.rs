//! All runs of `conrec bench faults` and what they give together.

use super::FaultsArgs;
use super::checkpoint_times::CheckpointTimes;
use super::figures::{percent, spread};
use super::inflict::{Fault, Series, inflict};
use super::machine;
use super::rounds::{commit_rounds, iterations};
use super::subject::Subject;
use crate::failure::Failure;
use crate::sibling::{QUIET, worker_program};
use conrec_coordinator::exit_code::ExitCode;
use conrec_process::note;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The deadline of the config after which a silent worker is given up.
const HEARTBEAT_SECONDS: u32 = 1;
/// Iterations that a run has for each fault: others go on while a lost worker comes back.
const A_FAULT: u32 = 100;
/// And besides.
const BESIDES: u32 = 250;

/// A folder for the runs, removed at the end.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Runs everything; one JSON object.
///
/// # Errors
/// A run that does not end well, that ends with other bits than the undisturbed one, or that its audit contradicts.
pub fn measure(args: &FaultsArgs) -> Result<Value, Failure> {
    let scratch = Scratch(std::env::temp_dir().join(format!("conrec-bench-{}", std::process::id())));
    let folder = scratch.0.as_path();
    let long = [format!("stage.0.iterations={}", args.runs * A_FAULT + BESIDES)];
    let machine = machine::describe();
    let mut rounds = Value::Null;
    let (mut figures, mut expected, mut survived, mut lost) = (json!({}), None, 0, 0);
    for fault in [Fault::Nothing, Fault::WorkerKilled, Fault::WorkerStopped, Fault::CoordinatorKilled] {
        let mut all = Series::default();
        // While a lost worker comes back the others go on: a run may be over before all faults were inflicted.
        while all.millis.len() < args.runs as usize {
            let done = all.millis.len() as u32;
            note!("bench: {}, {done} of {}", fault.name().replace('_', " "), args.runs);
            let mut subject = Subject::start(folder, &format!("{}-{done}", fault.name()), args.workers, &long)?;
            let until = u64::from(args.runs * A_FAULT);
            let Series { millis, lost: again } = inflict(&mut subject, fault, done..args.runs, until)?;
            let audit = subject.finish()?;
            if fault == Fault::Nothing {
                let all = subject.rounds(0);
                rounds =
                    json!({"iteration_ms": spread(&iterations(&all)), "commit_round_ms": spread(&commit_rounds(&all))});
            }
            same(fault, &audit, expected.get_or_insert_with(|| audit.clone()))?;
            all.millis.extend(millis);
            all.lost += again;
        }
        figures[fault.name()] = spread(&all.millis);
        if fault != Fault::Nothing {
            (survived, lost) = (survived + all.millis.len(), lost + all.lost);
        }
    }
    let percents = percent(&rounds["commit_round_ms"], &rounds["iteration_ms"]);
    Ok(json!({
        "machine": machine, "load_at_the_end": machine::load(), "runs": args.runs, "workers": args.workers,
        "iterations_a_run": args.runs * A_FAULT + BESIDES,
        "heartbeat_deadline_seconds": HEARTBEAT_SECONDS,
        "next_commit_ms": figures,
        "iteration_ms": rounds["iteration_ms"], "commit_round_ms": rounds["commit_round_ms"],
        "commit_round_percent_of_an_iteration": percents,
        "checkpoint": checkpoints(args, folder)?,
        "exact_sum": worker_bench("exact-sum")?,
        "exact_sum_percent_of_an_iteration": worker_bench("iteration")?["exact_sum_percent"],
        "faults_survived": survived, "committed_iterations_computed_again": lost,
        "prompts": expected.map(|audit| audit["prompts"].clone()), "prompts_lost_or_doubled": 0, "same_bits": true,
    }))
}

/// The audit finds nothing, each prompt counted once, and the last state is that of the undisturbed run.
fn same(fault: Fault, audit: &Value, expected: &Value) -> Result<(), Failure> {
    for key in ["whole", "iterations", "prompts", "last_state", "first_state", "report_is_last"] {
        if audit[key] != expected[key] || audit["whole"] != true {
            let (found, expected) = (&audit[key], &expected[key]);
            let message = format!(
                "{}: {key} of its audit is {found}, expected {expected} as in the undisturbed run; findings: {}",
                fault.name(),
                audit["findings"]
            );
            return Err(Failure::new(ExitCode::BadData, message));
        }
    }
    Ok(())
}

/// Iterations with a checkpoint after each, beside iterations without, in turn.
fn checkpoints(args: &FaultsArgs, folder: &Path) -> Result<Value, Failure> {
    let count = args.runs * 10 + 20;
    let (mut with, mut without, mut times) = (Vec::new(), Vec::new(), CheckpointTimes::default());
    for turn in 0..2 {
        for (every, into) in [(1, &mut with), (1_000_000, &mut without)] {
            note!("bench: a checkpoint every {every} iterations");
            let set = [format!("stage.0.iterations={count}"), format!("checkpoint.every={every}")];
            let mut subject = Subject::start(folder, &format!("checkpoint-{every}-{turn}"), args.workers, &set)?;
            subject.finish()?;
            into.extend(iterations(&subject.rounds(0)));
            let CheckpointTimes { blocked, written } = subject.checkpoint_times();
            times.blocked.extend(blocked);
            times.written.extend(written);
        }
    }
    let (with, without) = (spread(&with), spread(&without));
    let between = with["median"].as_f64().zip(without["median"].as_f64());
    Ok(json!({
        "blocked_ms": spread(&times.blocked), "written_ms": spread(&times.written),
        "iteration_with_ms": with, "iteration_without_ms": without,
        "difference_of_medians_ms": between.map(|(with, without)| ((with - without) * 1000.0).round() / 1000.0),
    }))
}

/// What `conrec bench exact-sum` or `conrec bench iteration` says.
fn worker_bench(what: &str) -> Result<Value, Failure> {
    let program = worker_program()?;
    let output = Command::new(&program).args(["bench", what]).envs(QUIET).output();
    let output = output.map_err(Failure::io("start", &program))?;
    serde_json::from_slice(&output.stdout).map_err(|error| {
        let said = String::from_utf8_lossy(&output.stderr);
        Failure::new(ExitCode::Failed, format!("`conrec bench {what}` cannot be read: {error}; {said}"))
    })
}
