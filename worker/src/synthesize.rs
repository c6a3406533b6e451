//! `conrec synthesize`: a made-up dataset as files, with the truth beside it.

use crate::error::WorkerError;
use clap::{Args, ValueEnum};
use conrec_domain::spec::{RunConfig, RunSpec};
use conrec_feedback::synthetic::Generator;
use conrec_feedback::synthetic_files::{self, Format, Order};
use serde_json::json;
use std::path::PathBuf;

/// `conrec synthesize`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  conrec synthesize configs/synthetic.toml --out made-up
  conrec synthesize configs/synthetic.toml --out large --format parquet --order user \\
      --set data.synthetic.users=1000000 --set data.synthetic.items=100000

Writes events, items, item_vectors and the truth: truth_items (the region of each item) and truth_users (which user
disliked which region, and when). The same config and seed give the same bytes.")]
pub struct SynthesizeArgs {
    /// The config whose [data.synthetic] and seed are used
    #[arg(value_name = "CONFIG")]
    config: PathBuf,
    /// The folder that gets the files
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// The form of the files; item vectors are always Parquet
    #[arg(long, value_enum, default_value_t = FormatName::Csv)]
    format: FormatName,
    /// The order of the events: by time (memory grows with the users), or user by user (it does not)
    #[arg(long, value_enum, default_value_t = OrderName::Time)]
    order: OrderName,
    /// Set one key, such as data.synthetic.users=1000000; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum FormatName {
    Csv,
    Parquet,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum OrderName {
    Time,
    User,
}

/// Writes the files and prints what they hold, as JSON.
///
/// # Errors
/// A config that is refused, and files that cannot be written.
pub fn run(args: &SynthesizeArgs) -> Result<(), WorkerError> {
    let text = std::fs::read_to_string(&args.config)
        .map_err(|e| WorkerError::ConfigFile { path: args.config.clone(), message: e.to_string() })?;
    let spec = RunSpec::check(RunConfig::parse_with(&text, &args.config.display().to_string(), &args.set)?)?;
    let generator = Generator::new(&spec.data.synthetic, spec.seed)?;
    let format = match args.format {
        FormatName::Csv => Format::Csv,
        FormatName::Parquet => Format::Parquet,
    };
    let order = match args.order {
        OrderName::Time => Order::Time,
        OrderName::User => Order::User,
    };
    let written = synthetic_files::write(&generator, &args.out, format, order)?;
    let summary = json!({
        "folder": args.out.display().to_string(),
        "users": spec.data.synthetic.users, "items": spec.data.synthetic.items, "events": written.events,
        "negatives": written.negatives, "positives": written.positives,
        "disliked_regions": written.disliked_regions,
    });
    conrec_process::say!("{summary:#}");
    Ok(())
}
