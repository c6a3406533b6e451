//! Whether metrics and report are those of the chain.

use super::chain::Chain;
use super::finding::names;
use super::order::may_end;
use super::{Audit, Evidence, Finding, METRICS, Place, REPORT, follow};
use crate::ids::{Digest, Iteration, RunId};
use crate::ledger::StateLink;
use crate::spec::RunSpec;
use crate::work::Decision;
use serde::Deserialize;
use std::collections::BTreeMap;

/// What `report.json` says of the run, as far as an audit reads it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
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
    /// Digest of the journal with all its lines.
    pub journal_digest: Digest,
    /// Changes of the training state after the last of them.
    #[serde(default)]
    pub last_changes: Vec<StateLink>,
    /// All decisions of the curriculum.
    #[serde(default)]
    pub decisions: Vec<Decision>,
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
pub(super) fn check_report(evidence: &Evidence<'_>, chain: &Chain<'_>, audit: &mut Audit) {
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
    check_end(evidence.spec, report, chain, audit);
    check_decisions(report, chain, audit);
    audit.reported = audit.findings.len() == before;
}

/// The changes after the last iteration lead from the chain's last commit to the report's state.
fn check_end(spec: &RunSpec, report: &Reported, chain: &Chain<'_>, audit: &mut Audit) {
    let (place, links) = (|| Place::file(REPORT), &report.last_changes);
    audit.changes += links.len() as u64;
    match follow(chain.last(), links) {
        Err((link, expected)) => {
            let what = format!("`{}` after the last iteration", names(std::iter::once(link.change)));
            audit.find(place(), Finding::BrokenChain { what, found: link.before, expected });
        }
        Ok(Some(expected)) if expected != report.state_digest => {
            audit.find(place(), Finding::NotTheLast { found: report.state_digest, expected });
        }
        Ok(_) => {}
    }
    if let Err(allowed) = may_end(spec, links) {
        let iteration = Iteration(chain.end().0.0.saturating_add(1));
        let changes = names(links.iter().map(|link| link.change));
        audit.find(place(), Finding::WrongChanges { iteration, changes, allowed });
    }
}

/// The decisions that the ledger's lines hold are the first of the report's; what was decided after the last iteration
/// stands in the report alone.
fn check_decisions(report: &Reported, chain: &Chain<'_>, audit: &mut Audit) {
    let mut rest = report.decisions.iter();
    for (at, line) in chain.lines.values() {
        if line.decisions.iter().any(|decision| rest.next() != Some(decision)) {
            return audit.find(at.clone(), Finding::OtherDecisions { iteration: line.iteration });
        }
    }
}
