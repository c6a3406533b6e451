//! `conrec bench`: `faults` is measured here, on whole runs; all else by `conrec-worker`, which has the tensors.

mod checkpoint_times;
mod faults;
mod figures;
mod inflict;
mod machine;
mod rounds;
mod subject;
mod table;

use crate::args::Output;
use crate::failure::Failure;
use crate::sibling;
use clap::Parser;
use conrec_coordinator::exit_code::ExitCode;
use conrec_process::{result, say};
use std::ffi::OsString;

/// `conrec bench faults`.
#[derive(Debug, Parser)]
#[command(
    name = "faults",
    bin_name = "conrec bench faults",
    about = "Measure what lost processes, checkpoints and commit rounds cost, on real runs of this machine",
    after_help = "\
Examples:
  conrec bench faults                    some minutes; a table
  conrec bench faults --output json      the same as one JSON object
  conrec bench faults --runs 1           a quick look; one repetition is no measurement"
)]
pub struct FaultsArgs {
    /// Repetitions of each kind of fault
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1000))]
    runs: u32,
    /// Worker processes of each run
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(2..=16))]
    workers: u32,
    /// How it is printed
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// Measures and prints.
///
/// # Errors
/// A run that does not end well, or that ends with other bits.
pub fn run(rest: &[OsString]) -> Result<u8, Failure> {
    if rest.first().is_none_or(|what| what != "faults") {
        return sibling::run("bench", rest);
    }
    let args = match FaultsArgs::try_parse_from(rest) {
        Ok(args) => args,
        Err(error) => {
            let _ = error.print();
            return Ok(if error.use_stderr() { ExitCode::Usage.code() } else { ExitCode::Done.code() });
        }
    };
    let measured = faults::measure(&args)?;
    match args.output {
        Output::Text => result(format_args!("{}", table::text(&measured))),
        Output::Json => say!("{measured:#}"),
    }
    Ok(ExitCode::Done.code())
}
