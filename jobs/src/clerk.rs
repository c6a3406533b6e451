//! At work at the desk: takes in what the run shows, looks for new wishes, tells the run what to do about them, and
//! writes the state as often as it is worth it.

use crate::{Desk, JobError};
use conrec_domain::job::{Act, Ask, WritePace};
use conrec_domain::status::{Activity, Status};
use futures::{Stream, StreamExt};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

/// How often it is looked whether the state is to be written.
const LOOK: Duration = Duration::from_millis(250);
/// How often wishes are looked for: in a folder, and where each look is a request.
const WISHES: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(3)];
/// The store has so long to say what is wished.
const PATIENCE: Duration = Duration::from_secs(10);

/// Back to whoever asked: a sentence, or why it was not taken.
pub type Reply = oneshot::Sender<Result<String, String>>;

/// What the run is told to do.
pub enum Order {
    /// Checkpoint and end.
    Pause,
    /// End for good.
    Cancel,
    /// Write a checkpoint; the answer is its key, or why there is none.
    Checkpoint(Reply),
}

/// What is under way.
struct Work {
    orders: mpsc::Sender<Order>,
    /// Checkpoints that were ordered, each with the number of wishes that it fulfils.
    ordered: JoinSet<(u64, Result<String, String>)>,
    pace: WritePace,
    begun: Instant,
    looked: Option<Instant>,
    /// Whether the run was told to end.
    ends: bool,
}

impl Desk {
    /// Works until the run shows nothing any more. `asked`: wishes that reach the coordinator over the network.
    pub async fn attend<A: Into<(Ask, Reply)>>(
        &mut self,
        statuses: impl Stream<Item = Status>,
        mut asked: mpsc::Receiver<A>,
        orders: mpsc::Sender<Order>,
    ) {
        let mut work = Work {
            orders,
            ordered: JoinSet::new(),
            pace: WritePace::default(),
            begun: Instant::now(),
            looked: None,
            ends: false,
        };
        // It was written a moment ago.
        work.pace.tried(Duration::ZERO, true);
        self.resume_wishes(&mut work).await;
        let mut statuses = std::pin::pin!(statuses);
        let mut ticks = interval(LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                status = statuses.next() => match status {
                    Some(status) => work.pace.heard(self.state.hear(&status, (self.clock)())),
                    None => return,
                },
                Some(asked) = asked.recv() => {
                    let (ask, reply) = asked.into();
                    let answer = self.take(ask, &mut work).await;
                    let _ = reply.send(answer);
                }
                Some(Ok((number, answer))) = work.ordered.join_next() => self.checkpointed(number, answer, &mut work),
                _ = ticks.tick() => {
                    self.look_for_wishes(&mut work).await;
                    let now = work.begun.elapsed();
                    if work.pace.is_due(now) {
                        let written = self.write().await;
                        work.pace.tried(now, written);
                    }
                }
            }
        }
    }

    /// Checkpoints that were asked for while nobody was here are still wished for.
    async fn resume_wishes(&mut self, work: &mut Work) {
        if self.wishes.checkpoints > self.state.checkpoints_done {
            self.act(Act::Checkpoint, work).await;
        }
    }

    async fn look_for_wishes(&mut self, work: &mut Work) {
        let every = WISHES[usize::from(!self.job.is_in_a_folder())];
        if work.looked.is_some_and(|looked| looked.elapsed() < every) {
            return;
        }
        work.looked = Some(Instant::now());
        match timeout(PATIENCE, self.job.wishes(&self.wishes)).await {
            Ok(Ok(wishes)) => {
                let act = self.wishes.acts(&wishes).filter(|_| wishes.number > self.wishes.number);
                self.wishes = wishes;
                if let Some(act) = act {
                    self.act(act, work).await;
                }
            }
            Ok(Err(error)) => tracing::warn!("cannot read what is wished of the job: {error}"),
            Err(_) => tracing::warn!("the store did not say within {} s what is wished", PATIENCE.as_secs()),
        }
    }

    /// A wish that came over the network is kept first, and then heard like any other.
    async fn take(&mut self, ask: Ask, work: &mut Work) -> Result<String, String> {
        match timeout(PATIENCE, self.job.wish(ask, self.clock, "an operator, over the network")).await {
            Ok(Ok(_)) => {}
            Ok(Err(error @ JobError::Refused { .. })) => return Err(error.to_string()),
            Ok(Err(error)) => return Err(format!("the wish is not kept: {error}")),
            Err(_) => return Err(format!("the store did not take the wish within {} s", PATIENCE.as_secs())),
        }
        work.looked = None;
        self.look_for_wishes(work).await;
        Ok(match ask {
            Ask::Pause => "the job writes a checkpoint and rests until it is resumed".into(),
            Ask::Cancel => "the job ends for good".into(),
            Ask::Resume => "the job goes on".into(),
            Ask::Checkpoint => "the job writes a checkpoint".into(),
        })
    }

    async fn act(&mut self, act: Act, work: &mut Work) {
        if work.ends {
            return;
        }
        let by = self.wishes.by.as_str();
        tracing::info!(?act, by, "wished");
        let order = match act {
            Act::Pause => Order::Pause,
            Act::Cancel => Order::Cancel,
            Act::Checkpoint => {
                let (reply, answer) = oneshot::channel();
                let number = self.wishes.checkpoints;
                work.ordered
                    .spawn(async move { (number, answer.await.unwrap_or_else(|_| Err("the run has ended".into()))) });
                Order::Checkpoint(reply)
            }
        };
        work.ends = matches!(act, Act::Pause | Act::Cancel);
        // A run that has ended takes no order; its ending says so.
        let _ = work.orders.send(order).await;
    }

    fn checkpointed(&mut self, number: u64, answer: Result<String, String>, work: &mut Work) {
        let activity = match answer {
            Ok(key) => Activity::Checkpointed { key },
            Err(reason) => Activity::CheckpointMissed { reason },
        };
        self.state.hear_of(&activity, (self.clock)());
        self.state.checkpoints_done = self.state.checkpoints_done.max(number);
        work.pace.heard(true);
    }
}
