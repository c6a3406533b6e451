//! `conrec sid-report`: whether the semantic ids of a config or a run mean anything, beside controls.

mod document;
mod findings;
mod measure;
mod stability;
mod subject;

use crate::error::WorkerError;
use crate::stored_run::StoreArgs;
use clap::Args;
use conrec_process::{Output, ReportFiles};
use std::path::{Path, PathBuf};

pub use findings::{Finding, Verdict};
pub use measure::{Column, SidReport};
pub use stability::{NoiseStability, QuantizerStability, SeedStability, TimeStability};

/// `conrec sid-report`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  conrec sid-report configs/demo.toml                      tables here; sid-report.html, .md and .json in reports/demo
  conrec sid-report demo-1a2b3c4d --out reports/ids        the ids of a run, from its prepared data
  conrec sid-report configs/demo.toml --set semantic_id.quantizer=residual_k_means --output json")]
pub struct SidReportArgs {
    /// A config file, or the name of a run
    #[arg(value_name = "CONFIG|RUN")]
    subject: String,
    /// Set one key of a config, such as semantic_id.codes=256; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// The store.
    #[command(flatten)]
    store: StoreArgs,
    /// The folder that gets the report; default: reports/ and the name of config or run
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Writes the page to this file too
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// What is printed at the end
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// Measures, writes and prints.
///
/// # Errors
/// A config, data or run that cannot be read, ids that cannot be made, a page that cannot be written.
pub fn run(args: &SidReportArgs) -> Result<(), WorkerError> {
    let subject = subject::Subject::open(args)?;
    let report = measure::measure(&subject)?;
    let document = document::document(&report);
    if let Some(file) = &args.html {
        std::fs::write(file, document.html()).map_err(|e| WorkerError::file(file, e))?;
    }
    let json = serde_json::to_value(&report).map_err(|e| WorkerError::Protocol(e.to_string()))?;
    let name = Path::new(&args.subject).file_stem().unwrap_or_default();
    let folder = args.out.clone().unwrap_or_else(|| Path::new("reports").join(name));
    let files = ReportFiles { folder: &folder, name: "sid-report" };
    files.write(&document, &json, args.output).map_err(|(place, e)| WorkerError::file(place, e))
}

#[cfg(test)]
mod tests;
