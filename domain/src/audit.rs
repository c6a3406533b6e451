//! Audits a ledger: every prompt of every committed iteration exactly once, in the scheduled order, and digests that
//! chain. Pure: the caller brings the lines.
//!
//! A run that was lost and resumed from an older checkpoint commits some iterations again, under a higher fence. The
//! later line counts, and must have the gradient of the one that it replaces: that is what bit-for-bit means.

use crate::ids::{Digest, Fence, Iteration};
use crate::ledger::LedgerEntry;
use crate::schedule::Schedule;
use crate::spec::RunSpec;
use crate::work::{Pass, Prepared};
use std::collections::BTreeMap;

/// What an audit found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audit {
    /// Iterations that count.
    pub iterations: u64,
    /// Prompts over all iterations that count.
    pub prompts: u64,
    /// Lines replaced by a later roster.
    pub replaced: u64,
    /// All that is wrong; empty if the ledger is whole.
    pub findings: Vec<Finding>,
}

/// One thing that is wrong with a ledger.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Finding {
    /// An iteration was committed twice without a newer roster in between.
    #[error("iteration {iteration} was committed twice by the roster with fence {fence}")]
    Twice {
        /// Which.
        iteration: Iteration,
        /// By which roster.
        fence: Fence,
    },
    /// The fence fell.
    #[error("iteration {iteration} carries fence {found} after fence {earlier}")]
    OldFence {
        /// Which.
        iteration: Iteration,
        /// Its fence.
        found: Fence,
        /// The fence of the line before.
        earlier: Fence,
    },
    /// An iteration is missing.
    #[error("iteration {found} follows iteration {earlier}: one or more are missing")]
    Gap {
        /// The iteration found.
        found: Iteration,
        /// The one before it.
        earlier: Iteration,
    },
    /// The same iteration, done again, gave other bits.
    #[error("iteration {iteration}, committed again under fence {fence}, has another gradient or other prompts")]
    OtherBits {
        /// Which.
        iteration: Iteration,
        /// The later roster.
        fence: Fence,
    },
    /// The config has no such stage, or the data no such pass.
    #[error("iteration {iteration} names stage `{stage}` of pass {pass:?}, which this run does not have")]
    UnknownStage {
        /// Which.
        iteration: Iteration,
        /// The stage named.
        stage: String,
        /// The pass named.
        pass: Pass,
    },
    /// The config does not allow so many attempts.
    #[error("iteration {iteration} is of attempt {found} at stage `{stage}`, of which there are {allowed}, from 0 on")]
    UnknownAttempt {
        /// Which.
        iteration: Iteration,
        /// The stage.
        stage: String,
        /// The attempt named.
        found: u32,
        /// How many the config allows.
        allowed: u32,
    },
    /// Not the prompts that the schedule gives this iteration, in its order.
    #[error("iteration {iteration}: {found} prompts in the ledger are not the {expected} of the schedule")]
    OtherPrompts {
        /// Which.
        iteration: Iteration,
        /// How many the ledger has.
        found: usize,
        /// How many the schedule has.
        expected: usize,
    },
    /// The state before is not the state after the iteration before.
    #[error("iteration {iteration} began from state {found:.12}, the one before it ended with {expected:.12}",
        found = .found.to_string(), expected = .expected.to_string())]
    BrokenChain {
        /// Which.
        iteration: Iteration,
        /// The state it began from.
        found: Digest,
        /// The state the iteration before ended with.
        expected: Digest,
    },
}

