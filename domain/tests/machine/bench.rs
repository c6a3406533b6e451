//! A run on the bench: small spec, short names for events, and the expected effects.

use conrec_domain::bookmark::Bookmark;
use conrec_domain::curriculum::Cursor;
use conrec_domain::effect::{Command, Effect};
use conrec_domain::event::{Event, Hello};
use conrec_domain::ids::{Digest, Fence, Iteration, LeaseId, WorkerId};
use conrec_domain::manifest::{Manifest, Part};
use conrec_domain::run::{Rejection, Run, RunSetup};
use conrec_domain::spec::{RunConfig, RunSpec};
use conrec_domain::work::{Lease, Outcome, Pass, Prepared, PreparedPass, TrainMetrics, ValidationCounts, Work};
use std::time::Duration;

/// Two stages; 3 leases an iteration in the first, 2 in the second; 2 validation leases.
pub const CONFIG: &str = r#"
seed = 5
checkpoint = { every = 1000, keep_last = 1 }
[data]
source = "synthetic"
[evaluation]
instances_per_lease = 10
statistics = "frozen"
[[stage]]
name = "sft"
kind = "next_negative"
iterations = 1
prompts = 5
prompts_per_lease = 2
learning_rate = 1e-3
[[stage]]
name = "grpo"
kind = "grpo"
iterations = 2
prompts = 4
prompts_per_lease = 2
learning_rate = 1e-4
final_rate = 0.5
validate_every = 1
"#;

pub fn spec_with(overrides: &[&str]) -> RunSpec {
    let overrides: Vec<String> = overrides.iter().map(|s| (*s).to_owned()).collect();
    RunSpec::check(RunConfig::parse_with(CONFIG, "run.toml", &overrides).unwrap()).unwrap()
}

pub fn prepared() -> Prepared {
    Prepared {
        data_digest: Digest::of(b"data"),
        passes: vec![
            PreparedPass { pass: Pass::Select, prompts: vec![11, 7] },
            PreparedPass { pass: Pass::Refit, prompts: vec![13, 9] },
        ],
        validation_instances: 15,
        test_instances: 20,
        summary: vec!["read 3 events".into()],
    }
}

pub fn setup(workers: u32) -> RunSetup {
    RunSetup {
        run_id: "bench".parse().unwrap(),
        spec: spec_with(&[]),
        code_version: "1".into(),
        expected_workers: workers,
        prepared: Some(prepared()),
        resume: None,
        last_fence: Fence(0),
    }
}

pub fn hello(worker: u64) -> Hello {
    let rendezvous = format!("10.0.0.{worker}:9000");
    Hello { name: format!("host-{worker}"), code_version: "1".into(), rendezvous, lanes: 1, held: None }
}

pub fn w(worker: u64) -> WorkerId {
    WorkerId(worker)
}

pub fn d(text: &str) -> Digest {
    Digest::of(text.as_bytes())
}

pub fn send(worker: u64, command: Command) -> Effect {
    Effect::Send { worker: w(worker), command }
}

pub fn grant(worker: u64, id: u32, work: Work) -> Effect {
    send(worker, Command::Grant(Lease { id: LeaseId(id), fence: Fence(1), work }))
}

pub fn stop(worker: u64, reason: &str) -> Effect {
    send(worker, Command::Stop { reason: reason.into(), complete: reason == "the run is complete" })
}

/// A run with its clock; each event comes a second after the one before.
pub struct Bench {
    pub run: Run,
    pub now: Duration,
    /// What workers were told to remember; kept apart, so that lists of effects show what the run does.
    pub bookmarks: Vec<(WorkerId, Bookmark)>,
    /// The state and the fence of the checkpoint that was last asked for.
    asked: Option<(Digest, Fence)>,
}

fn bookmark(effect: &Effect) -> Option<(WorkerId, Bookmark)> {
    match effect {
        Effect::Send { worker, command: Command::Remember(bookmark) } => Some((*worker, (**bookmark).clone())),
        _ => None,
    }
}

impl Bench {
    pub fn new(setup: RunSetup) -> Self {
        Self::of(Run::new(setup, Duration::ZERO))
    }

    pub fn of(run: Run) -> Self {
        Self { run, now: Duration::ZERO, bookmarks: Vec::new(), asked: None }
    }

    pub fn try_apply(&mut self, event: Event) -> Result<Vec<Effect>, Rejection> {
        self.now += Duration::from_secs(1);
        let mut effects = self.run.apply(event, self.now)?;
        self.bookmarks.extend(effects.iter().filter_map(bookmark));
        effects.retain(|effect| bookmark(effect).is_none());
        if effects.iter().any(|e| matches!(e, Effect::Send { command: Command::WriteParts { .. }, .. })) {
            self.asked = self.run.state_digest().map(|state| (state, self.run.fence()));
        }
        Ok(effects)
    }

