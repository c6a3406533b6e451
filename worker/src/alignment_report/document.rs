//! The report for people.

use super::Findings;
use super::measure::Measured;
use conrec_domain::ids::RunId;
use conrec_domain::spec::Distractor;
use conrec_domain::work::QuestionCounts;
use conrec_feedback::bootstrap::MetricValue;
use conrec_page::{Block, Cell, Document, Plot, Section, Series, Table};

pub(super) fn document(run: &RunId, findings: &Findings) -> Document {
    let mut sections = Vec::new();
    if !findings.report.questions.is_empty() {
        sections.push(questions(findings));
        sections.push(forgetting(findings));
    }
    sections.push(probe(findings));
    sections.push(planes(findings));
    sections.push(Section::identity(findings.identity.rows()));
    let asked = if findings.report.questions.is_empty() {
        vec!["No stage asks alignment questions: only the probe and the pictures say something.".to_owned()]
    } else {
        Vec::new()
    };
    Document {
        title: format!("Alignment of {run}"),
        facts: vec![
            format!("{} pairs of a disliked and a liked item", findings.pairs),
            format!("state {}", findings.report.state_digest.to_string().chars().take(12).collect::<String>()),
        ],
        notes: findings.report.notes.iter().cloned().chain(asked).collect(),
        sections,
    }
}

fn questions(findings: &Findings) -> Section {
    let kinds = Distractor::ALL.map(|kind| kind.to_string());
    let heads: Vec<(&str, &str)> =
        std::iter::once(("after stage", "")).chain(kinds.iter().map(|kind| (kind.as_str(), ""))).collect();
    let mut table = Table::with_columns(&heads);
    let row = |name: &str, counts: &QuestionCounts| {
        let found = counts.accuracies();
        let cell = |kind: &Distractor| {
            let accuracy = found.iter().find(|(other, ..)| other == kind);
            accuracy.map_or(Cell::Empty, |(_, accuracy, _)| Cell::Number(*accuracy, 4))
        };
        std::iter::once(Cell::text(name)).chain(Distractor::ALL.iter().map(cell)).collect()
    };
    for point in &findings.report.questions {
        table.push(row(shown(&point.stage), &point.counts));
    }
    for moment in &findings.moments {
        table.push(row(&format!("control: {}, drawn answers", shown(&moment.name)), &moment.drawn_answers));
    }
    Section::new("Which of four did the user dislike?", vec![Block::Table(table)]).with_hint(
        "Held-out questions (validation window), by where the other three items come from; chance is 0.25. In the control \
         rows what counts as right is drawn among the four: they must show chance, whatever the policy knows.",
    )
}

fn forgetting(findings: &Findings) -> Section {
    let mut table = Table::with_columns(&[
        ("distractors", ""),
        ("before GRPO", "after the last supervised stage"),
        ("after", "after the last stage"),
        ("forget rate", "(before - after) / before; below 0 nothing was forgotten"),
    ]);
    for lost in &findings.forgotten {
        let rate = lost.rate.map_or(Cell::Empty, |rate| Cell::Number(rate, 4));
        let (before, after) = (Cell::Number(lost.before, 4), Cell::Number(lost.after, 4));
        table.push(vec![Cell::text(lost.kind.to_string()), before, after, rate]);
    }
    Section::new("What GRPO forgot", vec![Block::Table(table)])
}

fn probe(findings: &Findings) -> Section {
    let mut table = Table::with_columns(&[
        ("a plane through", ""),
        ("finds the disliked one", "share of pairs, on users that it was not fitted on; chance is 0.5"),
        ("with drawn labels", "control: must be chance"),
    ]);
    let cell = |m: &MetricValue| {
        if m.n == 0 { Cell::Empty } else { Cell::interval(m.value, Some((m.low, m.high))) }
    };
    for (name, found, drawn) in &findings.controls {
        table.push(vec![Cell::text(*name), cell(found), cell(drawn)]);
    }
    for moment in &findings.moments {
        let name = format!("states of the policy, {}", shown(&moment.name));
        table.push_own(vec![Cell::text(name), cell(&moment.probe), cell(&moment.probe_of_drawn_labels)]);
    }
    table.mark_best(1, true);
    Section::new("What a plane can tell", vec![Block::Table(table)]).with_hint(
        "A user is about to dislike one item and to like another: logistic regression on features of the two, fitted on half \
         of the users and asked on the other half. In brackets 95 % intervals over users. Where states of the policy tell no \
         more than co-occurrence does, its alignment may be co-purchase in disguise.",
    )
}

fn planes(findings: &Findings) -> Section {
    let first = findings.moments.first();
    let last = findings.moments.last().filter(|_| findings.moments.len() > 1);
    let plot = |moment: &Measured| {
        let of = |disliked: bool| {
            let points = moment.plane.points.iter().zip(&findings.disliked);
            points.filter(|(_, is)| **is == disliked).map(|(point, _)| *point).collect::<Vec<_>>()
        };
        let share = 100.0 * moment.plane.share;
        Block::Plot(Plot {
            title: format!("States of semantic ids, {}: {share:.0} % of their variance", shown(&moment.name)),
            x: "first principal component".into(),
            y: "second".into(),
            series: vec![Series::points("more disliked than the median", of(true)), Series::points("less", of(false))],
        })
    };
    Section::new("Where semantic ids lie", first.into_iter().chain(last).map(plot).collect()).with_hint(
        "The policy's state after an item's codes, with no user before them, in the plane in which these states differ most. \
         Colours say whether users of training time disliked the item more than the median one.",
    )
}

fn shown(stage: &str) -> &str {
    if stage.is_empty() { "untrained" } else { stage }
}
