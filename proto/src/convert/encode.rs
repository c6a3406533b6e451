//! Domain -> wire; cannot fail. Sentences for people are cut to the length that the other end accepts.

use super::limits::{MAX_HELD_BYTES, MAX_SENTENCE_BYTES};
use crate::message::{FromWorker, ToWorker, Welcome};
use crate::wire;
use conrec_domain::effect::{Command, StateSource};
use conrec_domain::event::Hello;
use conrec_domain::ids::Digest;
use conrec_domain::ledger::StateLink;
use conrec_domain::manifest::Part;
use conrec_domain::status::{Activity, Status};
use conrec_domain::work::{
    Decision, Lease, Outcome, Pass, Prepared, PreparedPass, QuestionCounts, QuestionPoint, RunSummary, Score,
    StateChange, TrainMetrics, ValidationCounts, Work,
};

fn bytes(digest: Digest) -> Vec<u8> {
    digest.0.to_vec()
}

/// Empty where it cannot be written down, which the other end refuses.
fn json(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

/// Cut at a character's boundary: half a reason says more than a refused message.
fn sentence(mut text: String) -> String {
    let end = (0..=text.len().min(MAX_SENTENCE_BYTES)).rev().find(|&at| text.is_char_boundary(at));
    text.truncate(end.unwrap_or(0));
    text
}

fn pass(pass: Pass) -> i32 {
    let pass = match pass {
        Pass::Select => wire::Pass::Select,
        Pass::Refit => wire::Pass::Refit,
    };
    pass.into()
}

impl From<FromWorker> for wire::WorkerMessage {
    fn from(message: FromWorker) -> Self {
        use wire::worker_message::Body;
        let body = match message {
            FromWorker::Hello(hello) => Body::Hello(hello.into()),
            FromWorker::Heartbeat => Body::Heartbeat(wire::Heartbeat {}),
            FromWorker::Leaving => Body::Leaving(wire::Leaving {}),
            FromWorker::Formed { fence, state } => Body::Formed(wire::Formed { fence: fence.0, state: bytes(state) }),
            FromWorker::LeaseDone { fence, lease, state, outcome } => Body::LeaseDone(wire::LeaseDone {
                fence: fence.0,
                lease: lease.0,
                state: bytes(state),
                outcome: Some(outcome.into()),
            }),
            FromWorker::Failed { message, exit_code } => {
                Body::Failed(wire::WorkerFailed { message: sentence(message), exit_code: exit_code.into() })
            }
            FromWorker::Reduced { fence, iteration, gradient } => {
                Body::Reduced(wire::Reduced { fence: fence.0, iteration: iteration.0, gradient: bytes(gradient) })
            }
            FromWorker::Committed { fence, iteration, state } => {
                Body::Committed(wire::Committed { fence: fence.0, iteration: iteration.0, state: bytes(state) })
            }
            FromWorker::Changed { fence, state } => {
                Body::Changed(wire::Changed { fence: fence.0, state: bytes(state) })
            }
            FromWorker::PartsFailed { fence, message } => {
                Body::PartsFailed(wire::PartsFailed { fence: fence.0, message: sentence(message) })
            }
            FromWorker::CollectiveFailed { fence, message } => {
                Body::CollectiveFailed(wire::CollectiveFailed { fence: fence.0, message: sentence(message) })
            }
            FromWorker::PartsWritten { fence, state, parts } => Body::PartsWritten(wire::PartsWritten {
                state: bytes(state),
                fence: fence.0,
                parts: parts.into_iter().map(Into::into).collect(),
            }),
        };
        Self { body: Some(body) }
    }
}

impl From<Hello> for wire::Hello {
    fn from(hello: Hello) -> Self {
        let Hello { name, code_version, rendezvous, lanes, held } = hello;
        // What is too large to be sent is not held: the coordinator then goes back to its newest checkpoint.
        let held = held.map(|held| json(&held)).filter(|held| held.len() <= MAX_HELD_BYTES).unwrap_or_default();
        Self { name, code_version, rendezvous, lanes, held }
    }
}

impl From<Part> for wire::Part {
    fn from(part: Part) -> Self {
        Self { name: part.name, bytes: part.bytes, sha256: bytes(part.sha256) }
    }
}

impl From<Outcome> for wire::lease_done::Outcome {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Prepared(prepared) => Self::Prepared(prepared.into()),
            Outcome::Trained(metrics) => Self::Trained(metrics.into()),
            Outcome::Validated(counts) => Self::Validated(counts.into()),
            Outcome::Asked(counts) => Self::Asked(counts.into()),
            Outcome::Cleaned(prompts) => Self::Cleaned(wire::Flagged { prompts }),
            Outcome::Reported => Self::Reported(wire::Reported {}),
        }
    }
}

