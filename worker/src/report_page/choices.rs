//! Settings of baselines that validation chose.

use super::data::ReportData;
use conrec_page::escape::text;

/// One row a baseline; nothing where none was tuned.
pub(super) fn section(report: &ReportData) -> String {
    let rows: String = report
        .baseline_choices
        .iter()
        .map(|choice| {
            format!(
                "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td>{:.4}</td><td>{:.4}</td></tr>",
                text(&choice.model),
                text(&choice.setting),
                choice.tried,
                choice.score.fhr,
                choice.score.candidate_accuracy
            )
        })
        .collect();
    if rows.is_empty() {
        return rows;
    }
    format!(
        "<section>\n<h2>Baselines with chosen settings</h2>\n<p class=\"hint\">Chosen on the validation window by FHR + \
         CandAcc, as the gate chooses; fitted anew for the test window. Repeating a user's own negatives has no row: what a \
         user disliked before is removed from every list.</p>\n<div class=\"scroll\"><table><thead><tr><th>model</th>\
         <th>chosen</th><th>tried</th><th>FHR</th><th>CandAcc</th></tr></thead><tbody>{rows}</tbody></table></div>\n</section>"
    )
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn every_choice_is_named_and_without_any_there_is_no_section() {
        let (mut report, _) = sample::run();
        let html = section(&report);
        assert!(html.contains("neg_pop_tuned") && html.contains("the last 7 days") && html.contains("0.2401"));
        report.baseline_choices.clear();
        assert_eq!(section(&report), "");
    }
}
