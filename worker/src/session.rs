//! A worker's session with the coordinator: the network side. Commands go to the compute thread in the order in which
//! they came; its answers and a heartbeat go back. Nothing is computed here, so that the heartbeat never waits.

use crate::backoff::Backoff;
use crate::collective::MeetingPlace;
use crate::compute::Compute;
use crate::connect::connect;
use crate::error::WorkerError;
use crate::leave::{Leave, Wish};
use crate::over;
use conrec_domain::effect::Command;
use conrec_domain::event::Hello;
use conrec_domain::ids::RunId;
use conrec_jobs::JobObjects;
use conrec_proto::MAX_MESSAGE_BYTES;
use conrec_proto::message::{FromWorker, ToWorker, Welcome};
use conrec_proto::wire::session_client::SessionClient;
use conrec_proto::wire::{CoordinatorMessage, WorkerMessage};
use conrec_vitals::Vitals;
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Streaming};

/// A session that lasted so long was a good one: the pauses before the next begin anew, short as they are for a
/// coordinator that is started again at once.
const GOOD: Duration = Duration::from_millis(250);
/// Answers that may wait for the network.
const QUEUE: usize = 64;
/// After a failure: how long the coordinator has to say Stop.
const FAREWELL: Duration = Duration::from_secs(5);

/// Where the coordinator is and how others reach this worker.
#[derive(Clone)]
pub struct SessionOptions {
    /// What others may look at.
    pub vitals: Vitals,
    /// `host:port` of the coordinator.
    pub coordinator: String,
    /// Host name or address at which other workers reach this one.
    pub advertise: String,
    /// Where this worker sees the store; none: where the coordinator sees it.
    pub store: Option<String>,
    /// The job that it is for, where that is known before a coordinator says so; its records are in `store`.
    pub job: Option<RunId>,
    /// Where files lie that come from a store that is no folder, or go there; none: the system's temporary folder.
    pub scratch: Option<PathBuf>,
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
    /// A coordinator that cannot be reached for so long is given up; none: never.
    pub patience: Option<Duration>,
    /// Once asked to end: how long the coordinator has to release this worker.
    pub grace: Duration,
}

/// How a worker's life ended well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The run is complete.
    Complete,
    /// It was asked to end, by a signal or by a coordinator whose run is not complete.
    Left,
}

impl Ended {
    /// The exit code: a worker that left may be started again, and joins the run. 0 is for a complete run alone, so that
    /// whoever starts workers again knows when to end.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Complete => 0,
            Self::Left => LEFT,
        }
    }
}

/// Asked to end before the run was complete; as for `conrec train`.
const LEFT: u8 = 75;

/// Joins the run and works until told to stop, by the coordinator or by a signal. When a session breaks off it joins again, with what it holds: the
/// coordinator may have died and be started again, here or elsewhere.
///
/// # Errors
/// Any [`WorkerError`]; the coordinator has been told where it could be.
pub async fn run(options: &SessionOptions) -> Result<Ended, WorkerError> {
    let mut leave = Leave::listen(options.grace)
        .map_err(|error| WorkerError::Protocol(format!("cannot listen to signals: {error}")))?;
    let (mut compute, mut forget, mut backoff) = (None, false, Backoff::default());
    let named = options.store.as_deref().zip(options.job.as_ref());
    let mut job = named.and_then(|(store, run_id)| over::job(store, run_id));
    loop {
        let began = Instant::now();
        let ended = session(options, (&mut compute, &mut job), forget, &mut leave).await;
        options.vitals.set_ready(false);
        match ended {
            Err(WorkerError::Interrupted { .. }) if leave.is_asked() => return Ok(Ended::Left),
            Err(WorkerError::Interrupted { address, message, given_up }) => {
                tracing::warn!(%address, message, "the session broke off; joining again");
                options.vitals.count("conrec_worker_sessions_broken_total");
                forget = given_up;
                if began.elapsed() > GOOD {
                    backoff = Backoff::default();
                }
                tokio::select! {
                    () = sleep(backoff.pause()) => {}
                    _ = leave.next() => return Ok(Ended::Left),
                }
            }
            Err(WorkerError::Coordinator { .. }) if over::is_paused(job.as_ref()).await => {
                tracing::info!("nobody serves the job, which is paused; waiting on");
            }
            ended => return ended,
        }
    }
}

async fn session(
    options: &SessionOptions,
    (compute, job): (&mut Option<Compute>, &mut Option<JobObjects>),
    forget: bool,
    leave: &mut Leave,
) -> Result<Ended, WorkerError> {
    let (welcome, place, answers, mut incoming) = tokio::select! {
        joined = join(options, compute, forget) => joined?,
        // The run does not count on it yet.
        _ = leave.next() => return Ok(Ended::Left),
        () = over::until_over(job.as_ref()) => return Ok(Ended::Complete),
    };
    if let Some(own) = options.job.as_ref().filter(|own| **own != welcome.run_id) {
        // An address may have gone to another run's coordinator, whose end would be taken for this one's.
        let message = format!("serves run {}, not {own}", welcome.run_id);
        return Err(interrupted(&options.coordinator, &message));
    }
    options.vitals.set_ready(true);
    options.vitals.count("conrec_worker_sessions_total");
    *job = over::job(options.store.as_deref().unwrap_or(&welcome.store_url), &welcome.run_id);
    tracing::info!(worker = %welcome.worker, run = %welcome.run_id, "joined");
    let compute = match compute.take().filter(|compute| compute.is_for(&welcome)) {
        Some(same) => compute.insert(same),
        None => compute.insert(Compute::start(&welcome, options)?),
    };
    compute.serve(answers.clone(), place.peers.clone());
    let beat = tokio::spawn(heartbeat(answers.clone(), welcome.heartbeat_seconds));
    let result = work(compute, (&mut incoming, &answers), leave, &options.coordinator).await;
    beat.abort();
    result
}

