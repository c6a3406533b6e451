//! The page's tables: metrics, paired differences, decisions of the gate, the split.

use super::data::{Interval, ReportData};
use conrec_domain::spec::Statistics;
use conrec_domain::work::Pass;
use conrec_feedback::metrics::COLUMNS;
use conrec_feedback::moment::shown;
use conrec_feedback::report_order::{base_of, is_own};
use conrec_page::escape::text;

/// The metrics table: one row a model, the best of each column in bold.
pub(super) fn metrics(report: &ReportData, window: &str) -> String {
    if report.models.is_empty() {
        return String::new();
    }
    let mut names = report.model_order();
    // Some models have cells to show only.
    names.retain(|model| COLUMNS.iter().any(|column| report.metric(model, column.base).is_some()));
    let columns: Vec<_> =
        COLUMNS.iter().filter(|column| names.iter().any(|m| report.metric(m, column.base).is_some())).collect();
    let head: String = columns
        .iter()
        .map(|column| {
            let metric = names.iter().find_map(|m| report.metric(m, column.base)).map_or(column.base, |(key, _)| key);
            let list = metric.split_once('@').map(|(_, n)| format!("@{n}")).unwrap_or_default();
            let less = if column.more_is_better { "" } else { " ↓" };
            format!("<th scope=\"col\" title=\"{}\">{}{}{less}</th>", text(column.says), column.heading, text(&list))
        })
        .collect();
    let best: Vec<Option<f64>> =
        columns.iter().map(|column| best(report, column.base, column.more_is_better)).collect();
    let rows: String = names
        .iter()
        .map(|model| {
            let cells: String = columns
                .iter()
                .zip(&best)
                .map(|(column, best)| cell(report.metric(model, column.base).map(|(_, interval)| interval), *best))
                .collect();
            let own = if is_own(model) { " class=\"own\"" } else { "" };
            format!("<tr{own}><th scope=\"row\">{}</th>{cells}</tr>", text(model))
        })
        .collect();
    let count = |column: &&conrec_feedback::metrics::Column| {
        let n = names.iter().find_map(|model| report.metric(model, column.base)?.1.n);
        n.map_or_else(|| "<td class=\"none\">–</td>".to_owned(), |n| format!("<td>{}</td>", thousands(n)))
    };
    let counts: String = columns.iter().map(count).collect();
    let legend: String =
        columns.iter().map(|column| format!("<b>{}</b> {}. ", column.heading, text(column.says))).collect();
    format!(
        "<section>\n<h2>Metrics on the {window} window</h2>\n<p class=\"hint\">Item level. Statistics <b>{}</b>. In brackets: \
         95 % bootstrap intervals over users. Bold: the best of a column.</p>\n\
         <div class=\"scroll\"><table class=\"metrics\"><thead><tr><th scope=\"col\">model</th>{head}</tr></thead>\
         <tbody>{rows}<tr><th scope=\"row\">instances</th>{counts}</tr></tbody></table></div>\n\
         <p class=\"hint\">{legend}</p>\n{}</section>",
        statistics_name(report.statistics),
        other_metrics(report, &report.model_order()),
    )
}

fn cell(interval: Option<Interval>, best: Option<f64>) -> String {
    let Some(interval) = interval else { return "<td class=\"none\">–</td>".into() };
    let value = format!("{:.4}", interval.value);
    let value = if best.is_some_and(|b| b == interval.value) { format!("<b>{value}</b>") } else { value };
    let range = match (interval.low, interval.high) {
        (Some(low), Some(high)) => format!("<small>[{low:.3}, {high:.3}]</small>"),
        _ => String::new(),
    };
    format!("<td>{value}{range}</td>")
}

fn best(report: &ReportData, metric: &str, more: bool) -> Option<f64> {
    let values = report.models.keys().filter_map(|m| report.metric(m, metric)).map(|(_, interval)| interval.value);
    if more { values.max_by(f64::total_cmp) } else { values.min_by(f64::total_cmp) }
}

/// Metrics that have no column (those of the SID level among them), folded away.
fn other_metrics(report: &ReportData, names: &[&str]) -> String {
    let known = |metric: &str| COLUMNS.iter().any(|column| column.base == base_of(metric));
    let rows: String = names
        .iter()
        .flat_map(|model| report.models[*model].iter().map(move |(metric, value)| (*model, metric, *value)))
        .filter(|(_, metric, _)| !known(metric))
        .map(|(model, metric, value)| {
            let n = value.n.map(thousands).unwrap_or_default();
            format!(
                "<tr><th scope=\"row\">{}</th><td>{}</td>{}<td>{n}</td></tr>",
                text(model),
                text(metric),
                cell(Some(value), None)
            )
        })
        .collect();
    if rows.is_empty() {
        return rows;
    }
    format!(
        "<details><summary>Other metrics (SID level)</summary><div class=\"scroll\"><table><thead><tr><th>model</th>\
         <th>metric</th><th>value</th><th>instances</th></tr></thead><tbody>{rows}</tbody></table></div></details>\n"
    )
}

