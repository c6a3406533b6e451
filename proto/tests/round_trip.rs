//! Every message survives the wire unchanged: domain -> wire -> bytes -> wire -> domain.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use conrec_domain::bookmark::{Bookmark, Held, JournalLine, Pending};
use conrec_domain::curriculum::Cursor;
use conrec_domain::effect::{Command, StateSource};
use conrec_domain::event::Hello;
use conrec_domain::ids::{Digest, Fence, Iteration, LeaseId, WorkerId};
use conrec_domain::ledger::{LedgerEntry, StateLink};
use conrec_domain::manifest::Part;
use conrec_domain::status::{Activity, Status};
use conrec_domain::work::{
    Cleaned, Decision, Lease, Outcome, Pass, Prepared, PreparedPass, QuestionCounts, QuestionPoint, RunSummary, Score,
    StateChange, TrainMetrics, ValidationCounts, Work,
};
use conrec_proto::convert::ConvertError;
use conrec_proto::message::{FromWorker, ToWorker, Welcome};
use conrec_proto::wire;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use prost::Message;

fn name() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9:/ äé_-]{0,24}"
}

/// What may stand in the run's folder.
fn key() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9_-][a-zA-Z0-9._-]{0,12}(/[a-zA-Z0-9_-]{1,8}){0,2}"
}

/// Prompts and instances.
fn count() -> impl Strategy<Value = u32> {
    0..=64 * 1024 * 1024_u32
}

fn digest() -> impl Strategy<Value = Digest> {
    any::<[u8; 32]>().prop_map(Digest)
}

fn fence() -> impl Strategy<Value = Fence> {
    any::<u64>().prop_map(Fence)
}

fn iteration() -> impl Strategy<Value = Iteration> {
    any::<u64>().prop_map(Iteration)
}

fn pass() -> impl Strategy<Value = Pass> {
    prop_oneof![Just(Pass::Select), Just(Pass::Refit)]
}

/// All finite and infinite values; NaN has no equality to test with.
fn number() -> impl Strategy<Value = f64> {
    any::<f64>().prop_filter("no NaN", |value| !value.is_nan())
}

fn score() -> impl Strategy<Value = Score> {
    (number(), number()).prop_map(|(fhr, candidate_accuracy)| Score { fhr, candidate_accuracy })
}

fn part() -> impl Strategy<Value = Part> {
    (key(), any::<u64>(), digest()).prop_map(|(name, bytes, sha256)| Part { name, bytes, sha256 })
}

fn prepared() -> impl Strategy<Value = Prepared> {
    let one = (pass(), vec(count(), 0..6)).prop_map(|(pass, prompts)| PreparedPass { pass, prompts });
    (digest(), vec(one, 0..=2), count(), count(), vec(name(), 0..4)).prop_map(
        |(data_digest, passes, validation_instances, test_instances, summary)| Prepared {
            data_digest,
            passes,
            validation_instances,
            test_instances,
            summary,
        },
    )
}

fn metrics() -> impl Strategy<Value = TrainMetrics> {
    (any::<[u64; 11]>(), [(); 10].map(|()| number())).prop_map(|(count, sum)| TrainMetrics {
        groups: count[0],
        completions: count[1],
        zero_variance_groups: count[2],
        abstained: count[3],
        reward: sum[0],
        reward_std: sum[1],
        kl: sum[2],
        entropy: sum[3],
        codes: count[4],
        loss: sum[4],
        distinct: count[5],
        prompt_tokens: count[6],
        trained_codes: count[7],
        clipped: count[8],
        refilled: count[9],
        effective: sum[5],
        ratio: sum[6],
        ratio_squares: sum[7],
        nll: sum[8],
        title_loss: sum[9],
        title_tokens: count[10],
    })
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        prepared().prop_map(Outcome::Prepared),
        metrics().prop_map(Outcome::Trained),
        any::<[u64; 3]>().prop_map(|count| Outcome::Validated(ValidationCounts {
            instances: count[0],
            hits: count[1],
            candidate_accuracy: count[2],
        })),
        question_counts().prop_map(Outcome::Asked),
        vec(any::<u32>(), 0..40).prop_map(Outcome::Cleaned),
        Just(Outcome::Reported),
    ]
}

