//! A whole cluster in one struct: a run, simulated workers with deterministic fake states, a store, messages on the
//! way. A seed decides the order in which everything happens.

mod faults;
mod worker;

use crate::bench::prepared;
use conrec_domain::effect::{Command, Effect, Ending, StateSource};
use conrec_domain::event::Event;
use conrec_domain::ids::{Digest, Fence, Iteration, WorkerId};
use conrec_domain::invariants::{Witness, check_leases};
use conrec_domain::ledger::LedgerEntry;
use conrec_domain::manifest::Manifest;
use conrec_domain::run::{Rejection, Run, RunSetup};
use conrec_domain::spec::RunSpec;
use conrec_domain::work::{Decision, Lease, Work};
pub use faults::Faults;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::collections::BTreeMap;
use std::time::Duration;
use worker::{State, Worker, damaged};

/// Failures that no run can help: two workers that differ, all workers lost again and again, workers that never come.
const FOR_A_PERSON: [&str; 5] =
    ["differ", "were lost", "workers joined within", "could not be written", "refused the manifest"];

pub struct Simulation {
    random: ChaCha8Rng,
    spec: RunSpec,
    run: Run,
    now: Duration,
    workers: BTreeMap<WorkerId, Worker>,
    next_worker: u64,
    /// The members of each roster, as they were told.
    rosters: BTreeMap<Fence, Vec<WorkerId>>,
    /// Sums put into the collective of a roster.
    pooled: BTreeMap<(Fence, Iteration), BTreeMap<WorkerId, u64>>,
    parts: BTreeMap<String, State>,
    publishing: Option<Manifest>,
    newest: Option<Manifest>,
    witness: Witness,
    pub ledger: Vec<LedgerEntry>,
    pub events: u64,
    pub processes: u64,
    /// Iterations trained again, whatever the cause.
    pub repeated: u64,
    /// Committed iterations that live on in workers: the next coordinator must not train them again.
    owed: Option<Iteration>,
    /// The iteration trained last.
    trained: Iteration,
    /// What may go wrong.
    may: Faults,
    /// Faults by kind.
    pub faults: BTreeMap<&'static str, u64>,
    pub final_state: Option<Digest>,
    pub final_journal: Option<Digest>,
    /// What the curriculum decided.
    pub decisions: Vec<Decision>,
}

fn mix(parts: &[&dyn std::fmt::Debug]) -> Digest {
    Digest::of(format!("{parts:?}").as_bytes())
}

fn number(digest: Digest) -> u64 {
    u64::from_le_bytes(digest.0[..8].try_into().unwrap())
}

