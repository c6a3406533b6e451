//! Who belongs together: the members of a collective, who of all workers holds the training state, and when a new
//! roster is due.

use super::Run;
use super::leases::LeaseBook;
use crate::effect::{Command, Effect, StateSource};
use crate::ids::{Fence, WorkerId};
use crate::manifest::Manifest;
use std::time::Duration;

/// The workers of a collective. Leases and answers carry its fence.
#[derive(Clone, Debug)]
pub(super) struct Roster {
    pub(super) fence: Fence,
    /// In order of rank; the lost ones are gone, so that ranks have gaps once it is broken.
    pub(super) members: Vec<WorkerId>,
    /// Whether a member was lost: its collective is of no further use.
    pub(super) broken: bool,
}

/// What a roster is formed for.
#[derive(Clone, Debug)]
pub(super) enum Then {
    /// The next thing of the curriculum, whatever it is; newcomers are taken in.
    Proceed,
    /// The sum of an iteration whose leases are all done. Only those that hold a part of it take part.
    Reduce { leases: LeaseBook, started: Duration },
}

impl Run {
    /// The members of the roster, in order of rank.
    pub(super) fn members(&self) -> Vec<WorkerId> {
        self.roster.as_ref().map(|r| r.members.clone()).unwrap_or_default()
    }

    /// The members with their lanes.
    pub(super) fn lanes(&self) -> Vec<(WorkerId, u32)> {
        let lanes = |id: &WorkerId| self.workers.get(id).map_or(1, |worker| worker.hello.lanes);
        self.members().iter().map(|id| (*id, lanes(id))).collect()
    }

    /// Whether the members can no longer reduce together.
    pub(super) fn roster_is_broken(&self) -> bool {
        self.roster.as_ref().is_none_or(|roster| roster.broken)
    }

    /// Whether the roster is not what it should be: a member was lost or leaves, or a newcomer waits.
    pub(super) fn roster_is_due(&self) -> bool {
        self.roster_is_broken() || self.members() != self.next_members()
    }

    /// Who would be in a new roster: all that stay. Where none of them holds the state, one that leaves brings it first.
    pub(super) fn next_members(&self) -> Vec<WorkerId> {
        let all = || self.workers.keys().copied();
        let mut members: Vec<WorkerId> = all().filter(|id| self.stays(*id)).collect();
        if members.is_empty() {
            return all().collect();
        }
        if !members.iter().any(|id| self.holders.contains(id)) {
            members.extend(all().find(|id| self.holders.contains(id)));
            members.sort_unstable();
        }
        members
    }

    /// The member that does what one does alone: the first that stays, if one does.
    pub(super) fn first_member(&self) -> Option<WorkerId> {
        let members = self.members();
        members.iter().find(|id| self.stays(**id)).or_else(|| members.first()).copied()
    }

    /// Sends the same command to the whole roster, in order of rank.
    pub(super) fn send_all(&self, command: &Command, out: &mut Vec<Effect>) {
        for worker in self.members() {
            out.push(Effect::Send { worker, command: command.clone() });
        }
    }

    /// Mints a fence and a roster of all workers that stay, or of those that hold a part of the sum.
    pub(super) fn mint_roster(&mut self, then: &Then) {
        self.fence = Fence(self.fence.0 + 1);
        let members = match then {
            Then::Proceed => self.next_members(),
            Then::Reduce { .. } => self.members(),
        };
        self.roster = Some(Roster { fence: self.fence, members, broken: false });
    }

    /// Tells each member its place and where it gets the state from.
    pub(super) fn send_places(&mut self, out: &mut Vec<Effect>) {
        let members = self.members();
        self.tell_all(&members, out);
        let world = u32::try_from(members.len()).unwrap_or(u32::MAX);
        let first = members.first().and_then(|id| self.workers.get(id));
        let rendezvous = first.map(|worker| worker.hello.rendezvous.clone()).unwrap_or_default();
        for (rank, worker) in (0u32..).zip(&members) {
            let state = self.source(*worker, &members);
            let command = Command::Form { fence: self.fence, rank, world, rendezvous: rendezvous.clone(), state };
            out.push(Effect::Send { worker: *worker, command });
        }
    }

    fn source(&self, worker: WorkerId, members: &[WorkerId]) -> StateSource {
        let root = (0u32..).zip(members).find(|(_, id)| self.holders.contains(id)).map(|(rank, _)| rank);
        match (root, &self.resume) {
            (Some(root), _) if !self.holders.contains(&worker) => StateSource::Peer { root },
            (Some(root), _) => {
                let newcomers = members.iter().any(|id| !self.holders.contains(id));
                StateSource::Held { root: newcomers.then_some(root) }
            }
            (None, Some(manifest)) => {
                StateSource::Checkpoint { key: Manifest::key(manifest.iteration, manifest.fence) }
            }
            (None, None) => StateSource::Empty,
        }
    }
}
