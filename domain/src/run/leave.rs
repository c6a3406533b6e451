//! A worker was asked to end (SIGTERM, Ctrl-C) and says so while it still works. It takes part up to the next place where
//! the roster may change, then it is released and the run goes on with those left: no lease is granted anew for it.
//!
//! Where all leave there is nobody to hand the training state to: the run comes to rest as for a stop, with a checkpoint,
//! and waits for workers instead of ending. One that works alone at preparing or reporting goes on with that: if it is
//! not done before the worker ends by itself, another does it again.

use super::Run;
use super::phase::Phase;
use super::roster::Then;
use crate::effect::{Command, Effect};
use crate::ids::WorkerId;
use crate::status::{Activity, Status};

impl Run {
    /// A worker says that it was asked to end.
    pub(super) fn on_leaving(&mut self, worker: WorkerId) {
        self.workers.get_mut(&worker).into_iter().for_each(|session| session.leaving = true);
    }

    /// Whether a new roster may count on a worker. One whose parts of a checkpoint are on their way stays for as long, and
    /// one that brought the training state to a coordinator that came after until it has been asked for it.
    pub(super) fn stays(&self, worker: WorkerId) -> bool {
        let Some(session) = self.workers.get(&worker) else {
            return false;
        };
        let waits = matches!(self.phase, Phase::WaitingForWorkers);
        !session.leaving || self.writes_parts(worker) || (waits && self.brought(session).is_some())
    }

    /// Those that leave, the lowest first.
    fn leavers(&self) -> Vec<WorkerId> {
        self.workers.iter().filter(|(_, session)| session.leaving).map(|(id, _)| *id).collect()
    }

    /// After every event: lets go whom the run does not need any more.
    pub(super) fn settle_leavers(&mut self, out: &mut Vec<Effect>) {
        let leavers = self.leavers();
        // A stop under way needs them for its checkpoint, and then ends all sessions.
        if self.stopping || leavers.is_empty() || matches!(self.phase, Phase::Ended(_)) {
            return;
        }
        let alone = matches!(self.phase, Phase::WaitingForWorkers | Phase::Preparing { .. } | Phase::Reporting { .. });
        if leavers.len() == self.workers.len() && !alone {
            (self.stopping, self.parting) = (true, true);
            return self.come_to_rest(out);
        }
        if matches!(self.phase, Phase::Measuring { .. }) && !self.members().iter().any(|id| self.stays(*id)) {
            // A validation may take longer than they have, and can be done again: newcomers get the state first.
            return self.start_forming(Then::Proceed, out);
        }
        for worker in leavers {
            if self.stays(worker) {
                continue;
            }
            if let Phase::Measuring { leases } = &mut self.phase {
                leases.retire(worker);
            }
            if self.is_free(worker) {
                self.release(worker, out);
            }
        }
    }

    /// Whether the phase at hand goes on without this worker as if nothing had happened.
    fn is_free(&self, worker: WorkerId) -> bool {
        let member = self.members().contains(&worker);
        match &self.phase {
            Phase::WaitingForWorkers => true,
            Phase::Preparing { worker: at } | Phase::Reporting { worker: at } => *at != worker,
            // What the counts need is here.
            Phase::Measuring { leases } => !member || leases.is_idle(worker),
            Phase::Saving => !member || self.holders.iter().any(|id| self.stays(*id)),
            Phase::Forming { .. }
            | Phase::Changing { .. }
            | Phase::Rollout { .. }
            | Phase::Reducing { .. }
            | Phase::Committing { .. } => !member,
            Phase::Ended(_) => false,
        }
    }

    /// A worker that was asked to end may do so.
    fn release(&mut self, worker: WorkerId, out: &mut Vec<Effect>) {
        let place = self.place();
        let reason = format!("{} left as it was asked to, {place}", self.forget(worker));
        self.holders.remove(&worker);
        if let Phase::Measuring { leases } = &mut self.phase {
            leases.release(worker);
        }
        if let Some(roster) = self.roster.as_mut().filter(|roster| roster.members.contains(&worker)) {
            roster.members.retain(|id| *id != worker);
            roster.broken = true;
        }
        let command = Command::Stop { reason: "the run goes on without this worker".into(), complete: false };
        out.push(Effect::Send { worker, command });
        let activity = Activity::Left { reason: reason.clone() };
        out.push(Effect::Show(Status { activity, ..self.status() }));
        self.last_loss = Some(reason);
        self.show(out);
    }

    /// All that is known is in the store as far as it goes: those that leave may, and the run waits for others or goes
    /// on with those that have come.
    pub(super) fn part(&mut self, out: &mut Vec<Effect>) {
        (self.stopping, self.parting) = (false, false);
        for worker in self.leavers() {
            self.release(worker, out);
        }
        if self.nobody_holds_the_state() { self.go_back(out) } else { self.proceed(out) }
    }
}
