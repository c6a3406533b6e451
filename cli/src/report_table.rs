//! Reads `report.json` and lays its metrics out as a table for a terminal.

use crate::experiment::RunSplit;
use crate::failure::Failure;
use conrec_coordinator::exit_code::ExitCode;
use conrec_coordinator::store::RunObjects;
use conrec_feedback::provenance::SplitWindow;
use conrec_feedback::report_order::{base_of, in_order};
use serde::Deserialize;
use std::collections::BTreeMap;

/// Written last; its presence says that the run is complete.
pub const REPORT: &str = "report.json";

/// The part of `report.json` that the command line shows; the rest is for the page and for programs.
#[derive(Debug, Deserialize)]
pub struct Report {
    /// Absent or `complete` for a finished run.
    #[serde(default)]
    state: Option<String>,
    /// Digest of trained weights and optimiser state.
    pub state_digest: String,
    /// Committed iterations.
    pub iterations: u64,
    /// Seconds from start to report.
    pub wall_seconds: f64,
    /// Which protocol the numbers belong to.
    #[serde(default)]
    pub statistics: Option<String>,
    /// Model to metric to value.
    models: BTreeMap<String, BTreeMap<String, Value>>,
    /// What a reader must know.
    #[serde(default)]
    notes: Vec<String>,
    /// The windows and who is in them.
    #[serde(default)]
    split: RunSplit,
}

/// A value and its interval.
#[derive(Clone, Copy, Debug, Deserialize)]
struct Value {
    value: f64,
    low: Option<f64>,
    high: Option<f64>,
}

/// Metrics of the item-level table in order; `@20` or another length may follow in the file.
const COLUMNS: [&str; 9] =
    ["fhr", "hr", "frecall", "luf", "lif", "cand_acc", "true_region", "true_region_recall", "pos_hit"];

/// Metrics of the table that counts cells; they are comparable among themselves only.
const CELL_COLUMNS: [&str; 6] = ["sid_fhr", "sid_hr", "sid_frecall", "sid_luf", "sid_lif", "sid_pos_hit"];

/// The report of a run, where there is one.
///
/// # Errors
/// The file is there but cannot be read, or is no report.
pub async fn read(run: &RunObjects) -> Result<Option<Report>, Failure> {
    let Some(text) = run.read(REPORT).await? else { return Ok(None) };
    parse(&text, &run.place(REPORT)).map(Some)
}

fn parse(text: &[u8], place: &str) -> Result<Report, Failure> {
    serde_json::from_slice(text)
        .map_err(|error| Failure::new(ExitCode::BadData, format!("{place} is no report: {error}")))
}

impl Report {
    /// Whether the run is finished, by the same rule as the coordinator's.
    pub fn is_complete(&self) -> bool {
        self.state.as_deref().is_none_or(|state| state == "complete")
    }

    /// The tables: items, then cells where the report has them, then what a reader must know.
    pub fn table(&self) -> String {
        let statistics = self.statistics.as_deref().unwrap_or("unknown");
        let mut text = format!("test window, item level, statistics = {statistics}; [95 % interval over users]\n\n");
        text.push_str(&aligned(&self.rows(&COLUMNS)));
        let cells = self.rows(&CELL_COLUMNS);
        if cells.len() > 1 {
            text.push_str("\nSID level: these count cells, not items; compare them with cell_pop only\n\n");
            text.push_str(&aligned(&cells));
        }
        for note in self.split.windows.iter().filter_map(entered).chain(self.notes.clone()) {
            text.push_str(&format!("note: {note}\n"));
        }
        text
    }

    /// A heading and one row a model: ours, then the others by the first column. Models without any of the metrics
    /// have no row, metrics without any model no column.
    fn rows(&self, columns: &[&str]) -> Vec<Vec<String>> {
        let names = self.model_order(columns);
        let columns: Vec<(&str, &str)> = columns
            .iter()
            .filter_map(|base| names.iter().find_map(|model| self.find(model, base)).map(|(key, _)| (key, *base)))
            .collect();
        let main = columns.first().map(|(_, base)| *base);
        let heading = std::iter::once("model").chain(columns.iter().map(|(key, _)| *key));
        let mut rows: Vec<Vec<String>> = vec![heading.map(str::to_owned).collect()];
        for model in &names {
            let cells = columns.iter().map(|(_, base)| {
                let found = self.find(model, base).map(|(_, value)| value);
                let wide = main == Some(base) || *base == "cand_acc";
                found.map_or_else(|| "-".into(), |value| cell(value, wide))
            });
            rows.push(std::iter::once((*model).to_owned()).chain(cells).collect());
        }
        rows
    }