fn question_counts() -> impl Strategy<Value = QuestionCounts> {
    any::<[[u64; 4]; 2]>().prop_map(|[asked, right]| QuestionCounts { asked, right })
}

fn entry() -> impl Strategy<Value = LedgerEntry> {
    let prompts = || vec(any::<u32>(), 0..9);
    (iteration(), pass(), name(), fence(), [prompts(), prompts()], [(); 4].map(|()| digest())).prop_map(
        |(iteration, pass, stage, fence, [prompts, refilled], [gradient, before, after, previous])| LedgerEntry {
            iteration,
            pass,
            stage,
            attempt: 1,
            fence,
            changes: Vec::new(),
            decisions: Vec::new(),
            cleaned: Some(Box::new(Cleaned { stage: 1, prompts: 9, flagged: prompts.clone() })),
            prompts,
            refilled,
            gradient,
            before,
            after,
            previous,
        },
    )
}

fn bookmark() -> impl Strategy<Value = Bookmark> {
    (option::of(digest()), iteration(), any::<bool>(), vec(entry(), 0..4), option::of(entry())).prop_map(
        |(from, iteration, follows, lines, pending)| Bookmark {
            from,
            cursor: Cursor { iteration, ..Cursor::start() },
            follows,
            lines: lines.into_iter().map(JournalLine::Ledger).collect(),
            pending: pending.map(|entry| Pending::Commit { entry: Box::new(entry), metrics: None }),
        },
    )
}

fn held() -> impl Strategy<Value = Held> {
    ("[a-z0-9]{1,20}", fence(), any::<u32>(), [digest(), digest()], bookmark()).prop_map(
        |(run_id, fence, world, [config_digest, state], bookmark)| Held {
            run_id: run_id.parse().unwrap(),
            config_digest,
            fence,
            world,
            state,
            bookmark,
        },
    )
}

fn from_worker() -> impl Strategy<Value = FromWorker> {
    prop_oneof![
        (name(), name(), name(), 1..=1024_u32, option::of(held())).prop_map(
            |(name, code_version, rendezvous, lanes, held)| {
                FromWorker::Hello(Hello { name, code_version, rendezvous, lanes, held: held.map(Box::new) })
            }
        ),
        Just(FromWorker::Heartbeat),
        Just(FromWorker::Leaving),
        (fence(), digest()).prop_map(|(fence, state)| FromWorker::Formed { fence, state }),
        (fence(), any::<u32>(), digest(), outcome()).prop_map(|(fence, lease, state, outcome)| {
            FromWorker::LeaseDone { fence, lease: LeaseId(lease), state, outcome }
        }),
        (name(), 1..=255_u8).prop_map(|(message, exit_code)| FromWorker::Failed { message, exit_code }),
        (fence(), iteration(), digest())
            .prop_map(|(fence, iteration, gradient)| { FromWorker::Reduced { fence, iteration, gradient } }),
        (fence(), iteration(), digest())
            .prop_map(|(fence, iteration, state)| { FromWorker::Committed { fence, iteration, state } }),
        (fence(), digest()).prop_map(|(fence, state)| FromWorker::Changed { fence, state }),
        (fence(), digest(), vec(part(), 0..5)).prop_map(|(fence, state, parts)| FromWorker::PartsWritten {
            fence,
            state,
            parts
        }),
        (fence(), name()).prop_map(|(fence, message)| FromWorker::CollectiveFailed { fence, message }),
        (fence(), name()).prop_map(|(fence, message)| FromWorker::PartsFailed { fence, message }),
    ]
}

fn decision() -> impl Strategy<Value = Decision> {
    (pass(), name(), any::<u32>(), option::of(score()), name())
        .prop_map(|(pass, stage, iteration, score, reason)| Decision { pass, stage, iteration, score, reason })
}

