//! The session service: one stream a worker. Messages become events; the stream's end becomes `Left`.

use crate::driver::{Input, Inputs, Outbox};
use crate::entrance::Visitor;
use conrec_domain::event::{Event, Hello};
use conrec_domain::ids::{RunId, WorkerId};
use conrec_proto::message::{FromWorker, ToWorker, Welcome};
use conrec_proto::wire;
use conrec_proto::wire::session_server::Session;
use conrec_trust::Role;
use futures::{Stream, StreamExt};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

/// Commands that may wait for a worker to read them; the run has only a few out at a time.
const OUTBOX: usize = 256;

/// A worker has to introduce itself within this time.
const HELLO_DEADLINE: Duration = Duration::from_secs(10);

/// Sessions at a time, those before their Hello included; more than any run's workers.
const SESSIONS: usize = 4096;

/// What every worker is told in its welcome, its own id apart.
pub(crate) struct Introduction {
    /// The run.
    pub(crate) run_id: RunId,
    /// The resolved config.
    pub(crate) run_spec_toml: String,
    /// The store.
    pub(crate) store_url: String,
    /// Deadline for a worker's silence.
    pub(crate) heartbeat_seconds: u32,
}

/// Opens sessions; holds only the next worker's id.
pub(crate) struct SessionService {
    inputs: Inputs,
    introduction: Arc<Introduction>,
    next_worker: AtomicU64,
    places: Arc<Semaphore>,
}

impl SessionService {
    /// Workers are numbered from 1.
    pub(crate) fn new(inputs: Inputs, introduction: Introduction) -> Self {
        Self {
            inputs,
            introduction: Arc::new(introduction),
            next_worker: AtomicU64::new(1),
            places: Arc::new(Semaphore::new(SESSIONS)),
        }
    }
}

#[tonic::async_trait]
impl Session for SessionService {
    type WorkStream = Pin<Box<dyn Stream<Item = Result<wire::CoordinatorMessage, Status>> + Send>>;

    async fn work(
        &self,
        request: Request<Streaming<wire::WorkerMessage>>,
    ) -> Result<Response<Self::WorkStream>, Status> {
        let visitor = Visitor::of(&request, Role::Worker)?;
        let full = |_| Status::resource_exhausted(format!("{SESSIONS} workers have a session already"));
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(full)?;
        let (outbox, commands) = mpsc::channel(OUTBOX);
        let conversation = Conversation {
            worker: WorkerId(self.next_worker.fetch_add(1, Ordering::Relaxed)),
            messages: request.into_inner(),
            inputs: self.inputs.clone(),
            visitor,
            _place: place,
        };
        tokio::spawn(conversation.hold(outbox, Arc::clone(&self.introduction)));
        let stream = ReceiverStream::new(commands).map(|message: Result<ToWorker, Status>| message.map(Into::into));
        Ok(Response::new(Box::pin(stream)))
    }
}

/// The reading half of one session.
struct Conversation {
    worker: WorkerId,
    messages: Streaming<wire::WorkerMessage>,
    inputs: Inputs,
    visitor: Visitor,
    /// One of the sessions that there may be; free again when the conversation ends.
    _place: OwnedSemaphorePermit,
}

impl Conversation {
    async fn hold(mut self, outbox: Outbox, introduction: Arc<Introduction>) {
        let hello = match self.hello().await {
            Ok(hello) => hello,
            Err(status) => {
                tracing::warn!(worker = %self.worker, peer = %self.visitor.address, reason = status.message(), "session refused");
                let _ = outbox.send(Err(status)).await;
                return;
            }
        };
        self.visitor.admit();
        let welcome = Welcome {
            worker: self.worker,
            run_id: introduction.run_id.clone(),
            run_spec_toml: introduction.run_spec_toml.clone(),
            store_url: introduction.store_url.clone(),
            heartbeat_seconds: introduction.heartbeat_seconds,
        };
        // From here on the driver owns the writing half: its end must end the stream.
        let weak = outbox.downgrade();
        let _ = outbox.send(Ok(ToWorker::Welcome(welcome))).await;
        let worker = self.worker;
        if self.inputs.send(Input::Joined { worker, hello, outbox }).await.is_err() {
            return;
        }
        let reason = self.listen(&weak).await;
        let _ = self.inputs.send(Input::Event(Event::Left { worker, reason })).await;
    }

    /// The first message, which has to be `Hello`.
    async fn hello(&mut self) -> Result<Hello, Status> {
        let first = tokio::time::timeout(HELLO_DEADLINE, self.messages.message()).await;
        let first = first.map_err(|_| Status::deadline_exceeded("no Hello came within 10 seconds"))??;
        let first = first.ok_or_else(|| Status::invalid_argument("the stream ended before Hello"))?;
        match FromWorker::try_from(first) {
            Ok(FromWorker::Hello(hello)) => Ok(hello),
            Ok(_) => Err(Status::invalid_argument("the first message was not Hello")),
            Err(error) => Err(Status::invalid_argument(error.to_string())),
        }
    }

    /// Passes messages on until the stream ends; answers why it did.
    async fn listen(&mut self, outbox: &mpsc::WeakSender<Result<ToWorker, Status>>) -> String {
        loop {
            let message = match self.messages.message().await {
                Ok(Some(message)) => FromWorker::try_from(message).map_err(|error| error.to_string()),
                Ok(None) => return "it closed its stream".into(),
                Err(status) => return format!("its stream broke: {}", status.message()),
            };
            let refused = match message {
                Ok(FromWorker::Hello(_)) => "a second Hello".to_owned(),
                Ok(message) => {
                    if self.inputs.send(Input::Event(message.into_event(self.worker))).await.is_err() {
                        return "the run has ended".into();
                    }
                    continue;
                }
                Err(error) => error,
            };
            if let Some(outbox) = outbox.upgrade() {
                let _ = outbox.send(Err(Status::invalid_argument(refused.clone()))).await;
            }
            return format!("it sent a message that was refused: {refused}");
        }
    }
}