impl From<Prepared> for wire::Prepared {
    fn from(prepared: Prepared) -> Self {
        Self {
            data_digest: bytes(prepared.data_digest),
            passes: prepared.passes.into_iter().map(Into::into).collect(),
            validation_instances: prepared.validation_instances,
            test_instances: prepared.test_instances,
            summary: prepared.summary.into_iter().map(sentence).collect(),
        }
    }
}

impl From<PreparedPass> for wire::PreparedPass {
    fn from(prepared: PreparedPass) -> Self {
        Self { pass: pass(prepared.pass), prompts: prepared.prompts }
    }
}

impl From<TrainMetrics> for wire::TrainMetrics {
    fn from(metrics: TrainMetrics) -> Self {
        Self {
            groups: metrics.groups,
            completions: metrics.completions,
            zero_variance_groups: metrics.zero_variance_groups,
            abstained: metrics.abstained,
            reward: metrics.reward,
            reward_std: metrics.reward_std,
            kl: metrics.kl,
            entropy: metrics.entropy,
            codes: metrics.codes,
            loss: metrics.loss,
            distinct: metrics.distinct,
            prompt_tokens: metrics.prompt_tokens,
            trained_codes: metrics.trained_codes,
            clipped: metrics.clipped,
            effective: metrics.effective,
            nll: metrics.nll,
            refilled: metrics.refilled,
            ratio: metrics.ratio,
            ratio_squares: metrics.ratio_squares,
            title_loss: metrics.title_loss,
            title_tokens: metrics.title_tokens,
        }
    }
}

impl From<ValidationCounts> for wire::ValidationCounts {
    fn from(counts: ValidationCounts) -> Self {
        Self { instances: counts.instances, hits: counts.hits, candidate_accuracy: counts.candidate_accuracy }
    }
}

impl From<QuestionCounts> for wire::QuestionCounts {
    fn from(counts: QuestionCounts) -> Self {
        Self { asked: counts.asked.to_vec(), right: counts.right.to_vec() }
    }
}

impl From<QuestionPoint> for wire::QuestionPoint {
    fn from(point: QuestionPoint) -> Self {
        Self { pass: pass(point.pass), stage: point.stage, counts: Some(point.counts.into()) }
    }
}

impl From<ToWorker> for wire::CoordinatorMessage {
    fn from(message: ToWorker) -> Self {
        use wire::coordinator_message::Body;
        let body = match message {
            ToWorker::Welcome(welcome) => Body::Welcome(welcome.into()),
            ToWorker::Command(command) => command.into(),
        };
        Self { body: Some(body) }
    }
}

impl From<Welcome> for wire::Welcome {
    fn from(welcome: Welcome) -> Self {
        Self {
            worker_id: welcome.worker.0,
            run_id: welcome.run_id.into(),
            run_spec_toml: welcome.run_spec_toml,
            store_url: welcome.store_url,
            heartbeat_seconds: welcome.heartbeat_seconds,
        }
    }
}

impl From<Command> for wire::coordinator_message::Body {
    fn from(command: Command) -> Self {
        match command {
            Command::Form { fence, rank, world, rendezvous, state } => Self::Form(wire::Form {
                fence: fence.0,
                rank,
                world,
                rendezvous,
                state: Some(match state {
                    StateSource::Empty => wire::form::State::Empty(wire::EmptyState {}),
                    StateSource::Checkpoint { key } => wire::form::State::Checkpoint(key),
                    StateSource::Held { root } => wire::form::State::Held(wire::HeldState { root }),
                    StateSource::Peer { root } => wire::form::State::Peer(wire::PeerState { root }),
                }),
            }),
            Command::Grant(lease) => Self::Grant(lease.into()),
            Command::Reduce { fence, iteration } => {
                Self::Reduce(wire::Reduce { fence: fence.0, iteration: iteration.0 })
            }
            Command::Commit { fence, iteration, divisor, learning_rate, state } => {
                let (fence, iteration, state) = (fence.0, iteration.0, bytes(state));
                Self::Commit(wire::Commit { fence, iteration, divisor, learning_rate, state })
            }
            Command::Change { fence, change, state } => {
                Self::Change(wire::Change { fence: fence.0, change: Some(change.into()), state: bytes(state) })
            }
            Command::Remember(bookmark) => Self::Remember(wire::Remember { bookmark: json(&bookmark) }),
            Command::WriteParts { fence, key } => Self::WriteParts(wire::WriteParts { fence: fence.0, key }),
            Command::Abort { fence } => Self::Abort(wire::Abort { fence: fence.0 }),
            Command::Stop { reason, complete } => Self::Stop(wire::Stop { reason: sentence(reason), complete }),
        }
    }
}

impl From<StateChange> for wire::change::Change {
    fn from(change: StateChange) -> Self {
        match change {
            StateChange::BeginPass { pass: which } => Self::BeginPass(wire::BeginPass { pass: pass(which) }),
            StateChange::BeginStage { stage } => Self::BeginStage(wire::BeginStage { stage }),
            StateChange::BeginRollout => Self::BeginRollout(wire::BeginRollout {}),
            StateChange::KeepBest => Self::KeepBest(wire::KeepBest {}),
            StateChange::RestoreBest => Self::RestoreBest(wire::RestoreBest {}),
        }
    }
}

