//! The rules of `[semantic_id]`.

use super::Findings;
use crate::spec::SemanticIdSpec;

/// Checks `[semantic_id]`.
pub(super) fn check(spec: &SemanticIdSpec, findings: &mut Findings) {
    let SemanticIdSpec {
        levels,
        codes,
        text_dimensions,
        interaction_dimensions: _, // every number is allowed: 0 leaves the interactions out
        interaction_weight,
        hidden,
        latent,
        commitment,
        ema_decay,
        dead_below,
        epochs,
        items_per_step,
        learning_rate,
    } = spec;
    findings.require((1..=8).contains(levels), "semantic_id.levels", levels, "1 to 8");
    findings.require((2..=65_535).contains(codes), "semantic_id.codes", codes, "2 to 65535 (a code has 16 bits)");
    findings.at_least_one("semantic_id.text_dimensions", *text_dimensions);
    findings.not_negative("semantic_id.interaction_weight", *interaction_weight);
    findings.at_least_one("semantic_id.hidden", *hidden);
    findings.at_least_one("semantic_id.latent", *latent);
    findings.not_negative("semantic_id.commitment", *commitment);
    findings.below_one("semantic_id.ema_decay", *ema_decay);
    findings.not_negative("semantic_id.dead_below", *dead_below);
    findings.at_least_one("semantic_id.epochs", *epochs);
    findings.at_least_one("semantic_id.items_per_step", *items_per_step);
    findings.above_zero("semantic_id.learning_rate", *learning_rate);
}
