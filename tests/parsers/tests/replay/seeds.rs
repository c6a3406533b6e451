//! Writes the inputs that the corpus began with, for those formats that only the program writes.

use conrec_domain::bookmark::{Bookmark, Held, Pending};
use conrec_domain::curriculum::Cursor;
use conrec_domain::effect::{Command, Ending, StateSource};
use conrec_domain::event::Hello;
use conrec_domain::ids::{Digest, Fence, Iteration, LeaseId, WorkerId};
use conrec_domain::job::{Ask, JobEnding, JobRequest, JobState, Moment, Wish, Wishes, Writer};
use conrec_domain::ledger::StateLink;
use conrec_domain::manifest::Part;
use conrec_domain::nightly::{
    Arrival, Beat, Claim, Compared, Ending as NightEnding, Floor, Opponent, Plan, Promotion, Start, Trained, Verdict,
    Why,
};
use conrec_domain::spec::{RunConfig, RunSpec};
use conrec_domain::status::{Activity, Status};
use conrec_domain::work::{
    Decision, Lease, Outcome, Pass, Prepared, PreparedPass, QuestionCounts, QuestionPoint, RunSummary, Score,
    StateChange, TrainMetrics, ValidationCounts, Work,
};
use conrec_proto::message::{FromWorker, ToWorker, Welcome};
use conrec_proto::wire::{CoordinatorMessage, WorkerMessage};
use prost::Message;
use serde::Serialize;
use std::fs;

/// Between the records of an input.
const BREAK: &[u8] = b"\n====\n";

fn json(record: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec_pretty(record).unwrap()
}

fn keep(name: &str, inputs: Vec<Vec<u8>>) {
    let folder = super::corpus().join(name);
    fs::create_dir_all(&folder).unwrap();
    for (at, bytes) in inputs.iter().enumerate() {
        fs::write(folder.join(format!("seed-{at:02}")), bytes).unwrap();
    }
}

fn from_worker() -> Vec<FromWorker> {
    let (fence, iteration, state) = (Fence(3), Iteration(7), Digest::of(b"state"));
    let done = |outcome| FromWorker::LeaseDone { fence, lease: LeaseId(2), state, outcome };
    let held = Held {
        run_id: "run".parse().unwrap(),
        config_digest: state,
        fence,
        world: 2,
        state,
        bookmark: Bookmark {
            from: Some(state),
            cursor: Cursor::start(),
            follows: true,
            lines: Vec::new(),
            pending: None,
        },
    };
    let hello = |held: Option<Held>| Hello {
        name: "a".into(),
        code_version: "0.1.0".into(),
        rendezvous: "127.0.0.1:7".into(),
        lanes: 2,
        held: held.map(Box::new),
    };
    let passes = vec![PreparedPass { pass: Pass::Select, prompts: vec![5, 6] }];
    let summary = vec!["read".into()];
    let prepared = Prepared { data_digest: state, passes, validation_instances: 1, test_instances: 2, summary };
    vec![
        FromWorker::Hello(hello(None)),
        FromWorker::Hello(hello(Some(held))),
        FromWorker::Heartbeat,
        FromWorker::Formed { fence, state },
        done(Outcome::Prepared(prepared)),
        done(Outcome::Trained(TrainMetrics { groups: 2, reward: 0.5, ..TrainMetrics::default() })),
        done(Outcome::Validated(ValidationCounts { instances: 4, hits: 2, candidate_accuracy: 9 })),
        done(Outcome::Reported),
        FromWorker::Failed { message: "no".into(), exit_code: 65 },
        FromWorker::Reduced { fence, iteration, gradient: state },
        FromWorker::Committed { fence, iteration, state },
        FromWorker::Changed { fence, state },
        FromWorker::PartsWritten { fence, state, parts: vec![Part { name: "a".into(), bytes: 3, sha256: state }] },
        FromWorker::CollectiveFailed { fence, message: "gone".into() },
        FromWorker::Leaving,
    ]
}

