//! The leases of one phase: which wait, who holds which, and what came back.

use super::{Rejection, Run};
use crate::effect::{Command, Effect};
use crate::ids::{Digest, Fence, LeaseId, WorkerId};
use crate::work::{Lease, Outcome, Work};
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// Beside the leases that a worker computes it has one more waiting, which hides the way there and back.
const WAITING_AT_WORKER: usize = 1;

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

/// What one worker holds.
#[derive(Clone, Debug)]
struct Holder {
    /// Leases that it computes at once.
    lanes: usize,
    /// In the order in which they were granted; the first `lanes` are being computed.
    leases: VecDeque<Held>,
    /// It gets no more.
    retired: bool,
}

impl Holder {
    fn has_room(&self) -> bool {
        !self.retired && self.leases.len() < self.lanes + WAITING_AT_WORKER
    }

    /// Whether `other` is busier: more leases a lane.
    fn load(&self, other: &Self) -> Ordering {
        (self.leases.len() * other.lanes).cmp(&(other.leases.len() * self.lanes))
    }
}

/// All leases of one phase. Each is in exactly one place: waiting, held by one worker, or done.
#[derive(Clone, Debug)]
pub(crate) struct LeaseBook {
    works: Vec<Work>,
    waiting: BTreeSet<LeaseId>,
    held: BTreeMap<WorkerId, Holder>,
    /// What came back, and from whom: a worker's sum dies with it.
    done: BTreeMap<LeaseId, (WorkerId, Outcome)>,
}

impl LeaseBook {
    /// All leases wait; `workers` may hold them, with so many lanes each.
    pub(super) fn new(works: Vec<Work>, workers: &[(WorkerId, u32)]) -> Self {
        let waiting = (0u32..).take(works.len()).map(LeaseId).collect();
        let holder = |lanes: u32| Holder { lanes: lanes.max(1) as usize, leases: VecDeque::new(), retired: false };
        let held = workers.iter().map(|(worker, lanes)| (*worker, holder(*lanes))).collect();
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
        self.done.values().map(|(_, outcome)| outcome)
    }

