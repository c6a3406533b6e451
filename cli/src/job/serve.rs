//! `conrec coordinator --job`: serves a job that was submitted. Its desk keeps its state in the store, hears what
//! operators wish, and writes how it ended.

use super::{now, this_process};
use crate::args::{ConfigArgs, CoordinatorArgs};
use crate::config_file;
use crate::coordinator::{Served, open, serve_open};
use crate::failure::{Failure, no_signals};
use conrec_coordinator::Orders;
use conrec_coordinator::exit_code::ExitCode;
use conrec_coordinator::store::StoreError;
use conrec_domain::effect::Ending;
use conrec_domain::ids::RunId;
use conrec_domain::job::{JobKey, JobRequest};
use conrec_jobs::{Arrival, Desk, JobError, JobObjects, Order, Submitted, host};
use conrec_process::{StopSignals, say};
use conrec_store::Store;
use conrec_vitals::Vitals;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use tokio::time::{sleep, timeout};

/// Wishes and orders that may wait.
const WAITING: usize = 16;
/// Between two looks whether a paused job was resumed.
const LOOK: Duration = Duration::from_secs(2);
/// The desk may be at a record that the store does not take.
const LAST_RECORD: Duration = Duration::from_secs(15);

/// Serves the job until its run ends for this process.
///
/// # Errors
/// Whatever ends the run but completion, an orderly stop and a cancellation.
pub async fn serve(args: &CoordinatorArgs, run_id: &RunId, vitals: &Vitals) -> Result<u8, Failure> {
    let mut signals = StopSignals::listen().map_err(no_signals)?;
    let store = Store::make(&args.store.store).map_err(StoreError::from)?;
    let job = JobObjects::of(&store, run_id);
    if let Some(config) = &args.config {
        submit(args, config, &job).await?;
    }
    let desk = loop {
        match Desk::arrive(job.clone(), this_process(), now).await? {
            Arrival::Open(desk) => break *desk,
            Arrival::Over(ending) => {
                say!("job {run_id} is over: {}", ending.reason);
                return Ok(ending.exit_code);
            }
            Arrival::Resting if args.wait_while_paused => tokio::select! {
                () = sleep(LOOK) => {}
                () = signals.next() => return Ok(ExitCode::Stopped.code()),
            },
            Arrival::Resting => {
                say!("job {run_id} is paused; `conrec resume {run_id}` lets it go on");
                return Ok(ExitCode::Stopped.code());
            }
        }
    };
    let spec = desk.request().spec().map_err(|error| Failure::from(JobError::from(error)));
    let workers = args.workers.unwrap_or_else(|| desk.request().workers);
    let opened = match spec {
        Ok(spec) => open(args, (run_id.clone(), spec), workers, &mut signals).await,
        Err(failure) => Err(failure),
    };
    match opened {
        Ok(Served::Ended(code)) => {
            let ending = if code == ExitCode::Done.code() { Ending::Completed } else { Ending::Stopped };
            desk.close(&ending).await;
            Ok(code)
        }
        Ok(Served::Open(coordinator, entrance)) => {
            let (asked, heard) = mpsc::channel(WAITING);
            let (ordered, orders) = mpsc::channel(WAITING);
            let pause = Arc::new(Notify::new());
            tokio::spawn(obey(orders, coordinator.orders(), Arc::clone(&pause)));
            let statuses = coordinator.statuses();
            let mut desk = desk;
            let desk = tokio::spawn(async move {
                desk.attend(statuses, heard, ordered).await;
                desk
            });
            let stop = async move {
                tokio::select! {
                    () = signals.next() => {}
                    () = pause.notified() => {}
                }
            };
            let ending = serve_open((Box::new(coordinator.with_desk(asked)), entrance), vitals, stop).await;
            close(desk, &ending).await;
            crate::coordinator::ended(ending)
        }
        Err(failure) => {
            let Failure { message, code } = &failure;
            desk.close(&Ending::Failed { reason: message.clone(), exit_code: *code }).await;
            Err(failure)
        }
    }
}

/// Has the job's request in the store: `config`, under the run's own name, unless it was submitted before.
async fn submit(args: &CoordinatorArgs, config: &Path, job: &JobObjects) -> Result<(), Failure> {
    let run_id = job.run_id();
    let key: Option<JobKey> = run_id.as_str().parse().ok().filter(|key: &JobKey| key.run_id() == run_id);
    let key = key.ok_or_else(|| {
        let message = format!(
            "--job {run_id}: a job that is submitted by its coordinator is known by its name alone: expected at most 40 \
             of a-z 0-9 -, a letter first, no dash last"
        );
        Failure::new(ExitCode::Usage, message)
    })?;
    let spec = config_file::load(&ConfigArgs { config: config.to_owned(), set: args.set.clone() })?;
    let request = JobRequest::new(key, &spec, args.workers.unwrap_or(1), crate::CODE_VERSION)?;
    match job.submit(&request.stamped(now(), &host())).await? {
        Submitted::Created => Ok(()),
        Submitted::Before(before) if before.is_for(&spec).map_err(JobError::from)? => Ok(()),
        Submitted::Before(before) => Err(super::submit::other_config(&before)),
    }
}

async fn close(desk: tokio::task::JoinHandle<Desk>, ending: &Ending) {
    match timeout(LAST_RECORD, desk).await {
        Ok(Ok(desk)) => desk.close(ending).await,
        Ok(Err(error)) => tracing::error!("the job's last state is not in the store: {error}"),
        Err(_) => tracing::error!("the job's last state is not in the store, which does not answer"),
    }
}

/// Passes orders on to the run.
async fn obey(mut orders: mpsc::Receiver<Order>, run: Orders, pause: Arc<Notify>) {
    while let Some(order) = orders.recv().await {
        match order {
            Order::Pause => pause.notify_one(),
            Order::Cancel => run.cancel().await,
            Order::Checkpoint(reply) => {
                let run = run.clone();
                // Another order may come before it is whole.
                tokio::spawn(async move {
                    let _ = reply.send(run.checkpoint().await);
                });
            }
        }
    }
}