/// Audits all lines of a ledger, in the order in which they were appended.
pub fn audit(spec: &RunSpec, prepared: &Prepared, lines: &[LedgerEntry]) -> Audit {
    let mut audit = Audit::default();
    let effective = effective(lines, &mut audit);
    let mut place: BTreeMap<(Pass, String, u32), u32> = BTreeMap::new();
    let mut earlier: Option<&LedgerEntry> = None;
    for line in effective.values() {
        audit.iterations += 1;
        audit.prompts += line.prompts.len() as u64;
        let expected = earlier.map_or(Iteration(1), |e| Iteration(e.iteration.0 + 1));
        if line.iteration != expected {
            let earlier = Iteration(expected.0 - 1);
            audit.findings.push(Finding::Gap { found: line.iteration, earlier });
        }
        let count = place.entry((line.pass, line.stage.clone(), line.attempt)).or_insert(0);
        check_prompts(spec, prepared, line, *count, &mut audit.findings);
        let chained = !state_may_change(spec, line, *count);
        if let Some(e) = earlier.filter(|e| chained && e.after != line.before) {
            let (iteration, found, expected) = (line.iteration, line.before, e.after);
            audit.findings.push(Finding::BrokenChain { iteration, found, expected });
        }
        *count += 1;
        earlier = Some(line);
    }
    audit
}

/// Whether something other than a commit may change the state before iteration `place` of the line's attempt: it
/// begins there, or a validation may have kept a new best. The refit pass keeps none.
fn state_may_change(spec: &RunSpec, line: &LedgerEntry, place: u32) -> bool {
    let every = spec.stage.iter().find(|s| s.name == line.stage).map_or(0, |s| s.validate_every);
    place == 0 || (line.pass == Pass::Select && every > 0 && place.is_multiple_of(every))
}

/// The lines that count, by iteration: those of the last roster that committed each.
fn effective<'a>(lines: &'a [LedgerEntry], audit: &mut Audit) -> BTreeMap<Iteration, &'a LedgerEntry> {
    let mut kept: BTreeMap<Iteration, &LedgerEntry> = BTreeMap::new();
    let mut replaced: BTreeMap<Iteration, &LedgerEntry> = BTreeMap::new();
    let mut fence = Fence(0);
    for line in lines {
        if line.fence < fence {
            let (iteration, found) = (line.iteration, line.fence);
            audit.findings.push(Finding::OldFence { iteration, found, earlier: fence });
        }
        if line.fence > fence {
            // A new roster went on from a checkpoint: what lies behind that point is done again.
            replaced.append(&mut kept.split_off(&line.iteration));
        }
        fence = fence.max(line.fence);
        if kept.insert(line.iteration, line).is_some() {
            audit.findings.push(Finding::Twice { iteration: line.iteration, fence: line.fence });
        }
        if let Some(old) = replaced.remove(&line.iteration) {
            audit.replaced += 1;
            if old.gradient != line.gradient || old.prompts != line.prompts {
                audit.findings.push(Finding::OtherBits { iteration: line.iteration, fence: line.fence });
            }
        }
    }
    audit.replaced += replaced.len() as u64;
    kept
}

/// Whether a line is of an attempt that may be, and holds the prompts that the schedule gives its iteration `place`.
fn check_prompts(spec: &RunSpec, prepared: &Prepared, line: &LedgerEntry, place: u32, findings: &mut Vec<Finding>) {
    let schedule = (0u32..).zip(&spec.stage).find(|(_, s)| s.name == line.stage).and_then(|(stage, of)| {
        if line.attempt >= of.attempts() {
            let (iteration, stage, found) = (line.iteration, line.stage.clone(), line.attempt);
            findings.push(Finding::UnknownAttempt { iteration, stage, found, allowed: of.attempts() });
        }
        let pass = prepared.passes.iter().find(|p| p.pass == line.pass)?;
        Schedule::of(spec, line.pass, stage, *pass.prompts.get(stage as usize)?)
    });
    let Some(schedule) = schedule else {
        let (iteration, stage, pass) = (line.iteration, line.stage.clone(), line.pass);
        return findings.push(Finding::UnknownStage { iteration, stage, pass });
    };
    let expected = schedule.iteration(place);
    if expected != line.prompts {
        let (found, expected) = (line.prompts.len(), expected.len());
        findings.push(Finding::OtherPrompts { iteration: line.iteration, found, expected });
    }
}
