//! `conrec coordinator`: serves one run in this process until it ends.

use crate::args::{ConfigArgs, CoordinatorArgs};
use crate::config_file;
use crate::failure::{Failure, no_signals};
use crate::job;
use crate::operator_client::{credentials, token};
use conrec_coordinator::bind::{bind, bind_anywhere};
use conrec_coordinator::exit_code::ExitCode;
use conrec_coordinator::{Coordinator, Entrance, Opened};
use conrec_domain::effect::Ending;
use conrec_domain::ids::RunId;
use conrec_domain::spec::RunSpec;
use conrec_process::{StopSignals, log_to_stderr, say};
use conrec_trust::Role;
use conrec_vitals::{TrainerEnvironment, Vitals, report_progress};
use futures::StreamExt;
use std::io::Write;
use std::path::Path;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

/// What is still asked of the system when the run has ended is waited for so long.
const PATIENCE: Duration = Duration::from_secs(1);

/// Kubeflow Trainer has so long to hear how the run ended.
const LAST_REPORT: Duration = Duration::from_secs(6);

/// Opens the run, listens, serves.
///
/// # Errors
/// Whatever ends the run but completion and an orderly stop.
pub fn run(args: &CoordinatorArgs) -> Result<u8, Failure> {
    log_to_stderr();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Failure::new(ExitCode::Failed, format!("cannot start the runtime: {error}")))?;
    let ended = runtime.block_on(serve(args));
    args.vitals.say_last(&last_word(&ended));
    // A file system that hangs may hold a thread for ever.
    runtime.shutdown_timeout(PATIENCE);
    ended
}

/// What is left of it in a pod's status.
fn last_word(ended: &Result<u8, Failure>) -> String {
    match ended {
        Err(failure) => failure.message.clone(),
        Ok(0) => "the run is complete".into(),
        Ok(75) => "stopped after a checkpoint; started again it goes on".into(),
        Ok(15) => "cancelled".into(),
        Ok(code) => format!("ended with exit code {code}"),
    }
}

async fn serve(args: &CoordinatorArgs) -> Result<u8, Failure> {
    let run = args.job.as_ref().or(args.run_id.as_ref()).map_or("", RunId::as_str);
    let vitals = Vitals::new(&[("role", "coordinator"), ("run", run), ("version", crate::CODE_VERSION)]);
    args.vitals.open(&vitals).await?;
    if let Some(job) = &args.job {
        return job::serve::serve(args, job, &vitals).await;
    }
    // The command line does not go without one.
    let config = args.config.clone().unwrap_or_default();
    let config = ConfigArgs { config, set: args.set.clone() };
    let spec = config_file::load(&config)?;
    let run_id = config_file::run_id(args.run_id.as_ref(), &config.config, &spec)?;
    let mut signals = StopSignals::listen().map_err(no_signals)?;
    match open(args, (run_id, spec), args.workers.unwrap_or(1), &mut signals).await? {
        Served::Ended(code) => Ok(code),
        Served::Open(coordinator, entrance) => {
            ended(serve_open((coordinator, entrance), &vitals, async move { signals.next().await }).await)
        }
    }
}

/// What opening a run comes to.
pub enum Served {
    /// Nothing is to be done: it is complete, or a signal came.
    Ended(u8),
    /// It is to be served.
    Open(Box<Coordinator>, Box<Entrance>),
}

/// Opens a run and listens; `workers` is how many it waits for.
///
/// # Errors
/// The run cannot be opened, or the address cannot be taken.
pub async fn open(
    args: &CoordinatorArgs,
    (run_id, spec): (RunId, RunSpec),
    workers: u32,
    signals: &mut StopSignals,
) -> Result<Served, Failure> {
    let listen = args.listen.clone().unwrap_or_else(|| spec.cluster.listen.clone());
    let (credentials, token) = (credentials(&args.trust, Role::Coordinator)?, token(&args.trust)?);
    let opened = Coordinator::open(&args.store.store, run_id.clone(), spec, crate::CODE_VERSION, workers);
    let opened = tokio::select! {
        opened = opened => opened?,
        // The store may take its time; nothing was begun.
        () = signals.next() => return Ok(Served::Ended(ExitCode::Stopped.code())),
    };
    let Opened { coordinator, skipped, resumed, already_complete } = opened;
    for skipped in skipped {
        tracing::warn!(key = skipped.key, why = skipped.why, "not used");
    }
    if already_complete {
        say!("already complete: {run_id}");
        return Ok(Served::Ended(ExitCode::Done.code()));
    }
    if let Some(iteration) = resumed {
        tracing::info!(%iteration, "going on from a checkpoint");
    }
    let anywhere = credentials.is_some() || args.insecure_listen;
    let listener = if anywhere { bind_anywhere(&listen).await? } else { bind(&listen).await? };
    let address = listener.local_addr().map_err(Failure::io("find the port of", Path::new(&listen)))?.to_string();
    if let Some(path) = &args.address_file {
        write_whole(path, &address)?;
    }
    say!("listening on {address}");
    let entrance = Entrance::from(listener).with_credentials(credentials.as_ref()).with_token(token);
    Ok(Served::Open(Box::new(coordinator), Box::new(entrance)))
}

/// Serves a run to its end for this process; its vitals are kept, and told to Kubeflow Trainer where there is one.
pub async fn serve_open(
    (coordinator, entrance): (Box<Coordinator>, Box<Entrance>),
    vitals: &Vitals,
    stop: impl Future<Output = ()>,
) -> Ending {
    let (mut statuses, heard) = (Box::pin(coordinator.statuses()), vitals.clone());
    tokio::spawn(async move {
        while let Some(status) = statuses.next().await {
            heard.hear(&status, job::now());
        }
    });
    let (end, ended) = watch::channel(None);
    let trainer = TrainerEnvironment::from(|name| std::env::var(name).ok());
    let reports = trainer.map(|trainer| tokio::spawn(report_progress(trainer, vitals.clone(), ended, job::now)));
    vitals.set_ready(true);
    let ending = coordinator.serve(*entrance, Instant::now(), stop).await;
    vitals.set_ready(false);
    if let Some(reports) = reports {
        let _ = end.send(Some(ending == Ending::Completed));
        // The trainer may be gone.
        let _ = timeout(LAST_REPORT, reports).await;
    }
    ending
}

/// The exit code of an end, or the failure that it was.
///
/// # Errors
/// The run failed.
pub fn ended(ending: Ending) -> Result<u8, Failure> {
    match ending {
        Ending::Failed { reason, exit_code } => Err(Failure { message: reason, code: exit_code }),
        ending @ (Ending::Completed | Ending::Stopped | Ending::Cancelled) => Ok(ExitCode::from(&ending).code()),
    }
}

/// Whoever waits for the file sees all of it or none of it.
fn write_whole(path: &Path, text: &str) -> Result<(), Failure> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let new = Path::new(&name);
    let mut file = std::fs::File::create(new).map_err(Failure::io("create", new))?;
    file.write_all(text.as_bytes()).map_err(Failure::io("write", new))?;
    std::fs::rename(new, path).map_err(Failure::io("rename to", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_file_replaces_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("address");
        write_whole(&path, "127.0.0.1:1").unwrap();
        write_whole(&path, "127.0.0.1:2").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "127.0.0.1:2");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
