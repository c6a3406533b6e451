//! The state machine of a run: `apply(event, now)` gives effects or a rejection, and performs nothing.
//! One verb, one file, below `run/`; one place changes the phase: `enter` in `run/phase.rs`.

mod phase;
mod rejection;

// The verbs, in the order in which a run meets them.
mod join;

mod recover;

mod prepare;

mod form;

mod proceed;

mod change;

mod rollout;

mod reduce;

mod commit;

mod measure;

mod checkpoint;

mod report;

// What goes wrong on the way, and the ways in which it ends.
mod deadline;
mod fail;
mod fall_back;
mod leave;
mod lose;
mod overrun;
mod stop;

// What several verbs keep.
mod answers;
mod leases;
mod roster;
mod trail;

pub use rejection::Rejection;

use crate::curriculum::Cursor;
use crate::effect::{Effect, Ending};
use crate::event::{Event, Hello};
use crate::ids::{Digest, Fence, Iteration, RunId, WorkerId};
use crate::manifest::Manifest;
use crate::retention::Kept;
use crate::spec::{RunSpec, StageSpec};
use crate::status::Status;
use crate::work::Prepared;
use checkpoint::Save;
use leases::LeaseBook;
use phase::Phase;
use roster::Roster;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use trail::Trail;

/// What a run is made from.
#[derive(Clone, Debug)]
pub struct RunSetup {
    /// Its name.
    pub run_id: RunId,
    /// Its checked config.
    pub spec: RunSpec,
    /// Version of the coordinator's code; every worker must have the same.
    pub code_version: String,
    /// The run starts when so many workers have joined (0 is taken as 1).
    pub expected_workers: u32,
    /// The prepared data, if it lies in the store already; otherwise the first worker prepares it.
    pub prepared: Option<Prepared>,
    /// The checkpoint to go on from.
    pub resume: Option<Manifest>,
    /// The highest fence that any earlier process of this run minted; 0 for a fresh run.
    pub last_fence: Fence,
}

/// A worker's session, as far as the run needs it.
#[derive(Clone, Debug)]
struct Worker {
    hello: Hello,
    joined: Duration,
    /// When it was last heard of.
    seen: Duration,
    /// Whether it was asked to end, and goes as soon as the run can do without it.
    leaving: bool,
}

/// Means of the last committed iteration, for whoever watches.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct LastMeans {
    loss: f64,
    reward: Option<f64>,
    kl: Option<f64>,
}

/// A run: all that decides what happens next.
#[derive(Clone, Debug)]
pub struct Run {
    setup: RunSetup,
    /// The time of the event at hand, since the coordinator started.
    now: Duration,
    phase: Phase,
    /// When the phase began.
    entered: Duration,
    /// Sessions, by id: the order decides ranks.
    workers: BTreeMap<WorkerId, Worker>,
    roster: Option<Roster>,
    /// Workers that hold the training state.
    holders: BTreeSet<WorkerId>,
    /// Whether a roster has ever been formed.
    begun: bool,
    /// Rosters in a row whose collective failed.
    failed_rosters: u32,
    /// Where the run went back to when all workers were lost, and how often in a row.
    rolled_back: Option<(Iteration, u32)>,
    /// How often in a row preparing or reporting took longer than it may.
    overruns: u32,
    /// The last worker that was lost, and why.
    last_loss: Option<String>,
    /// The highest fence minted so far.
    fence: Fence,
    /// Digest of the training state that every worker holds; none before the roster has formed.
    state: Option<Digest>,
    cursor: Cursor,
    /// Whether a stop was asked for and waits for a point at which it can happen.
    stopping: bool,
    /// Whether that is because all workers leave: the run waits for others then, instead of ending.
    parting: bool,
    /// The newest checkpoint that is known to be whole: what the run would go on from.
    resume: Option<Manifest>,
    /// Checkpoints of this run before that one, oldest first: for where no worker can load it.
    older: Vec<Manifest>,
    /// Why a worker could not load the newest one.
    unloadable: Option<String>,
    /// All whole checkpoints known, oldest first.
    checkpoints: Vec<Kept>,
    /// The checkpoint on its way to the store.
    save: Option<Save>,
    /// Whether an operator asked for a checkpoint that is not written yet.
    wanted: bool,
    /// Key of a checkpoint that the store did not take: it is used up, as something of it may lie there.
    missed: Option<String>,
    /// The journal since the newest checkpoint.
    trail: Trail,
    /// Seconds that coordinators before this one have worked on the run.
    worked: f64,
    /// What the last iteration measured, for people.
    last_means: LastMeans,
    shown: Option<Status>,
}

