//! Where a job stands, as its coordinator tells it: folded from the statuses that the run shows.

use super::condition::{Condition, ConditionKind, set};
use super::{Moment, Outcome, VERSION, Wish};
use crate::effect::Ending;
use crate::status::{Activity, Status};
use crate::work::Pass;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A state that says that somebody works on the job is believed for so long: signs of life come every 15 s.
const LIVE: Duration = Duration::from_secs(60);

/// Iterations, and seconds, that must have been seen before the time left is guessed.
const SEEN: (u64, u64) = (2, 5);

/// What a job is, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StateName {
    /// Submitted; nobody works on it yet.
    Queued,
    /// A coordinator works on it.
    Running,
    /// At rest on an operator's wish.
    Paused,
    /// Stopped after a checkpoint, by a signal: it goes on when it is started again.
    Suspended,
    /// Report and adapter are written.
    Completed,
    /// The same, but the quality gate did not let the adapter be served.
    NotPromoted,
    /// It ended with an error. Where there is no ending, another start may mend it.
    Failed,
    /// An operator ended it.
    Cancelled,
}

impl From<Outcome> for StateName {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Completed => Self::Completed,
            Outcome::NotPromoted => Self::NotPromoted,
            Outcome::Failed => Self::Failed,
            Outcome::Cancelled => Self::Cancelled,
        }
    }
}

/// What a running job does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobPhase {
    /// The coordinator opens the run.
    Starting,
    /// Workers are missing.
    WaitingForWorkers,
    /// Data, instances, semantic ids.
    Preparing,
    /// Workers take the training state.
    Forming,
    /// A stage trains.
    Training,
    /// Validation, questions or cleaning.
    Validating,
    /// Nothing is done until a checkpoint is whole.
    Checkpointing,
    /// The test window is evaluated, the report written.
    Evaluating,
}

/// Who writes a job's state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Writer {
    /// Its machine.
    pub host: String,
    /// Its process there.
    pub process: u32,
}

/// `job/state.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobState {
    /// [`VERSION`] of the program that wrote it.
    pub version: u32,
    /// Coordinators that have worked on the job, this one counted.
    pub attempt: u32,
    /// The last of them.
    pub writer: Writer,
    /// In one word.
    pub state: StateName,
    /// What is being done; none where nobody works on it.
    pub phase: Option<JobPhase>,
    /// `select` or `refit`, once a stage has begun.
    pub pass: Option<String>,
    /// Name of the stage.
    pub stage: Option<String>,
    /// Committed iterations of the whole run.
    pub iteration: u64,
    /// Iterations at most, as far as is known.
    pub iterations_planned: u64,
    /// Workers in the roster.
    pub workers: u32,
    /// Guessed from the iterations that this coordinator has seen.
    pub seconds_left: Option<u64>,
    /// The newest whole checkpoint that this coordinator knows.
    pub checkpoint: Option<String>,
    /// Of the checkpoints that operators asked for, how many are whole.
    #[serde(default)]
    pub checkpoints_done: u64,
    /// What holds and what does not.
    pub conditions: Vec<Condition>,
    /// How the last coordinator ended; none while it works.
    pub exit_code: Option<u8>,
    /// Why it is in this state, for people.
    pub reason: Option<String>,
    /// When this attempt began.
    pub started: Moment,
    /// When this was written.
    pub updated: Moment,
    /// The first status of this attempt that showed training.
    #[serde(skip)]
    seen: Option<(Moment, u64)>,
}

impl JobState {
    /// A coordinator begins. `before`: what the one before it left.
    pub fn begin(before: Option<&Self>, writer: Writer, now: Moment) -> Self {
        let mut conditions = before.map_or_else(Vec::new, |before| before.conditions.clone());
        set(&mut conditions, (ConditionKind::Accepted, true), ("Submitted", "the request is in the store"), now);
        set(&mut conditions, (ConditionKind::WorkersReady, false), ("Starting", "the coordinator opens the run"), now);
        set(&mut conditions, (ConditionKind::Finished, false), ("Running", "it is being worked on"), now);
        Self {
            version: VERSION,
            attempt: before.map_or(0, |before| before.attempt).saturating_add(1),
            writer,
            state: StateName::Running,
            phase: Some(JobPhase::Starting),
            pass: before.and_then(|before| before.pass.clone()),
            stage: before.and_then(|before| before.stage.clone()),
            iteration: before.map_or(0, |before| before.iteration),
            iterations_planned: before.map_or(0, |before| before.iterations_planned),
            workers: 0,
            seconds_left: None,
            checkpoint: before.and_then(|before| before.checkpoint.clone()),
            checkpoints_done: before.map_or(0, |before| before.checkpoints_done),
            conditions,
            exit_code: None,
            reason: None,
            started: now,
            updated: now,
            seen: None,
        }
    }

    /// Whether a coordinator was at work a moment ago.
    pub fn is_live(&self, now: Moment) -> bool {
        self.state == StateName::Running && self.updated.age(now) <= LIVE
    }

    /// Takes in a status; answers whether more than numbers changed.
    pub fn hear(&mut self, status: &Status, now: Moment) -> bool {
        (self.iteration, self.workers) = (status.iteration.0, status.workers);
        self.iterations_planned = status.iterations_planned;
        self.seconds_left = self.guess(status, now);
        let before = (self.phase, self.stage.clone(), self.checkpoint.clone());
        let changed = self.hear_of(&status.activity, now);
        changed || before != (self.phase, self.stage.clone(), self.checkpoint.clone())
    }