    pub fn apply(&mut self, event: Event) -> Vec<Effect> {
        self.try_apply(event).unwrap()
    }

    pub fn join(&mut self, worker: u64) -> Vec<Effect> {
        self.apply(Event::Joined { worker: w(worker), hello: hello(worker) })
    }

    pub fn formed(&mut self, worker: u64, state: &str) -> Vec<Effect> {
        self.apply(Event::Formed { worker: w(worker), fence: self.run.fence(), state: d(state) })
    }

    pub fn changed(&mut self, worker: u64, state: &str) -> Vec<Effect> {
        self.apply(Event::Changed { worker: w(worker), fence: self.run.fence(), state: d(state) })
    }

    pub fn lease(&mut self, worker: u64, lease: u32, state: &str, outcome: Outcome) -> Vec<Effect> {
        let (worker, lease, fence) = (w(worker), LeaseId(lease), self.run.fence());
        self.apply(Event::LeaseDone { worker, fence, lease, state: d(state), outcome })
    }

    pub fn reduced(&mut self, worker: u64, iteration: u64, gradient: &str) -> Vec<Effect> {
        let (worker, iteration, fence) = (w(worker), Iteration(iteration), self.run.fence());
        self.apply(Event::Reduced { worker, fence, iteration, gradient: d(gradient) })
    }

    pub fn committed(&mut self, worker: u64, iteration: u64, state: &str) -> Vec<Effect> {
        let (worker, iteration, fence) = (w(worker), Iteration(iteration), self.run.fence());
        self.apply(Event::Committed { worker, fence, iteration, state: d(state) })
    }

    pub fn parts(&mut self, worker: u64) -> Vec<Effect> {
        let (worker, (state, fence)) = (w(worker), self.asked.unwrap());
        self.apply(Event::PartsWritten { worker, fence, state, parts: some_parts() })
    }

    pub fn published(&mut self, iteration: u64) -> Vec<Effect> {
        let key = Manifest::key(Iteration(iteration), self.run.fence());
        self.apply(Event::ManifestPublished { key })
    }

    /// One worker, at the first iteration's leases, state "s2".
    pub fn at_first_rollout() -> Self {
        Self::rolling_out(setup(1))
    }

    fn rolling_out(setup: RunSetup) -> Self {
        let mut bench = Self::new(setup);
        bench.join(1);
        bench.formed(1, "empty");
        bench.changed(1, "s1");
        bench.changed(1, "s2");
        bench
    }

    /// One worker, iteration 1 committed and checkpointed, at the validation of the second stage's start, state "s4".
    pub fn at_first_validation() -> Self {
        Self::validating(setup(1))
    }

    /// The same of another set-up with one worker.
    pub fn validating(setup: RunSetup) -> Self {
        let mut bench = Self::rolling_out(setup);
        for lease in 0..3 {
            bench.lease(1, lease, "s2", trained());
        }
        bench.reduced(1, 1, "g1");
        bench.committed(1, 1, "s3");
        bench.parts(1);
        bench.published(1);
        bench.changed(1, "s4");
        bench
    }
}

/// A manifest of the bench's run with these at the place.
pub fn manifest(state: &str, cursor: Cursor, parts: Vec<Part>) -> Manifest {
    Manifest {
        version: Manifest::VERSION,
        run_id: "bench".parse().unwrap(),
        config_digest: spec_with(&[]).digest().unwrap(),
        data_digest: d("data"),
        code_version: "1".into(),
        fence: Fence(1),
        iteration: cursor.iteration,
        state_digest: d(state),
        cursor,
        parts,
    }
}

pub fn some_parts() -> Vec<Part> {
    let part = |name: &str| Part { name: name.into(), bytes: 3, sha256: d(name) };
    vec![part("weights.safetensors"), part("adapter.safetensors")]
}

pub fn trained() -> Outcome {
    Outcome::Trained(TrainMetrics {
        groups: 2,
        completions: 16,
        zero_variance_groups: 1,
        abstained: 2,
        reward: 4.0,
        reward_std: 0.5,
        kl: 0.25,
        entropy: 8.0,
        codes: 32,
        loss: 64.0,
        distinct: 10,
        ..TrainMetrics::default()
    })
}

pub fn validated(hits: u64) -> Outcome {
    Outcome::Validated(ValidationCounts { instances: 5, hits, candidate_accuracy: 0 })
}
