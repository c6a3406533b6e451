//! The whole run as one HTML page: a pure function from [`ReportData`] (which is also `report.json`), the lines of
//! `metrics.jsonl` and the resolved config to text. The page needs no network: styles, scripts and data are inside it.

mod chart_data;
mod choices;
mod data;
mod intervals;
mod questions;
mod semantic_ids;
mod tables;
mod verdict;

pub use data::{BaselineChoice, Difference, Interval, LevelUsage, ReportData, SemanticIdUsage, Split, SplitWindow};
pub use verdict::{Tone, Verdict, verdict};

use conrec_domain::metrics_line::MetricsLine;
use conrec_page::IDENTITY;
use conrec_page::escape::{script_json, text};
use conrec_page::html::facts;
use conrec_page::shell::{Extras, shell};

const SCRIPT: &str = include_str!("../assets/report.js");
const PLOT_STYLE: &str = include_str!("../assets/uPlot.min.css");
const PLOT_SCRIPT: &str = include_str!("../assets/uPlot.iife.min.js");

/// The run's page. `lines` are all lines of `metrics.jsonl` in order, `config` is the text of `run.toml`.
///
/// # Errors
/// Only if the charts' data cannot be written as JSON.
pub fn page(report: &ReportData, lines: &[MetricsLine], config: &str) -> Result<String, serde_json::Error> {
    let sections = [
        header(report),
        verdict_box(&verdict(report)),
        intervals::section(report),
        tables::metrics(report, "test"),
        report.on_validation().map(|on| tables::metrics(&on, "validation")).unwrap_or_default(),
        tables::differences(report),
        choices::section(report),
        charts(report, lines),
        questions::section(report),
        tables::decisions(report),
        semantic_ids::section(report),
        tables::split(report),
        identity(report, config),
    ];
    let data = script_json(&chart_data::chart_data(report, lines))?;
    let tail = format!(
        "<script type=\"application/json\" id=\"data\">{data}</script>\n<script>{PLOT_SCRIPT}</script>\n\
         <script>{SCRIPT}</script>\n"
    );
    Ok(shell(report.run_id.as_str(), &sections.join("\n"), Extras { style: PLOT_STYLE, tail: &tail }))
}

fn header(report: &ReportData) -> String {
    let notes: String = report.notes.iter().map(|note| format!("<li>{}</li>", text(note))).collect();
    let notes = if notes.is_empty() { notes } else { format!("<ul class=\"notes\">{notes}</ul>") };
    format!(
        "<header>\n<p class=\"eyebrow\">conrec · what users will dislike</p>\n<h1>{}</h1>\n\
         <p class=\"facts\"><span>{}</span><span>statistics: <b>{}</b></span><span>{} iterations</span>\
         <span>{}</span></p>\n{notes}</header>",
        text(report.run_id.as_str()),
        text(&report.split.source),
        tables::statistics_name(report.statistics),
        tables::thousands(report.iterations),
        duration(report.wall_seconds),
    )
}

fn verdict_box(verdict: &Verdict) -> String {
    let tone = match verdict.tone {
        Tone::Better => "better",
        Tone::Level => "level",
        Tone::Worse => "worse",
    };
    let sentences: String = verdict.sentences.iter().map(|s| format!("<p>{}</p>", text(s))).collect();
    format!(
        "<section class=\"verdict {tone}\" aria-label=\"Verdict\">\n<h2>{}</h2>\n{sentences}</section>",
        text(&verdict.headline)
    )
}

/// Empty frames: the page's script draws into them from the data, and fills the list of figures.
fn charts(report: &ReportData, lines: &[MetricsLine]) -> String {
    let scored = report.decisions.iter().any(|d| d.score.is_some());
    if lines.is_empty() && !scored {
        return String::new();
    }
    "<section id=\"curves\">\n<h2>Training</h2>\n<p class=\"hint\">Thin lines are single iterations, strong lines their \
     moving mean within a stage. Shaded bands are stages; the select pass chooses on validation, the refit pass \
     repeats its choices on all data before the test window. Drag to zoom, double-click to go back.</p>\n\
     <div class=\"charts\" id=\"charts\"></div>\n<noscript><p>The curves need JavaScript.</p></noscript>\n</section>"
        .to_owned()
}

