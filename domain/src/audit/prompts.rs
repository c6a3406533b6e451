//! Whether each iteration holds the prompts that the schedule gives it, each of them once.

use super::chain::Chain;
use super::{Audit, Finding, PREPARED, Place};
use crate::ids::Iteration;
use crate::ledger::LedgerEntry;
use crate::schedule::{CleanedSchedule, Schedule};
use crate::spec::{RunSpec, StageSpec};
use crate::work::{Cleaned, Pass, Prepared};
use std::collections::BTreeMap;

/// More prompts of a stage than any dataset gives: a bound for what a damaged manifest can make an audit allocate.
const MOST_PROMPTS: u32 = 1 << 26;

/// Checks the prompts of all lines.
pub(super) fn check(spec: &RunSpec, prepared: &Prepared, chain: &Chain<'_>, audit: &mut Audit) {
    if too_many(spec, prepared, audit) {
        return;
    }
    let mut begun: BTreeMap<(Pass, &str, u32), (Iteration, Option<&Cleaned>)> = BTreeMap::new();
    for (at, line) in chain.lines.values() {
        audit.prompts += line.prompts.len() as u64;
        audit.refilled += line.refilled.len() as u64;
        // The first iteration of an attempt is its place 0, so that one that is missing does not spoil the rest.
        let first = (line.iteration, line.cleaned.as_deref());
        let (first, cleaned) = *begun.entry((line.pass, &line.stage, line.attempt)).or_insert(first);
        let place = u32::try_from(line.iteration.0 - first.0).unwrap_or(u32::MAX);
        if let Some((stage, schedule)) = schedule(spec, prepared, line, cleaned) {
            let rollout = stage.rollout_of(place);
            check_line((at, line), &schedule.iteration(rollout), audit);
            check_refilled((at, line), &schedule.reserves(rollout, stage.reserve()), audit);
        } else if spec.stage.iter().any(|stage| stage.name == line.stage) {
            let (iteration, stage, pass) = (line.iteration, line.stage.clone(), line.pass);
            audit.find(at.clone(), Finding::UnknownStage { iteration, stage, pass });
        }
    }
}

fn too_many(spec: &RunSpec, prepared: &Prepared, audit: &mut Audit) -> bool {
    let all = prepared.passes.iter().flat_map(|pass| spec.stage.iter().zip(&pass.prompts));
    let found = all.map(|(stage, prompts)| (&stage.name, *prompts)).find(|(_, prompts)| *prompts > MOST_PROMPTS);
    if let Some((stage, found)) = found {
        let what = Finding::TooManyPrompts { stage: stage.clone(), found, allowed: MOST_PROMPTS };
        audit.find(Place::file(PREPARED), what);
    }
    found.is_some()
}

fn schedule<'a>(
    spec: &'a RunSpec,
    prepared: &Prepared,
    line: &LedgerEntry,
    cleaned: Option<&Cleaned>,
) -> Option<(&'a StageSpec, CleanedSchedule)> {
    let (stage, found) = (0u32..).zip(&spec.stage).find(|(_, stage)| stage.name == line.stage)?;
    let pass = prepared.passes.iter().find(|pass| pass.pass == line.pass)?;
    let prompts = *pass.prompts.get(stage as usize)?;
    // A line that was changed must not make an audit allocate more than the prepared data gives.
    let cleaned = cleaned.filter(|cleaned| cleaned.prompts == prompts);
    Some((found, Schedule::of_cleaned(spec, line.pass, stage, (prompts, cleaned))?))
}

/// A lease takes prompts of its reserve in their order, from the first on; reserves have no prompt in common.
fn check_refilled((at, line): (&Place, &LedgerEntry), reserves: &[Vec<u32>], audit: &mut Audit) {
    let mut taken = line.refilled.iter().copied().peekable();
    for reserve in reserves {
        for prompt in reserve {
            if taken.next_if_eq(prompt).is_none() {
                break;
            }
        }
    }
    if let Some(prompt) = taken.next() {
        audit.find(at.clone(), Finding::NotInReserve { iteration: line.iteration, prompt });
    }
}

fn check_line((at, line): (&Place, &LedgerEntry), expected: &[u32], audit: &mut Audit) {
    if line.prompts == expected {
        return;
    }
    let iteration = line.iteration;
    let mut times: BTreeMap<u32, usize> = expected.iter().map(|prompt| (*prompt, 0)).collect();
    let mut foreign = None;
    for prompt in &line.prompts {
        match times.get_mut(prompt) {
            Some(times) => *times += 1,
            None => foreign = foreign.or(Some(*prompt)),
        }
    }
    let (expected, before) = (expected.len(), audit.findings.len());
    if let Some((&prompt, &times)) = times.iter().find(|(_, times)| **times > 1) {
        audit.find(at.clone(), Finding::PromptTwice { iteration, prompt, times });
    }
    if let Some((&prompt, _)) = times.iter().find(|(_, times)| **times == 0) {
        let missing = times.values().filter(|times| **times == 0).count();
        audit.find(at.clone(), Finding::PromptMissing { iteration, prompt, missing, expected });
    }
    if let Some(prompt) = foreign {
        audit.find(at.clone(), Finding::PromptForeign { iteration, prompt, expected });
    }
    if audit.findings.len() == before {
        audit.find(at.clone(), Finding::OtherOrder { iteration });
    }
}
