//! Writes the inputs that the corpus began with, for those formats that only the program writes.

use conrec_domain::bookmark::{Bookmark, Held, Pending};
use conrec_domain::curriculum::Cursor;
use conrec_domain::effect::{Command, StateSource};
use conrec_domain::event::Hello;
use conrec_domain::ids::{Digest, Fence, Iteration, LeaseId, WorkerId};
use conrec_domain::ledger::StateLink;
use conrec_domain::manifest::Part;
use conrec_domain::work::{
    Decision, Lease, Outcome, Pass, Prepared, PreparedPass, QuestionCounts, QuestionPoint, RunSummary, Score,
    StateChange, TrainMetrics, ValidationCounts, Work,
};
use conrec_proto::message::{FromWorker, ToWorker, Welcome};
use conrec_proto::wire::{CoordinatorMessage, WorkerMessage};
use prost::Message;
use std::fs;

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

#[test]
#[ignore = "writes the first inputs of the corpus anew; for a change of the wire or of a file's layout"]
fn write_seeds() {
    keep("wire_from_worker", from_worker().into_iter().map(|m| WorkerMessage::from(m).encode_to_vec()).collect());
    keep("wire_to_worker", to_worker().into_iter().map(|m| CoordinatorMessage::from(m).encode_to_vec()).collect());
    let folder = tempfile::tempdir().unwrap();
    conrec_parsers::some_pass().unwrap().save(folder.path()).unwrap();
    keep("prepared_pass", vec![fs::read(folder.path().join("pass.json")).unwrap()]);
    keep("safetensors", vec![conrec_parsers::some_safetensors().unwrap()]);
    keep("checkpoint_parts", conrec_parsers::some_parts().unwrap());
}
