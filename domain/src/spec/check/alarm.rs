//! The rules of `[alarm]`.

use super::Findings;
use crate::spec::AlarmSpec;

/// Checks `[alarm]`.
pub(super) fn check(alarm: &AlarmSpec, findings: &mut Findings) {
    let AlarmSpec { min_entropy, min_distinct, max_abstained, in_a_row } = alarm;
    findings.share("alarm.min_entropy", *min_entropy);
    findings.share("alarm.min_distinct", *min_distinct);
    findings.share("alarm.max_abstained", *max_abstained);
    findings.at_least_one("alarm.in_a_row", *in_a_row);
}
