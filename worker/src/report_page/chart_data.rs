//! What the page's script draws: columns of numbers and the stages they belong to.

use super::data::ReportData;
use super::tables::pass_name;
use conrec_domain::metrics_line::MetricsLine;
use serde::Serialize;

/// One column of `metrics.jsonl`, where it is present.
type Column = fn(&MetricsLine) -> Option<f64>;

/// Title, what it is, and the column, in the order of the page.
const CURVES: [(&str, &str, Column); 6] = [
    ("Reward", "mean reward of the completions", |l| l.reward),
    ("KL", "exact KL to the policy at the stage's start, a sampled code", |l| l.kl),
    ("Zero-variance groups", "share of groups whose rewards are all equal: they teach nothing", |l| {
        l.frac_reward_zero_std
    }),
    ("Entropy", "of the masked policy, a sampled code", |l| l.entropy),
    ("Distinct completions", "in a group, on average", |l| l.distinct),
    ("Supervised loss", "cross-entropy a target code", |l| if l.reward.is_none() { Some(l.loss) } else { None }),
];

/// A line chart.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Chart {
    title: String,
    hint: String,
    /// What one unit of the horizontal axis is.
    unit: String,
    /// Whether values stand for themselves (validations) or are noisy and get a moving mean (iterations).
    noisy: bool,
    series: Vec<Series>,
    bands: Vec<Band>,
}

/// One line; all lines of a chart are equally long.
#[derive(Debug, PartialEq, Serialize)]
struct Series {
    label: String,
    values: Vec<Option<f64>>,
    /// A sentence for each point, where there is one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
}

/// A stage of a pass: points `from..to`.
#[derive(Debug, PartialEq, Serialize)]
struct Band {
    pass: String,
    stage: String,
    from: usize,
    to: usize,
}

/// All charts that have something to show.
pub(super) fn chart_data(report: &ReportData, lines: &[MetricsLine]) -> Vec<Chart> {
    let mut charts: Vec<Chart> = CURVES.iter().filter_map(|curve| iterations(lines, curve)).collect();
    charts.splice(0..0, validations(report));
    charts
}

/// Only the lines that have the value: supervised stages are thousands of iterations, GRPO a few dozen.
fn iterations(lines: &[MetricsLine], (title, hint, column): &(&str, &str, Column)) -> Option<Chart> {
    let present: Vec<(&MetricsLine, f64)> = lines.iter().filter_map(|l| Some((l, column(l)?))).collect();
    if present.is_empty() {
        return None;
    }
    let bands = bands(present.iter().map(|(l, _)| (pass_name(l.pass), l.stage.as_str())));
    let values = present.iter().map(|(_, value)| value.is_finite().then_some(*value)).collect();
    let series = vec![Series { label: (*title).into(), values, notes: Vec::new() }];
    Some(Chart { title: (*title).into(), hint: (*hint).into(), unit: "iteration".into(), noisy: true, series, bands })
}

/// The scores that the gate saw, one point a validation.
fn validations(report: &ReportData) -> Option<Chart> {
    let scored: Vec<_> = report.decisions.iter().filter_map(|d| Some((d, d.score?))).collect();
    if scored.is_empty() {
        return None;
    }
    let bands = bands(scored.iter().map(|(d, _)| (pass_name(d.pass), d.stage.as_str())));
    let notes: Vec<String> =
        scored.iter().map(|(d, _)| format!("{}, iteration {}: {}", d.stage, d.iteration, d.reason)).collect();
    let series = vec![
        Series { label: "FHR".into(), values: scored.iter().map(|(_, s)| Some(s.fhr)).collect(), notes },
        Series {
            label: "CandAcc".into(),
            values: scored.iter().map(|(_, s)| Some(s.candidate_accuracy)).collect(),
            notes: Vec::new(),
        },
    ];
    let hint = "what the gate saw; point at a validation to read what it decided";
    Some(Chart {
        title: "Validation".into(),
        hint: hint.into(),
        unit: "validation".into(),
        noisy: false,
        series,
        bands,
    })
}

/// Runs of equal (pass, stage).
fn bands<'a>(points: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<Band> {
    let mut found: Vec<Band> = Vec::new();
    for (at, (pass, stage)) in points.enumerate() {
        match found.last_mut() {
            Some(band) if band.pass == pass && band.stage == stage => band.to = at + 1,
            _ => found.push(Band { pass: pass.into(), stage: stage.into(), from: at, to: at + 1 }),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn bands_follow_stage_and_pass() {
        let points = [("select", "a"), ("select", "a"), ("select", "b"), ("refit", "b")];
        let found: Vec<(usize, usize)> = bands(points.into_iter()).iter().map(|b| (b.from, b.to)).collect();
        assert_eq!(found, [(0, 2), (2, 3), (3, 4)]);
    }

    #[test]
    fn reward_shows_grpo_iterations_only_and_loss_the_others() {
        let (report, lines) = sample::run();
        let charts = chart_data(&report, &lines);
        let points = |title: &str| charts.iter().find(|c| c.title == title).unwrap().series[0].values.len();
        assert_eq!(points("Reward") + points("Supervised loss"), lines.len());
        assert_eq!(points("Validation"), report.decisions.iter().filter(|d| d.score.is_some()).count());
        assert!(charts.iter().all(|c| c.series.iter().all(|s| s.values.len() == c.bands.last().unwrap().to)));
    }

    #[test]
    fn a_value_that_is_no_number_leaves_a_gap() {
        let (report, mut lines) = sample::run();
        lines.retain(|l| l.reward.is_some());
        lines[0].kl = Some(f64::NAN);
        let charts = chart_data(&report, &lines);
        assert_eq!(charts.iter().find(|c| c.title == "KL").unwrap().series[0].values[0], None);
    }
}