    /// Takes in what the run shows beside its numbers; answers whether anything but a message changed.
    pub fn hear_of(&mut self, activity: &Activity, now: Moment) -> bool {
        match activity {
            Activity::WaitingForWorkers { joined, expected } => {
                self.phase = Some(JobPhase::WaitingForWorkers);
                self.workers_ready(false, "Waiting", &format!("{joined} of {expected} joined"), now)
            }
            Activity::Preparing => self.at(JobPhase::Preparing, now),
            Activity::Prepared { .. } => {
                self.set((ConditionKind::DataPrepared, true), ("Prepared", "the prepared data is in the store"), now)
            }
            Activity::Forming => self.at(JobPhase::Forming, now),
            Activity::Training { pass, stage, .. } => {
                let pass = match pass {
                    Pass::Select => "select",
                    Pass::Refit => "refit",
                };
                (self.pass, self.stage) = (Some(pass.to_owned()), Some(stage.clone()));
                self.at(JobPhase::Training, now)
            }
            Activity::Validating { stage, .. } => {
                self.stage = Some(stage.clone());
                self.at(JobPhase::Validating, now)
            }
            Activity::Checkpointing => self.at(JobPhase::Checkpointing, now),
            Activity::Checkpointed { key } => {
                self.checkpoint = Some(key.clone());
                self.set((ConditionKind::Checkpointed, true), ("Whole", key), now)
            }
            Activity::CheckpointMissed { reason } => {
                self.set((ConditionKind::Checkpointed, false), ("Missed", reason), now)
            }
            Activity::Skipped { reason } => self.set((ConditionKind::Checkpointed, false), ("Skipped", reason), now),
            Activity::Lost { reason } => self.workers_ready(true, "Lost", reason, now),
            Activity::Left { reason } => self.workers_ready(true, "Left", reason, now),
            Activity::Evaluating => self.at(JobPhase::Evaluating, now),
            // How a run ended is told by its ending.
            Activity::Decided { .. }
            | Activity::Completed
            | Activity::Stopped
            | Activity::Cancelled
            | Activity::Failed { .. } => false,
        }
    }

    fn at(&mut self, phase: JobPhase, now: Moment) -> bool {
        self.phase = Some(phase);
        // What was lost or left stays to be read until the next roster forms.
        let told =
            |c: &Condition| c.kind == ConditionKind::WorkersReady && ["Lost", "Left"].contains(&c.reason.as_str());
        if phase != JobPhase::Forming && self.conditions.iter().any(told) {
            return false;
        }
        let message = format!("{} in the roster", self.workers);
        self.workers_ready(true, "Joined", &message, now)
    }

    fn workers_ready(&mut self, holds: bool, reason: &str, message: &str, now: Moment) -> bool {
        self.set((ConditionKind::WorkersReady, holds), (reason, message), now)
    }

    fn set(&mut self, what: (ConditionKind, bool), why: (&str, &str), now: Moment) -> bool {
        set(&mut self.conditions, what, why, now)
    }

    fn guess(&mut self, status: &Status, now: Moment) -> Option<u64> {
        if !matches!(status.activity, Activity::Training { .. } | Activity::Validating { .. }) {
            return self.seconds_left.filter(|_| matches!(status.activity, Activity::Checkpointing));
        }
        let (since, from) = *self.seen.get_or_insert((now, status.iteration.0));
        let (done, seconds) = (status.iteration.0.saturating_sub(from), since.age(now).as_secs());
        let left = status.iterations_planned.saturating_sub(status.iteration.0);
        (done >= SEEN.0 && seconds >= SEEN.1).then(|| seconds.saturating_mul(left).div_ceil(done))
    }

    /// The coordinator ends; `wish` is the last that it knew.
    pub fn end(&mut self, ending: &Ending, wish: Wish, now: Moment) {
        let (state, code, word, reason) = match ending {
            Ending::Completed => (StateName::Completed, 0, "Completed", "report and adapter are written".to_owned()),
            Ending::Cancelled => (StateName::Cancelled, 15, "Cancelled", "it was cancelled on request".to_owned()),
            Ending::Stopped if wish == Wish::Pause => {
                (StateName::Paused, 75, "Paused", "paused after a checkpoint, on request".to_owned())
            }
            Ending::Stopped => {
                (StateName::Suspended, 75, "Suspended", "stopped after a checkpoint, by a signal".to_owned())
            }
            Ending::Failed { reason, exit_code: 10 } => (StateName::NotPromoted, 10, "NotPromoted", reason.clone()),
            Ending::Failed { reason, exit_code } => (StateName::Failed, *exit_code, "Failed", reason.clone()),
        };
        let over = !matches!(state, StateName::Paused | StateName::Suspended);
        self.set((ConditionKind::Finished, over), (word, &reason), now);
        self.set((ConditionKind::WorkersReady, false), ("Released", "no coordinator works on it"), now);
        (self.state, self.phase, self.exit_code) = (state, None, Some(code));
        (self.reason, self.workers, self.seconds_left, self.updated) = (Some(reason), 0, None, now);
    }
}