fn summary() -> impl Strategy<Value = RunSummary> {
    let link = (state_change(), digest(), digest());
    let link = link.prop_map(|(change, before, after)| StateLink { change, before, after });
    let numbers = (any::<u64>(), 0.0..1e6f64);
    let point = (pass(), name(), question_counts());
    let point = point.prop_map(|(pass, stage, counts)| QuestionPoint { pass, stage, counts });
    let lists = (vec(decision(), 0..5), vec(link, 0..4), vec(point, 0..4));
    ([digest(), digest()], numbers, option::of("checkpoints/[0-9]{3}"), lists).prop_map(
        |([state_digest, journal_digest], (iterations, wall_seconds), select_checkpoint, lists)| {
            let (decisions, changes, questions) = lists;
            RunSummary {
                state_digest,
                iterations,
                journal_digest,
                wall_seconds,
                select_checkpoint,
                changes,
                decisions,
                questions,
            }
        },
    )
}

fn work() -> impl Strategy<Value = Work> {
    prop_oneof![
        Just(Work::Prepare),
        (pass(), any::<[u32; 3]>(), iteration(), [(); 3].map(|()| vec(any::<u32>(), 0..40))).prop_map(
            |(pass, [stage, attempt, update], iteration, [prompts, light, reserve])| {
                Work::Train { pass, stage, iteration, attempt, update, prompts, light, reserve }
            }
        ),
        (any::<u32>(), any::<u32>()).prop_map(|(a, b)| Work::Validate { from: a.min(b), to: a.max(b) }),
        (any::<u32>(), any::<u32>()).prop_map(|(a, b)| Work::Ask { from: a.min(b), to: a.max(b) }),
        (pass(), any::<[u32; 3]>()).prop_map(|(pass, [stage, a, b])| Work::Clean {
            pass,
            stage,
            from: a.min(b),
            to: a.max(b)
        }),
        summary().prop_map(|summary| Work::Report { summary }),
    ]
}

fn state_change() -> impl Strategy<Value = StateChange> {
    prop_oneof![
        pass().prop_map(|pass| StateChange::BeginPass { pass }),
        any::<u32>().prop_map(|stage| StateChange::BeginStage { stage }),
        Just(StateChange::BeginRollout),
        Just(StateChange::KeepBest),
        Just(StateChange::RestoreBest),
    ]
}

fn command() -> impl Strategy<Value = Command> {
    let state = prop_oneof![
        Just(StateSource::Empty),
        key().prop_map(|key| StateSource::Checkpoint { key }),
        Just(StateSource::Held { root: None }),
        Just(StateSource::Held { root: Some(0) }),
        Just(StateSource::Peer { root: 0 }),
    ];
    prop_oneof![
        (fence(), 0..4096_u32, any::<u32>(), name(), state).prop_map(|(fence, rank, more, rendezvous, state)| {
            let world = rank.saturating_add(more).clamp(rank + 1, 4096);
            Command::Form { fence, rank, world, rendezvous, state }
        }),
        (any::<u32>(), fence(), work()).prop_map(|(id, fence, work)| Command::Grant(Lease {
            id: LeaseId(id),
            fence,
            work
        })),
        (fence(), iteration()).prop_map(|(fence, iteration)| Command::Reduce { fence, iteration }),
        (fence(), iteration(), any::<u64>(), number(), digest()).prop_map(
            |(fence, iteration, divisor, learning_rate, state)| Command::Commit {
                fence,
                iteration,
                divisor,
                learning_rate,
                state
            }
        ),
        fence().prop_map(|fence| Command::Abort { fence }),
        (fence(), state_change(), digest()).prop_map(|(fence, change, state)| Command::Change { fence, change, state }),
        bookmark().prop_map(|bookmark| Command::Remember(Box::new(bookmark))),
        (fence(), key()).prop_map(|(fence, key)| Command::WriteParts { fence, key }),
        (name(), any::<bool>()).prop_map(|(reason, complete)| Command::Stop { reason, complete }),
    ]
}

