//! Wire -> domain for work, its outcomes and what they are made of; every field is checked.

use super::ConvertError;
use super::limits::{
    MAX_CHANGES, MAX_DECISIONS, MAX_NAME_BYTES, MAX_PARTS, MAX_PASSES, MAX_PROMPTS, MAX_SENTENCE_BYTES, MAX_STAGES,
};
use super::present::{count, digest, key, list, name, numbers, present, text};
use crate::wire;
use conrec_domain::ids::{Fence, Iteration, LeaseId};
use conrec_domain::ledger::StateLink;
use conrec_domain::manifest::Part;
use conrec_domain::work::{
    Decision, Lease, Outcome, Pass, Prepared, PreparedPass, QuestionCounts, QuestionPoint, RunSummary, Score,
    StateChange, TrainMetrics, ValidationCounts, Work,
};

/// A pass; 0 and numbers of a later version are refused.
pub(super) fn pass(field: &'static str, value: i32) -> Result<Pass, ConvertError> {
    match wire::Pass::try_from(value) {
        Ok(wire::Pass::Select) => Ok(Pass::Select),
        Ok(wire::Pass::Refit) => Ok(Pass::Refit),
        Ok(wire::Pass::Unspecified) | Err(_) => {
            Err(ConvertError::new(field, value.to_string(), "1 (select) or 2 (refit)"))
        }
    }
}

/// Files of a checkpoint.
pub(super) fn parts(field: &'static str, parts: Vec<wire::Part>) -> Result<Vec<Part>, ConvertError> {
    list(field, parts, MAX_PARTS, |part| {
        Ok(Part { name: key("Part.name", part.name)?, bytes: part.bytes, sha256: digest("Part.sha256", part.sha256)? })
    })
}

impl TryFrom<wire::lease_done::Outcome> for Outcome {
    type Error = ConvertError;

    fn try_from(outcome: wire::lease_done::Outcome) -> Result<Self, ConvertError> {
        Ok(match outcome {
            wire::lease_done::Outcome::Prepared(prepared) => Self::Prepared(prepared.try_into()?),
            wire::lease_done::Outcome::Trained(metrics) => Self::Trained(metrics.into()),
            wire::lease_done::Outcome::Validated(counts) => Self::Validated(counts.into()),
            wire::lease_done::Outcome::Asked(counts) => Self::Asked(counts.try_into()?),
            wire::lease_done::Outcome::Cleaned(flagged) => {
                Self::Cleaned(numbers("Flagged.prompts", flagged.prompts, MAX_PROMPTS)?)
            }
            wire::lease_done::Outcome::Reported(wire::Reported {}) => Self::Reported,
        })
    }
}

impl TryFrom<wire::Prepared> for Prepared {
    type Error = ConvertError;

    fn try_from(prepared: wire::Prepared) -> Result<Self, ConvertError> {
        Ok(Self {
            data_digest: digest("Prepared.data_digest", prepared.data_digest)?,
            passes: list("Prepared.passes", prepared.passes, MAX_PASSES, |one| {
                Ok(PreparedPass {
                    pass: pass("PreparedPass.pass", one.pass)?,
                    prompts: list("PreparedPass.prompts", one.prompts, MAX_STAGES, |prompts| {
                        count("PreparedPass.prompts", prompts)
                    })?,
                })
            })?,
            validation_instances: count("Prepared.validation_instances", prepared.validation_instances)?,
            test_instances: count("Prepared.test_instances", prepared.test_instances)?,
            summary: list("Prepared.summary", prepared.summary, MAX_PASSES * 8, |one| {
                text("Prepared.summary", one, MAX_SENTENCE_BYTES)
            })?,
        })
    }
}

