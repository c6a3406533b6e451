//! Time passed: every phase has a deadline, every worker must be heard of. Looked at on each `Tick`.

use super::Run;
use super::phase::Phase;
use crate::effect::Effect;
use crate::ids::WorkerId;
use std::time::Duration;

/// A deadline that was missed.
enum Missed {
    /// By a worker; what it did not do.
    By(WorkerId, String),
    /// By a worker that prepares or reports, which is one piece of work.
    Whole(WorkerId),
    /// By all that are missing.
    Nobody(String),
}

impl Run {
    /// A worker that missed a deadline is lost; the run ends where nobody came.
    pub(super) fn on_tick(&mut self, out: &mut Vec<Effect>) {
        match self.silent_worker().or_else(|| self.overdue()) {
            None => {
                self.miss_late_save(out);
                self.begin_if_due(out);
            }
            Some(Missed::By(worker, what)) => self.lose(worker, &what, out),
            Some(Missed::Whole(worker)) => self.on_overrun(worker, out),
            Some(Missed::Nobody(reason)) => self.fail(reason, 69, out),
        }
    }

    /// The first worker that was not heard of for too long.
    fn silent_worker(&self) -> Option<Missed> {
        let limit = seconds(self.setup.spec.cluster.heartbeat_seconds);
        let silent = self.workers.iter().find(|(_, w)| self.now.saturating_sub(w.seen) > limit);
        silent.map(|(worker, _)| Missed::By(*worker, format!("was silent for more than {} s", limit.as_secs())))
    }

    /// The deadline of the phase.
    fn overdue(&self) -> Option<Missed> {
        let cluster = &self.setup.spec.cluster;
        let passed = |limit: u32| self.now.saturating_sub(self.entered) > seconds(limit);
        let late = |worker: Option<WorkerId>, limit: u32| {
            let worker = worker.filter(|_| passed(limit))?;
            Some(Missed::By(worker, format!("did not answer within {limit} s")))
        };
        match &self.phase {
            Phase::WaitingForWorkers => passed(cluster.join_seconds).then(|| {
                let (joined, expected, limit) = (self.workers.len(), self.expected(), cluster.join_seconds);
                let after = self.last_loss.as_ref().map_or_else(String::new, |why| format!("; the last one: {why}"));
                Missed::Nobody(format!("{joined} of {expected} workers joined within {limit} s{after}"))
            }),
            Phase::Preparing { worker } | Phase::Reporting { worker } => {
                passed(cluster.prepare_seconds).then_some(Missed::Whole(*worker))
            }
            Phase::Forming { answers, .. } | Phase::Changing { answers } => {
                late(answers.missing(&self.members()).first().copied(), cluster.join_seconds)
            }
            Phase::Reducing { answers, .. } | Phase::Committing { answers, .. } => {
                late(answers.missing(&self.members()).first().copied(), cluster.reduce_seconds)
            }
            Phase::Rollout { leases, .. } | Phase::Measuring { leases } => {
                let limit = cluster.lease_seconds;
                let (worker, lease) = leases.overdue(self.now, seconds(limit))?;
                Some(Missed::By(worker, format!("did not finish lease {} within {limit} s", lease.0)))
            }
            Phase::Saving => None,
            Phase::Ended(_) => None,
        }
    }
}

fn seconds(count: u32) -> Duration {
    Duration::from_secs(u64::from(count))
}