fn to_worker() -> Vec<ToWorker> {
    let (fence, iteration, state) = (Fence(3), Iteration(7), Digest::of(b"state"));
    let grant = |work| Command::Grant(Lease { id: LeaseId(1), fence, work });
    let score = Some(Score { fhr: 0.5, candidate_accuracy: 0.25 });
    let decision = Decision { pass: Pass::Select, stage: "a".into(), iteration: 2, score, reason: "new best".into() };
    let change = StateChange::BeginStage { stage: 1 };
    let summary = RunSummary {
        state_digest: state,
        iterations: 9,
        journal_digest: state,
        wall_seconds: 1.5,
        select_checkpoint: Some("checkpoints/1".into()),
        changes: vec![StateLink { change, before: state, after: state }],
        decisions: vec![decision],
        questions: vec![QuestionPoint { pass: Pass::Select, stage: "a".into(), counts: QuestionCounts::default() }],
    };
    let form = |state| Command::Form { fence, rank: 0, world: 2, rendezvous: "127.0.0.1:9".into(), state };
    let (pass, stage, attempt) = (Pass::Refit, 1, 1);
    let commands = vec![
        form(StateSource::Empty),
        form(StateSource::Checkpoint { key: "checkpoints/1".into() }),
        form(StateSource::Held { root: Some(1) }),
        form(StateSource::Peer { root: 1 }),
        grant(Work::Prepare),
        grant(Work::Train {
            pass,
            stage,
            iteration,
            attempt,
            update: 1,
            prompts: vec![1, 2, 300],
            light: vec![2],
            reserve: vec![7],
        }),
        grant(Work::Validate { from: 1, to: 5 }),
        grant(Work::Ask { from: 1, to: 5 }),
        grant(Work::Clean { pass, stage, from: 1, to: 5 }),
        grant(Work::Report { summary }),
        Command::Reduce { fence, iteration },
        Command::Commit { fence, iteration, divisor: 4, learning_rate: 0.01, state },
        Command::Change { fence, change, state },
        Command::Change { fence, change: StateChange::KeepBest, state },
        Command::Remember(Box::new(Bookmark {
            from: Some(state),
            cursor: Cursor::start(),
            follows: false,
            lines: Vec::new(),
            pending: Some(Pending::Change(StateLink { change, before: state, after: state })),
        })),
        Command::WriteParts { fence, key: "checkpoints/2".into() },
        Command::Abort { fence },
        Command::Stop { reason: "done".into(), complete: true },
    ];
    let welcome = Welcome {
        worker: WorkerId(1),
        run_id: "run".parse().unwrap(),
        run_spec_toml: "seed = 1".into(),
        store_url: "file:///runs".into(),
        heartbeat_seconds: 5,
    };
    std::iter::once(ToWorker::Welcome(welcome)).chain(commands.into_iter().map(ToWorker::Command)).collect()
}

/// A job under way, one that is paused, one that is over.
fn job_records() -> Vec<Vec<u8>> {
    let config = "seed = 3\n[[stage]]\nname = \"a\"\nkind = \"next_item\"\niterations = 1\nprompts = 2\n\
                  prompts_per_lease = 1\nlearning_rate = 0.01\n";
    let spec = RunSpec::check(RunConfig::parse(config, "seed.toml").unwrap()).unwrap();
    let request = JobRequest::new("Team A/7".parse().unwrap(), &spec, 2, "0.1.0").unwrap().stamped(Moment(10), "here");
    let mut state = JobState::begin(None, Writer { host: "here".into(), process: 7 }, Moment(20));
    let (pass, stage) = (Pass::Select, "a".to_owned());
    let activity = Activity::Training { pass, stage, done: 1, of: 9, loss: 0.5, reward: None, kl: None };
    state.hear(&Status { activity, iteration: Iteration(4), iterations_planned: 40, workers: 2 }, Moment(30));
    state.hear_of(&Activity::Checkpointed { key: "checkpoints/0000000004-000002".into() }, Moment(31));
    let wishes = Wishes::default().after(Ask::Pause, Moment(40), "ann").unwrap().unwrap();
    let mut paused = state.clone();
    paused.end(&Ending::Stopped, Wish::Pause, Moment(50));
    let ended = JobEnding::of(&Ending::Completed, &request.run_id, 9, Moment(60)).unwrap();
    [(&state, &Wishes::default(), None), (&paused, &wishes, None), (&paused, &wishes, Some(&ended))]
        .map(|(state, wishes, ending)| [json(&request), json(state), json(wishes), json(&ending)].join(BREAK))
        .into()
}

