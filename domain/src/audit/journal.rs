//! Whether ledger and metrics still hold what was written: each line of the ledger carries the digest of all lines before
//! it, a checkpoint's cursor that of the lines which it holds, and the report that of all.

use super::chain::Chain;
use super::{Audit, Evidence, Finding, Place, REPORT};
use crate::ids::{Digest, Iteration};
use crate::ledger::empty_journal;
use crate::metrics_line::MetricsLine;
use std::collections::BTreeMap;

/// The journal after an iteration: once it is in the ledger, and once it is measured too. Where its metrics are missing, which
/// is named elsewhere, the latter is not known, and nothing is compared with it.
struct Reached {
    committed: Digest,
    measured: Option<Digest>,
}

/// Checks the digests of the journal in all files that have one.
pub(super) fn check(evidence: &Evidence<'_>, chain: &Chain<'_>, audit: &mut Audit) {
    let reached = check_lines(evidence, chain, audit);
    for (key, manifest) in evidence.manifests {
        let (iteration, found) = (manifest.iteration, manifest.cursor.journal);
        let expected = match reached.get(&iteration) {
            // Its metrics wait in the checkpoint for their scores.
            Some(reached) if manifest.cursor.held_line.is_some() => Some(reached.committed),
            Some(reached) => reached.measured,
            None if iteration == Iteration(0) => Some(empty_journal()),
            // What lies beyond the ledger is named elsewhere, where it is wrong.
            None => None,
        };
        if let Some(expected) = expected.filter(|expected| *expected != found) {
            let what = "the checkpoint".to_owned();
            let place = Place::file(&format!("{key}/manifest.json"));
            audit.find(place, Finding::OtherJournal { what, iteration, found, expected });
        }
    }
    if let Some(report) = evidence.report {
        let (iteration, found) = (chain.end().0, report.journal_digest);
        let expected = reached.get(&iteration).map_or_else(|| Some(empty_journal()), |reached| reached.measured);
        if let Some(expected) = expected.filter(|expected| *expected != found) {
            let what = "the report".to_owned();
            audit.find(Place::file(REPORT), Finding::OtherJournal { what, iteration, found, expected });
        }
    }
}

/// Each line of the ledger goes on from the lines before it, as they are now. One that does not is named once: the next is
/// compared with what this one says.
fn check_lines(evidence: &Evidence<'_>, chain: &Chain<'_>, audit: &mut Audit) -> BTreeMap<Iteration, Reached> {
    let mut metrics: BTreeMap<Iteration, &MetricsLine> = BTreeMap::new();
    for (_, line) in evidence.metrics {
        metrics.entry(line.iteration).or_insert(line);
    }
    let mut reached = BTreeMap::new();
    let (mut last, mut before) = (Iteration(0), Some(empty_journal()));
    for (place, line) in chain.lines.values() {
        let (iteration, found) = (line.iteration, line.previous);
        // Where lines are missing nothing can be compared.
        let expected = before.filter(|_| iteration.0 == last.0.saturating_add(1));
        if let Some(expected) = expected.filter(|expected| *expected != found) {
            let what = format!("iteration {iteration}");
            audit.find(place.clone(), Finding::OtherJournal { what, iteration: last, found, expected });
        }
        let committed = line.journal();
        let measured = metrics.get(&iteration).map(|metrics| metrics.journal(committed));
        reached.insert(iteration, Reached { committed, measured });
        (last, before) = (iteration, measured);
    }
    reached
}
