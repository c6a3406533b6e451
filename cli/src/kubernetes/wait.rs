//! `conrec wait --kubernetes`: waits until a run in a cluster has ended, and exits with its exit code.

use super::{Place, result};
use crate::args::{Output, WaitArgs, WaitingArgs};
use crate::failure::Failure;
use conrec_cluster::follow;
use conrec_cluster::observe::Observed;
use conrec_coordinator::exit_code::ExitCode;
use conrec_process::note;
use std::time::Duration;

/// A server that does not answer is asked so many times in a row, two seconds apart.
const PATIENCE: u32 = 300;

/// Waits.
///
/// # Errors
/// There is no such run, it was removed, or the server does not answer for a long time.
pub fn run(args: &WaitArgs) -> Result<u8, Failure> {
    crate::stored_run::wait(async {
        let job = &args.job;
        let place = Place::find(&job.cluster, (job.run.as_ref(), job.key.as_ref())).await?;
        until_over(&place, &args.waiting, job.output).await
    })
}

/// Waits until the run has ended, or the time is over; prints it.
///
/// # Errors
/// As [`run`].
pub(super) async fn until_over(place: &Place, waiting: &WaitingArgs, output: Output) -> Result<u8, Failure> {
    let seen = |seen: &Observed| note!("{}", place.line(Some(seen), None));
    let ended = follow::until_ended(&place.cluster, &place.run, seen, |failures| failures <= PATIENCE);
    let ended = match waiting.timeout {
        Some(seconds) => tokio::time::timeout(Duration::from_secs(seconds), ended).await.ok().transpose()?,
        None => Some(ended.await?),
    };
    if let Some(path) = &waiting.result_file {
        let text = format!("{:#}\n", place.object(ended.as_ref(), None));
        std::fs::write(path, text).map_err(Failure::io("write", path))?;
    }
    place.print(ended.as_ref(), None, output);
    if ended.is_none() {
        note!("not over yet; `conrec wait {} --kubernetes` goes on waiting", place.run);
    }
    Ok(ended.as_ref().and_then(result).unwrap_or_else(|| ExitCode::Stopped.code()))
}
