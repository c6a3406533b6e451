//! An audit as a short proof for people, and as JSON for programs.

use super::short;
use conrec_domain::audit::Audit;
use conrec_domain::ids::RunId;
use serde_json::json;
use std::fmt::Write as _;

/// Findings that people are shown: what is broken first mostly explains the rest.
const SHOWN: usize = 10;

/// The proof, or the first findings.
pub fn text(run: &RunId, audit: &Audit) -> String {
    let mut text = String::new();
    if audit.findings.is_empty() {
        whole(run, audit, &mut text);
    } else {
        for found in audit.findings.iter().take(SHOWN) {
            let _ = writeln!(text, "{found}");
        }
        let more = audit.findings.len().saturating_sub(SHOWN);
        if more > 0 {
            let _ = writeln!(text, "and {more} more; --output json lists all");
        }
    }
    text
}

fn whole(run: &RunId, audit: &Audit, text: &mut String) {
    let Some((first, last)) = audit.ends else {
        let _ = writeln!(text, "run `{run}` has committed no iteration yet; nothing contradicts that");
        return;
    };
    let Audit { iterations, prompts, changes, checkpoints, measured, replaced, refilled, .. } = audit;
    let _ = writeln!(text, "run `{run}` is whole:");
    let _ =
        writeln!(text, "  prompts      each exactly once: {prompts} prompts in {iterations} iterations, as scheduled");
    if *refilled > 0 {
        let _ = writeln!(text, "  refilled     {refilled} prompts of reserves, each where its lease's reserve has it");
    }
    let (first, last) = (short(first), short(last));
    let _ =
        writeln!(text, "  chain        {iterations} commits and {changes} changes of state, from {first} to {last}");
    let _ = writeln!(text, "  checkpoints  {checkpoints} manifests, all on the chain");
    let _ = writeln!(text, "  metrics      {measured} lines, each of its iteration");
    if *replaced > 0 {
        let _ = writeln!(text, "  done again   {replaced} iterations, with the same bits");
    }
    let report = if audit.reported { "its state is the chain's last" } else { "not written yet" };
    let _ = writeln!(text, "  report       {report}");
}

/// One JSON object.
pub fn json(run: &RunId, audit: &Audit) -> serde_json::Value {
    let findings: Vec<_> = audit
        .findings
        .iter()
        .map(|found| json!({"file": found.place.file, "line": found.place.line, "what": found.what.to_string()}))
        .collect();
    json!({
        "run_id": run.as_str(),
        "whole": audit.findings.is_empty(),
        "iterations": audit.iterations,
        "prompts": audit.prompts,
        "refilled": audit.refilled,
        "changes": audit.changes,
        "replaced": audit.replaced,
        "first_state": audit.ends.map(|(first, _)| first.to_string()),
        "last_state": audit.ends.map(|(_, last)| last.to_string()),
        "checkpoints": audit.checkpoints,
        "metrics": audit.measured,
        "report_is_last": audit.reported,
        "findings": findings,
    })
}
