//! A run in a store, for the verbs that look at one. They take no lock, so they may be asked while the run trains.

use crate::args::RunArgs;
use crate::failure::Failure;
use conrec_coordinator::exit_code::ExitCode;
use conrec_coordinator::store::{RunObjects, StoreError};
use conrec_domain::ids::RunId;
use conrec_domain::spec::{RunConfig, RunSpec};
use conrec_domain::work::Prepared;
use conrec_feedback::prepared::PreparedPass;
use conrec_feedback::provenance::Provenance;
use conrec_store::{OpenError, Store};
use std::io::ErrorKind;

const RUN_FILE: &str = "run.toml";

/// Waits for something that asks the store.
///
/// # Errors
/// What the work ends with, or the runtime cannot be started.
pub fn wait<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime =
        runtime.map_err(|error| Failure::new(ExitCode::Failed, format!("cannot start the runtime: {error}")))?;
    runtime.block_on(work)
}

/// The run that the command line names.
///
/// # Errors
/// The store holds no such run; the message names those it holds.
pub async fn existing(args: &RunArgs) -> Result<RunObjects, Failure> {
    let url = &args.store.store;
    let none = |there: &str| Failure::new(ExitCode::Usage, format!("no run `{}` in store {url}: {there}", args.run));
    let store = match Store::at(url) {
        Err(OpenError::Folder { source, .. }) if source.kind() == ErrorKind::NotFound => {
            return Err(none("it holds no runs"));
        }
        other => other.map_err(StoreError::from)?,
    };
    let run = RunObjects::of(&store, &args.run);
    if !run.is_absent(RUN_FILE).await? {
        return Ok(run);
    }
    let runs =
        store.runs().await.map_err(|source| StoreError::Unavailable { action: "list", key: String::new(), source })?;
    let there = if runs.is_empty() { "it holds no runs".to_owned() } else { format!("it holds {}", runs.join(", ")) };
    Err(none(&there))
}

/// The run's config. Without it nothing can be said of the run.
///
/// # Errors
/// It is missing or no config, or the store cannot be read.
pub async fn spec(run: &RunObjects) -> Result<RunSpec, Failure> {
    let bad = |message: String| Failure::new(ExitCode::BadData, format!("{}: {message}", run.place(RUN_FILE)));
    let bytes = run.read(RUN_FILE).await?.ok_or_else(|| bad("it is missing, so no schedule is known".into()))?;
    let config = RunConfig::parse(&String::from_utf8_lossy(&bytes), RUN_FILE);
    config.and_then(RunSpec::check).map_err(|error| bad(error.to_string().trim_end().to_owned()))
}

/// The version of this program.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What names numbers that are measured on a run's data, without a policy.
///
/// # Errors
/// The data's manifest is missing or damaged, or the store cannot be read.
pub async fn provenance(
    run: &RunObjects,
    (run_id, spec): (&RunId, &RunSpec),
    pass: &PreparedPass,
) -> Result<Provenance, Failure> {
    let place = "prepared/manifest.json";
    let bad = |message: String| Failure::new(ExitCode::BadData, format!("{}: {message}", run.place(place)));
    let bytes = run.read(place).await?.ok_or_else(|| bad("it is missing; train the run again".into()))?;
    let prepared: Prepared = serde_json::from_slice(&bytes).map_err(|error| bad(error.to_string()))?;
    let of_config = Provenance::new(spec, spec.digest()?, VERSION);
    Ok(Provenance {
        run_id: Some(run_id.to_string()),
        data_digest: Some(prepared.data_digest),
        ..of_config.with_windows(pass)
    })
}