    fn find(&self, model: &str, base: &str) -> Option<(&str, Value)> {
        let metrics = self.models.get(model)?;
        let found = metrics.iter().find(|(key, _)| base_of(key) == base);
        found.map(|(key, value)| (key.as_str(), *value))
    }

    /// The models that have any of these metrics.
    fn model_order(&self, columns: &[&str]) -> Vec<&str> {
        let first = |model: &str| {
            let found = columns.first().and_then(|base| self.find(model, base));
            found.map_or(f64::NEG_INFINITY, |(_, value)| value.value)
        };
        let any = |model: &&str| columns.iter().any(|base| self.find(model, base).is_some());
        in_order(self.models.keys().map(String::as_str).filter(any), first)
    }
}

/// How much the table is a mean of; of the test window alone.
fn entered(window: &SplitWindow) -> Option<String> {
    let without = window.users_without_negatives;
    let left_out = without.map(|n| format!("; {n} users had no negative in it: left out")).unwrap_or_default();
    let words = format!("test window: {} instances of {} users{left_out}", window.instances, window.users);
    (window.name == "test").then_some(words)
}

/// FHR and CandAcc, which decide, show their intervals; the others would make the table too wide and have theirs in the page.
fn cell(value: Value, wide: bool) -> String {
    match (value.low, value.high) {
        (Some(low), Some(high)) if wide => format!("{:.4} [{low:.3}, {high:.3}]", value.value),
        _ => format!("{:.4}", value.value),
    }
}

/// First column to the left, the others to the right.
fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let widths: Vec<usize> = (0..columns)
        .map(|column| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0))
        .collect();
    let mut text = String::new();
    for row in rows {
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let padded = if column == 0 { format!("  {cell:width$}") } else { format!("  {cell:>width$}") };
            text.push_str(&padded);
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = r#"{"run_id": "r", "state_digest": "ab", "iterations": 7, "wall_seconds": 1.5,
        "statistics": "refit", "unknown": {"is": "fine"}, "notes": ["proxy negatives: rating <= 5"],
        "split": {"windows": [{"name": "test", "train_end": 0, "from": 0, "to": 60, "instances": 3, "users": 2}]},
        "models": {
            "neg_pop": {"fhr@20": {"value": 0.1635, "low": 0.14, "high": 0.187, "n": 2098}},
            "dislike_rate": {"cand_acc": {"value": 0.1391}},
            "cell_pop": {"sid_fhr@20": {"value": 0.4, "low": 0.38, "high": 0.42}, "sid_hr@20": {"value": 0.25}},
            "sft": {"fhr@20": {"value": 0.2159, "low": 0.191, "high": 0.24}, "sid_fhr@20": {"value": 0.3}},
            "grpo": {"fhr@20": {"value": 0.2183, "low": 0.193, "high": 0.243}, "cand_acc": {"value": 0.1012, "low": 0.09, "high": 0.11}}}}"#;

    #[test]
    fn the_table_has_a_row_a_model_and_the_interval_of_the_main_metric() {
        let report: Report = serde_json::from_str(REPORT).unwrap();
        let expected = "\
test window, item level, statistics = refit; [95 % interval over users]

  model                        fhr@20               cand_acc
  grpo          0.2183 [0.193, 0.243]  0.1012 [0.090, 0.110]
  sft           0.2159 [0.191, 0.240]                      -
  neg_pop       0.1635 [0.140, 0.187]                      -
  dislike_rate                      -                 0.1391

SID level: these count cells, not items; compare them with cell_pop only

  model                sid_fhr@20  sid_hr@20
  sft                      0.3000          -
  cell_pop  0.4000 [0.380, 0.420]     0.2500
note: test window: 3 instances of 2 users
note: proxy negatives: rating <= 5
";
        assert_eq!(report.table(), expected);
    }

    #[test]
    fn a_report_without_cells_has_one_table() {
        let models = r#"{"neg_pop": {"fhr@20": {"value": 0.5}}, "empty": {}}"#;
        let text = format!(r#"{{"state_digest": "ab", "iterations": 7, "wall_seconds": 1.5, "models": {models}}}"#);
        let report: Report = serde_json::from_str(&text).unwrap();
        let expected = "test window, item level, statistics = unknown; [95 % interval over users]

  model    fhr@20
  neg_pop  0.5000
";
        assert_eq!(report.table(), expected);
    }

    #[test]
    fn a_broken_report_is_bad_data_and_named() {
        let failure = parse(b"{", "s3://bucket/run/report.json").unwrap_err();
        assert_eq!(failure.code, 65);
        assert!(failure.message.starts_with("s3://bucket/run/report.json is no report"), "{}", failure.message);
    }
}
