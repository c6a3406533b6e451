//! `conrec train`: one coordinator and N workers as child processes, watched to the end.

mod crew;
mod outcome;
mod restarts;
mod watch;

use crate::args::{ConfigArgs, Output, RunJobArgs, TrainArgs};
use crate::config_file;
use crate::failure::{Failure, no_signals};
use crate::progress_view::ProgressView;
use crate::report_table::{self, REPORT, Report};
use conrec_coordinator::exit_code::ExitCode;
use conrec_coordinator::store::{RunObjects, StoreError};
use conrec_domain::ids::{Digest, RunId};
use conrec_domain::spec::{RunConfig, RunSpec};
use conrec_jobs::{JobError, JobObjects};
use conrec_process::{StopSignals, note};
use conrec_store::Store;
use crew::Crew;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::timeout;

/// The store has so long to take the logs of a run that is complete.
const LOGS: Duration = Duration::from_secs(60);

/// And so long those of one that was stopped or has failed: whoever stopped it may not wait for long.
const LOGS_OF_A_STOP: Duration = Duration::from_secs(4);

/// What is to be done.
struct Plan<'a> {
    args: &'a TrainArgs,
    run_id: RunId,
    /// What of the run lies in the store.
    run: RunObjects,
    /// Where this machine writes the logs: the run's folder, or one that is copied to the store at the end.
    folder: PathBuf,
    /// Whether it has to be copied.
    copied: bool,
    spec: RunSpec,
    /// Whether the run was submitted as a job: its coordinator keeps the job's records.
    job: bool,
}

/// Trains, or goes on, or says that nothing is left to do.
///
/// # Errors
/// Whatever stood in the way, with the exit code that fits.
pub fn run(args: &TrainArgs) -> Result<u8, Failure> {
    // One thread: the children end with the thread that starts them, and this process only waits.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(ExitCode::Failed, format!("cannot start the runtime: {error}")))?;
    runtime.block_on(train(args))
}

async fn train(args: &TrainArgs) -> Result<u8, Failure> {
    let spec = config_file::load(&args.config)?;
    let run_id = config_file::run_id(args.run_id.as_ref(), &args.config.config, &spec)?;
    let store = Store::make(&args.store.store).map_err(StoreError::from)?;
    let plan = Plan::new(args, (&store, run_id), spec, false);
    if let Some(report) = finished(&plan).await? {
        outcome::completed(&plan, &report, true).await?;
        return Ok(ExitCode::Done.code());
    }
    let (code, iteration) = work(&plan, &store).await?;
    if code == ExitCode::Stopped.code() {
        outcome::stopped(&plan, iteration)?;
        return Ok(code);
    }
    let report = report_table::read(&plan.run).await?.ok_or_else(|| {
        Failure::new(ExitCode::Failed, format!("the run ended well but left no {}", plan.run.place(REPORT)))
    })?;
    outcome::completed(&plan, &report, false).await?;
    Ok(code)
}

/// The coordinator and the workers of a job that was submitted, on this machine, until they have ended.
///
/// # Errors
/// As [`run`]; there is no such job.
pub fn run_job(args: &RunJobArgs) -> Result<u8, Failure> {
    crate::stored_run::wait(async {
        let store = Store::at(&args.store.store).map_err(StoreError::from)?;
        let request = JobObjects::of(&store, &args.run).request().await?;
        let spec = request.spec().map_err(JobError::from)?;
        let args = TrainArgs {
            config: ConfigArgs { config: PathBuf::from("job/request.json"), set: Vec::new() },
            run_id: Some(args.run.clone()),
            workers: args.workers,
            lanes: args.lanes,
            store: args.store.clone(),
            scratch: args.scratch.clone(),
            quiet: false,
            output: Output::Text,
        };
        let plan = Plan::new(&args, (&store, request.run_id), spec, true);
        Ok(work(&plan, &store).await?.0)
    })
}

/// Starts the processes and watches them to their end: the exit code, and how many iterations were committed.
async fn work(plan: &Plan<'_>, store: &Store) -> Result<(u8, Option<u64>), Failure> {
    let signals = StopSignals::listen().map_err(no_signals)?;
    let view = ProgressView::new(plan.args.quiet);
    let mut crew = Crew::start(plan, signals, view)?;
    let ended = crew.supervise(plan).await;
    crew.dismiss(ended.is_ok()).await;
    let complete = ended.as_ref().is_ok_and(|code| *code == ExitCode::Done.code());
    keep_logs(plan, store, if complete { LOGS } else { LOGS_OF_A_STOP }).await;
    Ok((ended?, crew.iteration()))
}

impl<'a> Plan<'a> {
    fn new(args: &'a TrainArgs, (store, run_id): (&Store, RunId), spec: RunSpec, job: bool) -> Self {
        let folder = local_folder(store, &run_id, args.scratch.as_deref());
        let (run, copied) = (RunObjects::of(store, &run_id), store.folder().is_none());
        Self { args, run, run_id, folder, copied, spec, job }
    }
}

/// The report of this very run, when it is complete. A run id that belongs to another config is left to the coordinator,
/// which says in what the two differ.
async fn finished(plan: &Plan<'_>) -> Result<Option<Report>, Failure> {
    let Some(report) = report_table::read(&plan.run).await?.filter(Report::is_complete) else { return Ok(None) };
    let there = plan.run.read("run.toml").await?.unwrap_or_default();
    Ok(same_config(&String::from_utf8_lossy(&there), &plan.spec).then_some(report))
}

/// Where this machine keeps the files of a run: the run's own folder, or where the store is none a folder that is the same
/// for each start, so that logs go on.
pub fn local_folder(store: &Store, run_id: &RunId, scratch: Option<&Path>) -> PathBuf {
    if let Some(root) = store.folder() {
        return root.join(run_id.as_str());
    }
    let base = scratch.map_or_else(std::env::temp_dir, Path::to_owned);
    base.join(format!("conrec-{run_id}-{:.8}", Digest::of(store.url().as_bytes()).to_string()))
}

/// Logs help whoever looks for a cause; a store that does not take them changes nothing about how the run ended.
async fn keep_logs(plan: &Plan<'_>, store: &Store, patience: Duration) {
    if !plan.copied {
        return;
    }
    let objects = store.run(&plan.run_id);
    let why = match timeout(patience, conrec_store::upload(objects.as_ref(), &plan.folder, "logs")).await {
        Ok(Ok(())) => return,
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("the store did not take them within {} s", patience.as_secs()),
    };
    note!("the logs stay in {}: {why}", plan.folder.display());
}

fn same_config(run_toml: &str, spec: &RunSpec) -> bool {
    let digest = |spec: &RunSpec| spec.digest().ok();
    let there = RunConfig::parse(run_toml, "run.toml").ok().and_then(|c| RunSpec::check(c).ok());
    there.is_some_and(|there| digest(&there).is_some() && digest(&there) == digest(spec))
}