/// Paired differences: the same resamples for both models, so smaller effects are seen.
pub(super) fn differences(report: &ReportData) -> String {
    let rows: String = report
        .differences
        .iter()
        .map(|d| {
            let class = match (d.interval.low, d.interval.high) {
                (Some(low), _) if low > 0.0 => "up",
                (_, Some(high)) if high < 0.0 => "down",
                _ => "level",
            };
            let range = match (d.interval.low, d.interval.high) {
                (Some(low), Some(high)) => format!("[{low:+.4}, {high:+.4}]"),
                _ => "–".into(),
            };
            format!(
                "<tr><th scope=\"row\">{} − {}</th><td>{}</td><td class=\"{class}\">{:+.4}</td><td>{range}</td></tr>",
                text(&d.left),
                text(&d.right),
                text(&d.metric),
                d.interval.value
            )
        })
        .collect();
    if rows.is_empty() {
        return rows;
    }
    format!(
        "<section>\n<h2>Paired differences</h2>\n<p class=\"hint\">Test window, both models on the same resampled users, 95 % \
         intervals. Which pairs stand here was fixed before any run. {} differences are shown and no interval is widened for \
         that: were all truly 0, about {:.0} would still have an interval without 0.</p>\n<div class=\"scroll\"><table><thead><tr><th>models</th>\
         <th>metric</th><th>difference</th><th>95 %</th></tr></thead><tbody>{rows}</tbody></table></div>\n</section>",
        report.differences.len(),
        (report.differences.len() as f64 / 20.0).ceil()
    )
}

/// What the gate decided and why, and what rang.
pub(super) fn decisions(report: &ReportData) -> String {
    let score = |x: Option<f64>| x.map_or_else(|| "–".into(), |x| format!("{x:.4}"));
    let rows: String = report
        .decisions
        .iter()
        .map(|d| {
            format!(
                "<tr><td>{}</td><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td>{}</td>\
                 <td class=\"reason\">{}</td></tr>",
                pass_name(d.pass),
                text(&d.stage),
                d.iteration,
                score(d.score.map(|s| s.fhr)),
                score(d.score.map(|s| s.candidate_accuracy)),
                text(&d.reason)
            )
        })
        .collect();
    if rows.is_empty() {
        return rows;
    }
    format!(
        "<section>\n<h2>Decisions of the gate, and alarms</h2>\n<p class=\"hint\">Validation FHR and CandAcc decide, never the \
         reward. Nothing is chosen on the test window. An alarm changes nothing.</p>\n<div class=\"scroll\"><table class=\"decisions\"><thead><tr>\
         <th>pass</th><th>stage</th><th>iteration</th><th>FHR</th><th>CandAcc</th><th>decision</th></tr></thead>\
         <tbody>{rows}</tbody></table></div>\n</section>"
    )
}

/// Counts of the data and the windows of the split.
pub(super) fn split(report: &ReportData) -> String {
    let counts: String = report
        .split
        .counts
        .iter()
        .map(|(name, count)| format!("<div><dt>{}</dt><dd>{}</dd></div>", text(name), thousands(*count)))
        .collect();
    let rows: String = report
        .split
        .windows
        .iter()
        .map(|w| {
            format!(
                "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
                text(&w.name),
                shown(w.train_end),
                shown(w.from),
                shown(w.to),
                thousands(w.instances),
                thousands(w.users)
            )
        })
        .collect();
    format!(
        "<section>\n<h2>Data and split</h2>\n<dl class=\"counts\">{counts}</dl>\n<div class=\"scroll\"><table><thead><tr>\
         <th>window</th><th>training ends</th><th>from</th><th>to</th><th>instances</th><th>users</th></tr></thead>\
         <tbody>{rows}</tbody></table></div>\n</section>"
    )
}

/// As it is written in the config.
pub(super) fn statistics_name(statistics: Statistics) -> &'static str {
    match statistics {
        Statistics::Refit => "refit",
        Statistics::Frozen => "frozen",
    }
}

/// As it is written in `metrics.jsonl`.
pub(super) fn pass_name(pass: Pass) -> &'static str {
    match pass {
        Pass::Select => "select",
        Pass::Refit => "refit",
    }
}

/// `12,345`.
pub(super) fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn the_best_of_a_column_is_bold_and_least_harm_is_best() {
        let (report, _) = sample::run();
        let html = metrics(&report, "test");
        // neg_pop_7d has the highest FHR of the sample, rocchio the lowest PosHit.
        assert!(html.contains("<b>0.2398</b>"));
        assert!(html.contains("<b>0.0236</b>"));
        assert_eq!(html.matches("<b>0.2159</b>").count(), 0);
    }

    #[test]
    fn every_column_says_of_how_many_instances_it_is_a_mean() {
        let (report, _) = sample::run();
        let html = metrics(&report, "test");
        let row = html.split("<th scope=\"row\">instances</th>").nth(1).unwrap().split("</tr>").next().unwrap();
        assert_eq!(row.matches("<td>2,098</td>").count(), 7, "{row}");
    }

    #[test]
    fn grpo_and_sft_stand_first_and_the_rest_by_fhr() {
        let (report, _) = sample::run();
        assert_eq!(report.model_order()[..4], ["grpo", "sft", "neg_pop_7d", "neg_pop_28d"]);
    }

    #[test]
    fn large_counts_are_grouped() {
        assert_eq!(
            [thousands(7), thousands(999), thousands(1_000), thousands(12_345_678)].join(" "),
            "7 999 1,000 12,345,678"
        );
    }
}
