//! The verbs for jobs: runs that were submitted under a key. What they decide is decided in `conrec_domain::job`, what they
//! keep is kept by `conrec_jobs`.

pub mod checkpoint;
pub mod local;
pub mod logs;
mod print;
pub mod resume;
pub mod serve;
pub mod status;
pub mod submit;
pub mod wait;
pub mod wish;

pub use print::line;

use crate::args::{JobArgs, StoreArgs};
use crate::failure::Failure;
use crate::train;
use conrec_coordinator::exit_code::ExitCode;
use conrec_coordinator::store::StoreError;
use conrec_domain::ids::RunId;
use conrec_domain::job::{JobKey, Moment, Writer};
use conrec_jobs::{JobError, JobObjects, Lock, host, serves};
use conrec_store::{OpenError, Store};
use std::io::ErrorKind;
use std::time::{Duration, SystemTime};

/// The time, for records.
pub fn now() -> Moment {
    Moment(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs()))
}

/// This process, for records.
pub fn this_process() -> Writer {
    Writer { host: host(), process: std::process::id() }
}

/// Between two looks at a job: in a folder, and where each look is a request.
fn between_looks(store: &Store) -> Duration {
    Duration::from_millis(if store.folder().is_some() { 250 } else { 3_000 })
}

/// The store and the job that the command line names.
fn named(args: &JobArgs) -> Result<(Store, JobObjects), Failure> {
    let run_id = args.run.clone().or_else(|| args.key.as_ref().map(|key| key.run_id().clone()));
    let run_id = run_id.ok_or_else(none_named)?;
    at(&args.store, &run_id)
}

fn none_named() -> Failure {
    Failure::new(ExitCode::Usage, "no job is named: give the run's name, or --key KEY")
}

/// A job of a store that has to be there.
fn at(store: &StoreArgs, run_id: &RunId) -> Result<(Store, JobObjects), Failure> {
    let store = existing(store, &format!("no job `{run_id}` in it"))?;
    let job = JobObjects::of(&store, run_id);
    Ok((store, job))
}

/// A store that has to be there; `none`: what follows where it is not.
fn existing(args: &StoreArgs, none: &str) -> Result<Store, Failure> {
    match Store::at(&args.store) {
        Err(OpenError::Folder { source, .. }) if source.kind() == ErrorKind::NotFound => {
            Err(Failure::new(ExitCode::Usage, format!("store {} is not there, so there is {none}", args.store)))
        }
        other => Ok(other.map_err(StoreError::from)?),
    }
}

/// Whether nobody works on a job: on this machine its lock says so, of others only that they have been silent.
async fn nobody_works(store: &Store, job: &JobObjects) -> Result<bool, Failure> {
    let state = job.state().await?;
    let of_this_machine = match &state {
        Some(state) => state.writer.host == host(),
        None => job.request().await?.host == host(),
    };
    if !of_this_machine {
        return Ok(state.is_some_and(|state| !state.is_live(now())));
    }
    if state.as_ref().is_some_and(|state| serves(&state.writer, job.run_id())) {
        return Ok(false);
    }
    Ok(Lock::take(&train::local_folder(store, job.run_id(), None))?.is_some())
}

/// The run that a key or a name means.
pub(crate) fn run_id(run: Option<&RunId>, key: Option<&JobKey>) -> Result<RunId, Failure> {
    run.or_else(|| key.map(JobKey::run_id)).cloned().ok_or_else(none_named)
}

impl From<JobError> for Failure {
    fn from(error: JobError) -> Self {
        let code = match &error {
            JobError::Absent { .. } | JobError::Refused { .. } => ExitCode::Usage,
            JobError::Record { .. } => ExitCode::BadData,
            JobError::Request(_) => ExitCode::BadConfig,
            JobError::Unavailable { .. }
            | JobError::Transfer(_)
            | JobError::Contended { .. }
            | JobError::TakenOver { .. }
            | JobError::Io { .. } => ExitCode::Unavailable,
        };
        Self::new(code, error.to_string())
    }
}