fn to_worker() -> impl Strategy<Value = ToWorker> {
    prop_oneof![
        1 => (any::<u64>(), "[a-z0-9][a-z0-9._-]{0,62}", name(), name(), any::<u32>()).prop_map(
            |(id, run_id, run_spec_toml, store_url, heartbeat_seconds)| {
                ToWorker::Welcome(Welcome {
                    worker: WorkerId(id),
                    run_id: run_id.parse().unwrap(),
                    run_spec_toml,
                    store_url,
                    heartbeat_seconds,
                })
            }
        ),
        7 => command().prop_map(ToWorker::Command),
    ]
}

fn activity() -> impl Strategy<Value = Activity> {
    prop_oneof![
        (any::<u32>(), any::<u32>()).prop_map(|(joined, expected)| Activity::WaitingForWorkers { joined, expected }),
        Just(Activity::Preparing),
        vec(name(), 0..4).prop_map(|summary| Activity::Prepared { summary }),
        Just(Activity::Forming),
        name().prop_map(|reason| Activity::Lost { reason }),
        name().prop_map(|reason| Activity::Left { reason }),
        name().prop_map(|reason| Activity::CheckpointMissed { reason }),
        name().prop_map(|reason| Activity::Skipped { reason }),
        (pass(), name(), any::<[u32; 2]>(), number(), option::of(number()), option::of(number())).prop_map(
            |(pass, stage, [done, of], loss, reward, kl)| {
                Activity::Training { pass, stage, done, of, loss, reward, kl }
            }
        ),
        (name(), any::<u32>(), any::<u32>()).prop_map(|(stage, done, of)| Activity::Validating { stage, done, of }),
        (name(), any::<u32>(), option::of(score()), name())
            .prop_map(|(stage, iteration, score, reason)| { Activity::Decided { stage, iteration, score, reason } }),
        Just(Activity::Checkpointing),
        key().prop_map(|key| Activity::Checkpointed { key }),
        Just(Activity::Cancelled),
        Just(Activity::Evaluating),
        Just(Activity::Completed),
        Just(Activity::Stopped),
        name().prop_map(|reason| Activity::Failed { reason }),
    ]
}

proptest! {
    #[test]
    fn worker_messages_survive_the_wire(message in from_worker()) {
        let bytes = wire::WorkerMessage::from(message.clone()).encode_to_vec();
        let back = wire::WorkerMessage::decode(bytes.as_slice()).unwrap();
        prop_assert_eq!(FromWorker::try_from(back).unwrap(), message);
    }

    #[test]
    fn coordinator_messages_survive_the_wire(message in to_worker()) {
        let bytes = wire::CoordinatorMessage::from(message.clone()).encode_to_vec();
        let back = wire::CoordinatorMessage::decode(bytes.as_slice()).unwrap();
        prop_assert_eq!(ToWorker::try_from(back).unwrap(), message);
    }

    #[test]
    fn statuses_survive_the_wire(
        activity in activity(), iteration in iteration(), iterations_planned in any::<u64>(), workers in any::<u32>()
    ) {
        let status = Status { activity, iteration, iterations_planned, workers };
        let bytes = wire::StatusMessage::from(status.clone()).encode_to_vec();
        let back = wire::StatusMessage::decode(bytes.as_slice()).unwrap();
        prop_assert_eq!(Status::try_from(back).unwrap(), status);
    }

    /// Whatever bytes come, decoding ends in a value or an error, never in a panic.
    #[test]
    fn arbitrary_bytes_are_decoded_or_refused(bytes in vec(any::<u8>(), 0..200)) {
        if let Ok(message) = wire::WorkerMessage::decode(bytes.as_slice()) {
            let _ = FromWorker::try_from(message);
        }
        if let Ok(message) = wire::CoordinatorMessage::decode(bytes.as_slice()) {
            let _ = ToWorker::try_from(message);
        }
    }
}

fn refused(body: wire::worker_message::Body) -> ConvertError {
    FromWorker::try_from(wire::WorkerMessage { body: Some(body) }).unwrap_err()
}

