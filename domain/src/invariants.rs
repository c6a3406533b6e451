//! What must hold whatever happens: pure checks over a run and the effects that it gives, for tests and simulations.

use crate::effect::{Command, Effect};
use crate::event::Event;
use crate::ids::{Fence, Iteration, LeaseId, WorkerId};
use crate::ledger::LedgerEntry;
use crate::run::Run;
use crate::work::Work;
use std::collections::{BTreeMap, BTreeSet};

/// An invariant that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// A worker was told twice to commit an iteration, or a roster told to commit one that is in the ledger.
    #[error("{worker} was told to commit iteration {iteration} of fence {fence} a second time")]
    CommittedTwice {
        /// Who.
        worker: WorkerId,
        /// Which.
        iteration: Iteration,
        /// The roster.
        fence: Fence,
    },
    /// The ledger does not go up by one.
    #[error("the ledger has iteration {found} after iteration {earlier}")]
    LedgerOrder {
        /// The iteration found.
        found: Iteration,
        /// The one before it.
        earlier: Iteration,
    },
    /// The prompts of the ledger are not those of the leases granted for the iteration.
    #[error("the prompts of iteration {iteration} in the ledger are not those of its leases")]
    LedgerPrompts {
        /// Which.
        iteration: Iteration,
    },
    /// The state before is not the state after the iteration before, and nothing changed it.
    #[error("iteration {iteration} does not begin from the state that the iteration before it left")]
    LedgerChain {
        /// Which.
        iteration: Iteration,
    },
    /// A lease is in no place, or in more than one.
    #[error("lease {} is in {places} places instead of one", .lease.0)]
    LeasePlaces {
        /// Which.
        lease: LeaseId,
        /// In how many it is.
        places: usize,
    },
    /// A worker holds too many leases.
    #[error("a worker holds {held} leases, more than one beside those that it computes")]
    HeldTooMany {
        /// How many.
        held: usize,
    },
    /// A lease was granted twice in one phase.
    #[error("lease {} was granted twice", .lease.0)]
    GrantedTwice {
        /// Which.
        lease: LeaseId,
    },
    /// Leases of two phases are out at once.
    #[error("a lease of {new} was granted while leases of {open} are out")]
    TwoPhases {
        /// What the new lease is for.
        new: String,
        /// What the open leases are for.
        open: String,
    },
    /// A roster was formed with a fence that is not above all earlier ones.
    #[error("a roster was formed with fence {found} after fence {earlier}")]
    FenceFell {
        /// The fence found.
        found: Fence,
        /// The highest before it.
        earlier: Fence,
    },
    /// A checkpoint's key was used before.
    #[error("checkpoint `{key}` was written a second time")]
    KeyTwice {
        /// The key.
        key: String,
    },
    /// Something was asked for after the end.
    #[error("an effect follows the end of the run")]
    AfterEnd,
}

/// Whether the leases of the phase at hand are each in one place, and no worker holds too many.
pub fn check_leases(run: &Run) -> Result<(), Broken> {
    let Some(leases) = run.leases() else {
        return Ok(());
    };
    for (lease, places) in (0u32..).map(LeaseId).zip(leases.places()) {
        if places != 1 {
            return Err(Broken::LeasePlaces { lease, places });
        }
    }
    leases.too_many_held().map_or(Ok(()), |held| Err(Broken::HeldTooMany { held }))
}

/// Purposes of leases that change nothing.
const MEASURED: [&str; 3] = ["validation", "questions", "cleaning"];

/// Watches the effects of all processes of one run, in order.
#[derive(Clone, Debug, Default)]
pub struct Witness {
    fence: Fence,
    /// Highest iteration of the ledger that counts.
    ledger: Option<LedgerEntry>,
    /// Whether the state was changed since, other than by a commit.
    changed: bool,
    commits: BTreeSet<(Fence, Iteration, WorkerId)>,
    /// What the leases of the phase at hand are for.
    purpose: String,
    /// Leases that are out and neither done nor dropped.
    open: BTreeSet<LeaseId>,
    /// All leases granted in the phase at hand, with their prompts.
    granted: BTreeMap<LeaseId, (WorkerId, Vec<u32>)>,
    /// Whether the commit of these was ordered.
    reduced: bool,
    keys: BTreeSet<String>,
    ended: bool,
}

impl Witness {
    /// A new process of the run begins from iteration `from`: later ones will be done again.
    pub fn resume(&mut self, from: Iteration) {
        self.ended = false;
        self.close();
        self.ledger.take_if(|entry| entry.iteration > from);
        self.changed = true;
    }

