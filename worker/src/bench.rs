//! `conrec bench`: speed and memory of this machine, as one JSON object. Timing lives here, never in tests.

mod exact_sum;
mod iteration;
mod process;

use crate::error::WorkerError;
use clap::{Args, Subcommand};
use serde_json::Value;

/// `conrec bench`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  conrec bench                                        all measurements at their defaults
  conrec bench iteration --model-dir tiny-llama       one GRPO iteration on an exported Hugging Face model
  conrec bench iteration --iterations 1000            is resident memory flat?
  conrec bench faults                                 what lost processes and checkpoints cost; see its --help")]
pub struct BenchArgs {
    /// What to measure; all of it by default.
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Debug, Subcommand)]
enum What {
    /// One GRPO iteration: rollout, reward, gradient, exact sum, optimiser
    Iteration(iteration::IterationArgs),
    /// The exact integer sum and the digests, for a million values
    ExactSum,
}

/// Measures and prints.
///
/// # Errors
/// What the policy refuses, and model files that cannot be read.
pub fn run(args: &BenchArgs) -> Result<(), WorkerError> {
    let measured = match &args.what {
        Some(What::Iteration(args)) => iteration::measure(args)?,
        Some(What::ExactSum) => exact_sum::measure()?,
        None => {
            let iteration = iteration::measure(&iteration::IterationArgs::default())?;
            Value::from_iter([("iteration".to_owned(), iteration), ("exact_sum".to_owned(), exact_sum::measure()?)])
        }
    };
    conrec_process::say!("{measured:#}");
    Ok(())
}
