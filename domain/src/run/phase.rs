//! The phases of a run, which may follow which, what each shows, and the one place that changes it.

use super::Run;
use super::answers::Answers;
use super::commit::Totals;
use super::leases::LeaseBook;
use super::roster::Then;
use crate::effect::{Effect, Ending};
use crate::ids::{Digest, WorkerId};
use crate::status::Activity;
use std::time::Duration;

/// What a run is doing. Leases exist in one phase at a time only, and go with it.
#[derive(Clone, Debug)]
pub(super) enum Phase {
    /// Workers are missing.
    WaitingForWorkers,
    /// One worker prepares the data.
    Preparing { worker: WorkerId },
    /// The roster forms its collective and takes the state.
    Forming { answers: Answers, then: Then },
    /// Every worker changes its training state.
    Changing { answers: Answers },
    /// Training leases of one iteration are out.
    Rollout { leases: LeaseBook, started: Duration },
    /// The sums of the roster are added up.
    Reducing { leases: LeaseBook, started: Duration, answers: Answers },
    /// The optimiser step is applied.
    Committing { totals: Totals, gradient: Digest, answers: Answers },
    /// Leases are out that change nothing: validation, alignment questions, cleaning.
    Measuring { leases: LeaseBook },
    /// Nothing is done until the checkpoint on its way is whole.
    Saving,
    /// A worker evaluates and writes the report.
    Reporting { worker: WorkerId },
    /// Over.
    Ended(Ending),
}

impl Phase {
    /// The phase in words that fit after "while".
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::WaitingForWorkers => "waiting for workers",
            Self::Preparing { .. } => "preparing the data",
            Self::Forming { .. } => "forming the roster",
            Self::Changing { .. } => "changing the training state",
            Self::Rollout { .. } => "training",
            Self::Reducing { .. } => "reducing",
            Self::Committing { .. } => "committing",
            Self::Measuring { .. } => "measuring",
            Self::Saving => "writing a checkpoint",
            Self::Reporting { .. } => "reporting",
            Self::Ended(_) => "ended",
        }
    }

    /// Whether `next` may follow; every phase may end, and after a loss every phase but the first two may give way to
    /// a new roster or to waiting for workers.
    fn may_precede(&self, next: &Self) -> bool {
        use Phase as P;
        if matches!(next, P::Ended(_)) {
            return !matches!(self, P::Ended(_));
        }
        if matches!(next, P::Forming { .. } | P::WaitingForWorkers) {
            return !matches!(self, P::Ended(_));
        }
        match self {
            P::WaitingForWorkers => matches!(next, P::Preparing { .. }),
            P::Preparing { .. } => matches!(next, P::Preparing { .. }),
            P::Forming { .. } => !matches!(next, P::Preparing { .. } | P::Committing { .. }),
            P::Changing { .. } | P::Committing { .. } | P::Measuring { .. } | P::Saving => matches!(
                next,
                P::Changing { .. } | P::Rollout { .. } | P::Measuring { .. } | P::Saving | P::Reporting { .. }
            ),
            P::Rollout { .. } => matches!(next, P::Reducing { .. } | P::Saving),
            P::Reducing { .. } => matches!(next, P::Committing { .. } | P::Rollout { .. } | P::Saving),
            P::Reporting { .. } => matches!(next, P::Reporting { .. }),
            P::Ended(_) => false,
        }
    }
}

impl Run {
    /// The one place that changes the phase: checks that it may, stamps the time, shows what changed.
    pub(super) fn enter(&mut self, next: Phase, out: &mut Vec<Effect>) {
        if matches!(self.phase, Phase::Ended(_)) {
            return;
        }
        self.phase = if self.phase.may_precede(&next) {
            next
        } else {
            // A mistake in this crate; the run must not go on from a state that nobody thought of.
            let reason = format!("`{}` cannot follow `{}`: a mistake in the program", next.name(), self.phase.name());
            let ending = Ending::Failed { reason, exit_code: 1 };
            out.push(Effect::Finish(ending.clone()));
            Phase::Ended(ending)
        };
        self.entered = self.now;
        self.show(out);
    }

    /// What people see of the phase.
    pub(super) fn activity(&self) -> Activity {
        let joined = u32::try_from(self.workers.len()).unwrap_or(u32::MAX);
        match &self.phase {
            Phase::WaitingForWorkers => Activity::WaitingForWorkers { joined, expected: self.expected() },
            Phase::Preparing { .. } => Activity::Preparing,
            Phase::Forming { .. } => Activity::Forming,
            Phase::Changing { .. } | Phase::Rollout { .. } | Phase::Reducing { .. } | Phase::Committing { .. } => {
                self.training()
            }
            Phase::Measuring { leases } => {
                Activity::Validating { stage: self.stage_name(), done: leases.done(), of: leases.len() }
            }
            Phase::Saving => Activity::Checkpointing,
            Phase::Reporting { .. } => Activity::Evaluating,
            Phase::Ended(Ending::Completed) => Activity::Completed,
            Phase::Ended(Ending::Stopped) => Activity::Stopped,
            Phase::Ended(Ending::Cancelled) => Activity::Cancelled,
            Phase::Ended(Ending::Failed { reason, .. }) => Activity::Failed { reason: reason.clone() },
        }
    }

    fn training(&self) -> Activity {
        let limit = self.cursor.stage_limit(&self.setup.spec, self.cursor.stage);
        Activity::Training {
            pass: self.cursor.pass,
            stage: self.stage_name(),
            done: self.cursor.stage_iteration,
            of: limit,
            loss: self.last_means.loss,
            reward: self.last_means.reward,
            kl: self.last_means.kl,
        }
    }
}
