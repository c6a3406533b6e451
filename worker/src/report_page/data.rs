//! What the report says: the content of `report.json`.

use conrec_domain::ids::{Digest, RunId};
use conrec_domain::ledger::StateLink;
use conrec_domain::spec::Statistics;
use conrec_domain::work::{Decision, Pass, QuestionPoint, Score};
use conrec_feedback::provenance::Provenance;
pub use conrec_feedback::provenance::SplitWindow;
use conrec_feedback::readers::Negatives;
use conrec_feedback::report_order::{base_of, in_order};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A finished run: `report.json`. The page shows this, the lines of `metrics.jsonl` and the resolved config.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReportData {
    /// The run's name.
    pub run_id: RunId,
    /// Digest of the resolved config.
    pub config_digest: Digest,
    /// Digest of the prepared data.
    pub data_digest: Digest,
    /// Version of the code.
    pub code_version: String,
    /// Digest of trained weights and optimiser state: equal for any number of workers.
    pub state_digest: Digest,
    /// Committed iterations of all passes.
    pub iterations: u64,
    /// SHA-256 over all lines of ledger and metrics, but for fences and times.
    pub journal_digest: Digest,
    /// Seconds of work until the final evaluation, over all coordinators that worked on the run.
    pub wall_seconds: f64,
    /// When statistics and training end.
    pub statistics: Statistics,
    /// The data and its windows.
    pub split: Split,
    /// What counts as a negative, and whether anybody was asked; none in reports of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub negatives: Option<Negatives>,
    /// Model name (`grpo`, `sft`, `neg_pop_28d`, …) to metric name (`fhr@20`, `cand_acc`, `sid_fhr@20`, …) to value.
    pub models: BTreeMap<String, BTreeMap<String, Interval>>,
    /// The same on the validation window, with the policy as it was at the end of the pass that chose everything.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub validation: BTreeMap<String, BTreeMap<String, Interval>>,
    /// Paired differences between models on the test window, where they were computed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<Difference>,
    /// Files with what each model scored on each instance, and their digests.
    pub outcomes: BTreeMap<String, Digest>,
    /// Changes of the training state after the last iteration, as links of the chain that the ledger begins.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub last_changes: Vec<StateLink>,
    /// Decisions of the gate, and alarms, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub decisions: Vec<Decision>,
    /// Accuracy of held-out alignment questions at the stages' ends.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub questions: Vec<QuestionPoint>,
    /// Settings of baselines that validation chose.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub baseline_choices: Vec<BaselineChoice>,
    /// Use of the semantic ids' codes, one entry a pass.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub semantic_ids: Vec<SemanticIdUsage>,
    /// What a reader must know, as sentences: "proxy negatives: rating <= 5".
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// A metric's value and its 95 % percentile bootstrap interval over users.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// The mean over instances.
    pub value: f64,
    /// Lower end; none where no interval was computed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub low: Option<f64>,
    /// Upper end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub high: Option<f64>,
    /// Instances that entered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n: Option<u64>,
}

/// `left` minus `right` on the same bootstrap resamples.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// A model's name.
    pub left: String,
    /// Another's.
    pub right: String,
    /// The metric's name.
    pub metric: String,
    /// The difference of the values and its interval.
    #[serde(flatten)]
    pub interval: Interval,
}

/// A baseline's setting that was chosen on validation, by the scores that the gate reads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BaselineChoice {
    /// The model's name.
    pub model: String,
    /// What was chosen, in words.
    pub setting: String,
    /// Settings tried.
    pub tried: u32,
    /// The validation scores of the chosen one.
    pub score: Score,
}

/// The data as it was read, and the windows that are evaluated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Split {
    /// Where the events come from.
    pub source: String,
    /// Counts by name (`events`, `users`, `items`, `negatives`, …).
    pub counts: BTreeMap<String, u64>,
    /// The windows, in order of time.
    pub windows: Vec<SplitWindow>,
}

/// How well the codes are used in one pass.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SemanticIdUsage {
    /// The pass they were made in.
    pub pass: Pass,
    /// Candidate items.
    pub items: u64,
    /// Distinct semantic ids among them.
    pub cells: u64,
    /// Share of items that share their semantic id with another.
    pub collision_rate: f64,
    /// Items in the fullest cell.
    pub largest_cell: u64,
    /// Level 1 first.
    pub levels: Vec<LevelUsage>,
}

/// One level's codes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LevelUsage {
    /// Codewords of the level.
    pub codes: u32,
    /// Codewords that at least one item uses.
    pub used: u32,
    /// Codewords that no item uses.
    pub dead: u32,
    /// exp of the entropy of the codes' shares: the number of codes an even use would need.
    pub perplexity: f64,
    /// Gini coefficient of the codes' counts; 0 is even use.
    pub gini: f64,
    /// Items by code, for the bars; may be empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub counts: Vec<u32>,
}

impl ReportData {
    /// What names the report's numbers.
    pub(super) fn provenance(&self) -> Provenance {
        Provenance {
            run_id: Some(self.run_id.to_string()),
            config_digest: self.config_digest,
            data_digest: Some(self.data_digest),
            state_digest: Some(self.state_digest),
            code_version: Some(self.code_version.clone()),
            report_version: self.code_version.clone(),
            source: self.split.source.clone(),
            negatives: self.negatives.clone(),
            statistics: self.statistics,
            windows: self.split.windows.clone(),
            entered: None,
        }
    }

    /// The report as if the validation window were the one that it is about; none without a validation table.
    pub(super) fn on_validation(&self) -> Option<Self> {
        (!self.validation.is_empty()).then(|| Self { models: self.validation.clone(), ..self.clone() })
    }

    /// A model's metric whose name is `name` or `name@<length of the list>`.
    pub(super) fn metric(&self, model: &str, name: &str) -> Option<(&str, Interval)> {
        self.models.get(model)?.iter().find(|(key, _)| base_of(key) == name).map(|(key, value)| (key.as_str(), *value))
    }

    /// Names of the models in the order people look for: ours, then the others by FHR, best first.
    pub(super) fn model_order(&self) -> Vec<&str> {
        let fhr = |name: &str| self.metric(name, "fhr").map_or(f64::NEG_INFINITY, |(_, interval)| interval.value);
        in_order(self.models.keys().map(String::as_str), fhr)
    }
}
