//! A whole cluster in one struct: a run, simulated workers with deterministic fake states, a store, messages on the
//! way. A seed decides the order in which everything happens.

use crate::bench::{hello, prepared};
use conrec_domain::effect::{Command, Effect, Ending, StateSource};
use conrec_domain::event::Event;
use conrec_domain::ids::{Digest, Fence, Iteration, WorkerId};
use conrec_domain::invariants::{Witness, check_leases};
use conrec_domain::ledger::LedgerEntry;
use conrec_domain::manifest::{Manifest, Part};
use conrec_domain::run::{Run, RunSetup};
use conrec_domain::spec::RunSpec;
use conrec_domain::work::{Decision, Outcome, StateChange, TrainMetrics, ValidationCounts, Work};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// What a worker trains: here only digests.
#[derive(Clone, Copy, PartialEq, Debug)]
struct State {
    now: Digest,
    best: Digest,
}

impl State {
    /// The kept best is part of it, as in a real worker.
    fn digest(self) -> Digest {
        mix(&[&"state", &self.now, &self.best])
    }
}

#[derive(Clone)]
struct Worker {
    commands: VecDeque<Command>,
    /// Answers on their way to the coordinator.
    answers: VecDeque<Event>,
    state: State,
    /// The iteration of the sum, and the sum.
    sum: (Iteration, u64),
    reduced: Digest,
}