impl From<wire::TrainMetrics> for TrainMetrics {
    fn from(metrics: wire::TrainMetrics) -> Self {
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

impl From<wire::ValidationCounts> for ValidationCounts {
    fn from(counts: wire::ValidationCounts) -> Self {
        Self { instances: counts.instances, hits: counts.hits, candidate_accuracy: counts.candidate_accuracy }
    }
}

impl TryFrom<wire::Lease> for Lease {
    type Error = ConvertError;

    fn try_from(lease: wire::Lease) -> Result<Self, ConvertError> {
        Ok(Self {
            id: LeaseId(lease.id),
            fence: Fence(lease.fence),
            work: present("Lease.work", lease.work)?.try_into()?,
        })
    }
}

impl TryFrom<wire::lease::Work> for Work {
    type Error = ConvertError;

    fn try_from(work: wire::lease::Work) -> Result<Self, ConvertError> {
        Ok(match work {
            wire::lease::Work::Prepare(wire::Prepare {}) => Self::Prepare,
            wire::lease::Work::Train(train) => Self::Train {
                pass: pass("Train.pass", train.pass)?,
                stage: train.stage,
                iteration: Iteration(train.iteration),
                attempt: train.attempt,
                update: train.update,
                prompts: numbers("Train.prompts", train.prompts, MAX_PROMPTS)?,
                light: numbers("Train.light", train.light, MAX_PROMPTS)?,
                reserve: numbers("Train.reserve", train.reserve, MAX_PROMPTS)?,
            },
            wire::lease::Work::Validate(wire::Validate { from, to }) => {
                let (from, to) = range("Validate.to", from, to)?;
                Self::Validate { from, to }
            }
            wire::lease::Work::Ask(wire::Ask { from, to }) => {
                let (from, to) = range("Ask.to", from, to)?;
                Self::Ask { from, to }
            }
            wire::lease::Work::Clean(wire::Clean { pass: which, stage, from, to }) => {
                let (from, to) = range("Clean.to", from, to)?;
                Self::Clean { pass: pass("Clean.pass", which)?, stage, from, to }
            }
            wire::lease::Work::Report(report) => {
                Self::Report { summary: present("Report.summary", report.summary)?.try_into()? }
            }
        })
    }
}

fn range(field: &'static str, from: u32, to: u32) -> Result<(u32, u32), ConvertError> {
    let wrong = || ConvertError::new(field, to.to_string(), format!("at least the range's start, {from}"));
    (from <= to).then_some((from, to)).ok_or_else(wrong)
}

impl TryFrom<wire::QuestionCounts> for QuestionCounts {
    type Error = ConvertError;

    fn try_from(counts: wire::QuestionCounts) -> Result<Self, ConvertError> {
        let four = |field: &'static str, values: Vec<u64>| {
            let found = values.len();
            let wrong = |_| ConvertError::new(field, format!("{found} entries"), "4 entries, one a kind of distractor");
            <[u64; 4]>::try_from(values).map_err(wrong)
        };
        Ok(Self {
            asked: four("QuestionCounts.asked", counts.asked)?,
            right: four("QuestionCounts.right", counts.right)?,
        })
    }
}

impl TryFrom<wire::QuestionPoint> for QuestionPoint {
    type Error = ConvertError;

    fn try_from(point: wire::QuestionPoint) -> Result<Self, ConvertError> {
        Ok(Self {
            pass: pass("QuestionPoint.pass", point.pass)?,
            stage: text("QuestionPoint.stage", point.stage, MAX_NAME_BYTES)?,
            counts: present("QuestionPoint.counts", point.counts)?.try_into()?,
        })
    }
}

impl TryFrom<wire::RunSummary> for RunSummary {
    type Error = ConvertError;

    fn try_from(summary: wire::RunSummary) -> Result<Self, ConvertError> {
        Ok(Self {
            state_digest: digest("RunSummary.state_digest", summary.state_digest)?,
            iterations: summary.iterations,
            journal_digest: digest("RunSummary.journal_digest", summary.journal_digest)?,
            wall_seconds: summary.wall_seconds,
            select_checkpoint: Some(summary.select_checkpoint)
                .filter(|found| !found.is_empty())
                .map(|found| key("RunSummary.select_checkpoint", found))
                .transpose()?,
            changes: list("RunSummary.changes", summary.changes, MAX_CHANGES, TryInto::try_into)?,
            decisions: list("RunSummary.decisions", summary.decisions, MAX_DECISIONS, TryInto::try_into)?,
            questions: list("RunSummary.questions", summary.questions, MAX_DECISIONS, TryInto::try_into)?,
        })
    }
}

impl TryFrom<wire::StateLink> for StateLink {
    type Error = ConvertError;

    fn try_from(link: wire::StateLink) -> Result<Self, ConvertError> {
        let change = present("StateLink.change", link.change)?;
        Ok(Self {
            change: present("Change.change", change.change)?.try_into()?,
            before: digest("StateLink.before", link.before)?,
            after: digest("StateLink.after", link.after)?,
        })
    }
}

impl TryFrom<wire::Decision> for Decision {
    type Error = ConvertError;

    fn try_from(decision: wire::Decision) -> Result<Self, ConvertError> {
        Ok(Self {
            pass: pass("Decision.pass", decision.pass)?,
            stage: name("Decision.stage", decision.stage)?,
            iteration: decision.iteration,
            score: decision.score.map(Into::into),
            reason: text("Decision.reason", decision.reason, MAX_SENTENCE_BYTES)?,
        })
    }
}

impl From<wire::Score> for Score {
    fn from(score: wire::Score) -> Self {
        Self { fhr: score.fhr, candidate_accuracy: score.candidate_accuracy }
    }
}

impl TryFrom<wire::change::Change> for StateChange {
    type Error = ConvertError;

    fn try_from(change: wire::change::Change) -> Result<Self, ConvertError> {
        Ok(match change {
            wire::change::Change::BeginPass(begin) => Self::BeginPass { pass: pass("BeginPass.pass", begin.pass)? },
            wire::change::Change::BeginStage(begin) => Self::BeginStage { stage: begin.stage },
            wire::change::Change::BeginRollout(wire::BeginRollout {}) => Self::BeginRollout,
            wire::change::Change::KeepBest(wire::KeepBest {}) => Self::KeepBest,
            wire::change::Change::RestoreBest(wire::RestoreBest {}) => Self::RestoreBest,
        })
    }
}
