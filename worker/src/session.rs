//! A worker's session with the coordinator: the network side. Commands go to the compute thread in the order in which
//! they came; its answers and a heartbeat go back. Nothing is computed here, so that the heartbeat never waits.

use crate::collective::{MeetingPlace, Peers, Switch};
use crate::connect::connect;
use crate::error::WorkerError;
use crate::execute::Executor;
use crate::lanes::Deliver;
use crate::run_folder::RunFolder;
use conrec_domain::effect::Command;
use conrec_domain::event::Hello;
use conrec_domain::spec::{RunConfig, RunSpec};
use conrec_proto::MAX_MESSAGE_BYTES;
use conrec_proto::message::{FromWorker, ToWorker, Welcome};
use conrec_proto::wire::session_client::SessionClient;
use conrec_proto::wire::{CoordinatorMessage, WorkerMessage};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Streaming};

/// How long a worker tries to reach a coordinator that does not answer yet.
const CONNECT_FOR: Duration = Duration::from_secs(20);
/// Between a session that broke off and the next.
const REJOIN_AFTER: Duration = Duration::from_millis(100);
/// Answers that may wait for the network.
const QUEUE: usize = 64;
/// After a failure: how long the coordinator has to say Stop.
const FAREWELL: Duration = Duration::from_secs(5);

/// Where the coordinator is and how others reach this worker.
#[derive(Clone, Debug)]
pub struct SessionOptions {
    /// `host:port` of the coordinator.
    pub coordinator: String,
    /// Host name or address at which other workers reach this one.
    pub advertise: String,
    /// Where this worker sees the store; none: where the coordinator sees it.
    pub store: Option<String>,
    /// Folder of this worker's certificate; none: nothing is encrypted.
    pub tls: Option<PathBuf>,
    /// What workers say to each other may leave this machine unencrypted.
    pub insecure_collectives: bool,
    /// Name for people.
    pub name: String,
    /// Version of the code.
    pub code_version: String,
    /// Leases to compute at once; 1 or more.
    pub lanes: u32,
}

/// Joins the run, works until told to stop. Joins again, as a new worker, when the session breaks off.
///
/// # Errors
/// Any [`WorkerError`]; the coordinator has been told where it could be.
pub async fn run(options: &SessionOptions) -> Result<(), WorkerError> {
    loop {
        match session(options).await {
            Err(WorkerError::Interrupted { address, message }) => {
                tracing::warn!(%address, message, "the session broke off; joining again");
                sleep(REJOIN_AFTER).await;
            }
            ended => return ended,
        }
    }
}

async fn session(options: &SessionOptions) -> Result<(), WorkerError> {
    let place = MeetingPlace::open(&options.advertise, options.tls.as_deref(), options.insecure_collectives).await?;
    let (answers, outgoing) = mpsc::channel::<FromWorker>(QUEUE);
    let hello = Hello {
        name: options.name.clone(),
        code_version: options.code_version.clone(),
        rendezvous: place.address.clone(),
        lanes: options.lanes,
    };
    send(&answers, FromWorker::Hello(hello)).await;
    let mut incoming = open(&options.coordinator, options.tls.as_deref(), outgoing).await?;
    let welcome = match receive(&mut incoming, &options.coordinator).await? {
        Some(ToWorker::Welcome(welcome)) => welcome,
        Some(ToWorker::Command(Command::Stop { reason })) => return Err(lost(&options.coordinator, reason)),
        Some(ToWorker::Command(_)) | None => {
            return Err(lost(&options.coordinator, "did not answer Hello with Welcome"));
        }
    };
    tracing::info!(worker = %welcome.worker, run = %welcome.run_id, "joined");
    let beat = tokio::spawn(heartbeat(answers.clone(), welcome.heartbeat_seconds));
    let result = work(&welcome, &mut incoming, &answers, (options, &place.peers)).await;
    beat.abort();
    result
}

