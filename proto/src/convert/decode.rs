//! Wire -> domain for the messages of both streams and of operators; every field is checked.

use super::ConvertError;
use super::decode_work::{parts, pass};
use super::limits::{MAX_LANES, MAX_MEMBERS, MAX_PASSES, MAX_SENTENCE_BYTES, MAX_SPEC_BYTES};
use super::present::{digest, json, key, list, name, present, text};
use crate::message::{FromWorker, ToWorker, Welcome};
use crate::wire;
use conrec_domain::effect::{Command, StateSource};
use conrec_domain::event::Hello;
use conrec_domain::ids::{Fence, Iteration, LeaseId, WorkerId};
use conrec_domain::status::{Activity, Status};

impl TryFrom<wire::WorkerMessage> for FromWorker {
    type Error = ConvertError;

    fn try_from(message: wire::WorkerMessage) -> Result<Self, ConvertError> {
        use wire::worker_message::Body;
        Ok(match present("WorkerMessage.body", message.body)? {
            Body::Hello(hello) => Self::Hello(hello.try_into()?),
            Body::Heartbeat(wire::Heartbeat {}) => Self::Heartbeat,
            Body::Leaving(wire::Leaving {}) => Self::Leaving,
            Body::Formed(formed) => {
                Self::Formed { fence: Fence(formed.fence), state: digest("Formed.state", formed.state)? }
            }
            Body::LeaseDone(done) => Self::LeaseDone {
                fence: Fence(done.fence),
                lease: LeaseId(done.lease),
                state: digest("LeaseDone.state", done.state)?,
                outcome: present("LeaseDone.outcome", done.outcome)?.try_into()?,
            },
            Body::Failed(failed) => failed.try_into()?,
            Body::Reduced(reduced) => Self::Reduced {
                fence: Fence(reduced.fence),
                iteration: Iteration(reduced.iteration),
                gradient: digest("Reduced.gradient", reduced.gradient)?,
            },
            Body::Committed(committed) => Self::Committed {
                fence: Fence(committed.fence),
                iteration: Iteration(committed.iteration),
                state: digest("Committed.state", committed.state)?,
            },
            Body::Changed(changed) => {
                Self::Changed { fence: Fence(changed.fence), state: digest("Changed.state", changed.state)? }
            }
            Body::PartsWritten(written) => Self::PartsWritten {
                fence: Fence(written.fence),
                state: digest("PartsWritten.state", written.state)?,
                parts: parts("PartsWritten.parts", written.parts)?,
            },
            Body::PartsFailed(failed) => Self::PartsFailed {
                fence: Fence(failed.fence),
                message: text("PartsFailed.message", failed.message, MAX_SENTENCE_BYTES)?,
            },
            Body::CollectiveFailed(failed) => Self::CollectiveFailed {
                fence: Fence(failed.fence),
                message: text("CollectiveFailed.message", failed.message, MAX_SENTENCE_BYTES)?,
            },
        })
    }
}

impl TryFrom<wire::Hello> for Hello {
    type Error = ConvertError;

    fn try_from(hello: wire::Hello) -> Result<Self, ConvertError> {
        Ok(Self {
            name: name("Hello.name", hello.name)?,
            code_version: name("Hello.code_version", hello.code_version)?,
            rendezvous: name("Hello.rendezvous", hello.rendezvous)?,
            lanes: lanes(hello.lanes)?,
            held: if hello.held.is_empty() { None } else { Some(json("Hello.held", &hello.held)?) },
        })
    }
}

fn lanes(found: u32) -> Result<u32, ConvertError> {
    let wrong = || ConvertError::new("Hello.lanes", found.to_string(), format!("1 to {MAX_LANES}"));
    (1..=MAX_LANES).contains(&found).then_some(found).ok_or_else(wrong)
}

impl TryFrom<wire::WorkerFailed> for FromWorker {
    type Error = ConvertError;