#[test]
fn an_empty_message_is_refused() {
    let error = FromWorker::try_from(wire::WorkerMessage { body: None }).unwrap_err();
    assert_eq!(error.field, "WorkerMessage.body");
    assert_eq!(error.found, "nothing");
}

#[test]
fn a_digest_of_another_length_is_refused_with_both_lengths() {
    let error = refused(wire::worker_message::Body::Formed(wire::Formed { fence: 1, state: vec![0; 31] }));
    assert_eq!((error.field, error.found.as_str(), error.expected.as_str()), ("Formed.state", "31 bytes", "32 bytes"));
}

#[test]
fn an_exit_code_outside_a_byte_is_refused() {
    for exit_code in [0, 256] {
        let error =
            refused(wire::worker_message::Body::Failed(wire::WorkerFailed { message: String::new(), exit_code }));
        assert_eq!(error.field, "WorkerFailed.exit_code");
    }
}

#[test]
fn a_list_beyond_its_limit_is_refused() {
    let part = wire::Part { name: "a".into(), bytes: 1, sha256: vec![0; 32] };
    let error = refused(wire::worker_message::Body::PartsWritten(wire::PartsWritten {
        state: vec![0; 32],
        fence: 1,
        parts: vec![part; conrec_proto::convert::limits::MAX_PARTS + 1],
    }));
    assert_eq!((error.field, error.found.as_str()), ("PartsWritten.parts", "1025 entries"));
}

#[test]
fn an_unknown_pass_is_refused() {
    let change = wire::Change {
        fence: 1,
        change: Some(wire::change::Change::BeginPass(wire::BeginPass { pass: 3 })),
        state: vec![0; 32],
    };
    let message = wire::CoordinatorMessage { body: Some(wire::coordinator_message::Body::Change(change)) };
    let error = ToWorker::try_from(message).unwrap_err();
    assert_eq!((error.field, error.found.as_str()), ("BeginPass.pass", "3"));
}

#[test]
fn a_rank_outside_the_world_is_refused() {
    let form = wire::Form {
        fence: 1,
        rank: 2,
        world: 2,
        rendezvous: String::new(),
        state: Some(wire::form::State::Empty(wire::EmptyState {})),
    };
    let message = wire::CoordinatorMessage { body: Some(wire::coordinator_message::Body::Form(form)) };
    assert_eq!(ToWorker::try_from(message).unwrap_err().field, "Form.rank");
}

#[test]
fn a_failure_longer_than_the_limit_is_cut_and_still_arrives() {
    let long = FromWorker::Failed { message: "ä".repeat(40_000), exit_code: 1 };
    let back = FromWorker::try_from(wire::WorkerMessage::from(long)).unwrap();
    assert!(matches!(back, FromWorker::Failed { message, .. } if message.len() == 65_536));
}

#[test]
fn what_leads_elsewhere_or_takes_all_memory_is_refused() {
    for name in ["../x", "/etc/passwd", "a//b", "", "a/.hidden", "a\nb", "a\\b"] {
        let part = wire::Part { name: name.into(), bytes: 1, sha256: vec![0; 32] };
        let written = wire::PartsWritten { state: vec![0; 32], fence: 1, parts: vec![part] };
        assert_eq!(refused(wire::worker_message::Body::PartsWritten(written)).field, "Part.name", "{name:?}");
    }
    let hello = wire::Hello { name: "\u{1b}[2J".into(), lanes: 1, ..wire::Hello::default() };
    assert_eq!(refused(wire::worker_message::Body::Hello(hello)).field, "Hello.name");
    let prepared = wire::Prepared { data_digest: vec![0; 32], test_instances: u32::MAX, ..wire::Prepared::default() };
    let outcome = Some(wire::lease_done::Outcome::Prepared(prepared));
    let done = wire::LeaseDone { fence: 1, lease: 0, state: vec![0; 32], outcome };
    assert_eq!(refused(wire::worker_message::Body::LeaseDone(done)).field, "Prepared.test_instances");
}
