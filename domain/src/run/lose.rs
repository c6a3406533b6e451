//! A worker is lost: its stream ended, it fell silent, was late, failed, or holds other bits than most. The run goes on
//! with those left; only the lost worker's own leases of the iteration are granted again, the reported ones too, as
//! their sum died with it.

use super::Run;
use super::leases::LeaseBook;
use super::phase::Phase;
use super::roster::Then;
use crate::effect::{Command, Effect};
use crate::ids::WorkerId;
use crate::status::{Activity, Status};

/// Exit codes that no other worker would change: wrong usage, bad data, bad config.
const WRONG_ANYWHERE: [u8; 3] = [64, 65, 78];

/// So often in a row a run may go back to the same checkpoint because all workers were lost.
const MOST_ROLLBACKS: u32 = 3;

impl Run {
    /// A worker's stream ended.
    pub(super) fn on_left(&mut self, worker: WorkerId, reason: &str, out: &mut Vec<Effect>) {
        self.lose(worker, &format!("left: {reason}"), out);
    }

    /// A worker says that it cannot go on. What is wrong with the data or the config ends the run.
    pub(super) fn on_worker_failed(&mut self, worker: WorkerId, message: &str, code: u8, out: &mut Vec<Effect>) {
        if WRONG_ANYWHERE.contains(&code) {
            // Its words come first: they name the cause, whoever met it.
            let who = self.forget(worker);
            let reason = format!("{}\n  in {who}, {}", message.trim_end(), self.place());
            return self.fail(reason, code, out);
        }
        self.note_failed_load(message);
        self.lose(worker, &format!("failed: {message}"), out);
    }

    /// Several are lost at once, each for its own reason.
    pub(super) fn lose_all(&mut self, workers: &[(WorkerId, String)], out: &mut Vec<Effect>) {
        for (worker, what) in workers {
            // The loss of one may have ended the run.
            if self.ending().is_none() {
                self.lose(*worker, what, out);
            }
        }
    }

    /// The run goes on without this worker.
    pub(super) fn lose(&mut self, worker: WorkerId, what: &str, out: &mut Vec<Effect>) {
        let Some(session) = self.workers.remove(&worker) else {
            return;
        };
        self.holders.remove(&worker);
        self.forget_save_of(worker);
        let reason = format!("{worker} ({}) {what}, {}", session.hello.name, self.place());
        out.push(Effect::Drop { worker, reason: reason.clone() });
        let activity = Activity::Lost { reason: reason.clone() };
        out.push(Effect::Show(Status { activity, ..self.status() }));
        self.last_loss = Some(reason);
        if matches!(self.phase, Phase::Preparing { worker: at } if at == worker) {
            return self.prepare_again(out);
        }
        let Some(roster) = self.roster.as_mut().filter(|roster| roster.members.contains(&worker)) else {
            if self.stopping && matches!(self.phase, Phase::WaitingForWorkers) {
                return self.come_to_rest(out);
            }
            return self.show(out);
        };
        roster.members.retain(|id| *id != worker);
        roster.broken = true;
        if self.nobody_holds_the_state() {
            // A checkpoint that is about to be whole is waited for: it is what the run goes back to.
            return if self.is_publishing() { self.wait_for_save(out) } else { self.roll_back(out) };
        }
        self.go_on_without(worker, out);
    }

    /// Whether every worker that held the training state is lost.
    pub(super) fn nobody_holds_the_state(&self) -> bool {
        self.members().is_empty() || (self.state.is_some() && self.holders.is_empty())
    }

    /// What the phase needs from the others, now that a member is gone.
    fn go_on_without(&mut self, worker: WorkerId, out: &mut Vec<Effect>) {
        let (now, fence) = (self.now, self.fence);
        match &mut self.phase {
            Phase::Forming { then: Then::Proceed, .. } => {
                self.send_all(&Command::Abort { fence }, out);
                self.start_forming(Then::Proceed, out);
            }
            Phase::Rollout { leases, .. } => {
                leases.release_with_done(worker);
                leases.send_grants(fence, now, out);
            }
            Phase::Reducing { leases, started, .. } | Phase::Forming { then: Then::Reduce { leases, started }, .. } => {
                let (mut leases, started) = (leases.clone(), *started);
                leases.release_with_done(worker);
                self.send_all(&Command::Abort { fence }, out);
                self.repeat_lost_leases(leases, started, out);
            }
            Phase::Measuring { leases } => {
                leases.release(worker);
                leases.send_grants(fence, now, out);
            }
            Phase::Changing { .. } => self.settle_change(out),
            Phase::Committing { .. } => self.settle_commit(out),
            // The key of a checkpoint that is not whole is used up: a new roster brings a new fence.
            Phase::Saving if self.save.is_none() => self.start_forming(Then::Proceed, out),
            Phase::Reporting { worker: at } if *at == worker => self.start_report(out),
            Phase::WaitingForWorkers
            | Phase::Preparing { .. }
            | Phase::Saving
            | Phase::Reporting { .. }
            | Phase::Ended(_) => self.show(out),
        }
    }

    /// Back from the reduce to the rollout, for the leases whose sum is gone.
    fn repeat_lost_leases(&mut self, mut leases: LeaseBook, started: std::time::Duration, out: &mut Vec<Effect>) {
        if leases.is_complete() {
            return self.start_reduce(leases, started, out);
        }
        let mut grants = Vec::new();
        leases.send_grants(self.fence, self.now, &mut grants);
        self.enter(Phase::Rollout { leases, started }, out);
        out.append(&mut grants);
    }

    /// The data is prepared by another worker, or by the next that joins.
    fn prepare_again(&mut self, out: &mut Vec<Effect>) {
        if self.workers.is_empty() {
            return self.enter(Phase::WaitingForWorkers, out);
        }
        self.start_preparing(out);
    }

    /// Nobody holds the training state any more: back to the newest checkpoint, with whoever is there or joins.
    pub(super) fn roll_back(&mut self, out: &mut Vec<Effect>) {
        let (to, times) = self.way_back(out);
        if times > MOST_ROLLBACKS {
            let reason = self.last_loss.clone().unwrap_or_default();
            return self.fail(format!("all workers were lost {times} times at the same place; last: {reason}"), 1, out);
        }
        self.rolled_back = Some((to, times));
        self.go_back(out);
    }

    /// The run is where its newest checkpoint is, and waits for workers.
    pub(super) fn go_back(&mut self, out: &mut Vec<Effect>) {
        let cursor = self.saved_cursor();
        let to = cursor.iteration;
        out.push(Effect::RollBack { iteration: to, held: cursor.held_line.is_some() });
        self.cursor = cursor;
        self.trail.clear();
        self.roster = None;
        self.state = None;
        self.holders.clear();
        if self.stopping && !self.parting {
            return self.finish_stopped(out);
        }
        (self.stopping, self.parting) = (false, false);
        self.enter(Phase::WaitingForWorkers, out);
        self.begin_if_due(out);
    }
}
