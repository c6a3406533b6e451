//! The leases of one phase: which wait, who holds which, and what came back.

use super::{Rejection, Run};
use crate::effect::{Command, Effect};
use crate::ids::{Digest, Fence, LeaseId, WorkerId};
use crate::work::{Lease, Outcome, Work};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// A worker computes one lease and has one more waiting, which hides the way there and back.
const HELD_AT_MOST: usize = 2;

/// A reported lease.
pub(super) struct Done {
    pub(super) worker: WorkerId,
    pub(super) fence: Fence,
    pub(super) lease: LeaseId,
    pub(super) state: Digest,
    pub(super) outcome: Outcome,
}

/// A lease at a worker.
#[derive(Clone, Debug)]
struct Held {
    lease: LeaseId,
    /// Since when the worker works at it, or could.
    since: Duration,
}

/// All leases of one phase. Each is in exactly one place: waiting, held by one worker, or done.
#[derive(Clone, Debug)]
pub(crate) struct LeaseBook {
    works: Vec<Work>,
    waiting: BTreeSet<LeaseId>,
    held: BTreeMap<WorkerId, VecDeque<Held>>,
    done: BTreeMap<LeaseId, Outcome>,
}

impl LeaseBook {
    /// All leases wait; `workers` may hold them.
    pub(super) fn new(works: Vec<Work>, workers: &[WorkerId]) -> Self {
        let waiting = (0u32..).take(works.len()).map(LeaseId).collect();
        let held = workers.iter().map(|w| (*w, VecDeque::new())).collect();
        Self { works, waiting, held, done: BTreeMap::new() }
    }

    /// Leases in all.
    pub(super) fn len(&self) -> u32 {
        u32::try_from(self.works.len()).unwrap_or(u32::MAX)
    }

    /// Leases done.
    pub(super) fn done(&self) -> u32 {
        u32::try_from(self.done.len()).unwrap_or(u32::MAX)
    }

    /// Whether every lease is done.
    pub(super) fn is_complete(&self) -> bool {
        self.done.len() == self.works.len()
    }

    /// The works, in order of their lease ids.
    pub(super) fn works(&self) -> &[Work] {
        &self.works
    }

    /// The outcomes so far, in order of their lease ids.
    pub(super) fn outcomes(&self) -> impl Iterator<Item = &Outcome> {
        self.done.values()
    }

    /// Grants waiting leases, the lowest first, each to the worker that holds fewest (the lowest id among equals).
    fn grant(&mut self, now: Duration) -> Vec<(WorkerId, LeaseId, Work)> {
        let mut granted = Vec::new();
        while let Some(lease) = self.waiting.first().copied() {
            let free = self.held.iter_mut().min_by_key(|(_, held)| held.len());
            let Some((worker, held)) = free.filter(|(_, held)| held.len() < HELD_AT_MOST) else {
                break;
            };
            let Some(work) = self.works.get(lease.0 as usize) else {
                break;
            };
            held.push_back(Held { lease, since: now });
            granted.push((*worker, lease, work.clone()));
            self.waiting.remove(&lease);
        }
        granted
    }

    /// Grants, as commands of the roster with this fence.
    pub(super) fn send_grants(&mut self, fence: Fence, now: Duration, out: &mut Vec<Effect>) {
        for (worker, id, work) in self.grant(now) {
            out.push(Effect::Send { worker, command: Command::Grant(Lease { id, fence, work }) });
        }
    }

    /// Whether the worker holds the lease.
    pub(super) fn holds(&self, worker: WorkerId, lease: LeaseId) -> bool {
        self.held.get(&worker).is_some_and(|held| held.iter().any(|h| h.lease == lease))
    }

    /// Takes an outcome in; refused unless the worker holds the lease.
    pub(super) fn complete(&mut self, done: Done, now: Duration) -> Result<(), Rejection> {
        let Done { worker, lease, outcome, .. } = done;
        let missing = Rejection::NotHeld { worker, lease };
        let Some(held) = self.held.get_mut(&worker) else {
            return Err(missing);
        };
        let Some(place) = held.iter().position(|h| h.lease == lease) else {
            return Err(missing);
        };
        held.remove(place);
        if let Some(first) = held.front_mut() {
            first.since = now;
        }
        self.done.insert(lease, outcome);
        Ok(())
    }

    /// The first worker that has worked at a lease for longer than `limit`.
    pub(super) fn overdue(&self, now: Duration, limit: Duration) -> Option<(WorkerId, LeaseId)> {
        self.held.iter().find_map(|(worker, held)| {
            let first = held.front().filter(|first| now.saturating_sub(first.since) > limit)?;
            Some((*worker, first.lease))
        })
    }

    /// In how many places each lease is: the invariant wants one.
    pub(crate) fn places(&self) -> Vec<usize> {
        let mut places = vec![0; self.works.len()];
        let held = self.held.values().flatten().map(|h| h.lease);
        for lease in self.waiting.iter().copied().chain(held).chain(self.done.keys().copied()) {
            if let Some(count) = places.get_mut(lease.0 as usize) {
                *count += 1;
            }
        }
        places
    }

    /// The most leases that one worker holds.
    pub(crate) fn most_held(&self) -> usize {
        self.held.values().map(VecDeque::len).max().unwrap_or(0)
    }
}

impl Run {
    /// A lease came back: to the phase that waits for it.
    pub(super) fn on_lease_done(&mut self, done: Done, out: &mut Vec<Effect>) -> Result<(), Rejection> {
        use super::phase::Phase;
        self.check_fence(done.worker, done.fence)?;
        match &self.phase {
            Phase::Preparing { .. } => self.on_prepared(done, out),
            Phase::Rollout { .. } => self.on_trained(done, out),
            Phase::Validating { .. } => self.on_validated(done, out),
            Phase::Reporting { .. } => self.on_reported(done, out),
            // The lease belonged to an iteration or a validation that the stop dropped.
            _ if self.stopping => Ok(()),
            _ => Err(self.unexpected("a finished lease")),
        }
    }

    /// Whether the outcome was computed from the state that the run believes all workers hold. A wrong stamp means
    /// that a worker's sum already holds a gradient of another policy, so the run cannot go on with it.
    pub(super) fn stamp_is_right(&mut self, done: &Done, out: &mut Vec<Effect>) -> bool {
        if self.state == Some(done.state) {
            return true;
        }
        let expected = self.state.map_or_else(|| "none".into(), |s| s.to_string());
        let what = format!(
            "computed lease {} from training state {:.12}, not from {expected:.12}, which the roster holds",
            done.lease.0,
            done.state.to_string()
        );
        self.fail_of_worker(done.worker, &what, 1, out);
        false
    }
}