    /// Looks at an event that the run took in, and at its effects.
    pub fn see(&mut self, event: &Event, effects: &[Effect]) -> Result<(), Broken> {
        if let Event::LeaseDone { worker: by, lease, .. } = event
            && !effects.iter().any(|effect| matches!(effect, Effect::Drop { worker, .. } if worker == by))
        {
            self.open.remove(lease);
        }
        for effect in effects {
            if self.ended {
                return Err(Broken::AfterEnd);
            }
            match effect {
                Effect::Send { worker, command } => self.see_command(*worker, command)?,
                Effect::AppendLedger(entry) => self.see_entry(entry)?,
                Effect::PublishManifest(manifest) => {
                    let key = crate::manifest::Manifest::key(manifest.iteration, manifest.fence);
                    if !self.keys.insert(key.clone()) {
                        return Err(Broken::KeyTwice { key });
                    }
                }
                Effect::Drop { worker, .. } => self.see_drop(*worker),
                Effect::RollBack { iteration, .. } => {
                    self.ledger.take_if(|entry| entry.iteration > *iteration);
                    self.changed = true;
                    self.close();
                }
                Effect::Finish(_) => self.ended = true,
                Effect::AppendMetrics(_) | Effect::Prune { .. } | Effect::Show(_) => {}
            }
        }
        Ok(())
    }

    fn see_command(&mut self, worker: WorkerId, command: &Command) -> Result<(), Broken> {
        match command {
            Command::Form { fence, rank, .. } => {
                if *rank == 0 && *fence <= self.fence {
                    return Err(Broken::FenceFell { found: *fence, earlier: self.fence });
                }
                self.fence = *fence;
                // What is measured when a new roster interrupts is done again as a whole.
                if MEASURED.contains(&self.purpose.as_str()) {
                    self.close();
                }
            }
            Command::Grant(lease) => self.see_grant(worker, lease.id, &lease.work)?,
            Command::Commit { fence, iteration, .. } => {
                let done = self.ledger.as_ref().is_some_and(|e| e.iteration >= *iteration);
                if !self.commits.insert((*fence, *iteration, worker)) || done {
                    return Err(Broken::CommittedTwice { worker, iteration: *iteration, fence: *fence });
                }
                self.reduced = true;
            }
            Command::Change { .. } => self.changed = true,
            Command::WriteParts { .. } => self.close(),
            Command::Reduce { .. } | Command::Remember(_) | Command::Abort { .. } | Command::Stop { .. } => {}
        }
        Ok(())
    }

    /// The sum of a lost worker is gone: its leases may be granted again, those of an iteration even when done, unless
    /// the others hold the reduced sum already.
    fn see_drop(&mut self, lost: WorkerId) {
        let (trains, open) = (self.purpose.starts_with("iteration") && !self.reduced, &self.open);
        let gone = |id: &LeaseId, worker: WorkerId| worker == lost && (trains || open.contains(id));
        let gone: Vec<LeaseId> =
            self.granted.iter().filter(|(id, (worker, _))| gone(id, *worker)).map(|(id, _)| *id).collect();
        for id in gone {
            self.granted.remove(&id);
            self.open.remove(&id);
        }
    }

    fn see_grant(&mut self, worker: WorkerId, id: LeaseId, work: &Work) -> Result<(), Broken> {
        let (purpose, prompts) = match work {
            Work::Prepare => ("preparing".into(), Vec::new()),
            Work::Train { iteration, prompts, .. } => (format!("iteration {iteration}"), prompts.clone()),
            Work::Validate { .. } => (MEASURED[0].into(), Vec::new()),
            Work::Ask { .. } => (MEASURED[1].into(), Vec::new()),
            Work::Clean { .. } => (MEASURED[2].into(), Vec::new()),
            Work::Report { .. } => ("the report".into(), Vec::new()),
        };
        let again = self.purpose == purpose && !self.granted.contains_key(&id) && !self.granted.is_empty();
        // Lease 0 is the first of its phase, as the lowest goes first; all of the phase before must be done by then.
        if again {
            // A lease of the phase at hand that is granted for the first time, or again after its worker was lost.
        } else if id == LeaseId(0) && self.open.is_empty() {
            self.granted.clear();
            self.reduced = false;
            self.purpose.clone_from(&purpose);
        } else if id == LeaseId(0) || self.purpose != purpose {
            return Err(Broken::TwoPhases { new: purpose, open: self.purpose.clone() });
        }
        if self.granted.insert(id, (worker, prompts)).is_some() {
            return Err(Broken::GrantedTwice { lease: id });
        }
        self.open.insert(id);
        Ok(())
    }

    fn see_entry(&mut self, entry: &LedgerEntry) -> Result<(), Broken> {
        let iteration = entry.iteration;
        // A coordinator that came after writes what workers remember; the leases were an earlier one's.
        let recovered = self.granted.is_empty();
        if let Some(earlier) = &self.ledger {
            if iteration.0 != earlier.iteration.0 + 1 {
                return Err(Broken::LedgerOrder { found: iteration, earlier: earlier.iteration });
            }
            if !recovered && !self.changed && earlier.after != entry.before {
                return Err(Broken::LedgerChain { iteration });
            }
        }
        let of_leases: Vec<u32> = self.granted.values().flat_map(|(_, prompts)| prompts).copied().collect();
        if !recovered && of_leases != entry.prompts {
            return Err(Broken::LedgerPrompts { iteration });
        }
        self.ledger = Some(entry.clone());
        self.changed = recovered;
        self.close();
        Ok(())
    }

    /// The open leases are done or dropped.
    fn close(&mut self) {
        self.open.clear();
        self.granted.clear();
        self.reduced = false;
    }
}
