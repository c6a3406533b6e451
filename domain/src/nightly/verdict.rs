//! Whether a night's run may serve: on the instances of the newest days it must not be worse than what serves by more than
//! a tolerance, and that with confidence.

use crate::ids::RunId;
use crate::spec::NightlySpec;
use serde::{Deserialize, Serialize};

/// What a night's run is held against.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "against")]
pub enum Opponent {
    /// What serves.
    Promoted {
        /// The entry's number.
        number: u64,
        /// Its run.
        run: RunId,
    },
    /// Nothing serves yet.
    Floor(Floor),
}

/// What the first run has to reach.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "floor")]
pub enum Floor {
    /// This baseline, by the same rule.
    Baseline {
        /// As the report names it.
        model: String,
    },
    /// Nothing: the first run serves as it is.
    Nothing,
}

impl Opponent {
    /// Number of the entry that it is; 0 where nothing serves yet.
    pub fn number(&self) -> u64 {
        match self {
            Self::Promoted { number, .. } => *number,
            Self::Floor(_) => 0,
        }
    }
}

/// How much more of a metric the night's run has than its opponent, on the same instances.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Compared {
    /// As the config names it, such as `fhr`.
    pub metric: String,
    /// The night's run.
    pub new: f64,
    /// Its opponent.
    pub old: f64,
    /// Mean of the paired differences.
    pub difference: f64,
    /// The difference is at least this with the config's confidence: a one-sided bound by bootstrap over users.
    pub low: f64,
    /// Instances that both have a value for.
    pub instances: u64,
}

/// The decision about a night's run, with its reason.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// Held against.
    pub opponent: Opponent,
    /// One entry a metric.
    pub compared: Vec<Compared>,
    /// Whether it may serve.
    pub passed: bool,
    /// Why, for people.
    pub reason: String,
}

impl Verdict {
    /// Decides by the rules of `[nightly]`. A metric that was not measured, or on too few instances, says no: what cannot
    /// be told apart from worse is not promoted.
    pub fn of(rules: &NightlySpec, opponent: Opponent, compared: Vec<Compared>) -> Self {
        if opponent == Opponent::Floor(Floor::Nothing) {
            let reason = "it is the first, and nightly.floor asks nothing of it".to_owned();
            return Self { opponent, compared, passed: true, reason };
        }
        let refusal = rules.metrics.iter().find_map(|metric| {
            let Some(found) = compared.iter().find(|of| of.metric == *metric) else {
                return Some(format!("{metric} was not measured of both"));
            };
            refusal(found, rules)
        });
        let passed = refusal.is_none();
        let reason = refusal.unwrap_or_else(|| {
            let parts: Vec<String> = rules
                .metrics
                .iter()
                .filter_map(|metric| compared.iter().find(|of| of.metric == *metric))
                .map(|of| format!("{} {:+.4} (at least {:+.4})", of.metric, of.difference, of.low))
                .collect();
            format!("not worse by more than {}: {}", rules.tolerance, parts.join(", "))
        });
        Self { opponent, compared, passed, reason }
    }
}

fn refusal(found: &Compared, rules: &NightlySpec) -> Option<String> {
    let Compared { metric, difference, low, instances, .. } = found;
    if *instances < u64::from(rules.min_instances) {
        return Some(format!(
            "{metric} was measured on {instances} instances, nightly.min_instances asks for {}",
            rules.min_instances
        ));
    }
    // Written so that not a number says no.
    let holds = *low > -rules.tolerance;
    (!holds).then(|| {
        format!(
            "{metric} differs by {difference:+.4}, and at {} confidence may be lower by {:.4}, more than \
             nightly.tolerance = {}",
            rules.confidence, -low, rules.tolerance
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> NightlySpec {
        NightlySpec {
            metrics: vec!["fhr".into(), "cand_acc".into()],
            tolerance: 0.01,
            min_instances: 50,
            ..NightlySpec::default()
        }
    }

    fn of(metric: &str, low: f64, instances: u64) -> Compared {
        Compared { metric: metric.into(), new: 0.3, old: 0.3, difference: low + 0.01, low, instances }
    }

    fn decided(compared: Vec<Compared>) -> Verdict {
        let opponent = Opponent::Promoted { number: 3, run: "night-1".parse().unwrap() };
        Verdict::of(&rules(), opponent, compared)
    }

    #[test]
    fn every_metric_must_hold() {
        assert!(decided(vec![of("fhr", -0.009, 50), of("cand_acc", 0.1, 50)]).passed);
        for (compared, word) in [
            (vec![of("fhr", -0.01, 50), of("cand_acc", 0.1, 50)], "nightly.tolerance"),
            (vec![of("fhr", 0.1, 50), of("cand_acc", -0.02, 50)], "cand_acc differs"),
            (vec![of("fhr", f64::NAN, 50), of("cand_acc", 0.1, 50)], "fhr differs"),
            (vec![of("fhr", 0.1, 49), of("cand_acc", 0.1, 50)], "49 instances"),
            (vec![of("fhr", 0.1, 50)], "cand_acc was not measured"),
        ] {
            let verdict = decided(compared);
            assert!(!verdict.passed && verdict.reason.contains(word), "{}", verdict.reason);
        }
    }

    #[test]
    fn the_first_run_meets_a_floor_or_none() {
        let verdict = |floor| Verdict::of(&rules(), Opponent::Floor(floor), Vec::new());
        assert!(verdict(Floor::Nothing).passed);
        assert!(!verdict(Floor::Baseline { model: "neg_pop_28d".into() }).passed);
    }
}
