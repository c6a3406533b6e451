//! The rules of `[semantic_id]`.

use super::Findings;
use crate::spec::{Collisions, SemanticIdSpec, VectorSource};

/// Checks `[semantic_id]`; `pretrained` says whether there is a base that could read the items' texts.
pub(super) fn check(spec: &SemanticIdSpec, pretrained: bool, findings: &mut Findings) {
    let SemanticIdSpec {
        levels,
        codes,
        // `sources` looks at these together.
        vectors: _,
        vectors_path: _,
        vectors_keys: _,
        file: _,
        // The enums are their own rule.
        missing: _,
        quantizer: _,
        control: _,
        collisions,
        sinkhorn_epsilon,
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
    let most = if *collisions == Collisions::Suffix { 7 } else { 8 };
    let allowed = format!("1 to {most} (8 codes in all, with a suffix)");
    findings.require((1..=most).contains(levels), "semantic_id.levels", levels, &allowed);
    findings.require((2..=65_535).contains(codes), "semantic_id.codes", codes, "2 to 65535 (a code has 16 bits)");
    sources(spec, findings);
    findings.require(
        pretrained || spec.vectors != VectorSource::BaseModel,
        "semantic_id.vectors",
        "\"base_model\"",
        "\"text\", \"encoder\" or \"file\", unless model.base names a pretrained decoder: one from scratch has read no text",
    );
    findings.above_zero("semantic_id.sinkhorn_epsilon", *sinkhorn_epsilon);
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

/// Files belong to what reads them: a path that nobody reads would go unnoticed.
fn sources(spec: &SemanticIdSpec, findings: &mut Findings) {
    let SemanticIdSpec { vectors, vectors_path, vectors_keys, collisions, file, .. } = spec;
    let (allowed, needs_path) = match vectors {
        VectorSource::Text => ("empty, as semantic_id.vectors = \"text\" reads no file", false),
        VectorSource::BaseModel => ("empty, as semantic_id.vectors = \"base_model\" reads model.base", false),
        VectorSource::Encoder => ("the encoder's folder, as semantic_id.vectors = \"encoder\" needs one", true),
        VectorSource::File => ("a .npy or .parquet file, as semantic_id.vectors = \"file\" needs one", true),
    };
    let found = format!("{vectors_path:?}");
    findings.require(vectors_path.is_empty() != needs_path, "semantic_id.vectors_path", found, allowed);
    findings.require(
        vectors_keys.is_empty() || (*vectors == VectorSource::File && vectors_path.ends_with(".npy")),
        "semantic_id.vectors_keys",
        format!("{vectors_keys:?}"),
        "empty, unless semantic_id.vectors_path is a .npy file",
    );
    findings.require(
        file.is_empty() || *collisions == Collisions::None,
        "semantic_id.collisions",
        format!("{collisions:?}").to_lowercase(),
        "\"none\" with semantic_id.file: published semantic ids are taken as they are",
    );
}