fn identity(report: &ReportData, config: &str) -> String {
    format!(
        "<section>\n<h2>{IDENTITY}</h2>\n<p class=\"hint\">The state digest covers trained weights and optimiser state. \
         It is the same for any number of workers and for a run that was stopped and resumed.</p>\n{}<details>\n\
         <summary>Resolved config</summary>\n<pre>{}</pre>\n</details>\n</section>",
        facts(&report.provenance().rows()),
        text(config)
    )
}

/// `42 s`, `3 min 20 s`, `1 h 05 min`.
fn duration(seconds: f64) -> String {
    let whole = seconds.max(0.0).round() as u64;
    match whole {
        0..60 => format!("{whole} s"),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
    }
}

#[cfg(test)]
mod sample;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_outside_cannot_leave_its_place() {
        let (mut report, lines) = sample::run();
        let attack = "</script><script>alert(1)</script><img src=x onerror=\"alert(2)\">&amp;'";
        report.notes.push(attack.into());
        report.code_version = attack.into();
        report.split.source = attack.into();
        report.decisions[0].reason = attack.into();
        report.decisions[0].stage = attack.into();
        report.models.insert(attack.into(), report.models["sft"].clone());
        let html = page(&report, &lines, attack).unwrap();
        assert!(!html.contains("<script>alert"));
        assert!(!html.contains("<img"));
        assert_eq!(html.matches("<script").count(), html.matches("</script>").count());
        assert_eq!(html.matches("</script>").count(), 3);
    }

    #[test]
    fn the_page_asks_the_network_for_nothing() {
        let (report, lines) = sample::run();
        let html = page(&report, &lines, "seed = 0").unwrap();
        for attribute in ["src=", "href=", "@import", "url("] {
            assert!(!html.contains(attribute), "found {attribute}");
        }
        assert!(html.contains("default-src 'none'"));
    }

    #[test]
    fn the_page_names_what_its_numbers_belong_to() {
        let (report, lines) = sample::run();
        let html = page(&report, &lines, "seed = 0").unwrap();
        for (name, value) in report.provenance().rows() {
            assert!(html.contains(&format!("<dt>{name}</dt><dd><code>{}</code></dd>", text(&value))), "{name}");
        }
        assert!(html.contains("left out"), "nobody says whom no number speaks of");
    }

    #[test]
    fn a_report_of_an_earlier_version_is_read() {
        let (report, _) = sample::run();
        let mut old = serde_json::to_value(&report).unwrap();
        old.as_object_mut().unwrap().remove("negatives");
        for window in old["split"]["windows"].as_array_mut().unwrap() {
            for key in ["users_seen", "users_without_negatives"] {
                window.as_object_mut().unwrap().remove(key).unwrap();
            }
        }
        let old: ReportData = serde_json::from_value(old).unwrap();
        assert_eq!((old.negatives, old.models), (None, report.models));
    }

    #[test]
    fn a_run_without_iterations_still_has_a_page() {
        let (mut report, _) = sample::run();
        report.decisions.clear();
        report.models.clear();
        report.semantic_ids.clear();
        let html = page(&report, &[], "").unwrap();
        assert!(!html.contains("id=\"curves\""));
        assert!(html.contains("Nothing was evaluated"));
    }

    #[test]
    fn seconds_are_said_as_people_say_them() {
        assert_eq!(duration(41.6), "42 s");
        assert_eq!(duration(200.0), "3 min 20 s");
        assert_eq!(duration(3_900.0), "1 h 05 min");
    }

    /// Writes the sample page for a person to look at: `REPORT_PAGE=page.html cargo test … report_page`.
    #[test]
    fn the_sample_page_is_written_where_it_is_asked_for() {
        let (report, lines) = sample::run();
        let html = page(&report, &lines, "seed = 0\n\n[model]\nhidden = 128\n").unwrap();
        if let Ok(path) = std::env::var("REPORT_PAGE") {
            std::fs::write(path, &html).unwrap();
        }
        assert!(html.len() > 50_000);
    }
}
