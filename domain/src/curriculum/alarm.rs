//! Alarms: signs of a policy that collapses, noticed over several iterations and told once an attempt at a stage.

use crate::spec::AlarmSpec;
use crate::work::TrainMetrics;
use serde::{Deserialize, Serialize};

/// What a GRPO iteration says of the policy's health.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Health {
    /// Mean entropy of the masked policy a sampled code, in nats.
    pub entropy: f64,
    /// Mean number of distinct completions of a group.
    pub distinct: f64,
    /// Share of completions whose reward could not be computed.
    pub abstained: f64,
}

impl Health {
    /// The means of an iteration's sums.
    pub fn of(sums: &TrainMetrics) -> Self {
        let mean = |sum: f64, count: u64| sum / count.max(1) as f64;
        Self {
            entropy: mean(sums.entropy, sums.codes),
            distinct: mean(sums.distinct as f64, sums.groups),
            abstained: mean(sums.abstained as f64, sums.completions),
        }
    }
}

/// The alarms' memory of an attempt at a stage.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alarms {
    /// Entropy of the attempt's first iteration.
    first_entropy: Option<f64>,
    entropy: Bell,
    distinct: Bell,
    abstained: Bell,
}

/// One alarm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Bell {
    /// Iterations in a row that crossed the bound, up to the last one.
    in_a_row: u32,
    /// Whether it has rung: once is enough.
    rung: bool,
}

impl Bell {
    /// Takes an iteration in; whether it rings now.
    fn rings(&mut self, crossed: bool, needed: u32) -> bool {
        self.in_a_row = if crossed { self.in_a_row.saturating_add(1) } else { 0 };
        let rings = !self.rung && self.in_a_row >= needed;
        self.rung |= rings;
        rings
    }
}

impl Alarms {
    /// Takes an iteration in, with G completions a group; gives a sentence for each alarm that rings.
    pub(super) fn hear(&mut self, rules: &AlarmSpec, completions: u32, health: Health) -> Vec<String> {
        let Health { entropy, distinct, abstained } = health;
        // What is no number would not survive a checkpoint, and says nothing.
        let first = *self.first_entropy.get_or_insert_with(|| if entropy.is_finite() { entropy } else { 0.0 });
        let n = rules.in_a_row;
        let mut said = Vec::new();
        if self.entropy.rings(entropy < rules.min_entropy * first, n) {
            said.push(format!(
                "alarm: entropy {entropy:.4} a code fell below {} of the first iteration's {first:.4}",
                rules.min_entropy
            ));
        }
        if self.distinct.rings(distinct < rules.min_distinct * f64::from(completions), n) {
            said.push(format!(
                "alarm: {distinct:.2} distinct completions a group fell below {} of {completions}",
                rules.min_distinct
            ));
        }
        if self.abstained.rings(abstained > rules.max_abstained, n) {
            said.push(format!(
                "alarm: a share of {abstained:.4} of the completions has no reward, above {}",
                rules.max_abstained
            ));
        }
        said.into_iter().map(|text| format!("{text} (iterations in a row: {n}); nothing is changed")).collect()
    }
}
