//! The compute thread's side of a session: performs one command after the other and says what came out. Leases go to
//! the lanes; everything that changes the state waits until these are idle.

mod grant;

use crate::base_folder::open_base;
use crate::checked_sum::checked_sum;
use crate::checkpoint_parts::{CheckpointParts, NamedBytes};
use crate::collective::nccl::way;
use crate::collective::{Collective, Gloo, Membership, Nccl, Peers, Single, Switch};
use crate::cuda;
use crate::error::WorkerError;
use crate::lanes::{Deliver, Lanes};
use crate::lease::Loaded;
use crate::prompt_frame::check_base;
use crate::run_folder::RunFolder;
use crate::save::{CHECKPOINT, Copy};
use crate::standing::Standing;
use crate::state_transfer::{receive, share};
use crate::warm_start::going_on;
use bytes::Bytes;
use conrec_domain::bookmark::Bookmark;
use conrec_domain::effect::{Command, StateSource};
use conrec_domain::ids::{Digest, Fence, Iteration};
use conrec_domain::manifest::Manifest;
use conrec_domain::spec::{CollectiveKind, RunSpec};
use conrec_domain::work::StateChange;
use conrec_policy::base_model::BaseModel;
use conrec_policy::slot::tensor_digest;
use conrec_policy::training_state::TrainingState;
use conrec_proto::message::FromWorker;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tch::Tensor;

/// The roster that this worker belongs to.
struct Roster {
    fence: Fence,
    collective: Arc<dyn Collective>,
}

/// Performs commands. Everything that it knows of the network is the collective of its roster.
pub struct Executor {
    spec: Arc<RunSpec>,
    folder: RunFolder,
    parts: CheckpointParts,
    roster: Option<Roster>,
    switch: Switch,
    /// How the other workers are reached.
    peers: Peers,
    standing: Standing,
    /// Where the run will stand once the next command is done.
    coming: Option<Bookmark>,
    loaded: Option<Arc<Loaded>>,
    lanes: Lanes,
    base: BaseModel,
    state: TrainingState,
    /// The iteration that this worker's sum belongs to.
    open: Option<Iteration>,
    /// The reduced sum that waits for its commit.
    reduced: Option<(Iteration, Tensor)>,
    deliver: Deliver,
}

impl Executor {
    /// A worker of this run that holds nothing yet; `deliver` takes the answers to leases. To be called on the thread
    /// that computes, as it sets the number of libtorch's threads, which fixes the bits.
    ///
    /// # Errors
    /// A store or a model shape that cannot be used.
    pub fn new(
        spec: RunSpec,
        folder: RunFolder,
        (lanes, (switch, standing)): (u32, (Switch, Standing)),
        deliver: &Deliver,
    ) -> Result<Self, WorkerError> {
        let threads = i32::try_from(spec.cluster.threads).unwrap_or(1);
        tch::set_num_threads(threads);
        if spec.cluster.collective == CollectiveKind::Nccl {
            // Told before any work is done, and for one worker too.
            Nccl::available()?;
        }
        cuda::ready(spec.cluster.device)?;
        let parts = folder.parts();
        let base = going_on(&spec, &folder, open_base(&spec)?)?;
        let state = TrainingState::new(&spec, &base)?;
        let lanes = Lanes::start(lanes, threads, deliver);
        let spec = Arc::new(spec);
        Ok(Self {
            spec,
            folder,
            parts,
            roster: None,
            switch,
            peers: Peers::default(),
            standing,
            coming: None,
            loaded: None,
            lanes,
            base,
            state,
            open: None,
            reduced: None,
            deliver: Arc::clone(deliver),
        })
    }

