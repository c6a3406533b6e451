//! One task owns the run: it takes events in, applies them, and performs the effects in their order.

mod patience;
mod perform;
mod wished;

pub(crate) use wished::{Reply, Waiting};

use crate::journal::Journal;
use crate::status_board::StatusBoard;
use crate::store::{RunStore, StoreError};
use conrec_domain::effect::{Command, Ending};
use conrec_domain::event::{Event, Hello};
use conrec_domain::ids::{Digest, RunId, WorkerId};
use conrec_domain::run::{Rejection, Run};
use conrec_proto::message::ToWorker;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};
use tonic::Status;

/// Deadlines are looked at this often.
const TICK: Duration = Duration::from_millis(200);

/// Whether another coordinator holds the run is looked at this often, whether anything is written or not.
const LOOK: Duration = Duration::from_secs(5);

/// The store has so long, once the run has ended, for the journal's last lines and for what is still to be removed.
const LAST_WORK: Duration = Duration::from_secs(10);

/// Events that may wait for the driver; senders wait when it is full.
pub(crate) const INPUTS: usize = 1024;

/// To one worker's stream; dropping it ends the stream after what was sent.
pub(crate) type Outbox = mpsc::Sender<Result<ToWorker, Status>>;

/// To the driver.
pub(crate) type Inputs = mpsc::Sender<Input>;

/// What reaches the driver from outside.
pub(crate) enum Input {
    /// A worker introduced itself; its stream belongs to the driver from now on.
    Joined {
        /// Its id.
        worker: WorkerId,
        /// What it says of itself.
        hello: Hello,
        /// Its stream.
        outbox: Outbox,
    },
    /// The store says that another coordinator has taken over.
    Outdated(StoreError),
    /// Somebody asks for a checkpoint and waits for it.
    Checkpoint {
        /// To whoever asks.
        reply: Reply,
    },
    /// Anything else.
    Event(Event),
}

/// The run and all that it acts on.
pub(crate) struct Driver {
    pub(crate) run: Run,
    pub(crate) store: Arc<RunStore>,
    /// The run's id and its config's digest.
    pub(crate) introduced: (RunId, Option<Digest>),
    pub(crate) journal: Journal,
    pub(crate) board: StatusBoard,
    /// The time that the run counts from.
    pub(crate) start: Instant,
    /// The largest roster number that this process owns.
    pub(crate) claimed: Arc<AtomicU64>,
    pub(crate) outboxes: BTreeMap<WorkerId, Outbox>,
    /// Events that effects gave rise to, to be applied before anything from outside.
    pub(crate) pending: VecDeque<Event>,
    pub(crate) ending: Option<Ending>,
    /// Who waits for a checkpoint.
    pub(crate) waiting: Waiting,
    /// Whether the journal is still this process's to write, now that the run has ended.
    pub(crate) keeps_journal: bool,
    /// To itself, from what it does in the background.
    pub(crate) inputs: Inputs,
    /// Checkpoints on their way into the store and out of it.
    pub(crate) background: JoinSet<()>,
    /// Whether a roster has formed, so that the store was known to be writable.
    pub(crate) claims_again: bool,
    /// Whether a stop was asked for, by a signal.
    pub(crate) asked: Arc<AtomicBool>,
    /// Once a stop was asked for, a store that does not answer for so long is not waited for.
    pub(crate) silence: Duration,
}

impl Driver {
    /// Drives the run to its end for this process. `stop` asks for a checkpoint and an orderly end.
    pub(crate) async fn drive(mut self, mut inputs: mpsc::Receiver<Input>, stop: impl Future<Output = ()>) -> Ending {
        let (ask, asked) = oneshot::channel();
        let (store, silence) = (Arc::clone(&self.store), self.silence);
        let flag = Arc::clone(&self.asked);
        // Beside the run, which may itself be waiting for the store.
        let given_up = async {
            stop.await;
            flag.store(true, Ordering::SeqCst);
            let _ = ask.send(());
            patience::until_silent(&store, silence).await;
        };
        let (watched, tell) = (Arc::clone(&self.store), self.inputs.clone());
        let watch = async {
            let error = watched.until_taken_over(LOOK).await;
            let _ = tell.send(Input::Outdated(error)).await;
            std::future::pending::<()>().await;
        };
        let ended = tokio::select! {
            ending = self.until_ended(&mut inputs, asked) => Some(ending),
            () = given_up => None,
            // Its word comes as an input.
            () = watch => None,
        };
        match ended {
            Some(ending) => {
                self.close(&ending);
                self.last_work().await;
                ending
            }
            None => {
                let ending = self.out_of_patience();
                self.close(&ending);
                ending
            }
        }
    }

    /// Takes in events until the run has ended.
    async fn until_ended(&mut self, inputs: &mut mpsc::Receiver<Input>, mut stop: oneshot::Receiver<()>) -> Ending {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut stopping = false;
        loop {
            tokio::select! {
                Ok(()) = &mut stop, if !stopping => {
                    stopping = true;
                    self.take(Event::StopRequested).await;
                }
                Some(input) = inputs.recv() => self.take_input(input).await,
                _ = ticks.tick() => {
                    // What waited while the store was slow counts before any deadline is looked at.
                    for _ in 0..INPUTS {
                        let Ok(input) = inputs.try_recv() else { break };
                        self.take_input(input).await;
                    }
                    self.take(Event::Tick).await;
                }
            }
            // What has ended needs no place any more.
            while self.background.try_join_next().is_some() {}
            if let Some(ending) = self.ending.take() {
                return ending;
            }
        }
    }