    fn try_from(failed: wire::WorkerFailed) -> Result<Self, ConvertError> {
        let exit_code = u8::try_from(failed.exit_code)
            .ok()
            .filter(|code| *code > 0)
            .ok_or_else(|| ConvertError::new("WorkerFailed.exit_code", failed.exit_code.to_string(), "1 to 255"))?;
        Ok(Self::Failed { message: text("WorkerFailed.message", failed.message, MAX_SENTENCE_BYTES)?, exit_code })
    }
}

impl TryFrom<wire::CoordinatorMessage> for ToWorker {
    type Error = ConvertError;

    fn try_from(message: wire::CoordinatorMessage) -> Result<Self, ConvertError> {
        use wire::coordinator_message::Body;
        let command = match present("CoordinatorMessage.body", message.body)? {
            Body::Welcome(welcome) => return Ok(Self::Welcome(welcome.try_into()?)),
            Body::Form(form) => form.try_into()?,
            Body::Grant(lease) => Command::Grant(lease.try_into()?),
            Body::Reduce(reduce) => {
                Command::Reduce { fence: Fence(reduce.fence), iteration: Iteration(reduce.iteration) }
            }
            Body::Commit(commit) => Command::Commit {
                fence: Fence(commit.fence),
                iteration: Iteration(commit.iteration),
                divisor: commit.divisor,
                learning_rate: commit.learning_rate,
                state: digest("Commit.state", commit.state)?,
            },
            Body::Change(change) => Command::Change {
                fence: Fence(change.fence),
                change: present("Change.change", change.change)?.try_into()?,
                state: digest("Change.state", change.state)?,
            },
            Body::WriteParts(write) => {
                Command::WriteParts { fence: Fence(write.fence), key: key("WriteParts.key", write.key)? }
            }
            Body::Remember(remember) => Command::Remember(json("Remember.bookmark", &remember.bookmark)?),
            Body::Abort(abort) => Command::Abort { fence: Fence(abort.fence) },
            Body::Stop(stop) => {
                Command::Stop { reason: text("Stop.reason", stop.reason, MAX_SENTENCE_BYTES)?, complete: stop.complete }
            }
        };
        Ok(Self::Command(command))
    }
}

impl TryFrom<wire::Welcome> for Welcome {
    type Error = ConvertError;

    fn try_from(welcome: wire::Welcome) -> Result<Self, ConvertError> {
        let run_id = welcome.run_id.parse().map_err(|_| {
            let found = welcome.run_id.chars().take(64).collect::<String>();
            ConvertError::new("Welcome.run_id", format!("`{found}`"), "1 to 63 of a-z 0-9 - _ .")
        })?;
        Ok(Self {
            worker: WorkerId(welcome.worker_id),
            run_id,
            run_spec_toml: text("Welcome.run_spec_toml", welcome.run_spec_toml, MAX_SPEC_BYTES)?,
            store_url: text("Welcome.store_url", welcome.store_url, MAX_SENTENCE_BYTES)?,
            heartbeat_seconds: welcome.heartbeat_seconds,
        })
    }
}

impl TryFrom<wire::Form> for Command {
    type Error = ConvertError;

    fn try_from(form: wire::Form) -> Result<Self, ConvertError> {
        if form.rank >= form.world {
            let expected = format!("less than Form.world = {}", form.world);
            return Err(ConvertError::new("Form.rank", form.rank.to_string(), expected));
        }
        if form.world > MAX_MEMBERS {
            let expected = format!("at most {MAX_MEMBERS}");
            return Err(ConvertError::new("Form.world", form.world.to_string(), expected));
        }
        Ok(Self::Form {
            fence: Fence(form.fence),
            rank: form.rank,
            world: form.world,
            rendezvous: name("Form.rendezvous", form.rendezvous)?,
            state: match present("Form.state", form.state)? {
                wire::form::State::Empty(wire::EmptyState {}) => StateSource::Empty,
                wire::form::State::Checkpoint(found) => StateSource::Checkpoint { key: key("Form.checkpoint", found)? },
                wire::form::State::Held(held) => {
                    StateSource::Held { root: held.root.map(|root| member("Form.held", root, form.world)).transpose()? }
                }
                wire::form::State::Peer(peer) => {
                    StateSource::Peer { root: member("Form.peer", peer.root, form.world)? }
                }
            },
        })
    }
}