    /// Grants waiting leases, the lowest first, each to the worker that holds fewest a lane (the lowest id among equals).
    fn grant(&mut self, now: Duration) -> Vec<(WorkerId, LeaseId, Work)> {
        let mut granted = Vec::new();
        while let Some(lease) = self.waiting.first().copied() {
            let with_room = self.held.iter_mut().filter(|(_, holder)| holder.has_room());
            let Some((worker, holder)) = with_room.min_by(|(_, a), (_, b)| a.load(b)) else {
                break;
            };
            let Some(work) = self.works.get(lease.0 as usize) else {
                break;
            };
            holder.leases.push_back(Held { lease, since: now });
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

    /// A worker leaves: it finishes what it holds and gets no more.
    pub(super) fn retire(&mut self, worker: WorkerId) {
        self.held.get_mut(&worker).into_iter().for_each(|holder| holder.retired = true);
    }

    /// Whether the worker holds no lease.
    pub(super) fn is_idle(&self, worker: WorkerId) -> bool {
        self.held.get(&worker).is_none_or(|holder| holder.leases.is_empty())
    }

    /// A worker is lost: what it held waits again.
    pub(super) fn release(&mut self, worker: WorkerId) {
        let held = self.held.remove(&worker).map(|holder| holder.leases).unwrap_or_default();
        self.waiting.extend(held.into_iter().map(|held| held.lease));
    }

    /// A worker is lost, and with it the sum that its finished leases went into: all of them wait again.
    pub(super) fn release_with_done(&mut self, worker: WorkerId) {
        self.release(worker);
        let lost = self.done.iter().filter(|(_, (by, _))| *by == worker).map(|(lease, _)| *lease);
        self.waiting.extend(lost);
        self.done.retain(|_, (by, _)| *by != worker);
    }

    /// Whether the worker holds the lease.
    pub(super) fn holds(&self, worker: WorkerId, lease: LeaseId) -> bool {
        self.held.get(&worker).is_some_and(|holder| holder.leases.iter().any(|h| h.lease == lease))
    }

    /// Takes an outcome in; refused unless the worker holds the lease.
    pub(super) fn complete(&mut self, done: Done, now: Duration) -> Result<(), Rejection> {
        let Done { worker, lease, outcome, .. } = done;
        let missing = Rejection::NotHeld { worker, lease };
        let Some(holder) = self.held.get_mut(&worker) else {
            return Err(missing);
        };
        let Some(place) = holder.leases.iter().position(|h| h.lease == lease) else {
            return Err(missing);
        };
        holder.leases.remove(place);
        // The lane that is free takes the first lease that waited.
        if let Some(next) = holder.leases.get_mut(holder.lanes - 1) {
            next.since = now;
        }
        self.done.insert(lease, (worker, outcome));
        Ok(())
    }

    /// The first worker that has worked at a lease for longer than `limit`.
    pub(super) fn overdue(&self, now: Duration, limit: Duration) -> Option<(WorkerId, LeaseId)> {
        self.held.iter().find_map(|(worker, holder)| {
            let mut computed = holder.leases.iter().take(holder.lanes);
            let late = computed.find(|held| now.saturating_sub(held.since) > limit)?;
            Some((*worker, late.lease))
        })
    }

    /// In how many places each lease is: the invariant wants one.
    pub(crate) fn places(&self) -> Vec<usize> {
        let mut places = vec![0; self.works.len()];
        let held = self.held.values().flat_map(|holder| &holder.leases).map(|h| h.lease);
        for lease in self.waiting.iter().copied().chain(held).chain(self.done.keys().copied()) {
            if let Some(count) = places.get_mut(lease.0 as usize) {
                *count += 1;
            }
        }
        places
    }

    /// How many leases the worker holds that exceeds its lanes and what may wait beside them; none as it should be.
    pub(crate) fn too_many_held(&self) -> Option<usize> {
        let too_many = |holder: &&Holder| holder.leases.len() > holder.lanes + WAITING_AT_WORKER;
        self.held.values().find(too_many).map(|holder| holder.leases.len())
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
            Phase::Measuring { .. } => self.on_measured(done, out),
            Phase::Reporting { .. } => self.on_reported(done, out),
            // The lease belonged to an iteration or a validation that the stop dropped.
            _ if self.stopping => Ok(()),
            _ => Err(self.unexpected("a finished lease")),
        }
    }

    /// Whether the outcome was computed from the state that the run believes all workers hold. A wrong stamp means
    /// that a worker's sum already holds a gradient of another policy: the worker is lost, and its sum with it.
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
        self.lose(done.worker, &what, out);
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::work::ValidationCounts;

    /// Ten leases for worker 1 with one lane and worker 2 with three.
    fn book() -> LeaseBook {
        let works = (0..10).map(|i| Work::Validate { from: i, to: i + 1 }).collect();
        LeaseBook::new(works, &[(WorkerId(1), 1), (WorkerId(2), 3)])
    }

    fn granted(book: &mut LeaseBook, seconds: u64) -> Vec<(u64, u32)> {
        let grants = book.grant(Duration::from_secs(seconds));
        grants.into_iter().map(|(worker, lease, _)| (worker.0, lease.0)).collect()
    }

    fn done(worker: u64, lease: u32) -> Done {
        let (worker, fence, lease) = (WorkerId(worker), Fence(1), LeaseId(lease));
        let outcome = Outcome::Validated(ValidationCounts::default());
        Done { worker, fence, lease, state: Digest::of(b""), outcome }
    }

    #[test]
    fn each_lane_gets_its_share_and_one_lease_waits_beside_them() {
        let mut book = book();
        assert_eq!(granted(&mut book, 0), [(1, 0), (2, 1), (2, 2), (2, 3), (1, 4), (2, 5)]);
        assert_eq!(book.too_many_held(), None);
        book.complete(done(2, 2), Duration::from_secs(1)).unwrap();
        assert_eq!(granted(&mut book, 1), [(2, 6)], "there is room for one more where one was done");
    }

    #[test]
    fn only_leases_that_are_being_computed_can_be_late() {
        let mut book = book();
        granted(&mut book, 0);
        for (worker, lease) in [(1, 0), (2, 1), (2, 2)] {
            book.complete(done(worker, lease), Duration::from_secs(50)).unwrap();
        }
        let (now, limit) = (Duration::from_secs(61), Duration::from_secs(60));
        // Lease 3 is in a lane of worker 2 since 0; lease 4 waited until 50, lease 5 too.
        assert_eq!(book.overdue(now, limit), Some((WorkerId(2), LeaseId(3))));
        book.complete(done(2, 3), now).unwrap();
        assert_eq!(book.overdue(now, limit), None);
    }
}
