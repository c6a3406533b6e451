//! Whether metrics and report are those of the chain.

use super::chain::Chain;
use super::checkpoints::Tail;
use super::finding::names;
use super::{Audit, Evidence, Finding, METRICS, Place, REPORT};
use crate::curriculum::{Cursor, NextAction, Performed};
use crate::ids::{Digest, Iteration, RunId};
use crate::spec::RunSpec;
use crate::work::StateChange;
use serde::Deserialize;
use std::collections::BTreeMap;

/// What `report.json` says of the run, as far as an audit reads it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Reported {
    /// The run's name.
    pub run_id: RunId,
    /// Digest of the config.
    pub config_digest: Digest,
    /// Digest of the prepared data.
    pub data_digest: Digest,
    /// Digest of the last training state.
    pub state_digest: Digest,
    /// Committed iterations.
    pub iterations: u64,
}

/// The lines of metrics are those of the iterations, each once and in order.
pub(super) fn check_metrics(evidence: &Evidence<'_>, chain: &Chain<'_>, audit: &mut Audit) {
    let mut begun = BTreeMap::new();
    for (_, line) in chain.lines.values() {
        begun.entry((line.pass, &line.stage, line.attempt)).or_insert(line.iteration);
    }
    let mut last = Iteration(0);
    for (number, line) in evidence.metrics {
        let (place, iteration) = (Place::line(METRICS, *number), line.iteration);
        if iteration.0 != last.0.saturating_add(1) {
            audit.find(place.clone(), Finding::MeasuredOutOfOrder { iteration, earlier: last });
        }
        last = iteration;
        let Some((_, entry)) = chain.lines.get(&iteration) else {
            audit.find(place, Finding::MeasuredOnly { iteration });
            continue;
        };
        let first = begun.get(&(entry.pass, &entry.stage, entry.attempt)).map_or(iteration.0, |first| first.0);
        let shown = |pass, stage: &str, count: u64| format!("number {count} of stage `{stage}`, pass {pass:?}");
        let expected = shown(entry.pass, &entry.stage, (iteration.0 - first).saturating_add(1));
        let found = shown(line.pass, &line.stage, u64::from(line.stage_iteration));
        if found == expected {
            audit.measured += 1;
        } else {
            audit.find(place, Finding::MeasuredElsewhere { iteration, found, expected });
        }
    }
    // The line of an iteration that is validated waits for the scores, unless the run is over.
    let held = u64::from(evidence.report.is_none());
    if last.0.saturating_add(held) < chain.end().0.0 {
        audit.find(Place::file(METRICS), Finding::NotMeasured { iteration: Iteration(last.0.saturating_add(1)) });
    }
}

/// The report is of this run, counts its iterations, and its state is the chain's last.
pub(super) fn check_report(evidence: &Evidence<'_>, (chain, tail): (&Chain<'_>, &Tail<'_>), audit: &mut Audit) {
    let Some(report) = evidence.report else {
        return;
    };
    let before = audit.findings.len();
    let place = || Place::file(REPORT);
    let config = evidence.spec.digest().map(|digest| digest.to_string()).unwrap_or_default();
    let pairs = [
        ("run", report.run_id.to_string(), evidence.run_id.to_string()),
        ("config", report.config_digest.to_string(), config),
        ("data", report.data_digest.to_string(), evidence.prepared.data_digest.to_string()),
    ];
    for (what, found, expected) in pairs.into_iter().filter(|(_, found, expected)| found != expected) {
        audit.find(place(), Finding::Foreign { what, found, expected });
    }
    let (found, expected) = (report.iterations, chain.end().0.0);
    if found != expected {
        audit.find(place(), Finding::OtherCount { found, expected });
    }
    let unrecorded = tail.cursor.map(|cursor| changes_to_the_end(evidence.spec, cursor)).unwrap_or_default();
    match tail.state {
        Some(_) if !unrecorded.is_empty() => audit.open.push(format!(
            "after the last checkpoint the state was changed by {} without an iteration: no file records its digests, \
             so the report's state {:.12} is not tied to the chain",
            names(unrecorded.into_iter()),
            report.state_digest.to_string()
        )),
        Some(expected) if expected != report.state_digest => {
            audit.find(place(), Finding::NotTheLast { found: report.state_digest, expected });
        }
        Some(_) => audit.reported = audit.findings.len() == before,
        None => {}
    }
}

/// The changes of state that the curriculum makes between a checkpoint and the report, if nothing else lies there.
fn changes_to_the_end(spec: &RunSpec, cursor: &Cursor) -> Vec<StateChange> {
    let (mut cursor, mut changes) = (cursor.clone(), Vec::new());
    loop {
        let performed = match cursor.next_action() {
            NextAction::Change(change) => {
                changes.push(change);
                Performed::Changed
            }
            NextAction::Checkpoint => Performed::Checkpointed,
            NextAction::Report => return changes,
            NextAction::Validate | NextAction::Train | NextAction::Nothing => return Vec::new(),
        };
        match cursor.advance(spec, performed) {
            Ok(next) => cursor = next,
            Err(_) => return Vec::new(),
        }
    }
}