    /// Performs a command; gives the answer where it has one. The answer to a lease comes from its lane.
    ///
    /// # Errors
    /// Whatever keeps this worker from going on.
    pub fn perform(&mut self, command: Command) -> Result<Option<FromWorker>, WorkerError> {
        // Leases only read the state, and so does a checkpoint: a stop need not wait for them.
        if !matches!(command, Command::Grant(_) | Command::WriteParts { .. }) {
            self.lanes.wait();
        }
        match command {
            Command::Form { fence, rank, world, rendezvous, state } => {
                let membership = Membership { rendezvous, fence, rank, world, deadline: self.reduce_deadline() };
                let formed = self.stand(membership, &state);
                unless_collective_failed(fence, formed).map(Some)
            }
            Command::Grant(lease) => self.grant(lease),
            Command::Reduce { fence, iteration } => {
                let reduced = self.reduce(fence, iteration);
                unless_collective_failed(fence, reduced).map(Some)
            }
            Command::Commit { fence, iteration, divisor, learning_rate, state } => {
                self.agree(state)?;
                let reduced = self.reduced.take().filter(|(of, _)| *of == iteration).ok_or_else(|| {
                    WorkerError::Protocol(format!("commit of iteration {iteration}, which was not reduced"))
                })?;
                let before = self.standing.leave();
                self.state.commit(&reduced.1, divisor, learning_rate, &self.spec.optimizer)?;
                self.open = None;
                let state = self.state.digest()?;
                self.standing.move_to(before, state, self.coming.take());
                Ok(Some(FromWorker::Committed { fence, iteration, state }))
            }
            Command::Change { fence, change, state } => {
                self.agree(state)?;
                self.check_memory()?;
                let before = self.standing.leave();
                self.change(change)?;
                let state = self.state.digest()?;
                self.standing.move_to(before, state, self.coming.take());
                Ok(Some(FromWorker::Changed { fence, state }))
            }
            Command::Remember(bookmark) => {
                self.coming = Some(*bookmark);
                Ok(None)
            }
            Command::WriteParts { fence, key } => {
                self.save(fence, key)?;
                Ok(None)
            }
            // The session takes these two before they come here.
            Command::Abort { .. } | Command::Stop { .. } => Ok(None),
        }
    }

    /// Copies the state; a thread of its own writes the copy and answers, while this one goes on.
    fn save(&mut self, fence: Fence, key: String) -> Result<(), WorkerError> {
        let begun = Instant::now();
        self.check_memory()?;
        let named = self.state.to_parts()?.into_iter();
        let content: Vec<NamedBytes> =
            named.map(|(name, bytes)| NamedBytes { name: name.to_owned(), bytes: Bytes::from(bytes) }).collect();
        let copy = Copy { fence, key, state: self.state.digest()?, content };
        tracing::info!(target: CHECKPOINT, key = copy.key, blocked_ms = begun.elapsed().as_secs_f64() * 1e3, "checkpoint copied");
        let (parts, deliver) = (self.parts.clone(), Arc::clone(&self.deliver));
        std::thread::spawn(move || deliver(copy.write(&parts)));
        Ok(())
    }

    fn reduce_deadline(&self) -> Duration {
        Duration::from_secs(u64::from(self.spec.cluster.reduce_seconds))
    }

    /// Whether the memory of what is held is undamaged; nothing is held any more where it is not, or is to be forgotten.
    ///
    /// # Errors
    /// A state that cannot be read.
    pub fn is_sound(&mut self, forget: bool) -> Result<bool, WorkerError> {
        let Some(held) = self.standing.leave().filter(|_| !forget) else {
            return Ok(false);
        };
        let sound = self.state.is_unharmed()? && self.state.digest()? == held.state;
        if sound {
            self.standing.restore(held);
        }
        Ok(sound)
    }

    /// From now on the other workers are reached this way.
    pub fn meet(&mut self, peers: Peers) {
        self.peers = peers;
    }

    /// Drops what belongs to a session that is over: the sum of its iteration, its roster, and its way to other workers.
    ///
    /// # Errors
    /// A state that has no sum.
    pub fn drop_sum(&mut self) -> Result<(), WorkerError> {
        self.lanes.wait();
        self.state.clear_sum();
        (self.open, self.reduced, self.roster, self.coming) = (None, None, None, None);
        self.peers = Peers::default();
        Ok(())
    }

    /// Takes the place in a roster and the state that goes with it.
    fn stand(&mut self, membership: Membership, source: &StateSource) -> Result<FromWorker, WorkerError> {
        let (fence, world) = (membership.fence, membership.world);
        self.form(membership)?;
        self.take_state(source)?;
        let state = self.state.digest()?;
        self.standing.join((fence, world), state, self.coming.take());
        Ok(FromWorker::Formed { fence, state })
    }

    fn form(&mut self, membership: Membership) -> Result<(), WorkerError> {
        let fence = membership.fence;
        self.roster = None;
        let given_up = || self.switch.is_aborted(fence);
        let collective: Arc<dyn Collective> = match self.spec.cluster.collective {
            CollectiveKind::Gloo if membership.world == 1 => Arc::new(Single::new()),
            CollectiveKind::Gloo => Arc::new(Gloo::form_unless(&membership, &self.peers, &given_up)?),
            CollectiveKind::Nccl => {
                way::check(&membership, &self.peers)?;
                Arc::new(Nccl::form_unless(&membership, &self.peers, &given_up)?)
            }
        };
        self.switch.set(fence, &collective);
        self.roster = Some(Roster { fence, collective });
        Ok(())
    }

