//! The rules of a config: one function a section, each of which names every key of its section,
//! so that a new key does not compile until somebody has said what is allowed.

mod alarm;
mod baseline;
mod data;
mod evaluation;
mod model;
mod nightly;
mod reward;
mod semantic_id;
mod stages;
mod table;

use super::{RunConfig, Violation};
use std::fmt::Display;

/// All violations of a config, in the order of its sections.
pub(super) fn violations(config: &RunConfig) -> Vec<Violation> {
    let RunConfig {
        seed,
        data,
        semantic_id,
        model,
        lora,
        optimizer,
        reward,
        stage,
        evaluation,
        baseline,
        alarm,
        checkpoint,
        cluster,
        warm_start,
        nightly,
    } = config;
    let mut findings = Findings::default();
    let toml_limit = u64::try_from(i64::MAX).unwrap_or(u64::MAX);
    findings.require(*seed <= toml_limit, "seed", seed, "0 to 9223372036854775807 (TOML has no larger integers)");
    data::check(data, evaluation.statistics, &mut findings);
    semantic_id::check(semantic_id, model.is_pretrained(), &mut findings);
    model::check(model, semantic_id.id_levels(), &mut findings);
    model::check_lora(lora, &mut findings);
    model::check_optimizer(optimizer, &mut findings);
    reward::check(reward, stage, &mut findings);
    stages::check(stage, &mut findings);
    stages::check_questions(config, &mut findings);
    stages::check_words(config, &mut findings);
    evaluation::check(evaluation, semantic_id, &mut findings);
    baseline::check(baseline, &mut findings);
    alarm::check(alarm, &mut findings);
    evaluation::check_checkpoint(checkpoint, &mut findings);
    evaluation::check_cluster(cluster, &mut findings);
    nightly::check_warm_start(warm_start, semantic_id, &mut findings);
    nightly::check(nightly, &mut findings);
    findings.0
}

/// Collects violations; every rule is one call.
#[derive(Default)]
struct Findings(Vec<Violation>);

impl Findings {
    /// Notes a violation unless `holds`.
    fn require(&mut self, holds: bool, key: &str, found: impl Display, allowed: &str) {
        if !holds {
            self.0.push(Violation { key: key.into(), found: found.to_string(), allowed: allowed.into() });
        }
    }

    /// A count that may not be zero.
    fn at_least_one(&mut self, key: &str, found: u32) {
        self.require(found >= 1, key, found, "1 or more");
    }

    /// A finite number above zero; not a number is refused.
    fn above_zero(&mut self, key: &str, found: f64) {
        self.require(found > 0.0 && found.is_finite(), key, found, "a finite number above 0");
    }

    /// A finite number that may be zero.
    fn not_negative(&mut self, key: &str, found: f64) {
        self.require(found >= 0.0 && found.is_finite(), key, found, "a finite number, 0 or more");
    }

    /// A share or probability.
    fn share(&mut self, key: &str, found: f64) {
        self.require((0.0..=1.0).contains(&found), key, found, "0 to 1");
    }

    /// A decay: one would never forget.
    fn below_one(&mut self, key: &str, found: f64) {
        self.require((0.0..1.0).contains(&found), key, found, "0 or more and below 1");
    }
}