/// A rank of the roster.
fn member(field: &'static str, rank: u32, world: u32) -> Result<u32, ConvertError> {
    let wrong = || ConvertError::new(field, rank.to_string(), format!("less than Form.world = {world}"));
    (rank < world).then_some(rank).ok_or_else(wrong)
}

impl TryFrom<wire::StatusMessage> for Status {
    type Error = ConvertError;

    fn try_from(status: wire::StatusMessage) -> Result<Self, ConvertError> {
        Ok(Self {
            activity: present("StatusMessage.activity", status.activity)?.try_into()?,
            iteration: Iteration(status.iteration),
            iterations_planned: status.iterations_planned,
            workers: status.workers,
        })
    }
}

impl TryFrom<wire::status_message::Activity> for Activity {
    type Error = ConvertError;

    fn try_from(activity: wire::status_message::Activity) -> Result<Self, ConvertError> {
        use wire::status_message::Activity as Wire;
        Ok(match activity {
            Wire::WaitingForWorkers(waiting) => {
                Self::WaitingForWorkers { joined: waiting.joined, expected: waiting.expected }
            }
            Wire::Preparing(wire::Preparing {}) => Self::Preparing,
            Wire::DataPrepared(prepared) => Self::Prepared {
                summary: list("DataPrepared.summary", prepared.summary, MAX_PASSES * 8, |one| {
                    text("DataPrepared.summary", one, MAX_SENTENCE_BYTES)
                })?,
            },
            Wire::Forming(wire::Forming {}) => Self::Forming,
            Wire::Lost(lost) => Self::Lost { reason: text("Lost.reason", lost.reason, MAX_SENTENCE_BYTES)? },
            Wire::Left(left) => Self::Left { reason: text("Left.reason", left.reason, MAX_SENTENCE_BYTES)? },
            Wire::Training(training) => Self::Training {
                pass: pass("Training.pass", training.pass)?,
                stage: name("Training.stage", training.stage)?,
                done: training.done,
                of: training.of,
                loss: training.loss,
                reward: training.reward,
                kl: training.kl,
            },
            Wire::Validating(validating) => Self::Validating {
                stage: name("Validating.stage", validating.stage)?,
                done: validating.done,
                of: validating.of,
            },
            Wire::Decided(decided) => Self::Decided {
                stage: name("Decided.stage", decided.stage)?,
                iteration: decided.iteration,
                score: decided.score.map(Into::into),
                reason: text("Decided.reason", decided.reason, MAX_SENTENCE_BYTES)?,
            },
            Wire::CheckpointMissed(missed) => {
                Self::CheckpointMissed { reason: text("CheckpointMissed.reason", missed.reason, MAX_SENTENCE_BYTES)? }
            }
            Wire::Skipped(skipped) => {
                Self::Skipped { reason: text("Skipped.reason", skipped.reason, MAX_SENTENCE_BYTES)? }
            }
            Wire::Checkpointing(wire::Checkpointing {}) => Self::Checkpointing,
            Wire::Checkpointed(whole) => Self::Checkpointed { key: key("Checkpointed.key", whole.key)? },
            Wire::Cancelled(wire::Cancelled {}) => Self::Cancelled,
            Wire::Evaluating(wire::Evaluating {}) => Self::Evaluating,
            Wire::Completed(wire::Completed {}) => Self::Completed,
            Wire::Stopped(wire::Stopped {}) => Self::Stopped,
            Wire::Failed(failed) => Self::Failed { reason: text("Failed.reason", failed.reason, MAX_SENTENCE_BYTES)? },
        })
    }
}
