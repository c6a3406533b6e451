//! `conrec logs --kubernetes`: what a pod of a run says.

use super::Place;
use crate::args::LogsArgs;
use crate::failure::Failure;
use conrec_cluster::follow;
use conrec_coordinator::exit_code::ExitCode;
use conrec_process::say;

/// Prints the lines of the newest pod of a process (`coordinator` by default, `worker`, or a pod's own name).
///
/// # Errors
/// There is no such pod, or the cluster does not answer.
pub fn run(args: &LogsArgs) -> Result<u8, Failure> {
    let job = &args.job;
    crate::stored_run::wait(async {
        let place = Place::find(&job.cluster, (job.run.as_ref(), job.key.as_ref())).await?;
        let process = args.process.as_deref().unwrap_or("coordinator");
        follow::logs(&place.cluster, &place.run, (process, args.follow), |line| say!("{line}")).await?;
        Ok(ExitCode::Done.code())
    })
}
