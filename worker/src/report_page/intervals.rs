//! Every model's main metric with its interval on one scale: what overlaps is seen at once. Plain SVG, no script.

use super::data::{Interval, ReportData};
use conrec_page::escape::text;
use conrec_page::scale::Scale;

const ROW: f64 = 26.0;
const LEFT: f64 = 170.0;
const WIDTH: f64 = 720.0;
const RIGHT: f64 = 24.0;

/// FHR and CandAcc, side by side where there is room.
pub(super) fn section(report: &ReportData) -> String {
    let figures: String = ["fhr", "cand_acc"].iter().filter_map(|metric| figure(report, metric)).collect();
    if figures.is_empty() {
        return figures;
    }
    format!(
        "<section>\n<h2>Who is above whom</h2>\n<p class=\"hint\">Test window, item level. Bars: 95 % intervals over users; \
             for differences read the paired ones below, not the overlap of bars.</p>\n<div class=\"pair\">{figures}</div>\n</section>"
    )
}

fn figure(report: &ReportData, metric: &str) -> Option<String> {
    let mut rows: Vec<(&str, &str, Interval)> = report
        .model_order()
        .into_iter()
        .filter_map(|model| report.metric(model, metric).map(|(key, interval)| (model, key, interval)))
        .collect();
    rows.sort_by(|a, b| b.2.value.total_cmp(&a.2.value));
    let title = rows.first()?.1.to_uppercase().replace("CAND_ACC", "CandAcc");
    let top = rows.iter().map(|(_, _, i)| i.high.unwrap_or(i.value)).fold(0.0, f64::max).max(1e-9);
    let scale = Scale::covering(0.0, top);
    let x = |value: f64| LEFT + (WIDTH - LEFT - RIGHT) * scale.place(value);
    let bottom = ROW * rows.len() as f64 + 6.0;
    let grid: String = scale
        .marks()
        .map(|mark| {
            let at = x(mark);
            format!(
                "<line x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"0\" y2=\"{bottom:.0}\" class=\"grid\"/>\
                 <text x=\"{at:.1}\" y=\"{:.0}\" class=\"tick\">{:.*}</text>",
                bottom + 16.0,
                scale.decimals(),
                mark
            )
        })
        .collect();
    let marks: String =
        rows.iter().enumerate().map(|(i, (model, _, interval))| mark(model, *interval, i, &x)).collect();
    Some(format!(
        "<figure><figcaption>{}</figcaption><svg class=\"forest\" viewBox=\"0 0 {WIDTH:.0} {:.0}\" role=\"img\" \
         aria-label=\"{0} of every model with its interval\">{grid}{marks}</svg></figure>",
        text(&title),
        bottom + 22.0
    ))
}

fn mark(model: &str, interval: Interval, row: usize, x: &dyn Fn(f64) -> f64) -> String {
    let y = ROW * row as f64 + ROW / 2.0 + 3.0;
    let class = if matches!(model, "grpo" | "sft") { model } else { "baseline" };
    let bar = match (interval.low, interval.high) {
        (Some(low), Some(high)) => {
            format!("<line x1=\"{:.1}\" x2=\"{:.1}\" y1=\"{y:.0}\" y2=\"{y:.0}\" class=\"bar\"/>", x(low), x(high))
        }
        _ => String::new(),
    };
    format!(
        "<g class=\"{class}\"><text x=\"{:.0}\" y=\"{:.0}\" class=\"name\">{}</text>{bar}\
         <circle cx=\"{:.1}\" cy=\"{y:.0}\" r=\"5\"><title>{:.4}</title></circle></g>",
        LEFT - 14.0,
        y + 5.0,
        text(model),
        x(interval.value),
        interval.value
    )
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn every_model_has_its_row() {
        let (report, _) = sample::run();
        let html = section(&report);
        let expected = report.models.keys().filter(|m| report.metric(m, "fhr").is_some()).count()
            + report.models.keys().filter(|m| report.metric(m, "cand_acc").is_some()).count();
        assert_eq!(html.matches("<circle").count(), expected);
    }
}
