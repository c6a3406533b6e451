//! `conrec status`: a job, all jobs of a store, or a coordinator.

use super::wait::Look;
use super::{at, existing, now, print, run_id};
use crate::args::{Output, StatusArgs, Target};
use crate::failure::Failure;
use crate::operate;
use conrec_coordinator::exit_code::ExitCode;
use conrec_domain::ids::RunId;
use conrec_jobs::JobObjects;
use conrec_process::{is_heard, say};

/// Shows it.
///
/// # Errors
/// There is no such job, or the store or the coordinator cannot be asked.
pub fn run(args: &StatusArgs) -> Result<u8, Failure> {
    let run = match &args.target.target {
        Some(Target::Coordinator(address)) => return operate::status(address, args),
        Some(Target::Run(run)) => Some(run),
        None => None,
    };
    if run.is_none() && args.target.key.is_none() {
        return crate::stored_run::wait(all(args));
    }
    let run_id = run_id(run, args.target.key.as_ref())?;
    crate::stored_run::wait(one(args, &run_id))
}

async fn one(args: &StatusArgs, run_id: &RunId) -> Result<u8, Failure> {
    let (store, job) = at(&args.target.store, run_id)?;
    if !args.follow {
        print::print(&job.view(now).await?, None, args.target.output);
        return Ok(ExitCode::Done.code());
    }
    let (mut look, mut said) = (Look::new(&store, &job, None), None);
    loop {
        let (view, _) = look.next().await?;
        let text = match args.target.output {
            Output::Text => print::line(&view),
            Output::Json => print::object(&view, None).to_string(),
        };
        if said.as_ref() != Some(&text) {
            say!("{text}");
            said = Some(text);
        }
        if view.result().is_some() || !is_heard() {
            return Ok(ExitCode::Done.code());
        }
    }
}

async fn all(args: &StatusArgs) -> Result<u8, Failure> {
    let store = existing(&args.target.store, "no job in it")?;
    let jobs = JobObjects::all(&store).await?;
    let mut views = Vec::new();
    for job in &jobs {
        views.push(job.view(now).await?);
    }
    match args.target.output {
        Output::Json => say!("{}", serde_json::to_string(&views).unwrap_or_default()),
        Output::Text if views.is_empty() => say!("no jobs in {}", store.url()),
        Output::Text => views.iter().for_each(|view| say!("{}", print::line(view))),
    }
    Ok(ExitCode::Done.code())
}
