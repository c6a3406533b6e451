//! `conrec wait --kubernetes`: waits until a run in a cluster has ended, and exits with its exit code.

use super::Place;
use super::records::Records;
use super::seen::Seen;
use crate::args::{Output, WaitArgs, WaitingArgs};
use crate::failure::Failure;
use conrec_cluster::observe::Observed;
use conrec_cluster::{ClusterError, follow};
use conrec_coordinator::exit_code::ExitCode;
use conrec_process::note;
use std::cell::Cell;
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
        let records = Records::find(&place, &job.store).await?;
        until_over((&place, records.as_ref()), &args.waiting, job.output).await
    })
}

/// Waits until the run has ended, or the time is over; prints it. A run whose objects are gone has ended if its records say so.
///
/// # Errors
/// As [`run`].
pub(super) async fn until_over(
    (place, records): (&Place, Option<&Records>),
    waiting: &WaitingArgs,
    output: Output,
) -> Result<u8, Failure> {
    let was_there = Cell::new(false);
    let told = |seen: &Observed| {
        was_there.set(true);
        let seen = Seen { cluster: Some(seen.clone()), job: None };
        note!("{}", seen.line(place, None));
    };
    let ended = follow::until_ended(&place.cluster, &place.run, told, |failures| failures <= PATIENCE);
    let ended = match waiting.timeout {
        Some(seconds) => tokio::time::timeout(Duration::from_secs(seconds), ended).await.ok().transpose(),
        None => ended.await.map(Some),
    };
    let removed = match ended {
        Ok(_) => None,
        Err(error @ ClusterError::NoRun { .. }) => Some(error),
        Err(error) => return Err(error.into()),
    };
    let seen = match Seen::with(place, records).await {
        Err(_) if removed.is_some() => Seen::default(),
        seen => seen?,
    };
    if let Some(error) = removed.filter(|_| seen.result().is_none()) {
        let gone = format!("run {} was removed from the cluster while it was waited for", place.run);
        return Err(if was_there.get() { Failure::new(ExitCode::Unavailable, gone) } else { error.into() });
    }
    keep(place, waiting, &seen)?;
    seen.print(place, None, output);
    let code = seen.result();
    if code.is_none() {
        note!("not over yet; `conrec wait {} --kubernetes` goes on waiting", place.run);
    }
    Ok(code.unwrap_or_else(|| ExitCode::Stopped.code()))
}

/// Writes what is known last where the caller wants it.
///
/// # Errors
/// The file cannot be written.
pub(super) fn keep(place: &Place, waiting: &WaitingArgs, seen: &Seen) -> Result<(), Failure> {
    let Some(path) = &waiting.result_file else { return Ok(()) };
    std::fs::write(path, format!("{:#}\n", seen.object(place, None))).map_err(Failure::io("write", path))
}
