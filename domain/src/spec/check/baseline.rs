//! The rules of `[baseline]`.

use super::Findings;
use crate::spec::{BaselineSpec, SasRecLoss, SasRecSpec};

/// Checks `[baseline]` and `[baseline.sasrec]`.
pub(super) fn check(baseline: &BaselineSpec, findings: &mut Findings) {
    let BaselineSpec { tune: _, sasrec } = baseline;
    let SasRecSpec {
        enabled: _,
        hidden,
        layers,
        heads,
        positions,
        dropout,
        epochs,
        patience: _, // every number is allowed: 0 never ends early
        learning_rate,
        sequences,
        negatives,
        loss,
    } = sasrec;
    findings.require((1..=4096).contains(hidden), "baseline.sasrec.hidden", hidden, "1 to 4096");
    findings.require(
        *heads >= 1 && hidden.is_multiple_of((*heads).max(1)),
        "baseline.sasrec.heads",
        heads,
        &format!("1 or more, a divisor of baseline.sasrec.hidden = {hidden}"),
    );
    findings.require((1..=64).contains(layers), "baseline.sasrec.layers", layers, "1 to 64");
    let positions_allowed = "2 to 4096: the beginning of a sequence takes one";
    findings.require((2..=4096).contains(positions), "baseline.sasrec.positions", positions, positions_allowed);
    findings.below_one("baseline.sasrec.dropout", *dropout);
    findings.at_least_one("baseline.sasrec.epochs", *epochs);
    findings.above_zero("baseline.sasrec.learning_rate", *learning_rate);
    findings.at_least_one("baseline.sasrec.sequences", *sequences);
    findings.require(
        *loss == SasRecLoss::Softmax || (1..=64).contains(negatives),
        "baseline.sasrec.negatives",
        negatives,
        "1 to 64 with loss = \"binary\", which draws them for each position; the paper draws 1",
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(change: impl Fn(&mut SasRecSpec)) -> Vec<String> {
        let mut spec = BaselineSpec::default();
        change(&mut spec.sasrec);
        let mut findings = Findings::default();
        check(&spec, &mut findings);
        findings.0.into_iter().map(|violation| violation.key).collect()
    }

    #[test]
    fn defaults_are_allowed_and_what_cannot_work_is_named() {
        assert!(keys(|_| {}).is_empty());
        assert_eq!(keys(|s| s.heads = 3), ["baseline.sasrec.heads"]);
        assert_eq!(keys(|s| s.heads = 0), ["baseline.sasrec.heads"]);
        assert_eq!(keys(|s| s.positions = 1), ["baseline.sasrec.positions"]);
        assert_eq!(keys(|s| s.dropout = 1.0), ["baseline.sasrec.dropout"]);
        assert!(keys(|s| s.negatives = 0).is_empty());
        let binary = |s: &mut SasRecSpec| (s.negatives, s.loss) = (0, SasRecLoss::Binary);
        assert_eq!(keys(binary), ["baseline.sasrec.negatives"]);
    }
}
