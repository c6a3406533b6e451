//! `conrec resume`: a job that was paused goes on. Where it was started on this machine its processes are started here
//! again; a coordinator that waits elsewhere finds the wish in the store.

use super::{local, named, now, print, wish};
use crate::args::JobArgs;
use crate::failure::Failure;
use crate::train::local_folder;
use conrec_coordinator::exit_code::ExitCode;
use conrec_domain::job::Ask;
use conrec_jobs::{Lock, host};

/// Resumes it.
///
/// # Errors
/// There is no such job, it was cancelled or is over, or the store or the processes fail.
pub fn run(args: &JobArgs) -> Result<u8, Failure> {
    crate::stored_run::wait(resume(args))
}

async fn resume(args: &JobArgs) -> Result<u8, Failure> {
    let (store, job) = named(args)?;
    let request = job.request().await?;
    if let Some(ending) = job.ending().await? {
        let message = format!("job `{}` is over: {}", job.run_id(), ending.reason);
        return Err(Failure::new(ExitCode::Usage, message));
    }
    job.wish(Ask::Resume, now, &wish::by()).await?;
    let state = job.state().await?;
    let of_this_machine = state.as_ref().map_or_else(|| request.host == host(), |state| state.writer.host == host());
    let live = state.as_ref().is_some_and(|state| state.is_live(now()));
    let folder = local_folder(&store, job.run_id(), None);
    let lock = if of_this_machine { Lock::take(&folder)? } else { None };
    let action = match lock {
        Some(lock) => {
            let process = local::Process {
                run_id: job.run_id(),
                store: &args.store.store,
                workers: request.workers,
                lanes: None,
                scratch: None,
            };
            process.start(lock, &folder)?;
            "resumed"
        }
        None if live || of_this_machine => "running",
        None => "to be resumed by its coordinator, or by submitting its key here",
    };
    print::print(&job.view(now).await?, Some(action), args.output);
    Ok(ExitCode::Done.code())
}
