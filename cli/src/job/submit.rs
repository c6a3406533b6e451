//! `conrec submit`: puts a request into the store and starts its processes, or finds out that this was done before.

use super::{local, now, print, wait};
use crate::args::SubmitArgs;
use crate::config_file;
use crate::failure::Failure;
use crate::train::local_folder;
use conrec_coordinator::exit_code::ExitCode;
use conrec_coordinator::store::StoreError;
use conrec_domain::job::{Decision, Existing, JobKey, JobRequest, Presence, Wishes, decide};
use conrec_domain::spec::RunSpec;
use conrec_jobs::{JobObjects, Lock, Submitted, host, serves};
use conrec_store::Store;
use std::path::Path;

/// Submits.
///
/// # Errors
/// The config is refused, the key belongs to another one, or the store or the processes fail.
pub fn run(args: &SubmitArgs) -> Result<u8, Failure> {
    crate::stored_run::wait(submit(args))
}

async fn submit(args: &SubmitArgs) -> Result<u8, Failure> {
    let spec = config_file::load(&args.config)?;
    let store = Store::make(&args.store.store).map_err(StoreError::from)?;
    let request = JobRequest::new(args.key.clone(), &spec, args.workers.unwrap_or(1), crate::CODE_VERSION)?;
    let request = request.stamped(now(), &host());
    let job = JobObjects::of(&store, &request.run_id);
    let folder = local_folder(&store, &request.run_id, args.scratch.as_deref());
    let submitted = job.submit(&request).await?;
    let request = match &submitted {
        Submitted::Created => &request,
        Submitted::Before(before) => before,
    };
    let before = matches!(submitted, Submitted::Before(_)).then_some(request);
    let mut decision = decided(args, (&job, before), &spec, Presence::NotHere).await?;
    let mut lock = None;
    if decision == Decision::Start && !args.enqueue {
        // Only those who are about to start it compete; whoever finds it taken finds its processes.
        lock = Lock::take(&folder)?;
        // Even where this submission made the request: another one of the key was faster from then on.
        if lock.is_none() {
            decision = Decision::Attach;
        }
    }
    let action = match decision {
        Decision::OtherKey | Decision::OtherSpec => return Err(taken(&args.key, request)),
        Decision::AlreadyRan => return already_ran(args, &job).await,
        Decision::Finished { exit_code } => {
            let view = job.view(now).await?;
            wait::keep(&args.waiting, &view)?;
            print::print(&view, Some("finished before"), args.output);
            return Ok(exit_code);
        }
        Decision::Attach => "attached",
        Decision::Start => match lock {
            Some(lock) => {
                start(args, request, lock, &folder)?;
                "started"
            }
            None => "enqueued",
        },
    };
    if !args.wait {
        print::print(&job.view(now).await?, Some(action), args.output);
        return Ok(ExitCode::Done.code());
    }
    wait::until_over((&store, &job), &args.waiting, args.output).await
}

fn start(args: &SubmitArgs, request: &JobRequest, lock: Lock, folder: &Path) -> Result<(), Failure> {
    let process = local::Process {
        run_id: &request.run_id,
        store: &args.store.store,
        workers: args.workers.unwrap_or(request.workers),
        lanes: args.lanes,
        scratch: args.scratch.as_deref(),
    };
    process.start(lock, folder)
}

/// What is to be done; `before`: the request that was there.
async fn decided(
    args: &SubmitArgs,
    (job, before): (&JobObjects, Option<&JobRequest>),
    spec: &RunSpec,
    presence: Presence,
) -> Result<Decision, Failure> {
    let here = host();
    let Some(before) = before else { return Ok(decide(None, args.if_exists.into(), (&here, presence), now())) };
    let (state, ending) = (job.state().await?, job.ending().await?);
    let served = state.as_ref().is_some_and(|state| serves(&state.writer, job.run_id()));
    let at = (&*here, if served { Presence::Here } else { presence });
    let existing = Existing {
        same_key: before.key == args.key,
        same_spec: before.is_for(spec).map_err(conrec_jobs::JobError::from)?,
        submitted: (before.submitted, &before.host),
        state: state.as_ref(),
        ending: ending.as_ref(),
        wish: job.wishes(&Wishes::default()).await?.wish,
    };
    Ok(decide(Some(&existing), args.if_exists.into(), at, now()))
}

/// The key, or the run that it names, is taken by what was submitted before.
pub fn taken(key: &JobKey, there: &JobRequest) -> Failure {
    let run = &there.run_id;
    if there.key != *key {
        let message =
            format!("key `{key}` names run `{run}`, which was submitted under key `{}`; choose another key", there.key);
        return Failure::new(ExitCode::BadConfig, message);
    }
    other_config(there)
}

/// The key of a request belongs to another config than this submission's.
pub fn other_config(there: &JobRequest) -> Failure {
    let message = format!(
        "key `{}` was submitted with another config at {} (run `{}`, job/request.json holds it); submit that config, or \
         choose another key",
        there.key, there.submitted, there.run_id
    );
    Failure::new(ExitCode::BadConfig, message)
}

async fn already_ran(args: &SubmitArgs, job: &JobObjects) -> Result<u8, Failure> {
    let view = job.view(now).await?;
    wait::keep(&args.waiting, &view)?;
    print::print(&view, Some("already submitted"), args.output);
    Ok(ExitCode::AlreadyRan.code())
}
