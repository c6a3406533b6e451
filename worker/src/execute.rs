//! The compute thread's side of a session: performs one command after the other and says what came out. Leases go to
//! the lanes; everything that changes the state waits until these are idle.

use crate::checkpoint_parts::{CheckpointParts, NamedBytes};
use crate::collective::{Collective, Gloo, Membership, Peers, Single, Switch};
use crate::error::WorkerError;
use crate::lanes::{Deliver, Lanes};
use crate::lease::{Loaded, Place, TrainingPolicies, train};
use crate::prepare::prepare;
use crate::report::write_report;
use crate::run_folder::RunFolder;
use crate::state_transfer::{receive, share};
use crate::validate::validate;
use bytes::Bytes;
use conrec_domain::effect::{Command, StateSource};
use conrec_domain::ids::{Digest, Fence, Iteration};
use conrec_domain::manifest::Manifest;
use conrec_domain::spec::RunSpec;
use conrec_domain::work::{Lease, Outcome, Pass, StateChange, Work};
use conrec_feedback::prompt::Vocabulary;
use conrec_policy::training_state::{TrainingState, tensor_digest};
use conrec_proto::message::FromWorker;
use std::sync::Arc;
use std::time::Duration;
use tch::Tensor;

/// What a lane computes.
type Computation = Box<dyn FnOnce() -> Result<Outcome, WorkerError> + Send>;

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
    store: tokio::runtime::Runtime,
    roster: Option<Roster>,
    switch: Switch,
    peers: Peers,
    loaded: Option<Arc<Loaded>>,
    lanes: Lanes,
    state: TrainingState,
    /// The iteration that this worker's sum belongs to.
    open: Option<Iteration>,
    /// The reduced sum that waits for its commit.
    reduced: Option<(Iteration, Tensor)>,
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
        (lanes, switch, peers): (u32, Switch, Peers),
        deliver: &Deliver,
    ) -> Result<Self, WorkerError> {
        let threads = i32::try_from(spec.cluster.threads).unwrap_or(1);
        tch::set_num_threads(threads);
        let parts = CheckpointParts::local(folder.store(), folder.run().clone())?;
        let store = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| WorkerError::file(folder.store(), e))?;
        let state = TrainingState::new(&spec, vocabulary_size(&spec))?;
        let lanes = Lanes::start(lanes, threads, deliver);
        let spec = Arc::new(spec);
        Ok(Self {
            spec,
            folder,
            parts,
            store,
            roster: None,
            switch,
            peers,
            loaded: None,
            lanes,
            state,
            open: None,
            reduced: None,
        })
    }

    /// Performs a command; gives the answer where it has one. The answer to a lease comes from its lane.
    ///
    /// # Errors
    /// Whatever keeps this worker from going on.
    pub fn perform(&mut self, command: Command) -> Result<Option<FromWorker>, WorkerError> {
        if !matches!(command, Command::Grant(_)) {
            self.lanes.wait();
        }
        match command {
            Command::Form { fence, rank, world, rendezvous, state } => {
                let membership = Membership { rendezvous, fence, rank, world, deadline: self.reduce_deadline() };
                let formed = self.form(membership).and_then(|()| self.take_state(&state));
                self.unless_collective_failed(fence, formed)?
                    .map_or_else(|| Ok(FromWorker::Formed { fence, state: self.state.digest()? }), Ok)
                    .map(Some)
            }
            Command::Grant(lease) => self.grant(lease),
            Command::Reduce { fence, iteration } => {
                let reduced = self.reduce(fence, iteration);
                match reduced {
                    Ok(answer) => Ok(Some(answer)),
                    Err(error) => self.unless_collective_failed(fence, Err(error)),
                }
            }
            Command::Commit { fence, iteration, divisor, learning_rate, state } => {
                self.check_memory(state)?;
                let reduced = self.reduced.take().filter(|(of, _)| *of == iteration).ok_or_else(|| {
                    WorkerError::Protocol(format!("commit of iteration {iteration}, which was not reduced"))
                })?;
                self.state.commit(&reduced.1, divisor, learning_rate, &self.spec.optimizer)?;
                self.open = None;
                Ok(Some(FromWorker::Committed { fence, iteration, state: self.state.digest()? }))
            }
            Command::Change { fence, change } => {
                self.change(change)?;
                Ok(Some(FromWorker::Changed { fence, state: self.state.digest()? }))
            }
            Command::WriteParts { fence, key } => {
                let named = self.state.to_parts()?.into_iter();
                let named: Vec<NamedBytes> = named
                    .map(|(name, bytes)| NamedBytes { name: name.to_owned(), bytes: Bytes::from(bytes) })
                    .collect();
                let parts = self.store.block_on(self.parts.write(&key, &named))?;
                let state = self.state.digest_anew()?;
                Ok(Some(FromWorker::PartsWritten { fence, state, parts }))
            }
            // The session takes these two before they come here.
            Command::Abort { .. } | Command::Stop { .. } => Ok(None),
        }
    }

    fn reduce_deadline(&self) -> Duration {
        Duration::from_secs(u64::from(self.spec.cluster.reduce_seconds))
    }

    fn form(&mut self, membership: Membership) -> Result<(), WorkerError> {
        let fence = membership.fence;
        self.roster = None;
        let given_up = || self.switch.is_aborted(fence);
        let collective: Arc<dyn Collective> = if membership.world == 1 {
            Arc::new(Single::new())
        } else {
            Arc::new(Gloo::form_unless(&membership, &self.peers, &given_up)?)
        };
        self.switch.set(fence, &collective);
        self.roster = Some(Roster { fence, collective });
        Ok(())
    }

    fn take_state(&mut self, source: &StateSource) -> Result<(), WorkerError> {
        let vocabulary = vocabulary_size(&self.spec);
        let roster = || self.roster.as_ref().ok_or_else(|| WorkerError::Protocol("no roster has formed".to_owned()));
        let taken = match source {
            StateSource::Held { root: None } => return Ok(()),
            StateSource::Held { root: Some(root) } => return share(roster()?.collective.as_ref(), *root, &self.state),
            StateSource::Empty => TrainingState::new(&self.spec, vocabulary)?,
            StateSource::Checkpoint { key } => load_state(&self.spec, (&self.folder, &self.parts), key, &self.store)?,
            StateSource::Peer { root } => receive(roster()?.collective.as_ref(), *root, (&self.spec, vocabulary))?,
        };
        self.state = taken;
        (self.open, self.reduced) = (None, None);
        Ok(())
    }

    /// A collective that failed ends the roster, not this worker: the coordinator is told, and decides.
    fn unless_collective_failed(
        &self,
        fence: Fence,
        result: Result<(), WorkerError>,
    ) -> Result<Option<FromWorker>, WorkerError> {
        match result {
            Ok(()) => Ok(None),
            Err(WorkerError::Collective(error)) => {
                let message = error.to_string();
                Ok(Some(FromWorker::CollectiveFailed { fence, message }))
            }
            Err(error) => Err(error),
        }
    }

    /// Refuses to go on from a state that is not the one all workers agreed on.
    fn check_memory(&mut self, agreed: Digest) -> Result<(), WorkerError> {
        let found = self.state.digest_anew()?;
        if found == agreed {
            return Ok(());
        }
        let (found, agreed) = (found.to_string(), agreed.to_string());
        let what = format!("the training state has digest {found:.12}, agreed was {agreed:.12}");
        Err(WorkerError::Protocol(format!("{what}: the memory of this machine is damaged")))
    }

    /// Prepares and reports itself; other leases go to a lane.
    fn grant(&mut self, lease: Lease) -> Result<Option<FromWorker>, WorkerError> {
        let Lease { id, fence, work } = lease;
        let state = self.state.digest()?;
        let done = move |outcome| FromWorker::LeaseDone { fence, lease: id, state, outcome };
        match work {
            Work::Prepare => Ok(Some(done(Outcome::Prepared(prepare(&self.spec, &self.folder)?)))),
            Work::Train { pass, stage, iteration, attempt, prompts } => {
                let compute = self.train_job(pass, Place { stage, attempt, iteration }, prompts)?;
                self.lanes.submit(Box::new(move || compute().map(done)))?;
                Ok(None)
            }
            Work::Validate { from, to } => {
                let compute = self.validate_job(from as usize..to as usize)?;
                self.lanes.submit(Box::new(move || compute().map(done)))?;
                Ok(None)
            }
            Work::Report { summary } => {
                self.lanes.wait();
                self.loaded = None;
                let select = summary.select_checkpoint.as_deref();
                let select = select
                    .map(|key| load_state(&self.spec, (&self.folder, &self.parts), key, &self.store))
                    .transpose()?;
                write_report(&self.spec, &self.folder, (&self.state, select.as_ref()), &summary)?;
                Ok(Some(done(Outcome::Reported)))
            }
        }
    }

    fn train_job(&mut self, pass: Pass, place: Place, prompts: Vec<u32>) -> Result<Computation, WorkerError> {
        let Place { stage, iteration, .. } = place;
        if self.open != Some(iteration) {
            // What was added for another iteration belongs to one that was dropped.
            self.lanes.wait();
            self.state.clear_sum();
            self.open = Some(iteration);
        }
        let loaded = Loaded::of(&mut self.loaded, &self.spec, &self.folder, pass)?;
        let kind = self.spec.stage.get(stage as usize).map(|stage| stage.kind);
        let kind = kind.ok_or_else(|| WorkerError::Protocol(format!("the config has no stage {stage}")))?;
        let policies = TrainingPolicies::of(&self.state, kind)?;
        let (spec, sum) = (Arc::clone(&self.spec), self.state.sum()?.clone());
        Ok(Box::new(move || {
            let gradient = train(&spec, &loaded.data, &policies, place, &prompts)?;
            sum.accumulate(&gradient)?;
            Ok(Outcome::Trained(gradient.metrics))
        }))
    }

    fn validate_job(&mut self, of: std::ops::Range<usize>) -> Result<Computation, WorkerError> {
        let loaded = Loaded::of(&mut self.loaded, &self.spec, &self.folder, Pass::Select)?;
        let (spec, policy) = (Arc::clone(&self.spec), self.state.frozen()?);
        Ok(Box::new(move || {
            let counts = validate(&spec, (&loaded.data, loaded.validation()?), &policy, of)?;
            Ok(Outcome::Validated(counts))
        }))
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
        // The own sum is kept: after a broken roster the sum is formed again from it.
        let mut values = self.state.sum()?.integers()?;
        roster.collective.all_reduce_sum(&mut values)?;
        let reduced = Tensor::from_slice(&values);
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

/// Tokens of the model: the special ones and the codes of all levels.
pub fn vocabulary_size(spec: &RunSpec) -> usize {
    Vocabulary { levels: spec.semantic_id.levels as usize, codes: spec.semantic_id.codes as usize }.size()
}

/// Reads the training state of a checkpoint, verified part by part.
///
/// # Errors
/// A manifest or part that is missing or damaged, or belongs to another shape of model.
pub fn load_state(
    spec: &RunSpec,
    (folder, parts): (&RunFolder, &CheckpointParts),
    key: &str,
    store: &tokio::runtime::Runtime,
) -> Result<TrainingState, WorkerError> {
    let place = format!("{key}/manifest.json");
    let manifest: Manifest =
        serde_json::from_slice(&folder.read(&place)?).map_err(|e| WorkerError::file(folder.path(&place), e))?;
    let mut content = Vec::new();
    for part in &manifest.parts {
        content.push((part.name.clone(), store.block_on(parts.read(key, part))?));
    }
    let find = |name: &str| content.iter().find(|(n, _)| n == name).map(|(_, bytes)| bytes.as_ref());
    let state = TrainingState::from_parts(spec, vocabulary_size(spec), &find)?;
    let found: Digest = state.digest()?;
    if found != manifest.state_digest {
        let message = format!("the state read back has digest {found}, the manifest says {}", manifest.state_digest);
        return Err(WorkerError::file(folder.path(key), message));
    }
    Ok(state)
}