/// What a session needs.
type Joined = (Welcome, MeetingPlace, mpsc::Sender<FromWorker>, Streaming<CoordinatorMessage>);

/// Opens a session; says what is held from the one before.
async fn join(options: &SessionOptions, compute: &mut Option<Compute>, forget: bool) -> Result<Joined, WorkerError> {
    let held = match compute.as_mut() {
        Some(compute) => compute.rest(forget).await,
        None => None,
    };
    let place = MeetingPlace::open(&options.advertise, options.tls.as_deref(), options.insecure_collectives).await?;
    let (answers, outgoing) = mpsc::channel::<FromWorker>(QUEUE);
    let hello = Hello {
        name: options.name.clone(),
        code_version: options.code_version.clone(),
        rendezvous: place.address.clone(),
        lanes: options.lanes,
        held: held.map(Box::new),
    };
    send(&answers, FromWorker::Hello(hello)).await;
    let address = options.coordinator.as_str();
    let mut incoming = open(options, outgoing).await?;
    let welcome = match receive(&mut incoming, address).await? {
        Some(ToWorker::Welcome(welcome)) => welcome,
        Some(ToWorker::Command(Command::Stop { reason, .. })) => return Err(lost(address, reason)),
        Some(ToWorker::Command(_)) => return Err(lost(address, "did not answer Hello with Welcome")),
        None => return Err(interrupted(address, "closed the session before its Welcome")),
    };
    Ok((welcome, place, answers, incoming))
}

async fn work(
    compute: &mut Compute,
    (incoming, answers): (&mut Streaming<CoordinatorMessage>, &mpsc::Sender<FromWorker>),
    leave: &mut Leave,
    coordinator: &str,
) -> Result<Ended, WorkerError> {
    loop {
        tokio::select! {
            message = receive(incoming, coordinator) => match message? {
                Some(ToWorker::Command(Command::Stop { reason, complete })) => {
                    tracing::info!(reason, "stopped");
                    return Ok(if complete { Ended::Complete } else { Ended::Left });
                }
                Some(ToWorker::Command(command)) => compute.take(command),
                Some(ToWorker::Welcome(_)) => return Err(WorkerError::Protocol("a second Welcome".to_owned())),
                None => return Err(interrupted(coordinator, "closed the session")),
            },
            wish = leave.next() => match wish {
                Wish::Leave => {
                    tracing::info!("asked to end; going on until the run can do without this worker");
                    let answers = answers.clone();
                    // A network that is slow must not keep this worker from its end.
                    tokio::spawn(async move { send(&answers, FromWorker::Leaving).await });
                }
                Wish::EndNow => return Ok(Ended::Left),
            },
            Some(error) = compute.failure.recv() => {
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

async fn await_stop(incoming: &mut Streaming<CoordinatorMessage>, coordinator: &str) {
    while let Ok(Some(message)) = receive(incoming, coordinator).await {
        if matches!(message, ToWorker::Command(Command::Stop { .. })) {
            return;
        }
    }
}

async fn open(
    options: &SessionOptions,
    outgoing: mpsc::Receiver<FromWorker>,
) -> Result<Streaming<CoordinatorMessage>, WorkerError> {
    let address = options.coordinator.as_str();
    let channel = connect(address, options.tls.as_deref(), options.patience).await?;
    let mut client = SessionClient::new(channel)
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES);
    let messages = tokio_stream::StreamExt::map(ReceiverStream::new(outgoing), WorkerMessage::from);
    let response = client.work(messages).await.map_err(|status| refused_or_interrupted(address, &status))?;
    Ok(response.into_inner())
}

async fn receive(incoming: &mut Streaming<CoordinatorMessage>, address: &str) -> Result<Option<ToWorker>, WorkerError> {
    match incoming.message().await {
        Ok(None) => Ok(None),
        Ok(Some(message)) => ToWorker::try_from(message).map(Some).map_err(|e| WorkerError::Protocol(e.to_string())),
        Err(status) => Err(refused_or_interrupted(address, &status)),
    }
}

/// A worker that was refused would be refused again. One that was given up holds nothing that counts; one whose
/// connection was lost may hold what the next coordinator needs.
fn refused_or_interrupted(address: &str, status: &tonic::Status) -> WorkerError {
    let message = status.message().to_owned();
    let address = address.to_owned();
    match status.code() {
        Code::FailedPrecondition | Code::InvalidArgument | Code::Unauthenticated | Code::PermissionDenied => {
            WorkerError::Coordinator { address, message }
        }
        code => WorkerError::Interrupted { address, message, given_up: code == Code::Aborted },
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
    WorkerError::Interrupted { address: address.to_owned(), message: message.to_string(), given_up: false }
}

fn lost(address: &str, message: impl std::fmt::Display) -> WorkerError {
    WorkerError::Coordinator { address: address.to_owned(), message: message.to_string() }
}
