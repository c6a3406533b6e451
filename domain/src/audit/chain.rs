//! The chain of digests: which lines count, and whether each begins where the one before ended.
//!
//! A run that was lost and resumed from an older checkpoint commits some iterations again, under a higher fence. The
//! later line counts, and must equal the one that it replaces but for its fence: that is what bit-for-bit means. Only
//! there may a line go back: under one fence iterations go up.

use super::{Audit, Finding, LEDGER, Numbered, Place, follow};
use crate::ids::{Digest, Fence, Iteration};
use crate::ledger::LedgerEntry;
use std::collections::BTreeMap;

/// The lines that count, by iteration: those of the last roster that committed each.
pub(super) struct Chain<'a> {
    pub(super) lines: BTreeMap<Iteration, (Place, &'a LedgerEntry)>,
}

impl Chain<'_> {
    /// The state before the first change.
    pub(super) fn first(&self) -> Option<Digest> {
        let (_, line) = self.lines.values().next()?;
        Some(line.changes.first().map_or(line.before, |link| link.before))
    }

    /// The state after the last iteration.
    pub(super) fn last(&self) -> Option<Digest> {
        self.lines.values().next_back().map(|(_, line)| line.after)
    }

    /// The last iteration, and the fence of its line.
    pub(super) fn end(&self) -> (Iteration, Fence) {
        self.lines.values().next_back().map_or_else(Default::default, |(_, line)| (line.iteration, line.fence))
    }
}

/// Sorts out the lines that were replaced.
pub(super) fn effective<'a>(lines: &'a [Numbered<LedgerEntry>], audit: &mut Audit) -> Chain<'a> {
    let mut kept: BTreeMap<Iteration, (Place, &LedgerEntry)> = BTreeMap::new();
    let mut replaced: BTreeMap<Iteration, (Place, &LedgerEntry)> = BTreeMap::new();
    let (mut fence, mut last) = (Fence(0), Iteration(0));
    for (number, line) in lines {
        let place = || Place::line(LEDGER, *number);
        let iteration = line.iteration;
        if line.fence < fence {
            audit.find(place(), Finding::OldFence { iteration, found: line.fence, earlier: fence });
        }
        if line.fence > fence {
            // A new roster went on from a checkpoint: what lies behind that point is done again.
            replaced.append(&mut kept.split_off(&iteration));
        }
        let again = line.fence > fence;
        fence = fence.max(line.fence);
        if kept.insert(iteration, (place(), line)).is_some() {
            audit.find(place(), Finding::Twice { iteration, fence: line.fence });
        } else if iteration < last && !again {
            audit.find(place(), Finding::WentBack { iteration, earlier: last });
        }
        last = iteration;
        if let Some((_, old)) = replaced.remove(&iteration) {
            audit.replaced += 1;
            if (LedgerEntry { fence: line.fence, ..old.clone() }) != *line {
                audit.find(place(), Finding::OtherBits { iteration, fence: line.fence });
            }
        }
    }
    audit.replaced += replaced.len() as u64;
    Chain { lines: kept }
}

/// Whether every iteration is there and begins, over its changes of state, where the one before ended.
pub(super) fn check_links(chain: &Chain<'_>, audit: &mut Audit) {
    let mut earlier: Option<&LedgerEntry> = None;
    for (place, line) in chain.lines.values() {
        audit.changes += line.changes.len() as u64;
        let last = earlier.map_or(Iteration(0), |line| line.iteration);
        if line.iteration.0 != last.0.saturating_add(1) {
            audit.find(place.clone(), Finding::Gap { found: line.iteration, earlier: last });
        }
        let broken = match follow(earlier.map(|line| line.after), &line.changes) {
            Err((link, expected)) => {
                let what = super::finding::names(std::iter::once(link.change));
                Some((format!("`{what}` before iteration {}", line.iteration), link.before, expected))
            }
            Ok(Some(expected)) if expected != line.before => {
                Some((format!("iteration {}", line.iteration), line.before, expected))
            }
            Ok(_) => None,
        };
        if let Some((what, found, expected)) = broken {
            audit.find(place.clone(), Finding::BrokenChain { what, found, expected });
        }
        earlier = Some(line);
    }
}