impl Simulation {
    pub fn new(spec: RunSpec, workers: u32, (seed, may): (u64, Faults)) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let empty = random.next_u64(); // burns one word, so that seeds of runs and walks are not alike
        let mut simulation = Self {
            random,
            run: Run::new(Self::setup(&spec, workers, None, Fence(0)), Duration::ZERO),
            spec,
            now: Duration::ZERO,
            workers: BTreeMap::new(),
            next_worker: empty % 100,
            rosters: BTreeMap::new(),
            pooled: BTreeMap::new(),
            parts: BTreeMap::new(),
            publishing: None,
            newest: None,
            witness: Witness::default(),
            ledger: Vec::new(),
            events: 0,
            processes: 1,
            repeated: 0,
            owed: None,
            trained: Iteration(0),
            may,
            faults: BTreeMap::new(),
            final_state: None,
            final_journal: None,
            decisions: Vec::new(),
        };
        simulation.open_sessions(workers);
        simulation
    }

    fn setup(spec: &RunSpec, workers: u32, resume: Option<Manifest>, last_fence: Fence) -> RunSetup {
        RunSetup {
            run_id: "walk".parse().unwrap(),
            spec: spec.clone(),
            code_version: "1".into(),
            expected_workers: workers,
            prepared: (last_fence != Fence(0)).then(prepared),
            resume,
            last_fence,
        }
    }

    fn chance(&mut self, one_in: u64) -> bool {
        one_in > 0 && self.random.next_u64().is_multiple_of(one_in)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.random.next_u64() % bound as u64) as usize
    }

    fn new_id(&mut self) -> WorkerId {
        self.next_worker += 1 + self.random.next_u64() % 3;
        WorkerId(self.next_worker)
    }

    fn open_sessions(&mut self, count: u32) {
        for _ in 0..count {
            let worker = self.new_id();
            self.workers.insert(worker, Worker::fresh(worker));
        }
    }

    /// Goes on until the run is complete; a fault comes once in `fault_one_in` events (0: never), up to a bound: after
    /// it the run must make its way.
    pub fn run_to_end(&mut self, fault_one_in: u64) -> Result<(), String> {
        for step in 0..100_000 {
            let fault_one_in = if step < 3_000 { fault_one_in } else { 0 };
            match self.run.ending().cloned() {
                Some(Ending::Completed) => {
                    self.final_state = self.run.state_digest();
                    self.final_journal = Some(self.run.cursor().journal);
                    self.decisions = self.run.cursor().decisions.clone();
                    return Ok(());
                }
                Some(Ending::Stopped) => {
                    self.keeps_all(self.newest.as_ref().map_or(Iteration(0), |newest| newest.iteration))?;
                    self.resume();
                }
                // A person starts the run anew.
                Some(Ending::Failed { reason, .. }) if FOR_A_PERSON.iter().any(|known| reason.contains(known)) => {
                    self.resume();
                }
                Some(Ending::Cancelled) => return Err("nobody cancelled the run".into()),
                Some(Ending::Failed { reason, .. }) => {
                    return Err(format!("the run has failed: {reason}"));
                }
                None => self.one_thing(fault_one_in)?,
            }
        }
        Err("the run does not end".into())
    }

    /// A new process with another number of workers goes on from the newest manifest.
    fn resume(&mut self) {
        let fence = self.run.fence();
        self.workers.clear();
        self.publishing = None;
        self.owed = None;
        let workers = 1 + self.below(3) as u32;
        self.start(workers, fence);
        self.open_sessions(workers);
    }

    /// A coordinator starts: what the store holds is all that it knows.
    fn start(&mut self, expected: u32, last_fence: Fence) {
        self.processes += 1;
        self.pooled.clear();
        self.rosters.clear();
        self.run = Run::new(Self::setup(&self.spec, expected, self.newest.clone(), last_fence), self.now);
        let saved = self.newest.as_ref().map_or(Iteration(0), |m| m.iteration);
        self.witness.resume(saved);
        self.ledger.retain(|entry| entry.iteration <= saved);
    }

    /// One thing happens, whichever the seed picks.
    fn one_thing(&mut self, fault_one_in: u64) -> Result<(), String> {
        self.now += Duration::from_millis(self.random.next_u64() % 20);
        if self.workers.is_empty() {
            self.open_sessions(1);
        }
        if self.chance(fault_one_in) {
            return self.fault();
        }
        match self.below(9) {
            8 => {
                let worker = self.any_worker();
                let upload = self.workers.get_mut(&worker).and_then(|w| w.uploads.pop_front());
                upload.map_or(Ok(()), |event| self.deliver(event))
            }
            0 if self.workers.values().any(|w| w.hangs) && self.below(10) == 0 => self.much_time_passes(),
            0 => self.deliver(Event::Tick),
            1 => {
                let Some(manifest) = self.publishing.take() else {
                    return Ok(());
                };
                if self.store_fails(fault_one_in) {
                    *self.faults.entry("refused").or_default() += 1;
                    return self.deliver(Event::ManifestRefused { message: "the store is gone".into() });
                }
                let key = Manifest::key(manifest.iteration, manifest.fence);
                self.newest = Some(manifest);
                self.deliver(Event::ManifestPublished { key })
            }
            2..=4 => {
                let worker = self.any_worker();
                let living = self.workers.get_mut(&worker).filter(|w| !w.hangs);
                let answer = living.and_then(|w| w.answers.pop_front());
                answer.map_or(Ok(()), |event| self.deliver(event))
            }
            _ => {
                let worker = self.any_worker();
                let full = self.store_fails(fault_one_in);
                self.work(worker, full);
                Ok(())
            }
        }
    }

    /// Long enough for those that hang to be missed; the others are heard of.
    fn much_time_passes(&mut self) -> Result<(), String> {
        for _ in 0..3 {
            self.now += Duration::from_secs(4);
            let joined = |w: &Worker| !w.answers.iter().any(|e| matches!(e, Event::Joined { .. }));
            let heard = self.workers.iter().filter(|(_, w)| !w.hangs && joined(w)).map(|(id, _)| *id);
            for worker in heard.collect::<Vec<_>>() {
                // An answer earlier in this loop may have ended its session.
                if self.workers.contains_key(&worker) && self.run.ending().is_none() {
                    self.deliver(Event::Heartbeat { worker })?;
                }
            }
        }
        if self.run.ending().is_some() { Ok(()) } else { self.deliver(Event::Tick) }
    }

    fn any_worker(&mut self) -> WorkerId {
        let place = self.below(self.workers.len());
        *self.workers.keys().nth(place).unwrap()
    }

    /// An event reaches the run; its effects are performed and watched.
    fn deliver(&mut self, event: Event) -> Result<(), String> {
        self.events += 1;
        let effects = match self.run.apply(event.clone(), self.now) {
            Ok(effects) => effects,
            // What was on its way when a roster broke.
            Err(Rejection::StaleFence { .. } | Rejection::UnknownWorker { .. }) => return Ok(()),
            Err(rejection) => return Err(format!("{event:?} refused: {rejection}")),
        };
        self.witness.see(&event, &effects).map_err(|b| format!("{b} after {event:?}: {effects:?}"))?;
        check_leases(&self.run).map_err(|b| format!("{b} after {event:?}"))?;
        for effect in effects {
            match effect {
                Effect::Send { worker, command } => {
                    self.look_at(&command)?;
                    self.send(worker, command);
                }
                Effect::Drop { worker, .. } => {
                    // It notices, and joins again as a new worker; one that hangs does not.
                    if self.workers.remove(&worker).is_some_and(|w| !w.hangs) {
                        self.open_sessions(1);
                    }
                }
                Effect::AppendLedger(entry) => self.ledger.push(entry),
                Effect::PublishManifest(manifest) => self.publishing = Some(manifest),
                Effect::Prune { keys } => keys.iter().for_each(|key| {
                    self.parts.remove(key);
                }),
                Effect::RollBack { iteration, .. } => {
                    self.owed = None;
                    self.keeps_all(iteration)?;
                    self.ledger.retain(|entry| entry.iteration <= iteration);
                }
                Effect::AppendMetrics(_) | Effect::Show(_) | Effect::Finish(_) => {}
            }
        }
        Ok(())
    }

    /// No iteration that workers still hold is trained again.
    fn look_at(&mut self, command: &Command) -> Result<(), String> {
        let Command::Grant(Lease { work: Work::Train { iteration, .. }, .. }) = command else {
            return Ok(());
        };
        if self.owed.is_some_and(|owed| *iteration <= owed) {
            return Err(format!("iteration {iteration} is trained again: {:?} was committed and held", self.owed));
        }
        if *iteration < self.trained {
            self.repeated += 1;
        }
        self.trained = *iteration;
        Ok(())
    }

    fn send(&mut self, worker: WorkerId, command: Command) {
        if let Command::Form { fence, .. } = &command {
            self.rosters.entry(*fence).or_default().push(worker);
        }
        let Some(w) = self.workers.get_mut(&worker) else {
            return;
        };
        match command {
            // Its process ends.
            Command::Stop { .. } => drop(self.workers.remove(&worker)),
            Command::Abort { fence } => w.aborted = w.aborted.max(fence),
            command => w.commands.push_back(command),
        }
    }

    /// Whether all members of a roster live.
    fn is_whole(&self, fence: Fence) -> bool {
        self.rosters[&fence].iter().all(|id| self.workers.get(id).is_some_and(|w| !w.hangs))
    }

    /// A worker does its next command, or beats its heart.
    fn work(&mut self, id: WorkerId, full: bool) {
        let Some(worker) = self.workers.get_mut(&id).filter(|w| !w.hangs) else {
            return;
        };
        let Some(command) = worker.commands.front().cloned() else {
            if worker.answers.is_empty() {
                worker.answers.push_back(Event::Heartbeat { worker: id });
            }
            return;
        };
        match command {
            Command::WriteParts { fence, .. } if full => {
                worker.commands.pop_front();
                let message = "no space is left".into();
                worker.answers.push_back(Event::PartsFailed { worker: id, fence, message });
                *self.faults.entry("full").or_default() += 1;
            }
            Command::Reduce { fence, iteration } => self.reduce(id, fence, iteration),
            Command::Form { fence, world, state, .. } => self.form(id, (fence, world), &state),
            other => {
                worker.commands.pop_front();
                let answer = worker.perform(id, other, &mut self.parts);
                worker.answers.extend(answer);
            }
        }
    }

    /// A collective call that cannot succeed ends with a failure, sooner or later; whether the worker gave it up.
    fn gives_up(&mut self, id: WorkerId, fence: Fence) -> bool {
        let whole = self.is_whole(fence);
        let impatient = self.below(4) == 0;
        let Some(worker) = self.workers.get_mut(&id) else {
            return true;
        };
        let lost = worker.aborted >= fence || (!whole && impatient);
        if lost {
            worker.commands.pop_front();
            let message = "a member was lost".into();
            worker.answers.push_back(Event::CollectiveFailed { worker: id, fence, message });
        }
        lost
    }

    fn form(&mut self, id: WorkerId, (fence, world): (Fence, u32), source: &StateSource) {
        if !self.is_whole(fence) {
            self.gives_up(id, fence);
            return;
        }
        let root = |rank: &u32| self.workers[&self.rosters[&fence][*rank as usize]].state;
        let taken = match source {
            StateSource::Held { .. } => None,
            StateSource::Peer { root: rank } => Some(root(rank)),
            StateSource::Checkpoint { key } => Some(self.parts[key]),
            StateSource::Empty => Some(State { now: Digest::of(b"empty"), best: Digest::of(b"none") }),
        };
        let Some(worker) = self.workers.get_mut(&id) else {
            return;
        };
        worker.commands.pop_front();
        if let Some(state) = taken {
            worker.state = state;
            worker.sum = (Iteration(0), 0, 0);
        }
        worker.told = (fence, world);
        // A state that was held already is not looked at.
        let noted = if taken.is_some() { worker.state.digest() } else { worker.noted };
        if !worker.is_sound() && taken.is_none() {
            worker.answers.push_back(damaged(id));
            return;
        }
        worker.stand(noted);
        worker.answers.push_back(Event::Formed { worker: id, fence, state: worker.noted });
    }

    /// All members put their sums in; when the last has come everybody gets the total and keeps its own.
    fn reduce(&mut self, id: WorkerId, fence: Fence, iteration: Iteration) {
        if !self.workers[&id].is_sound() {
            // Before its sum gets to the others.
            let Some(worker) = self.workers.get_mut(&id) else { return };
            worker.commands.pop_front();
            worker.answers.push_back(damaged(id));
            return;
        }
        let sum = self.workers[&id].sum;
        let own = if sum.0 == iteration { sum.1 } else { 0 };
        let pool = self.pooled.entry((fence, iteration)).or_default();
        pool.insert(id, own);
        let complete = self.rosters[&fence].iter().all(|member| pool.contains_key(member));
        if !complete {
            self.gives_up(id, fence);
            return;
        }
        let total = pool.values().fold(0u64, |a, b| a.wrapping_add(*b));
        let gradient = mix(&[&"gradient", &iteration, &total]);
        let Some(worker) = self.workers.get_mut(&id) else {
            return;
        };
        worker.commands.pop_front();
        worker.reduced = gradient;
        worker.answers.push_back(Event::Reduced { worker: id, fence, iteration, gradient });
    }
}