impl Run {
    /// A run that waits for its workers. `now` is the time since the coordinator started, as in [`Run::apply`].
    pub fn new(setup: RunSetup, now: Duration) -> Self {
        let resume = setup.resume.clone();
        let minted = resume.as_ref().map_or(setup.last_fence, |n| n.fence.max(setup.last_fence));
        Self {
            now,
            phase: Phase::WaitingForWorkers,
            entered: now,
            workers: BTreeMap::new(),
            roster: None,
            holders: BTreeSet::new(),
            begun: false,
            failed_rosters: 0,
            rolled_back: None,
            overruns: 0,
            last_loss: None,
            fence: minted,
            state: None,
            cursor: resume.as_ref().map_or_else(Cursor::start, |n| n.cursor.clone()),
            stopping: false,
            parting: false,
            checkpoints: resume.iter().map(Kept::of).collect(),
            older: Vec::new(),
            unloadable: None,
            save: None,
            wanted: false,
            missed: None,
            trail: Trail::default(),
            worked: resume.as_ref().map_or(0.0, |manifest| manifest.cursor.seconds),
            resume,
            last_means: LastMeans::default(),
            shown: None,
            setup,
        }
    }

    /// Tells a fresh run which whole checkpoints lie in the store already, so that retention counts them too.
    pub fn knowing_checkpoints(mut self, mut known: Vec<Kept>) -> Self {
        known.append(&mut self.checkpoints);
        known.sort_by(|a, b| a.key.cmp(&b.key));
        known.dedup_by(|a, b| a.key == b.key);
        self.checkpoints = known;
        self
    }

    /// Tells a fresh run which checkpoints it may go back to where no worker can load the newest, oldest first.
    pub fn with_older(mut self, older: Vec<Manifest>) -> Self {
        self.older = older;
        self
    }

    /// Seconds of work on the run: those of earlier coordinators up to where this one took over, and this one's.
    fn seconds(&self) -> f64 {
        self.worked + self.now.as_secs_f64()
    }

    /// Takes in one event. The effects are to be performed in their order. A rejection leaves the run as it was (but
    /// its sender was heard of); it says what the shell may log or answer.
    pub fn apply(&mut self, event: Event, now: Duration) -> Result<Vec<Effect>, Rejection> {
        self.now = self.now.max(now);
        let mut out = Vec::new();
        if matches!(self.phase, Phase::Ended(_)) {
            // What was under way when the run ended may still arrive; only a newcomer must be told.
            return match event {
                Event::Joined { worker, .. } => Err(Rejection::Ended { worker }),
                _ => Ok(out),
            };
        }
        if let Some(worker) = event.sender() {
            let session = self.workers.get_mut(&worker).ok_or(Rejection::UnknownWorker { worker })?;
            session.seen = self.now;
        }
        self.dispatch(event, &mut out)?;
        self.settle_leavers(&mut out);
        Ok(out)
    }

