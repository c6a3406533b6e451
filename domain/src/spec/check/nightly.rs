//! The rules of `[warm_start]` and `[nightly]`.

use super::Findings;
use crate::ids::{Digest, RunId};
use crate::spec::{Control, NightlySpec, SemanticIdSpec, WarmStartSpec};

/// Days of a window at most: ten years.
const DAYS_AT_MOST: u32 = 3_660;

/// Checks `[warm_start]`.
pub(super) fn check_warm_start(warm_start: &WarmStartSpec, semantic_id: &SemanticIdSpec, findings: &mut Findings) {
    let WarmStartSpec { run, state } = warm_start;
    let named = run.parse::<RunId>().is_ok();
    findings.require(
        run.is_empty() || named,
        "warm_start.run",
        format!("{run:?}"),
        "the id of a finished run of the same store, or \"\"",
    );
    findings.require(
        state.is_empty() || (named && state.parse::<Digest>().is_ok()),
        "warm_start.state",
        format!("{state:?}"),
        "the 64 hexadecimal digits of that run's state_digest, or \"\"",
    );
    findings.require(
        run.is_empty() || semantic_id.control == Control::None,
        "warm_start.run",
        format!("{run:?}"),
        "\"\" where semantic_id.control is set: such ids mean nothing that could be gone on with",
    );
}

/// Checks `[nightly]`.
pub(super) fn check(nightly: &NightlySpec, findings: &mut Findings) {
    let NightlySpec {
        window_days,
        min_events,
        complete_days,
        late_hours,
        metrics,
        tolerance,
        confidence,
        min_instances,
        floor: _,   // the report knows the names of baselines
        predict: _, // either is allowed
    } = nightly;
    findings.require((1..=DAYS_AT_MOST).contains(window_days), "nightly.window_days", window_days, "1 to 3660 days");
    findings.at_least_one("nightly.min_events", *min_events);
    findings.require(
        (1..=*window_days).contains(complete_days),
        "nightly.complete_days",
        complete_days,
        &format!("1 to nightly.window_days = {window_days}"),
    );
    findings.require(*late_hours <= 24 * 31, "nightly.late_hours", late_hours, "0 to 744 hours");
    let named = |metric: &String| !metric.trim().is_empty() && !metric.contains('@');
    findings.require(
        !metrics.is_empty() && metrics.iter().all(named),
        "nightly.metrics",
        format!("{metrics:?}"),
        "at least one metric of the report, without its length, such as [\"fhr\", \"cand_acc\"]",
    );
    findings.not_negative("nightly.tolerance", *tolerance);
    findings.require(
        (0.5..1.0).contains(confidence),
        "nightly.confidence",
        confidence,
        "0.5 or more and below 1: how sure it must be that the new adapter is not worse",
    );
    findings.at_least_one("nightly.min_instances", *min_instances);
}