async fn work(
    welcome: &Welcome,
    incoming: &mut Streaming<CoordinatorMessage>,
    answers: &mpsc::Sender<FromWorker>,
    (options, peers): (&SessionOptions, &Peers),
) -> Result<(), WorkerError> {
    let (coordinator, lanes) = (options.coordinator.as_str(), options.lanes);
    let spec = RunSpec::check(RunConfig::parse(&welcome.run_spec_toml, "the run's config")?)?;
    let folder = RunFolder::new(options.store.as_deref().unwrap_or(&welcome.store_url), welcome.run_id.clone())?;
    let switch = Switch::default();
    let (own, peers) = (switch.clone(), peers.clone());
    let start = move |deliver: &Deliver| Executor::new(spec, folder, (lanes, own, peers), deliver);
    let (commands, mut failure) = start_compute(start, answers.clone());
    // A compute thread that is blocked in a collective must not outlive its session.
    let _guard = AbortOnDrop(switch.clone());
    loop {
        tokio::select! {
            message = receive(incoming, coordinator) => match message? {
                Some(ToWorker::Command(Command::Stop { reason })) => {
                    tracing::info!(reason, "stopped");
                    return Ok(());
                }
                Some(ToWorker::Command(Command::Abort { fence })) => switch.abort(fence),
                Some(ToWorker::Command(command)) => {
                    // A compute thread that is gone has left its error in `failure`.
                    let _ = commands.send(command);
                }
                Some(ToWorker::Welcome(_)) => return Err(WorkerError::Protocol("a second Welcome".to_owned())),
                None => return Err(interrupted(coordinator, "closed the session")),
            },
            Some(error) = failure.recv() => {
                tracing::error!(%error, "failed");
                let told = FromWorker::Failed { message: error.to_string(), exit_code: error.exit_code() };
                send(answers, told).await;
                // The coordinator says Stop or ends the stream; waiting for it makes sure that it has read the reason.
                let _ = timeout(FAREWELL, await_stop(incoming, coordinator)).await;
                return Err(error);
            }
        }
    }
}

/// Gives up every collective of a session that is over.
struct AbortOnDrop(Switch);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort_all();
    }
}

async fn await_stop(incoming: &mut Streaming<CoordinatorMessage>, coordinator: &str) {
    while let Ok(Some(message)) = receive(incoming, coordinator).await {
        if matches!(message, ToWorker::Command(Command::Stop { .. })) {
            return;
        }
    }
}

/// The compute thread: libtorch lives there and in the executor's lanes.
fn start_compute(
    start: impl FnOnce(&Deliver) -> Result<Executor, WorkerError> + Send + 'static,
    answers: mpsc::Sender<FromWorker>,
) -> (std::sync::mpsc::Sender<Command>, mpsc::Receiver<WorkerError>) {
    let (commands, queue) = std::sync::mpsc::channel::<Command>();
    let (failed, failure) = mpsc::channel(1);
    // A closed channel means that the session is over.
    let deliver: Deliver = Arc::new(move |result| match result {
        Ok(answer) => drop(answers.blocking_send(answer)),
        Err(error) => drop(failed.blocking_send(error)),
    });
    std::thread::spawn(move || {
        let mut executor = match start(&deliver) {
            Ok(executor) => executor,
            Err(error) => return deliver(Err(error)),
        };
        for command in queue {
            match executor.perform(command).transpose() {
                Some(Err(error)) => return deliver(Err(error)),
                Some(answer) => deliver(answer),
                None => {}
            }
        }
    });
    (commands, failure)
}

async fn open(
    address: &str,
    tls: Option<&Path>,
    outgoing: mpsc::Receiver<FromWorker>,
) -> Result<Streaming<CoordinatorMessage>, WorkerError> {
    let channel = connect(address, tls, CONNECT_FOR).await?;
    let mut client = SessionClient::new(channel)
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES);
    let messages = tokio_stream::StreamExt::map(ReceiverStream::new(outgoing), WorkerMessage::from);
    let response = client.work(messages).await.map_err(|status| lost(address, status.message()))?;
    Ok(response.into_inner())
}

async fn receive(incoming: &mut Streaming<CoordinatorMessage>, address: &str) -> Result<Option<ToWorker>, WorkerError> {
    match incoming.message().await {
        Ok(None) => Ok(None),
        Ok(Some(message)) => ToWorker::try_from(message).map(Some).map_err(|e| WorkerError::Protocol(e.to_string())),
        // A worker that was refused would be refused again.
        Err(status) if matches!(status.code(), Code::FailedPrecondition | Code::InvalidArgument) => {
            Err(lost(address, status.message()))
        }
        Err(status) => Err(interrupted(address, status.message())),
    }
}

async fn heartbeat(answers: mpsc::Sender<FromWorker>, deadline_seconds: u32) {
    let mut ticks = interval(Duration::from_secs_f64(f64::from(deadline_seconds.max(1)) / 4.0));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if answers.send(FromWorker::Heartbeat).await.is_err() {
            return;
        }
    }
}

async fn send(answers: &mpsc::Sender<FromWorker>, message: FromWorker) {
    // A closed channel means that the session is over; the receiving side says why.
    let _ = answers.send(message).await;
}

fn interrupted(address: &str, message: impl std::fmt::Display) -> WorkerError {
    WorkerError::Interrupted { address: address.to_owned(), message: message.to_string() }
}

fn lost(address: &str, message: impl std::fmt::Display) -> WorkerError {
    WorkerError::Coordinator { address: address.to_owned(), message: message.to_string() }
}
