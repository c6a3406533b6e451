//! A simulated worker: deterministic fake states, integer sums, a memory of where the run stands.

use crate::bench::{hello, prepared};
use conrec_domain::bookmark::{Bookmark, Held};
use conrec_domain::effect::Command;
use conrec_domain::event::Event;
use conrec_domain::ids::{Digest, Fence, Iteration, WorkerId};
use conrec_domain::manifest::Part;
use conrec_domain::spec::{Distractor, RunSpec};
use conrec_domain::work::{Outcome, QuestionCounts, StateChange, TrainMetrics, ValidationCounts, Work};
use std::collections::{BTreeMap, VecDeque};

/// What a worker trains: here only digests.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct State {
    pub now: Digest,
    pub best: Digest,
}

impl State {
    /// The kept best is part of it, as in a real worker.
    pub fn digest(self) -> Digest {
        super::mix(&[&"state", &self.now, &self.best])
    }
}

#[derive(Clone)]
pub struct Worker {
    pub commands: VecDeque<Command>,
    /// Answers on their way to the coordinator.
    pub answers: VecDeque<Event>,
    /// Parts of checkpoints on their way to the store, beside all else.
    pub uploads: VecDeque<Event>,
    pub state: State,
    /// The iteration of the sum, the sum, and what was added to it: another number means damaged memory.
    pub sum: (Iteration, u64, u64),
    pub reduced: Digest,
    /// It does nothing any more, but its stream is open.
    pub hangs: bool,
    /// Collective calls of rosters up to this fence are given up.
    pub aborted: Fence,
    /// The digest of the state as it was last changed on purpose: another one now means damaged memory.
    pub noted: Digest,
    /// Fence and size of the roster that it is told of, and of the one that it stands in.
    pub told: (Fence, u32),
    pub stands: (Fence, u32),
    /// Where the run will stand once the next command is done, and where it stands.
    pub coming: Option<Bookmark>,
    pub bookmark: Option<Bookmark>,
}

impl Worker {
    /// One that holds nothing and opens its session.
    pub fn fresh(id: WorkerId) -> Self {
        let state = State { now: Digest::of(b"empty"), best: Digest::of(b"none") };
        Self {
            commands: VecDeque::new(),
            answers: VecDeque::from([Event::Joined { worker: id, hello: hello(id.0) }]),
            uploads: VecDeque::new(),
            state,
            sum: (Iteration(0), 0, 0),
            reduced: Digest::of(b""),
            hangs: false,
            aborted: Fence(0),
            noted: state.digest(),
            told: (Fence(0), 0),
            stands: (Fence(0), 0),
            coming: None,
            bookmark: None,
        }
    }

    /// Its session broke off: it opens another and says what it holds, if its memory is sound.
    pub fn rejoins(&mut self, id: WorkerId, spec: &RunSpec) {
        let sound = self.is_sound();
        let held = self.bookmark.clone().filter(|_| sound).map(|bookmark| {
            let (run_id, config_digest) = ("walk".parse().unwrap(), spec.digest().unwrap());
            let (fence, world) = self.stands;
            Box::new(Held { run_id, config_digest, fence, world, state: self.noted, bookmark })
        });
        let mut hello = hello(id.0);
        hello.held = held;
        self.commands.clear();
        self.uploads.clear();
        self.answers = VecDeque::from([Event::Joined { worker: id, hello }]);
        self.sum = (Iteration(0), 0, 0);
        self.coming = None;
    }

    pub fn is_joining(&self) -> bool {
        self.answers.iter().any(|event| matches!(event, Event::Joined { .. }))
    }

    /// A roster has formed; a state that is not the one agreed on came from a damaged sender.
    pub fn stand(&mut self, noted: Digest) {
        self.settle();
        self.noted = noted;
        let agreed = |b: &Bookmark| b.from.is_none_or(|digest| digest == self.noted);
        self.bookmark = self.bookmark.take().filter(agreed);
    }

    /// A command that was announced is done: the state is another one, or in another roster.
    pub fn settle(&mut self) {
        self.noted = self.state.digest();
        self.stands = self.told;
        self.bookmark = self.coming.take().map(|bookmark| bookmark.after(self.bookmark.take()));
    }

