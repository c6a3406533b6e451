//! `conrec pause` and `conrec cancel`: what is wished of a job, kept in the store, or told to its coordinator.

use super::wait::Look;
use super::{at, nobody_works, now, print, run_id, this_process};
use crate::args::{Output, Target, WishArgs};
use crate::failure::Failure;
use crate::operate;
use conrec_coordinator::exit_code::ExitCode;
use conrec_domain::ids::RunId;
use conrec_domain::job::{Ask, StateName};
use conrec_jobs::JobError;
use conrec_process::note;

/// Wishes it.
///
/// # Errors
/// There is no such job, it cannot do that any more, or the store or the coordinator cannot be asked.
pub fn run(args: &WishArgs, ask: Ask) -> Result<u8, Failure> {
    match &args.target.target {
        Some(Target::Coordinator(address)) => operate::wish(address, &args.target, ask),
        Some(Target::Run(run)) => crate::stored_run::wait(wish(args, run, ask)),
        None => crate::stored_run::wait(wish(args, &run_id(None, args.target.key.as_ref())?, ask)),
    }
}

async fn wish(args: &WishArgs, run_id: &RunId, ask: Ask) -> Result<u8, Failure> {
    let (store, job) = at(&args.target.store, run_id)?;
    job.request().await?;
    if let Some(ending) = job.ending().await?.filter(|_| ask != Ask::Cancel) {
        let message = format!("job `{run_id}` is over: {}", ending.reason);
        return Err(Failure::new(ExitCode::Usage, message));
    }
    job.wish(ask, now, &by()).await.map_err(|error: JobError| Failure::from(error))?;
    let mut look = Look::new(&store, &job, args.timeout);
    loop {
        // One that nobody works on has nobody else to say so.
        if nobody_works(&store, &job).await? {
            match ask {
                Ask::Cancel => drop(job.cancel_at_rest(now).await?),
                Ask::Pause | Ask::Resume | Ask::Checkpoint => job.settle(None, this_process(), now).await?,
            }
        }
        let (view, late) = look.next().await?;
        let done = view.result().is_some() || (ask == Ask::Pause && view.state != StateName::Running);
        if args.wait && !done && !late {
            continue;
        }
        let action = match ask {
            Ask::Pause => "to be paused",
            Ask::Cancel => "to be cancelled",
            Ask::Resume | Ask::Checkpoint => "wished",
        };
        print::print(&view, Some(action), args.target.output);
        if late && !done {
            note!("not yet; the wish stays in the store");
        }
        return Ok(if args.wait && !done { ExitCode::Stopped.code() } else { ExitCode::Done.code() });
    }
}

/// Who wishes, as far as is known.
pub fn by() -> String {
    let user = std::env::var("USER").or_else(|_| std::env::var("LOGNAME")).unwrap_or_else(|_| "somebody".into());
    format!("{user} on {}", conrec_jobs::host())
}

/// How a coordinator's answer is printed.
pub fn said(sentence: &str, output: Output) {
    match output {
        Output::Text => conrec_process::say!("{sentence}"),
        Output::Json => conrec_process::say!("{}", serde_json::json!({ "said": sentence })),
    }
}
