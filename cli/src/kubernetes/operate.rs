//! `conrec status`, `pause`, `resume`, `cancel`, `checkpoint` and `scale` with `--kubernetes`.

use super::Place;
use super::records::Records;
use super::seen::Seen;
use crate::args::{JobArgs, JobCheckpointArgs, ScaleArgs, Target, TargetArgs};
use crate::failure::Failure;
use crate::job::{now, wish};
use conrec_cluster::observe::Phase;
use conrec_cluster::{ClusterError, control};
use conrec_coordinator::exit_code::ExitCode;
use conrec_domain::ids::RunId;
use conrec_domain::job::{Ask, Wish, Wishes};
use conrec_process::note;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// A coordinator that serves the run hears within so long that it is cancelled, and says how it ended.
const HEARD: Duration = Duration::from_secs(30);

/// Prints what is known of a run.
///
/// # Errors
/// There is no such run, or the cluster does not answer.
pub fn status(args: &TargetArgs) -> Result<u8, Failure> {
    crate::stored_run::wait(async {
        let place = find(args).await?;
        Seen::look(&place, &args.store).await?.print(&place, None, args.output);
        Ok(ExitCode::Done.code())
    })
}

/// Ends a run for good and removes its objects; what is in the store stays.
///
/// # Errors
/// As [`status`].
pub fn cancel(args: &TargetArgs) -> Result<u8, Failure> {
    crate::stored_run::wait(async {
        let place = find(args).await?;
        let records = Records::find(&place, &args.store).await?;
        let seen = Seen::with(&place, records.as_ref()).await?;
        if let Some(records) = &records {
            let works = seen.cluster.as_ref().is_some_and(|seen| seen.phase == Phase::Running);
            cancelled(records, works).await?;
        }
        if records.is_none() {
            note!(
                "the run's store cannot be read from here, or has no record of it: only its objects are removed, and \
                 submitting its key goes on with it; --store URL cancels it for good"
            );
        }
        match control::remove(&place.cluster, &place.run).await {
            Err(ClusterError::NoRun { .. }) if records.is_some() => {}
            other => other?,
        }
        let job = match &records {
            Some(records) => Some(records.view().await?),
            None => None,
        };
        Seen { cluster: None, job }.print(&place, Some("removed"), args.output);
        Ok(ExitCode::Done.code())
    })
}

/// Has the records say that the run was cancelled: by its coordinator, where one `works` and hears of it in time.
async fn cancelled(records: &Records, works: bool) -> Result<(), Failure> {
    let job = &records.job;
    if job.ending().await?.is_some() {
        return Ok(());
    }
    job.wish(Ask::Cancel, now, &wish::by()).await?;
    let since = Instant::now();
    while works && since.elapsed() < HEARD {
        if job.ending().await?.is_some() {
            return Ok(());
        }
        sleep(Duration::from_secs(1)).await;
    }
    job.cancel_at_rest(now).await?;
    Ok(())
}

/// Suspends a run; its pods write a checkpoint.
///
/// # Errors
/// As [`status`]; a queue decides about the run.
pub fn pause(args: &TargetArgs) -> Result<u8, Failure> {
    crate::stored_run::wait(async {
        let place = find(args).await?;
        let seen = Seen::look(&place, &args.store).await?;
        if let Some(code) = seen.result() {
            seen.print(&place, None, args.output);
            return Ok(code);
        }
        control::set_suspended(&place.cluster, &place.run, true).await?;
        Seen::look(&place, &args.store).await?.print(&place, Some("paused"), args.output);
        Ok(ExitCode::Done.code())
    })
}

/// Lets a suspended run go on, and one that was paused in its store.
///
/// # Errors
/// As [`pause`].
pub fn resume(args: &JobArgs) -> Result<u8, Failure> {
    crate::stored_run::wait(async {
        let place = Place::find(&args.cluster, (args.run.as_ref(), args.key.as_ref())).await?;
        let records = Records::find(&place, &args.store).await?;
        let seen = Seen::with(&place, records.as_ref()).await?;
        if let Some(code) = seen.result() {
            seen.print(&place, None, args.output);
            return Ok(code);
        }
        if let Some(records) = &records
            && records.job.wishes(&Wishes::default()).await?.wish == Wish::Pause
        {
            records.job.wish(Ask::Resume, now, &wish::by()).await?;
        }
        control::set_suspended(&place.cluster, &place.run, false).await?;
        Seen::with(&place, records.as_ref()).await?.print(&place, Some("resumed"), args.output);
        Ok(ExitCode::Done.code())
    })
}

/// Asks for a checkpoint, through the store that the run's pods were told.
///
/// # Errors
/// There is no such run, its store cannot be read from here, or as without a cluster.
pub fn checkpoint(args: &JobCheckpointArgs) -> Result<u8, Failure> {
    let (store, run_id) = crate::stored_run::wait(async {
        let place = find(&args.target).await?;
        let Some(records) = Records::find(&place, &args.target.store).await? else {
            let message = format!(
                "run {}: a checkpoint is asked for through the run's store, which has no record of it that can be read \
                 from here; ask its coordinator instead: conrec checkpoint HOST:PORT",
                place.run
            );
            return Err(Failure::new(ExitCode::Unavailable, message));
        };
        Ok((records.store, records.job.run_id().clone()))
    })?;
    let mut of_store = args.clone();
    of_store.target.store = store;
    of_store.target.target = Some(Target::Run(run_id));
    crate::job::checkpoint::run(&of_store)
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
        let cluster = control::status(&place.cluster, &place.run).await?;
        Seen { cluster: Some(cluster), job: None }.print(&place, Some("scaled"), args.output);
        Ok(ExitCode::Done.code())
    })
}

/// The run that the command line names. An address is no run of a cluster.
async fn find(args: &TargetArgs) -> Result<Place, Failure> {
    let run: Option<&RunId> = match &args.target {
        Some(Target::Run(run)) => Some(run),
        Some(Target::Coordinator(address)) => {
            let message = format!("{address} is an address; with --kubernetes give the run's name, or --key KEY");
            return Err(Failure::new(ExitCode::Usage, message));
        }
        None => None,
    };
    Place::find(&args.cluster, (run, args.key.as_ref())).await
}
