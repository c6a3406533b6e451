//! `conrec checkpoint`: asks for a checkpoint now, and prints its name once it is whole.

use super::wait::Look;
use super::{at, now, run_id, wish};
use crate::args::{JobCheckpointArgs, Output, Target};
use crate::failure::Failure;
use crate::operate;
use conrec_coordinator::exit_code::ExitCode;
use conrec_domain::ids::RunId;
use conrec_domain::job::{Ask, ConditionKind, StateName};
use conrec_process::say;

/// Asks and waits.
///
/// # Errors
/// There is no such job, it rests or is over without a checkpoint, or the store or the coordinator cannot be asked.
pub fn run(args: &JobCheckpointArgs) -> Result<u8, Failure> {
    match &args.target.target {
        Some(Target::Coordinator(address)) => operate::checkpoint(address, args),
        Some(Target::Run(run)) => crate::stored_run::wait(checkpoint(args, run)),
        None => crate::stored_run::wait(checkpoint(args, &run_id(None, args.target.key.as_ref())?)),
    }
}

async fn checkpoint(args: &JobCheckpointArgs, run_id: &RunId) -> Result<u8, Failure> {
    let (store, job) = at(&args.target.store, run_id)?;
    let before = job.view(now).await?;
    if before.result().is_some() {
        let reason = before.reason.unwrap_or_default();
        return Err(Failure::new(ExitCode::Usage, format!("job `{run_id}` is over: {reason}")));
    }
    let number = job.wish(Ask::Checkpoint, now, &wish::by()).await?.checkpoints;
    let mut look = Look::new(&store, &job, Some(args.timeout));
    loop {
        let (view, late) = look.next().await?;
        let done = job.state().await?.is_some_and(|state| state.checkpoints_done >= number);
        // A job that rests or is over has written its last one.
        let rests = !matches!(view.state, StateName::Queued | StateName::Running);
        if done || rests {
            let missed = view.conditions.iter().find(|c| c.kind == ConditionKind::Checkpointed && !c.holds && done);
            let why =
                missed.map_or_else(|| "it ended before one was whole".to_owned(), |missed| missed.message.clone());
            let key = view.checkpoint.filter(|_| missed.is_none());
            let key = key.ok_or_else(|| Failure::new(ExitCode::Unavailable, format!("job `{run_id}`: {why}")))?;
            print(&key, args.target.output);
            return Ok(ExitCode::Done.code());
        }
        if late {
            let message =
                format!("job `{run_id}`: no checkpoint was whole within {} s; it may still come", args.timeout);
            return Err(Failure::new(ExitCode::Stopped, message));
        }
    }
}

/// The name of a checkpoint.
pub fn print(key: &str, output: Output) {
    match output {
        Output::Text => say!("{key}"),
        Output::Json => say!("{}", serde_json::json!({ "checkpoint": key })),
    }
}