pub struct Simulation {
    random: ChaCha8Rng,
    spec: RunSpec,
    run: Run,
    now: Duration,
    workers: BTreeMap<WorkerId, Worker>,
    next_worker: u64,
    /// Sums put into the collective of an iteration.
    pooled: BTreeMap<WorkerId, u64>,
    parts: BTreeMap<String, State>,
    publishing: Option<Manifest>,
    newest: Option<Manifest>,
    witness: Witness,
    pub ledger: Vec<LedgerEntry>,
    pub events: u64,
    pub processes: u64,
    pub final_state: Option<Digest>,
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
    pub fn new(spec: RunSpec, workers: u32, seed: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let empty = random.next_u64(); // burns one word, so that seeds of runs and walks are not alike
        let mut simulation = Self {
            random,
            run: Run::new(Self::setup(&spec, workers, None, Fence(0)), Duration::ZERO),
            spec,
            now: Duration::ZERO,
            workers: BTreeMap::new(),
            next_worker: empty % 100,
            pooled: BTreeMap::new(),
            parts: BTreeMap::new(),
            publishing: None,
            newest: None,
            witness: Witness::default(),
            ledger: Vec::new(),
            events: 0,
            processes: 1,
            final_state: None,
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

    fn open_sessions(&mut self, count: u32) {
        let empty = State { now: Digest::of(b"empty"), best: Digest::of(b"none") };
        for _ in 0..count {
            self.next_worker += 1 + self.random.next_u64() % 3;
            let worker = WorkerId(self.next_worker);
            let answers = VecDeque::from([Event::Joined { worker, hello: hello(self.next_worker) }]);
            let fresh = Worker {
                commands: VecDeque::new(),
                answers,
                state: empty,
                sum: (Iteration(0), 0),
                reduced: Digest::of(b""),
            };
            self.workers.insert(worker, fresh);
        }
    }

    /// Goes on until the run is complete; stops, losses and new rosters come one in `stop_one_in` events (0: never).
    pub fn run_to_end(&mut self, stop_one_in: u64) -> Result<(), String> {
        for _ in 0..100_000 {
            match self.run.ending().cloned() {
                Some(Ending::Completed) => {
                    self.final_state = self.run.state_digest();
                    self.decisions = self.run.cursor().decisions.clone();
                    return Ok(());
                }
                Some(Ending::Stopped) => self.resume(),
                Some(Ending::Failed { reason, .. }) if reason.contains("cut") => self.resume(),
                Some(Ending::Failed { reason, .. }) => {
                    return Err(format!("the run has failed: {reason}"));
                }
                None => self.one_thing(stop_one_in)?,
            }
        }
        Err("the run does not end".into())
    }

    /// A new process with another number of workers goes on from the newest manifest.
    fn resume(&mut self) {
        self.processes += 1;
        let fence = self.run.fence();
        self.workers.clear();
        self.pooled.clear();
        self.publishing = None;
        let workers = 1 + self.below(3) as u32;
        self.run = Run::new(Self::setup(&self.spec, workers, self.newest.clone(), fence), self.now);
        self.witness.resume(self.newest.as_ref().map_or(Iteration(0), |m| m.iteration));
        self.open_sessions(workers);
    }

    /// One thing happens, whichever the seed picks.
    fn one_thing(&mut self, stop_one_in: u64) -> Result<(), String> {
        self.now += Duration::from_millis(self.random.next_u64() % 20);
        if self.chance(stop_one_in) {
            return self.deliver(Event::StopRequested);
        }
        if self.chance(stop_one_in.saturating_mul(4)) && !self.workers.is_empty() {
            let worker = self.any_worker();
            if self.workers[&worker].answers.iter().any(|e| matches!(e, Event::Joined { .. })) {
                return Ok(());
            }
            self.workers.remove(&worker);
            return self.deliver(Event::Left { worker, reason: "the line was cut".into() });
        }
        match self.below(8) {
            0 => self.deliver(Event::Tick),
            1 => {
                let Some(manifest) = self.publishing.take() else {
                    return Ok(());
                };
                let key = Manifest::key(manifest.iteration, manifest.fence);
                self.newest = Some(manifest);
                self.deliver(Event::ManifestPublished { key })
            }
            2..=4 => {
                let worker = self.any_worker();
                let answer = self.workers.get_mut(&worker).and_then(|w| w.answers.pop_front());
                answer.map_or(Ok(()), |event| self.deliver(event))
            }
            _ => {
                let worker = self.any_worker();
                self.work(worker);
                Ok(())
            }
        }
    }

    fn any_worker(&mut self) -> WorkerId {
        let place = self.below(self.workers.len());
        *self.workers.keys().nth(place).unwrap()
    }

    /// An event reaches the run; its effects are performed and watched.
    fn deliver(&mut self, event: Event) -> Result<(), String> {
        self.events += 1;
        let effects = self.run.apply(event.clone(), self.now).map_err(|r| format!("{event:?} refused: {r}"))?;
        self.witness.see(&event, &effects).map_err(|b| format!("{b} after {event:?}: {effects:?}"))?;
        check_leases(&self.run).map_err(|b| format!("{b} after {event:?}"))?;
        for effect in effects {
            match effect {
                Effect::Send { worker, command } => {
                    if let Some(w) = self.workers.get_mut(&worker) {
                        w.commands.push_back(command);
                    }
                }
                Effect::AppendLedger(entry) => self.ledger.push(entry),
                Effect::PublishManifest(manifest) => self.publishing = Some(manifest),
                Effect::Prune { keys } => keys.iter().for_each(|key| {
                    self.parts.remove(key);
                }),
                Effect::AppendMetrics(_) | Effect::Show(_) | Effect::Finish(_) => {}
            }
        }
        Ok(())
    }

    /// A worker does its next command, or beats its heart.
    fn work(&mut self, id: WorkerId) {
        let world = self.workers.len();
        let Some(worker) = self.workers.get_mut(&id) else {
            return;
        };
        let Some(command) = worker.commands.front().cloned() else {
            if worker.answers.is_empty() {
                worker.answers.push_back(Event::Heartbeat { worker: id });
            }
            return;
        };
        if let Command::Reduce { fence, iteration } = command {
            self.pooled.entry(id).or_insert(worker.sum.1);
            if self.pooled.len() < world {
                return;
            }
            // All have put theirs in: everybody gets the sum, whoever comes first.
            let sum = self.pooled.values().fold(0u64, |a, b| a.wrapping_add(*b));
            let gradient = mix(&[&"gradient", &iteration, &sum]);
            for (worker, w) in &mut self.workers {
                w.commands.pop_front();
                w.sum = (Iteration(0), 0);
                w.reduced = gradient;
                w.answers.push_back(Event::Reduced { worker: *worker, fence, iteration, gradient });
            }
            self.pooled.clear();
            return;
        }
        worker.commands.pop_front();
        if let Some(answer) = worker.perform(id, command, &mut self.parts) {
            worker.answers.push_back(answer);
        }
    }
}

impl Worker {
    /// Does one command; the answer, if it has one.
    fn perform(&mut self, worker: WorkerId, command: Command, store: &mut BTreeMap<String, State>) -> Option<Event> {
        match command {
            Command::Form { fence, state, .. } => {
                if let StateSource::Checkpoint { key } = state {
                    self.state = store[&key];
                }
                Some(Event::Formed { worker, fence, state: self.state.digest() })
            }
            Command::Grant(lease) => {
                let outcome = self.compute(&lease.work);
                let (fence, lease) = (lease.fence, lease.id);
                Some(Event::LeaseDone { worker, fence, lease, state: self.state.digest(), outcome })
            }
            Command::Reduce { .. } | Command::Stop { .. } => None,
            Command::Commit { fence, iteration, divisor, learning_rate } => {
                let before = self.state.now;
                self.state.now = mix(&[&"commit", &before, &self.reduced, &divisor, &learning_rate.to_bits()]);
                Some(Event::Committed { worker, fence, iteration, state: self.state.digest() })
            }
            Command::Change { fence, change } => {
                self.change(change);
                Some(Event::Changed { worker, fence, state: self.state.digest() })
            }
            Command::WriteParts { fence, key } => {
                assert!(store.insert(key.clone(), self.state).is_none(), "{key} was written before");
                let sha256 = mix(&[&self.state]);
                let parts = vec![Part { name: "state.safetensors".into(), bytes: 1, sha256 }];
                Some(Event::PartsWritten { worker, fence, parts })
            }
        }
    }

    fn change(&mut self, change: StateChange) {
        match change {
            StateChange::KeepBest => self.state.best = self.state.now,
            StateChange::RestoreBest => self.state.now = self.state.best,
            StateChange::BeginPass { pass } => self.state.now = mix(&[&"pass", &pass]),
            StateChange::BeginStage { stage } => {
                self.state.now = mix(&[&"stage", &self.state.now, &stage]);
            }
        }
    }

    /// A lease: what comes out depends on the work and the state only, and the sum takes it in.
    fn compute(&mut self, work: &Work) -> Outcome {
        match work {
            Work::Prepare => Outcome::Prepared(prepared()),
            Work::Train { iteration, attempt, prompts, .. } => {
                if self.sum.0 != *iteration {
                    self.sum = (*iteration, 0);
                }
                for prompt in prompts {
                    let gradient = number(mix(&[&self.state.now, iteration, attempt, prompt]));
                    self.sum.1 = self.sum.1.wrapping_add(gradient);
                }
                let groups = prompts.len() as u64;
                // Luck decides how healthy the policy looks.
                let luck = number(mix(&[&"health", &self.state.now, prompts]));
                Outcome::Trained(TrainMetrics {
                    groups,
                    codes: groups * 3,
                    completions: groups * 16,
                    entropy: (luck % 97) as f64,
                    distinct: groups * (luck % 17),
                    abstained: luck % 5,
                    ..TrainMetrics::default()
                })
            }
            Work::Validate { from, to } => {
                let luck = number(mix(&[&self.state.now, from]));
                let instances = u64::from(to - from);
                let candidate_accuracy = (luck >> 32) % 4_294_967_296 * instances / 4;
                Outcome::Validated(ValidationCounts { instances, hits: luck % (instances + 1), candidate_accuracy })
            }
            Work::Report { .. } => Outcome::Reported,
        }
    }
}