    /// To the verb that waits for the event.
    fn dispatch(&mut self, event: Event, out: &mut Vec<Effect>) -> Result<(), Rejection> {
        match event {
            Event::Joined { worker, hello } => self.on_joined(worker, hello, out)?,
            Event::Left { worker, reason } => self.on_left(worker, &reason, out),
            Event::Leaving { worker } => self.on_leaving(worker),
            Event::Heartbeat { .. } => {}
            Event::Formed { worker, fence, state } => self.on_formed(worker, fence, state, out)?,
            Event::LeaseDone { worker, fence, lease, state, outcome } => {
                let done = leases::Done { worker, fence, lease, state, outcome };
                self.on_lease_done(done, out)?;
            }
            Event::CollectiveFailed { worker, fence, message } => {
                self.check_fence(worker, fence)?;
                self.on_collective_failed(worker, message, out);
            }
            Event::WorkerFailed { worker, message, exit_code } => {
                self.on_worker_failed(worker, &message, exit_code, out);
            }
            Event::Reduced { worker, fence, iteration, gradient } => {
                self.on_reduced((worker, fence), iteration, gradient, out)?;
            }
            Event::Committed { worker, fence, iteration, state } => {
                self.on_committed((worker, fence), iteration, state, out)?;
            }
            Event::Changed { worker, fence, state } => self.on_changed(worker, fence, state, out)?,
            Event::PartsWritten { worker, fence, state, parts } => {
                self.on_parts_written((worker, fence), state, parts, out)?;
            }
            Event::PartsFailed { worker, fence, message } => self.on_parts_failed((worker, fence), &message, out)?,
            Event::ManifestPublished { key } => self.on_manifest_published(&key, out)?,
            Event::ManifestRefused { message } => self.on_manifest_refused(&message, out)?,
            Event::StopRequested => self.on_stop_requested(out),
            Event::CancelRequested => self.finish(Ending::Cancelled, "it was cancelled", out),
            Event::CheckpointRequested => self.wanted = true,
            Event::Tick => self.on_tick(out),
        }
        Ok(())
    }

    /// The newest whole checkpoint as a sentence part, for whoever reads why a run has ended.
    pub fn newest_checkpoint(&self) -> String {
        let newest = self.resume.as_ref().map(|newest| Manifest::key(newest.iteration, newest.fence));
        newest.map_or_else(|| "no checkpoint is whole yet".into(), |key| format!("the newest whole one is {key}"))
    }

    /// The newest checkpoint that is known to be whole.
    pub fn newest_whole(&self) -> Option<&Manifest> {
        self.resume.as_ref()
    }

    /// What to show now.
    pub fn status(&self) -> Status {
        let members = self.roster.as_ref().map_or(self.workers.len(), |r| r.members.len());
        Status {
            activity: self.activity(),
            iteration: self.cursor.iteration,
            iterations_planned: self.cursor.iterations_planned(&self.setup.spec),
            workers: u32::try_from(members).unwrap_or(u32::MAX),
        }
    }

    /// The prepared data, once it is known.
    pub fn prepared(&self) -> Option<&Prepared> {
        self.setup.prepared.as_ref()
    }

    /// Where the curriculum stands.
    pub fn cursor(&self) -> &Cursor {
        &self.cursor
    }

    /// The highest fence minted so far; a later process of this run must be told.
    pub fn fence(&self) -> Fence {
        self.fence
    }

    /// Digest of the training state that every worker holds; none before the roster has formed.
    pub fn state_digest(&self) -> Option<Digest> {
        self.state
    }

    /// How the run ended for this process, if it has.
    pub fn ending(&self) -> Option<&Ending> {
        match &self.phase {
            Phase::Ended(ending) => Some(ending),
            _ => None,
        }
    }

    /// The leases of the phase at hand, for the invariants.
    pub(crate) fn leases(&self) -> Option<&LeaseBook> {
        match &self.phase {
            Phase::Rollout { leases, .. } | Phase::Measuring { leases } => Some(leases),
            _ => None,
        }
    }

    /// The iteration that is being worked on.
    fn coming(&self) -> Iteration {
        Iteration(self.cursor.iteration.0 + 1)
    }

    fn stage(&self) -> Option<&StageSpec> {
        self.setup.spec.stage.get(self.cursor.stage as usize)
    }

    fn stage_name(&self) -> String {
        self.stage().map(|s| s.name.clone()).unwrap_or_default()
    }

    /// Refuses what carries another fence than the roster's.
    fn check_fence(&self, worker: WorkerId, fence: Fence) -> Result<(), Rejection> {
        let current = self.roster.as_ref().map_or(self.fence, |r| r.fence);
        if fence == current { Ok(()) } else { Err(Rejection::StaleFence { worker, found: fence, current }) }
    }

    /// An event that the phase does not wait for.
    fn unexpected(&self, event: &'static str) -> Rejection {
        Rejection::Unexpected { event, phase: self.phase.name() }
    }

    /// Shows the status if it differs from the last one shown.
    fn show(&mut self, out: &mut Vec<Effect>) {
        let status = self.status();
        if self.shown.as_ref() != Some(&status) {
            self.shown = Some(status.clone());
            out.push(Effect::Show(status));
        }
    }
}
