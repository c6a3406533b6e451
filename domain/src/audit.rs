//! Audits a run from its files: every prompt of every committed iteration entered the sum exactly once, and the digests
//! of the training state form one chain, to which checkpoints, metrics and report belong; and no line of ledger or metrics
//! was changed since it was written. Pure: the caller brings the files.
//!
//! What it proves: the files agree with the config, with the schedule that follows from it, and with each other. It does
//! not train again, so it takes each digest for what the workers agreed on when they recorded it.

mod chain;
mod checkpoints;
mod finding;
mod journal;
mod lines;
mod order;
mod prompts;
mod results;

pub use finding::{Finding, Found, Place};
pub use lines::{Numbered, read_lines};
pub use results::Reported;

use crate::ids::{Digest, RunId};
use crate::ledger::{LedgerEntry, StateLink};
use crate::manifest::Manifest;
use crate::metrics_line::MetricsLine;
use crate::spec::RunSpec;
use crate::work::Prepared;
use chain::Chain;

/// Name of the ledger in a run's folder.
pub const LEDGER: &str = "ledger.jsonl";
/// Name of the manifest of the prepared data in a run's folder.
pub const PREPARED: &str = "prepared/manifest.json";
/// Name of the metrics in a run's folder.
pub const METRICS: &str = "metrics.jsonl";
/// Name of the report in a run's folder.
pub const REPORT: &str = "report.json";

/// A run's files, read.
#[derive(Clone, Debug)]
pub struct Evidence<'a> {
    /// The run's name.
    pub run_id: &'a RunId,
    /// `run.toml`.
    pub spec: &'a RunSpec,
    /// `prepared/manifest.json`.
    pub prepared: &'a Prepared,
    /// `ledger.jsonl`, in the order in which its lines were appended.
    pub ledger: &'a [Numbered<LedgerEntry>],
    /// `metrics.jsonl`.
    pub metrics: &'a [Numbered<MetricsLine>],
    /// Manifests of checkpoints with their keys, oldest first.
    pub manifests: &'a [(String, Manifest)],
    /// `report.json`, where the run is complete.
    pub report: Option<&'a Reported>,
}

/// What an audit found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audit {
    /// Iterations that count.
    pub iterations: u64,
    /// Prompts over all iterations that count.
    pub prompts: u64,
    /// Prompts that were taken from reserves, over these iterations.
    pub refilled: u64,
    /// Changes of state between the iterations, as links of the chain.
    pub changes: u64,
    /// Lines replaced by a later roster.
    pub replaced: u64,
    /// The states with which the chain begins and ends.
    pub ends: Option<(Digest, Digest)>,
    /// Checkpoints whose state lies on the chain.
    pub checkpoints: u64,
    /// Lines of metrics that belong to an iteration.
    pub measured: u64,
    /// Whether the report's state is the chain's last.
    pub reported: bool,
    /// All that is wrong, files of other runs first, then in the order of the files; empty if the run is whole.
    pub findings: Vec<Found>,
}

impl Audit {
    fn find(&mut self, place: Place, what: Finding) {
        self.findings.push(Found { place, what });
    }
}

/// Audits all files of a run.
pub fn audit(evidence: &Evidence<'_>) -> Audit {
    let mut audit = Audit::default();
    let chain = audit_chain(evidence.spec, evidence.prepared, evidence.ledger, &mut audit);
    checkpoints::check(evidence, &chain, &mut audit);
    results::check_metrics(evidence, &chain, &mut audit);
    results::check_report(evidence, &chain, &mut audit);
    journal::check(evidence, &chain, &mut audit);
    // A file of another run explains all that it contradicts: it is named first.
    audit.findings.sort_by_key(|found| !matches!(found.what, Finding::Foreign { .. }));
    audit.ends = chain.first().zip(evidence.report.map(|report| report.state_digest).or_else(|| chain.last()));
    audit
}

/// Audits a ledger alone: order, prompts and chain.
pub fn audit_ledger(spec: &RunSpec, prepared: &Prepared, ledger: &[Numbered<LedgerEntry>]) -> Audit {
    let mut audit = Audit::default();
    let chain = audit_chain(spec, prepared, ledger, &mut audit);
    audit.ends = chain.first().zip(chain.last());
    audit
}

fn audit_chain<'a>(
    spec: &RunSpec,
    prepared: &Prepared,
    ledger: &'a [Numbered<LedgerEntry>],
    audit: &mut Audit,
) -> Chain<'a> {
    let chain = chain::effective(ledger, audit);
    chain::check_links(&chain, audit);
    order::check(spec, &chain, audit);
    prompts::check(spec, prepared, &chain, audit);
    audit.findings.sort_by(|a, b| a.place.cmp(&b.place));
    audit.iterations = chain.lines.len() as u64;
    chain
}

/// Follows links from a state; gives the last state, or the first link that does not begin where the one before ended.
fn follow(from: Option<Digest>, links: &[StateLink]) -> Result<Option<Digest>, (StateLink, Digest)> {
    let mut at = from;
    for link in links {
        match at {
            Some(state) if state != link.before => return Err((*link, state)),
            Some(_) | None => at = Some(link.after),
        }
    }
    Ok(at)
}
