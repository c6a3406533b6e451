//! `[nightly]` and `[warm_start]`: how a config is trained anew every night, and what a run goes on from.

use serde::{Deserialize, Serialize};

/// How `conrec nightly` retrains; nothing of it reaches a single run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NightlySpec {
    /// Days of data that a night trains and evaluates on, its own among them.
    pub window_days: u32,
    /// Events that a day must have to count as there.
    pub min_events: u32,
    /// Newest days that must have so many, the night's own among them; older ones without are told.
    pub complete_days: u32,
    /// Hours after a day's end for which its data is waited for.
    pub late_hours: u32,
    /// Metrics that the night's run may not be worse in.
    pub metrics: Vec<String>,
    /// By so much it may be worse.
    pub tolerance: f64,
    /// How sure that must be: 0.95 takes the 5th percentile of the resampled differences.
    pub confidence: f64,
    /// Instances that each metric must be measured on.
    pub min_instances: u32,
    /// The baseline that the first run must not be worse than, as the report names it; empty: it serves as it is.
    pub floor: String,
    /// Write the predict sets of the day.
    pub predict: bool,
}

impl Default for NightlySpec {
    fn default() -> Self {
        Self {
            window_days: 90,
            min_events: 100,
            complete_days: 1,
            late_hours: 6,
            metrics: vec!["fhr".into(), "cand_acc".into()],
            tolerance: 0.005,
            confidence: 0.9,
            min_instances: 100,
            floor: "neg_pop_28d".into(),
            predict: true,
        }
    }
}

/// What a run goes on from instead of random weights; the optimiser is fresh in any case.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WarmStartSpec {
    /// A finished run of the same store, whose weights and semantic ids are taken; empty: none.
    pub run: String,
    /// Digest of that run's state, which the run must have; empty: whatever it is.
    pub state: String,
}
