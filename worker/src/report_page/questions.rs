//! The table of alignment questions: how often the policy found the disliked item among four, at each stage's end.

use super::data::ReportData;
use conrec_domain::spec::Distractor;
use conrec_feedback::bootstrap::wilson;
use conrec_page::escape::text;

/// One row a stage, one column a kind of distractor; nothing where no stage asks questions.
pub(super) fn section(report: &ReportData) -> String {
    if report.questions.is_empty() {
        return String::new();
    }
    let head: String = Distractor::ALL.iter().map(|kind| format!("<th scope=\"col\">{kind}</th>")).collect();
    let rows: String = report
        .questions
        .iter()
        .map(|point| {
            let stage = if point.stage.is_empty() { "untrained" } else { point.stage.as_str() };
            let found = point.counts.accuracies();
            let cell = |kind: &Distractor| match found.iter().find(|(other, ..)| other == kind) {
                Some((_, accuracy, asked)) => {
                    let (low, high) = wilson(*accuracy, *asked);
                    format!("<td>{accuracy:.4}<small>[{low:.3}, {high:.3}] of {asked}</small></td>")
                }
                None => "<td class=\"none\">–</td>".to_owned(),
            };
            let cells: String = Distractor::ALL.iter().map(cell).collect();
            format!("<tr><th scope=\"row\">{}</th>{cells}</tr>", text(stage))
        })
        .collect();
    format!(
        "<section>\n<h2>Alignment questions</h2>\n<p class=\"hint\">The user disliked one of four items: how often is it \
         the policy's most probable one, by where the other three come from. Held out (validation window); chance is \
         0.25. In brackets Wilson's 95 % intervals of so many questions, as if each were another user's; \
         <code>conrec alignment-report</code> has them over users.</p>\n<div class=\"scroll\"><table><thead><tr><th scope=\"col\">after stage</th>{head}</tr></thead>\
         <tbody>{rows}</tbody></table></div>\n</section>"
    )
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;
    use conrec_domain::work::{Pass, QuestionCounts, QuestionPoint};

    #[test]
    fn each_stage_has_a_row_and_what_was_not_asked_a_dash() {
        let (mut report, _) = sample::run();
        assert_eq!(section(&report), "");
        let mut counts = QuestionCounts::default();
        counts.count(Distractor::Exposed, 1.0);
        counts.count(Distractor::Exposed, 0.0);
        for stage in ["", "<a>"] {
            report.questions.push(QuestionPoint { pass: Pass::Select, stage: stage.into(), counts });
        }
        let html = section(&report);
        assert!(html.contains("untrained") && html.contains("&lt;a&gt;"), "{html}");
        assert_eq!((html.matches("0.5000").count(), html.matches("–").count()), (2, 6), "{html}");
        assert_eq!(html.matches("[0.095, 0.905] of 2").count(), 2, "{html}");
    }
}
