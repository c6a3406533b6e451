//! What reading a dataset costs: the files that a config names, through the events, histories and training instances.

use super::data::Steps;
use super::process::resident_mib;
use crate::error::WorkerError;
use crate::prepare;
use clap::Args;
use conrec_domain::spec::{RunConfig, RunSpec};
use conrec_feedback::history::History;
use conrec_feedback::instance::training_instances;
use conrec_feedback::split::passes;
use serde_json::{Value, json};
use std::path::PathBuf;

/// Which dataset is read.
#[derive(Debug, Args)]
pub struct ReadArgs {
    /// The config whose [data] names it
    config: PathBuf,
    /// Set one key, such as data.path=FOLDER; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

/// Measures reading.
///
/// # Errors
/// A config or data that cannot be read, and windows that do not fit.
pub fn measure(args: &ReadArgs) -> Result<Value, WorkerError> {
    let name = args.config.display().to_string();
    let text = std::fs::read_to_string(&args.config).map_err(|error| WorkerError::file(args.config.clone(), error))?;
    let spec = RunSpec::check(RunConfig::parse_with(&text, &name, &args.set)?)?;
    let mut steps = Steps::default();
    let before = resident_mib();
    let dataset = steps.time("read", || prepare::read(&spec))?;
    let history = steps.time("history", || History::new(&dataset.events, dataset.users.len()));
    let (first, last) = (dataset.first_time().unwrap_or_default(), dataset.last_time().unwrap_or_default());
    let mut instances = 0;
    if let Some(windows) = passes(&spec.data, spec.evaluation.statistics, first, last)?.first() {
        let found = steps.time("training_instances", || {
            training_instances(windows.train_end, &dataset.events, &history, (&spec.data).into())
        });
        instances = found?.len();
    }
    Ok(json!({
        "events": dataset.events.len(), "users": dataset.users.len(), "items": dataset.items.len(),
        "dropped": dataset.dropped.to_string(), "training_instances": instances,
        "resident_mib_before": before.round(), "steps": steps.values(),
    }))
}