    fn take_state(&mut self, source: &StateSource) -> Result<(), WorkerError> {
        let roster = || self.roster.as_ref().ok_or_else(|| WorkerError::Protocol("no roster has formed".to_owned()));
        if !matches!(source, StateSource::Held { .. }) {
            check_base(&self.base, &self.folder)?;
        }
        let taken = match source {
            StateSource::Held { root } => {
                // A newcomer that is sent damaged weights would look like the damaged one.
                self.check_memory()?;
                return root.map_or(Ok(()), |root| share(roster()?.collective.as_ref(), root, &self.state));
            }
            StateSource::Empty => TrainingState::new(&self.spec, &self.base)?,
            StateSource::Checkpoint { key } => load_state((&self.spec, &self.base), (&self.folder, &self.parts), key)?,
            StateSource::Peer { root } => receive(roster()?.collective.as_ref(), *root, (&self.spec, &self.base))?,
        };
        self.state = taken;
        (self.open, self.reduced) = (None, None);
        Ok(())
    }

    /// Refuses to go on from a state that is not the one all workers agreed on.
    fn agree(&self, agreed: Digest) -> Result<(), WorkerError> {
        let found = self.state.digest()?;
        if found == agreed {
            return Ok(());
        }
        let (found, agreed) = (found.to_string(), agreed.to_string());
        let what = format!("the training state has digest {found:.12}, agreed was {agreed:.12}");
        Err(WorkerError::Damaged(what))
    }

    /// Lets nothing out that was computed from damaged memory.
    fn check_memory(&self) -> Result<(), WorkerError> {
        sound(self.state.is_unharmed()?)
    }

    fn reduce(&mut self, fence: Fence, iteration: Iteration) -> Result<FromWorker, WorkerError> {
        let roster =
            self.roster.as_ref().filter(|roster| roster.fence == fence).ok_or_else(|| {
                WorkerError::Protocol(format!("reduce under fence {fence}, which is not this roster's"))
            })?;
        if self.open != Some(iteration) {
            // This worker got no lease of the iteration: it adds nothing.
            self.state.clear_sum();
            self.open = Some(iteration);
        }
        // Before the sum of the leases that were computed from it gets to the others: later nobody could take it back.
        self.check_memory()?;
        // The own sum is kept: after a broken roster the sum is formed again from it.
        let (values, check) = self.state.sum()?.integers()?;
        let reduced = Tensor::from_slice(&checked_sum(roster.collective.as_ref(), values, check)?);
        let gradient = tensor_digest(&reduced)?;
        self.reduced = Some((iteration, reduced));
        Ok(FromWorker::Reduced { fence, iteration, gradient })
    }

    fn change(&mut self, change: StateChange) -> Result<(), WorkerError> {
        self.open = None;
        self.reduced = None;
        self.state.apply(change, &self.spec)?;
        Ok(())
    }
}

fn sound(unharmed: bool) -> Result<(), WorkerError> {
    let damaged = || WorkerError::Damaged("the training state is not what its digest was taken of".to_owned());
    unharmed.then_some(()).ok_or_else(damaged)
}

/// A collective that failed ends the roster, not this worker: the coordinator is told, and decides.
fn unless_collective_failed(fence: Fence, result: Result<FromWorker, WorkerError>) -> Result<FromWorker, WorkerError> {
    match result {
        Err(WorkerError::Collective(error)) => Ok(FromWorker::CollectiveFailed { fence, message: error.to_string() }),
        other => other,
    }
}

/// Reads the training state of a checkpoint, verified part by part.
///
/// # Errors
/// A manifest or part that is missing or damaged, or belongs to another shape of model.
pub fn load_state(
    (spec, base): (&RunSpec, &BaseModel),
    (folder, parts): (&RunFolder, &CheckpointParts),
    key: &str,
) -> Result<TrainingState, WorkerError> {
    let place = format!("{key}/manifest.json");
    let manifest = Manifest::parse(&folder.read(&place)?).map_err(|e| WorkerError::file(folder.path(&place), e))?;
    let mut content = Vec::new();
    for part in &manifest.parts {
        content.push((part.name.clone(), folder.wait(parts.read(key, part))?));
    }
    let find = |name: &str| content.iter().find(|(n, _)| n == name).map(|(_, bytes)| bytes.as_ref());
    let state = TrainingState::from_parts(spec, base, &find)?;
    let found: Digest = state.digest()?;
    if found != manifest.state_digest {
        let message = format!("the state read back has digest {found}, the manifest says {}", manifest.state_digest);
        return Err(WorkerError::file(folder.path(key), message));
    }
    Ok(state)
}