/// A first night, and one after it that was promoted and taken back.
fn night_records() -> Vec<Vec<u8>> {
    let day = |text: &str| text.parse::<conrec_domain::day::Day>().unwrap();
    let (state, night, before) = (Digest::of(b"state"), day("2024-03-02"), day("2024-03-01"));
    let run = |day| conrec_domain::ids::RunId::of_night(day);
    let plan = |night, start| Plan { night, run: run(night), start, thin: vec![day("2024-02-27")] };
    let trained = Trained { state, kept_ids: 150, changed_ids: 0, new_ids: 10 };
    let compared = Compared { metric: "fhr".into(), new: 0.25, old: 0.5, difference: -0.25, low: -0.5, instances: 48 };
    let verdict = |opponent| Verdict { opponent, compared: vec![compared.clone()], passed: true, reason: "so".into() };
    let (first, second) = (
        verdict(Opponent::Floor(Floor::Baseline { model: "recent_popularity".into() })),
        verdict(Opponent::Promoted { number: 1, run: run(before) }),
    );
    let ending = NightEnding {
        night,
        run: run(night),
        promotion: Some(2),
        verdict: second.clone(),
        predicted_with: Some(run(night)),
        at: 9,
    };
    let claim = Claim { number: 3, night, holder: "process 7, 00ff".into() };
    let promotion = |number, night, why| Promotion { number, run: run(night), state, night, at: 8, why };
    let entry = |number, night| promotion(number, night, Why::Night);
    let (late, ready) = (Arrival::Late { day: night, events: 3, until: 99 }, Arrival::Ready { thin: Vec::new() });
    let warm = Start::Warm { run: run(before), number: 1, state };
    let none = || b"null".to_vec();
    vec![
        [
            json(&plan(before, Start::Cold)),
            none(),
            json(&first),
            none(),
            json(&ready),
            json(&claim),
            json(&Beat { beats: 4 }),
        ]
        .join(BREAK),
        [
            json(&plan(night, warm)),
            json(&trained),
            json(&second),
            json(&ending),
            json(&late),
            json(&claim),
            json(&Beat { beats: 4 }),
            json(&entry(1, before)),
            json(&entry(2, night)),
            json(&promotion(3, before, Why::Rollback { to: 1 })),
        ]
        .join(BREAK),
        [json(&plan(night, Start::Refit)), json(&trained), json(&second), none(), none(), none(), none()].join(BREAK),
    ]
}

#[test]
#[ignore = "writes the first inputs of the corpus anew; for a change of the wire or of a file's layout"]
fn write_seeds() {
    keep("wire_from_worker", from_worker().into_iter().map(|m| WorkerMessage::from(m).encode_to_vec()).collect());
    keep("wire_to_worker", to_worker().into_iter().map(|m| CoordinatorMessage::from(m).encode_to_vec()).collect());
    keep("job_records", job_records());
    keep("night_records", night_records());
    let folder = tempfile::tempdir().unwrap();
    conrec_parsers::some_pass().unwrap().save(folder.path()).unwrap();
    keep("prepared_pass", vec![fs::read(folder.path().join("pass.json")).unwrap()]);
    #[cfg(feature = "tensors")]
    keep("safetensors", vec![conrec_parsers::some_safetensors().unwrap()]);
    #[cfg(feature = "tensors")]
    keep("checkpoint_parts", conrec_parsers::some_parts().unwrap());
}