    /// What the store should still have, though no resume needs it: the journal's last lines reached it with the newest
    /// checkpoint as far as that goes.
    async fn last_work(&mut self) {
        let work = async {
            if self.keeps_journal
                && let Err(error) = self.keep_journal().await
            {
                tracing::warn!("the last lines of the journal are not in the store: {error}");
            }
            while self.background.join_next().await.is_some() {}
        };
        if tokio::time::timeout(LAST_WORK, work).await.is_err() {
            let what = "the journal may lack its last lines, and checkpoints may be left that are not to be kept";
            tracing::warn!("the store did not take all within {} s: {what}", LAST_WORK.as_secs());
        }
    }

    async fn take_input(&mut self, input: Input) {
        match input {
            Input::Event(event) => self.take(event).await,
            Input::Outdated(error) => self.give_up(&error),
            Input::Checkpoint { reply } => self.take_wish_for_a_checkpoint(reply).await,
            Input::Joined { worker, hello, outbox } => {
                if let Err(refused) = self.of_this_life(worker, &hello).await {
                    tracing::warn!(%worker, name = hello.name, "refused: {}", refused.message());
                    let _ = outbox.try_send(Err(refused));
                    return;
                }
                self.outboxes.insert(worker, outbox);
                self.take(Event::Joined { worker, hello }).await;
            }
        }
    }

    /// Refuses a worker that holds the roster of a run that was removed: such a number is higher than any here, but
    /// nobody has claimed it in this store. One that another coordinator has claimed is left to the run, which ends.
    async fn of_this_life(&self, worker: WorkerId, hello: &Hello) -> Result<(), Status> {
        let Some(held) = hello.held.as_deref().filter(|held| held.fence > self.run.fence()) else {
            return Ok(());
        };
        if held.run_id != self.introduced.0 || Some(held.config_digest) != self.introduced.1 {
            return Ok(());
        }
        match self.store.is_minted(held.fence).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(Status::failed_precondition(format!(
                "{worker} holds roster {} of run `{}`, which was never formed in this store: the worker is left over \
                 from a run of this name that was removed; end it and start it again, or give this run another id",
                held.fence, held.run_id
            ))),
            Err(error) => Err(Status::unavailable(error.to_string())),
        }
    }

    /// Applies an event and all events that follow from it.
    async fn take(&mut self, event: Event) {
        self.pending.push_back(event);
        while let Some(event) = self.pending.pop_front() {
            if self.ending.is_some() {
                return;
            }
            let (joining, leaving) = match &event {
                Event::Joined { worker, .. } => (Some(*worker), None),
                Event::Left { worker, .. } => (None, Some(*worker)),
                _ => (None, None),
            };
            log_round(&event);
            let published = match &event {
                Event::ManifestPublished { key } => Some(Ok(key.clone())),
                Event::ManifestRefused { message } | Event::PartsFailed { message, .. } => Some(Err(message.clone())),
                _ => None,
            };
            match self.run.apply(event, self.start.elapsed()) {
                Ok(effects) => {
                    published.iter().for_each(|published| self.tell_of_checkpoint(published));
                    self.perform(effects).await;
                }
                Err(rejection) => self.reject(joining, &rejection),
            }
            if let Some(worker) = leaving {
                self.outboxes.remove(&worker);
            }
        }
    }

    /// Logs a rejection; a worker that may not join is told why and its stream ends.
    fn reject(&mut self, joining: Option<WorkerId>, rejection: &Rejection) {
        match rejection {
            Rejection::StaleFence { .. }
            | Rejection::UnknownWorker { .. }
            | Rejection::NotHeld { .. }
            | Rejection::WrongIteration { .. } => {
                tracing::debug!(?rejection, "dropped: {rejection}")
            }
            _ => tracing::warn!(?rejection, "rejected: {rejection}"),
        }
        if let Some(outbox) = joining.and_then(|worker| self.outboxes.remove(&worker)) {
            let _ = outbox.try_send(Err(Status::failed_precondition(rejection.to_string())));
        }
    }

    /// Tells every worker that is still there to stop, and ends all streams.
    fn close(&mut self, ending: &Ending) {
        let reason = match ending {
            Ending::Completed => "the run is complete".to_owned(),
            Ending::Stopped => "the run was stopped".to_owned(),
            Ending::Cancelled => "the run was cancelled".to_owned(),
            Ending::Failed { reason, .. } => format!("the run failed: {reason}"),
        };
        for outbox in std::mem::take(&mut self.outboxes).into_values() {
            let stop = Command::Stop { reason: reason.clone(), complete: ending.leaves_nothing_to_do() };
            let _ = outbox.try_send(Ok(ToWorker::Command(stop)));
        }
        self.board.close();
    }
}

/// When each worker answered a reduce and a commit: `CONREC_LOG=conrec_coordinator::round=debug`, for `conrec bench`.
fn log_round(event: &Event) {
    match event {
        Event::Reduced { iteration, .. } => {
            tracing::debug!(target: "conrec_coordinator::round", iteration = iteration.0, "reduced");
        }
        Event::Committed { iteration, .. } => {
            tracing::debug!(target: "conrec_coordinator::round", iteration = iteration.0, "committed");
        }
        _ => {}
    }
}