impl From<Lease> for wire::Lease {
    fn from(lease: Lease) -> Self {
        Self { id: lease.id.0, fence: lease.fence.0, work: Some(lease.work.into()) }
    }
}

impl From<Work> for wire::lease::Work {
    fn from(work: Work) -> Self {
        match work {
            Work::Prepare => Self::Prepare(wire::Prepare {}),
            Work::Train { pass: which, stage, iteration, attempt, update, prompts, light, reserve } => {
                Self::Train(wire::Train {
                    pass: pass(which),
                    stage,
                    iteration: iteration.0,
                    prompts,
                    attempt,
                    light,
                    update,
                    reserve,
                })
            }
            Work::Validate { from, to } => Self::Validate(wire::Validate { from, to }),
            Work::Ask { from, to } => Self::Ask(wire::Ask { from, to }),
            Work::Clean { pass: which, stage, from, to } => {
                Self::Clean(wire::Clean { pass: pass(which), stage, from, to })
            }
            Work::Report { summary } => Self::Report(wire::Report { summary: Some(summary.into()) }),
        }
    }
}

impl From<RunSummary> for wire::RunSummary {
    fn from(summary: RunSummary) -> Self {
        Self {
            state_digest: bytes(summary.state_digest),
            iterations: summary.iterations,
            journal_digest: bytes(summary.journal_digest),
            decisions: summary.decisions.into_iter().map(Into::into).collect(),
            wall_seconds: summary.wall_seconds,
            select_checkpoint: summary.select_checkpoint.unwrap_or_default(),
            changes: summary.changes.into_iter().map(Into::into).collect(),
            questions: summary.questions.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<StateLink> for wire::StateLink {
    fn from(link: StateLink) -> Self {
        Self {
            change: Some(wire::Change { fence: 0, change: Some(link.change.into()), state: Vec::new() }),
            before: bytes(link.before),
            after: bytes(link.after),
        }
    }
}

impl From<Decision> for wire::Decision {
    fn from(decision: Decision) -> Self {
        Self {
            pass: pass(decision.pass),
            stage: decision.stage,
            iteration: decision.iteration,
            score: decision.score.map(Into::into),
            reason: sentence(decision.reason),
        }
    }
}

impl From<Score> for wire::Score {
    fn from(score: Score) -> Self {
        Self { fhr: score.fhr, candidate_accuracy: score.candidate_accuracy }
    }
}

impl From<Status> for wire::StatusMessage {
    fn from(status: Status) -> Self {
        Self {
            iteration: status.iteration.0,
            iterations_planned: status.iterations_planned,
            workers: status.workers,
            activity: Some(status.activity.into()),
        }
    }
}

impl From<Activity> for wire::status_message::Activity {
    fn from(activity: Activity) -> Self {
        match activity {
            Activity::WaitingForWorkers { joined, expected } => {
                Self::WaitingForWorkers(wire::WaitingForWorkers { joined, expected })
            }
            Activity::Preparing => Self::Preparing(wire::Preparing {}),
            Activity::Prepared { summary } => {
                Self::DataPrepared(wire::DataPrepared { summary: summary.into_iter().map(sentence).collect() })
            }
            Activity::Forming => Self::Forming(wire::Forming {}),
            Activity::Lost { reason } => Self::Lost(wire::Lost { reason: sentence(reason) }),
            Activity::Left { reason } => Self::Left(wire::Left { reason: sentence(reason) }),
            Activity::Training { pass: which, stage, done, of, loss, reward, kl } => {
                Self::Training(wire::Training { pass: pass(which), stage, done, of, loss, reward, kl })
            }
            Activity::Validating { stage, done, of } => Self::Validating(wire::Validating { stage, done, of }),
            Activity::Decided { stage, iteration, score, reason } => Self::Decided(wire::Decided {
                stage,
                iteration,
                score: score.map(Into::into),
                reason: sentence(reason),
            }),
            Activity::CheckpointMissed { reason } => {
                Self::CheckpointMissed(wire::CheckpointMissed { reason: sentence(reason) })
            }
            Activity::Skipped { reason } => Self::Skipped(wire::Skipped { reason: sentence(reason) }),
            Activity::Checkpointing => Self::Checkpointing(wire::Checkpointing {}),
            Activity::Checkpointed { key } => Self::Checkpointed(wire::Checkpointed { key }),
            Activity::Cancelled => Self::Cancelled(wire::Cancelled {}),
            Activity::Evaluating => Self::Evaluating(wire::Evaluating {}),
            Activity::Completed => Self::Completed(wire::Completed {}),
            Activity::Stopped => Self::Stopped(wire::Stopped {}),
            Activity::Failed { reason } => Self::Failed(wire::Failed { reason: sentence(reason) }),
        }
    }
}