    /// Does one command; the answer, if it has one.
    pub fn perform(
        &mut self,
        worker: WorkerId,
        command: Command,
        store: &mut BTreeMap<String, State>,
    ) -> Option<Event> {
        match command {
            Command::Grant(lease) => {
                let outcome = self.compute(&lease.work);
                // What becomes part of the sum is looked at before the reduce, all else at once.
                if !self.is_sound() && !matches!(lease.work, Work::Train { .. }) {
                    return Some(damaged(worker));
                }
                // A worker says what its state was when it last changed on purpose.
                let (fence, lease, state) = (lease.fence, lease.id, self.noted);
                Some(Event::LeaseDone { worker, fence, lease, state, outcome })
            }
            Command::Remember(bookmark) => {
                self.coming = Some(*bookmark);
                None
            }
            // The first two are collective calls; an abort overtakes.
            Command::Form { .. } | Command::Reduce { .. } | Command::Abort { .. } | Command::Stop { .. } => None,
            Command::Commit { state, .. } if state != self.noted => Some(damaged(worker)),
            Command::Change { state, .. } if state != self.noted || !self.is_sound() => Some(damaged(worker)),
            Command::WriteParts { .. } if !self.is_sound() => Some(damaged(worker)),
            Command::Commit { fence, iteration, divisor, learning_rate, .. } => {
                let before = self.state.now;
                self.state.now = super::mix(&[&"commit", &before, &self.reduced, &divisor, &learning_rate.to_bits()]);
                self.settle();
                Some(Event::Committed { worker, fence, iteration, state: self.state.digest() })
            }
            Command::Change { fence, change, .. } => {
                self.change(change);
                self.settle();
                Some(Event::Changed { worker, fence, state: self.state.digest() })
            }
            Command::WriteParts { fence, key } => {
                assert!(store.insert(key.clone(), self.state).is_none(), "{key} was written before");
                let sha256 = super::mix(&[&self.state]);
                let parts = vec![Part { name: "state.safetensors".into(), bytes: 1, sha256 }];
                self.uploads.push_back(Event::PartsWritten { worker, fence, state: self.state.digest(), parts });
                None
            }
        }
    }

    fn change(&mut self, change: StateChange) {
        match change {
            StateChange::BeginRollout => self.state.now = super::mix(&[&"rollout", &self.state.now]),
            StateChange::KeepBest => self.state.best = self.state.now,
            StateChange::RestoreBest => self.state.now = self.state.best,
            StateChange::BeginPass { pass } => self.state.now = super::mix(&[&"pass", &pass]),
            StateChange::BeginStage { stage } => {
                self.state.now = super::mix(&[&"stage", &self.state.now, &stage]);
            }
        }
    }

    /// Whether its memory holds what it noted of it.
    pub fn is_sound(&self) -> bool {
        self.noted == self.state.digest() && self.sum.1 == self.sum.2
    }

    /// A lease: what comes out depends on the work and the state only, and the sum takes it in.
    fn compute(&mut self, work: &Work) -> Outcome {
        match work {
            Work::Prepare => Outcome::Prepared(prepared()),
            Work::Train { iteration, attempt, update, prompts, light, reserve, .. } => {
                if self.sum.0 != *iteration {
                    self.sum = (*iteration, 0, 0);
                }
                // Luck decides how healthy the policy looks, and how many groups teach nothing.
                let luck = super::number(super::mix(&[&"health", &self.state.now, prompts]));
                let refilled = (luck >> 32) % (reserve.len() as u64 + 1);
                for prompt in prompts.iter().chain(&reserve[..refilled as usize]) {
                    let place = iteration.0 - u64::from(*update);
                    let gradient = super::number(super::mix(&[&self.state.now, &Iteration(place), attempt, prompt]));
                    let gradient = if light.contains(prompt) { gradient / 4 } else { gradient };
                    self.sum.1 = self.sum.1.wrapping_add(gradient);
                    self.sum.2 = self.sum.2.wrapping_add(gradient);
                }
                let groups = prompts.len() as u64 + refilled;
                Outcome::Trained(TrainMetrics {
                    groups,
                    codes: groups * 3,
                    completions: groups * 16,
                    entropy: (luck % 97) as f64,
                    distinct: groups * (luck % 17),
                    abstained: luck % 5,
                    refilled,
                    ..TrainMetrics::default()
                })
            }
            Work::Validate { from, to } => {
                let luck = super::number(super::mix(&[&self.state.now, from]));
                let instances = u64::from(to - from);
                let candidate_accuracy = (luck >> 32) % 4_294_967_296 * instances / 4;
                Outcome::Validated(ValidationCounts { instances, hits: luck % (instances + 1), candidate_accuracy })
            }
            Work::Ask { from, to } => {
                let mut counts = QuestionCounts::default();
                for instance in *from..*to {
                    let right = super::number(super::mix(&[&self.state.now, &"ask", &instance])) % 2;
                    counts.count(Distractor::ALL[instance as usize % 4], right as f64);
                }
                Outcome::Asked(counts)
            }
            Work::Clean { pass, stage, from, to } => {
                let drawn = |prompt: u32| super::number(super::mix(&[&self.state.now, pass, stage, &prompt]));
                Outcome::Cleaned((*from..*to).filter(|prompt| drawn(*prompt) % 4 == 0).collect())
            }
            Work::Report { .. } => Outcome::Reported,
        }
    }
}

/// It found out by itself, says so and ends.
pub fn damaged(worker: WorkerId) -> Event {
    Event::WorkerFailed { worker, message: "its memory is damaged".into(), exit_code: 1 }
}
