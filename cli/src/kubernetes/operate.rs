//! `conrec status`, `pause`, `resume`, `cancel` and `scale` with `--kubernetes`.

use super::{Place, result};
use crate::args::{ClusterArgs, JobArgs, Output, ScaleArgs, Target, TargetArgs};
use crate::failure::Failure;
use conrec_cluster::control;
use conrec_cluster::observe::Phase;
use conrec_coordinator::exit_code::ExitCode;
use conrec_domain::ids::RunId;
use conrec_domain::job::JobKey;

/// Which run of which cluster, and how it is printed.
type Asked<'a> = (&'a ClusterArgs, Option<&'a RunId>, Option<&'a JobKey>, Output);

/// Prints what the cluster says of a run.
///
/// # Errors
/// There is no such run, or the cluster does not answer.
pub fn status(args: &TargetArgs) -> Result<u8, Failure> {
    let (cluster, run, key, output) = target(args)?;
    crate::stored_run::wait(async {
        let place = Place::find(cluster, (run, key)).await?;
        let seen = control::status(&place.cluster, &place.run).await?;
        place.print(Some(&seen), None, output);
        Ok(ExitCode::Done.code())
    })
}

/// Removes a run from the cluster; its pods write a checkpoint, and what is in the store stays.
///
/// # Errors
/// As [`status`].
pub fn cancel(args: &TargetArgs) -> Result<u8, Failure> {
    let (cluster, run, key, output) = target(args)?;
    crate::stored_run::wait(async {
        let place = Place::find(cluster, (run, key)).await?;
        control::remove(&place.cluster, &place.run).await?;
        place.print(None, Some("removed"), output);
        Ok(ExitCode::Done.code())
    })
}

/// Suspends a run; its pods write a checkpoint.
///
/// # Errors
/// As [`status`]; a queue decides about the run.
pub fn pause(args: &TargetArgs) -> Result<u8, Failure> {
    suspended(target(args)?, true)
}

/// Lets a suspended run go on.
///
/// # Errors
/// As [`pause`].
pub fn resume(args: &JobArgs) -> Result<u8, Failure> {
    suspended((&args.cluster, args.run.as_ref(), args.key.as_ref(), args.output), false)
}

/// Gives a run other workers.
///
/// # Errors
/// As [`status`]; its workers are part of a JobSet.
pub fn scale(args: &ScaleArgs) -> Result<u8, Failure> {
    if !args.cluster.kubernetes {
        let message = "scale is for runs in Kubernetes: give --kubernetes; elsewhere start and end `conrec worker`";
        return Err(Failure::new(ExitCode::Usage, message));
    }
    crate::stored_run::wait(async {
        let place = Place::find(&args.cluster, (args.run.as_ref(), args.key.as_ref())).await?;
        control::scale(&place.cluster, &place.run, args.workers).await?;
        let seen = control::status(&place.cluster, &place.run).await?;
        place.print(Some(&seen), Some("scaled"), Output::Text);
        Ok(ExitCode::Done.code())
    })
}

fn suspended((cluster, run, key, output): Asked<'_>, suspend: bool) -> Result<u8, Failure> {
    crate::stored_run::wait(async {
        let place = Place::find(cluster, (run, key)).await?;
        let seen = control::status(&place.cluster, &place.run).await?;
        if matches!(seen.phase, Phase::Completed | Phase::Failed) {
            place.print(Some(&seen), None, output);
            return Ok(result(&seen).unwrap_or_else(|| ExitCode::Failed.code()));
        }
        control::set_suspended(&place.cluster, &place.run, suspend).await?;
        let seen = control::status(&place.cluster, &place.run).await?;
        place.print(Some(&seen), Some(if suspend { "paused" } else { "resumed" }), output);
        Ok(ExitCode::Done.code())
    })
}

/// An address is no run of a cluster.
fn target(args: &TargetArgs) -> Result<Asked<'_>, Failure> {
    let run = match &args.target {
        Some(Target::Run(run)) => Some(run),
        Some(Target::Coordinator(address)) => {
            let message = format!("{address} is an address; with --kubernetes give the run's name, or --key KEY");
            return Err(Failure::new(ExitCode::Usage, message));
        }
        None => None,
    };
    Ok((&args.cluster, run, args.key.as_ref(), args.output))
}
