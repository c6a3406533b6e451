//! `conrec bench`: speed and memory of this machine, as one JSON object. Timing lives here, never in tests.

mod data;
mod exact_sum;
mod iteration;
mod predict;
mod process;
mod read;

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
  conrec bench predict --users 1000                   users a second through the beam search
  conrec bench data --users 1000000 --items 100000 --events 10000000
  conrec bench read configs/demo.toml                 the dataset of a config
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
    /// Predict sets of made-up users on one thread, in users a second
    Predict(predict::PredictArgs),
    /// Made-up data of any size: histories, instances, Swing, features, files, baselines; times and memory
    Data(data::DataArgs),
    /// The dataset of a config: reading, histories, instances; times and memory
    Read(read::ReadArgs),
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
        Some(What::Predict(args)) => predict::measure(args)?,
        Some(What::Data(args)) => data::measure(args)?,
        Some(What::Read(args)) => read::measure(args)?,
        Some(What::ExactSum) => exact_sum::measure()?,
        None => {
            let iteration = iteration::measure(&iteration::IterationArgs::default())?;
            let sum = exact_sum::measure()?;
            let predict = predict::measure(&predict::PredictArgs::default())?;
            let data = data::measure(&data::DataArgs::small())?;
            Value::from_iter([
                ("iteration".to_owned(), iteration),
                ("exact_sum".to_owned(), sum),
                ("predict".to_owned(), predict),
                ("data".to_owned(), data),
            ])
        }
    };
    conrec_process::say!("{measured:#}");
    Ok(())
}
