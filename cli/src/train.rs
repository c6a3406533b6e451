//! `conrec train`: one coordinator and N workers as child processes, watched to the end.

mod crew;
mod outcome;
mod restarts;
mod watch;

use crate::args::TrainArgs;
use crate::config_file;
use crate::failure::Failure;
use crate::progress_view::ProgressView;
use crate::report_table::{self, Report};
use crate::signals::StopSignals;
use conrec_coordinator::exit_code::ExitCode;
use conrec_coordinator::store::local_folder;
use conrec_domain::ids::RunId;
use conrec_domain::spec::{RunConfig, RunSpec};
use crew::Crew;
use std::path::{Path, PathBuf};

/// What is to be done.
struct Plan<'a> {
    args: &'a TrainArgs,
    run_id: RunId,
    /// `<store>/<run id>`.
    folder: PathBuf,
    spec: RunSpec,
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
    let folder = local_folder(&args.store.store)?.join(run_id.as_str());
    let plan = Plan { args, run_id, folder, spec };
    if let Some(report) = finished(&plan)? {
        outcome::completed(&plan, &report, true)?;
        return Ok(ExitCode::Done.code());
    }
    let signals = StopSignals::listen()?;
    let view = ProgressView::new(args.quiet);
    let mut crew = Crew::start(&plan, signals, view)?;
    let ended = crew.supervise(&plan).await;
    crew.dismiss(ended.is_ok()).await;
    let code = ended?;
    if code == ExitCode::Stopped.code() {
        outcome::stopped(&plan, crew.iteration())?;
        return Ok(code);
    }
    let report = report_table::read(&plan.folder)?.ok_or_else(|| {
        let path = plan.folder.join("report.json");
        Failure::new(ExitCode::Failed, format!("the run ended well but left no {}", path.display()))
    })?;
    outcome::completed(&plan, &report, false)?;
    Ok(code)
}

/// The report of this very run, when it is complete. A run id that belongs to another config is left to the coordinator,
/// which says in what the two differ.
fn finished(plan: &Plan<'_>) -> Result<Option<Report>, Failure> {
    let Some(report) = report_table::read(&plan.folder)?.filter(Report::is_complete) else { return Ok(None) };
    Ok(same_config(&plan.folder.join("run.toml"), &plan.spec).then_some(report))
}

fn same_config(run_toml: &Path, spec: &RunSpec) -> bool {
    let digest = |spec: &RunSpec| spec.digest().ok();
    let there = std::fs::read_to_string(run_toml).ok();
    let there = there.and_then(|text| RunConfig::parse(&text, "run.toml").ok()).and_then(|c| RunSpec::check(c).ok());
    there.is_some_and(|there| digest(&there).is_some() && digest(&there) == digest(spec))
}
