//! The report for people.

use super::translation::{Knows, Translated};
use super::{Findings, Moment};
use conrec_domain::ids::RunId;
use conrec_domain::spec::Distractor;
use conrec_feedback::bootstrap::MetricValue;
use conrec_page::{Block, Cell, Document, Plot, Section, Series, Table};

pub(super) fn document(run: &RunId, findings: &Findings) -> Document {
    let mut sections = Vec::new();
    if !findings.report.questions.is_empty() {
        sections.push(questions(findings));
        sections.push(forgetting(findings));
    }
    sections.extend(translation(findings));
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
            format!("{} pairs of a disliked and a liked item, of {} users", findings.pairs.0, findings.pairs.1),
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
    let row = |name: &str, cell: &dyn Fn(Distractor) -> Cell| {
        std::iter::once(Cell::text(name)).chain(Distractor::ALL.map(cell)).collect::<Vec<Cell>>()
    };
    let measured = |found: &[(Distractor, MetricValue)], kind: Distractor| {
        found.iter().find(|(other, _)| *other == kind).map_or(Cell::Empty, |(_, value)| interval(value))
    };
    for stage in &findings.stages {
        let cell = |kind: Distractor| match &stage.measured {
            Some(found) => measured(found, kind),
            None => {
                let found = stage.counts.accuracies().into_iter().find(|(other, ..)| *other == kind);
                found.map_or(Cell::Empty, |(_, accuracy, _)| Cell::interval(accuracy, None))
            }
        };
        table.push_own(row(shown(&stage.name), &cell));
    }
    for moment in &findings.moments {
        let name = format!("control: {}, drawn answers", shown(&moment.measured.name));
        table.push(row(&name, &|kind| measured(&moment.drawn_answers, kind)));
    }
    let asked = |kind: Distractor| {
        let counts = findings.stages.first().map(|stage| stage.counts.accuracies()).unwrap_or_default();
        let found = counts.iter().find(|(other, ..)| *other == kind).map(|(_, _, asked)| *asked);
        found.map_or(Cell::Empty, |asked| Cell::text(asked.to_string()))
    };
    table.push(row("questions", &asked));
    Section::new("Which of four did the user dislike?", vec![Block::Table(table)]).with_hint(
        "Held-out questions (validation window), by where the other three items come from; chance is 0.25. In brackets 95 % \
         intervals over users; a stage whose checkpoint is gone has none (checkpoint.keep_stage_ends keeps all). In the control \
         rows what counts as right is drawn among the four: they must show chance, whatever the policy knows.",
    )
}

fn forgetting(findings: &Findings) -> Section {
    let mut table = Table::with_columns(&[
        ("distractors", ""),
        ("before GRPO", "accuracy after the last supervised stage"),
        ("after", "accuracy after the last stage"),
        ("forget rate", "(before - after) / before, on the same questions; below 0 nothing was forgotten"),
    ]);
    for lost in &findings.forgotten {
        let rate =
            lost.rate.map_or(Cell::Empty, |of| Cell::Difference { value: of.value, range: Some((of.low, of.high)) });
        table.push(vec![Cell::text(lost.kind.to_string()), interval(&lost.before), interval(&lost.after), rate]);
    }
    Section::new("What GRPO forgot", vec![Block::Table(table)])
        .with_hint("Validation window; 95 % intervals over users.")
}

/// What is asked of titles and semantic ids; none where no stage translates.
fn translation(findings: &Findings) -> Option<Section> {
    let mut rows: Vec<(String, &Knows)> = Vec::new();
    for moment in &findings.moments {
        let Some(Translated { held_out, trained }) = &moment.translated else { continue };
        for (kind, knows) in [("held out", held_out), ("trained on", trained)] {
            rows.extend(knows.as_ref().map(|knows| (format!("{}, {kind}", shown(&moment.measured.name)), knows)));
        }
    }
    let levels = rows.first()?.1.codes.len();
    let codes: Vec<(String, &str)> = (1..=levels)
        .map(|length| match length {
            1 => ("first code".to_owned(), "of the most probable semantic id of a title"),
            _ if length == levels => ("whole id".to_owned(), "of a title, exactly"),
            _ => (format!("{length} codes"), "the first ones, all right"),
        })
        .collect();
    let codes = codes.iter().map(|(name, says)| (name.as_str(), *says));
    let others = [
        ("in the list", "the right id is among the most probable ones, evaluation.beams of them"),
        ("another's", "control: first code, where the next item's counts as right"),
        ("tokens", "of a title, given its semantic id, that are the most probable ones at their places"),
        ("title: its id", "the title is more probable after its own id than after the next item's; chance is 0.5"),
        (
            "id: its title",
            "after the same id the own title's mean token is more probable than the next item's; chance is 0.5",
        ),
        ("nats a token", "log p(title | its id) - log p(title | the next item's id)"),
    ];
    let heads: Vec<(&str, &str)> = std::iter::once(("after stage, items", "")).chain(codes).chain(others).collect();
    let mut table = Table::with_columns(&heads);
    for (name, knows) in &rows {
        let items = knows.tokens.n;
        let of_codes = knows.codes.iter().map(interval);
        let control = knows.codes_of_another.first().map_or(Cell::Empty, interval);
        let rest = [&knows.tokens, &knows.title_prefers_id, &knows.id_prefers_title].map(interval);
        let nats = Cell::Difference { value: knows.nats.value, range: Some((knows.nats.low, knows.nats.high)) };
        let cells = std::iter::once(Cell::text(format!("{name} ({items})"))).chain(of_codes);
        table.push(cells.chain([interval(&knows.among_beams), control]).chain(rest).chain([nats]).collect());
    }
    let hint = "Items of training time; in brackets 95 % intervals over items. Held-out items share no semantic id with those that the \
                translation stage trained on (stage.held_out); later stages show their ids to the policy, and no titles. What holds for \
                them beyond the control was learned of words and codes, not item by item.";
    Some(Section::new("Do titles and semantic ids tell each other?", vec![Block::Table(table)]).with_hint(hint))
}

fn interval(of: &MetricValue) -> Cell {
    if of.n == 0 { Cell::Empty } else { Cell::interval(of.value, Some((of.low, of.high))) }
}

fn probe(findings: &Findings) -> Section {
    let mut table = Table::with_columns(&[
        ("a plane through", ""),
        ("finds the disliked one", "share of pairs, on users that it was not fitted on; chance is 0.5"),
        ("with drawn labels", "control: must be chance"),
    ]);
    let cell = interval;
    for (name, found, drawn) in &findings.controls {
        table.push(vec![Cell::text(*name), cell(found), cell(drawn)]);
    }
    for moment in &findings.moments {
        let moment = &moment.measured;
        let name = format!("states of the policy, {}", shown(&moment.name));
        table.push_own(vec![Cell::text(name), cell(&moment.probe), cell(&moment.probe_of_drawn_labels)]);
    }
    table.mark_best(1, true);
    Section::new("What a plane can tell", vec![Block::Table(table)]).with_hint(
        "Validation window. A user is about to dislike one item and to like another: logistic regression on features of the two, fitted on half \
         of the users and asked on the other half. In brackets 95 % intervals over users. Where states of the policy tell no \
         more than co-occurrence does, its alignment may be co-purchase in disguise.",
    )
}

fn planes(findings: &Findings) -> Section {
    let first = findings.moments.first();
    let last = findings.moments.last().filter(|_| findings.moments.len() > 1);
    let plot = |moment: &Moment| {
        let moment = &moment.measured;
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
