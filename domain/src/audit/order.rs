//! Whether passes, stages and attempts follow each other as the curriculum has it, with the changes of state that
//! belong between them and no others.

use super::chain::Chain;
use super::finding::names;
use super::{Audit, Finding};
use crate::ledger::{LedgerEntry, StateLink};
use crate::spec::{RunSpec, StageSpec};
use crate::work::{Pass, StateChange};

/// Where an iteration stands in the curriculum.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Standing {
    pass: Pass,
    stage: u32,
    attempt: u32,
}

/// Checks the order of all lines, and the changes of state between them.
pub(super) fn check(spec: &RunSpec, chain: &Chain<'_>, audit: &mut Audit) {
    let mut earlier: Option<(Standing, u64)> = None;
    for (at, line) in chain.lines.values() {
        let iteration = line.iteration;
        let Some((standing, stage)) = standing(spec, line) else {
            let (stage, pass) = (line.stage.clone(), line.pass);
            audit.find(at.clone(), Finding::UnknownStage { iteration, stage, pass });
            continue;
        };
        if line.attempt >= stage.attempts() {
            let (stage, found, allowed) = (line.stage.clone(), line.attempt, stage.attempts());
            audit.find(at.clone(), Finding::UnknownAttempt { iteration, stage, found, allowed });
        }
        let same = earlier.filter(|(last, _)| *last == standing);
        let begun = same.map_or(iteration.0, |(_, begun)| begun);
        let place = u32::try_from(iteration.0 - begun).unwrap_or(u32::MAX);
        if same.is_none() && !may_follow(spec, earlier.map(|(last, _)| last), standing) {
            let earlier = earlier.map_or_else(|| "none".to_owned(), |(last, _)| shown(spec, last));
            audit.find(at.clone(), Finding::OutOfOrder { iteration, found: shown(spec, standing), earlier });
        }
        if place >= stage.iterations {
            let (stage, found, allowed) = (line.stage.clone(), place.saturating_add(1), stage.iterations);
            audit.find(at.clone(), Finding::TooMany { iteration, stage, found, allowed });
        }
        let fits = if place == 0 {
            may_begin((line, stage), standing, earlier.map(|(last, _)| last))
        } else {
            may_lie_between(line, stage, place)
        };
        if let Err(allowed) = fits {
            let changes = names(line.changes.iter().map(|link| link.change));
            audit.find(at.clone(), Finding::WrongChanges { iteration, changes, allowed });
        }
        earlier = Some((standing, begun));
    }
}

fn standing<'a>(spec: &'a RunSpec, line: &LedgerEntry) -> Option<(Standing, &'a StageSpec)> {
    let (stage, found) = (0u32..).zip(&spec.stage).find(|(_, stage)| stage.name == line.stage)?;
    Some((Standing { pass: line.pass, stage, attempt: line.attempt }, found))
}

fn shown(spec: &RunSpec, at: Standing) -> String {
    let name = spec.stage.get(at.stage as usize).map_or("", |stage| &stage.name);
    format!("pass {:?}, stage `{name}`, attempt {}", at.pass, at.attempt)
}

/// Whether the curriculum can lead from one attempt at a stage to another. The select pass trains every stage and
/// tries one again with the next attempt; the refit pass repeats what was chosen, which may leave stages out.
fn may_follow(spec: &RunSpec, earlier: Option<Standing>, next: Standing) -> bool {
    let Some(last) = earlier else {
        return next == Standing { pass: Pass::Select, stage: 0, attempt: 0 };
    };
    match (last.pass, next.pass) {
        (Pass::Select, Pass::Select) if next.stage == last.stage => next.attempt == last.attempt.saturating_add(1),
        (Pass::Select, Pass::Select) => next.stage == last.stage + 1 && next.attempt == 0,
        (Pass::Select, Pass::Refit) => last.stage as usize + 1 == spec.stage.len(),
        (Pass::Refit, Pass::Refit) => next.stage > last.stage,
        (Pass::Refit, Pass::Select) => false,
    }
}

/// Within an attempt only a new best is kept, right after a validation; the refit pass keeps none. A rollout that serves
/// several updates begins where it must.
fn may_lie_between(line: &LedgerEntry, stage: &StageSpec, place: u32) -> Result<(), String> {
    let every = stage.validate_every;
    let validated = line.pass == Pass::Select && every > 0 && place.is_multiple_of(every);
    let mut rest = line.changes.iter().map(|link| link.change).peekable();
    if validated {
        rest.next_if_eq(&StateChange::KeepBest);
    }
    let rollout = stage.begins_rollout(place);
    let fits = !rollout || rest.next_if_eq(&StateChange::BeginRollout).is_some();
    match (fits && rest.next().is_none(), validated, rollout) {
        (true, _, _) => Ok(()),
        (false, true, false) => Err("only that a new best is kept".into()),
        (false, true, true) => Err("that a new best is kept, then that a rollout begins".into()),
        (false, false, true) => Err("only that a rollout begins".into()),
        (false, false, false) => Err("none".into()),
    }
}

/// Before an attempt: the one before is brought to its end, the pass begins where it is new, then the stage does, and
/// the select pass keeps a GRPO stage's start, and its first rollout begins.
fn may_begin((line, stage): (&LedgerEntry, &StageSpec), at: Standing, earlier: Option<Standing>) -> Result<(), String> {
    let mut rest = line.changes.iter().map(|link| link.change).peekable();
    let new_pass = earlier.is_none_or(|last| last.pass != at.pass);
    if earlier.is_some() {
        rest.next_if_eq(&StateChange::KeepBest);
        rest.next_if_eq(&StateChange::RestoreBest);
    }
    let pass_fits = !new_pass || rest.next_if_eq(&StateChange::BeginPass { pass: at.pass }).is_some();
    if at.pass == Pass::Refit {
        // Stages of which the select pass kept no iteration begin and end without one.
        let first = if new_pass { 0 } else { earlier.map_or(0, |last| last.stage + 1) };
        for stage in first..at.stage {
            rest.next_if_eq(&StateChange::BeginStage { stage });
        }
    }
    let stage_fits = rest.next_if_eq(&StateChange::BeginStage { stage: at.stage }).is_some();
    if at.pass == Pass::Select {
        rest.next_if_eq(&StateChange::KeepBest);
    }
    let rollout_fits = !stage.begins_rollout(0) || rest.next_if_eq(&StateChange::BeginRollout).is_some();
    if pass_fits && stage_fits && rollout_fits && rest.next().is_none() {
        return Ok(());
    }
    let pass = if new_pass { ", that the pass begins" } else { "" };
    Err(format!("the end of the attempt before{pass}, that stage {} begins and that its start is kept", at.stage))
}

/// After the last iteration: its attempt is brought to its end, and what the select pass kept no iteration of begins and
/// ends without one.
pub(super) fn may_end(spec: &RunSpec, links: &[StateLink]) -> Result<(), String> {
    let mut rest = links.iter().map(|link| link.change).peekable();
    rest.next_if_eq(&StateChange::KeepBest);
    rest.next_if_eq(&StateChange::RestoreBest);
    rest.next_if_eq(&StateChange::BeginPass { pass: Pass::Refit });
    for stage in (0u32..).take(spec.stage.len()) {
        rest.next_if_eq(&StateChange::BeginStage { stage });
    }
    let fits = rest.next().is_none();
    if fits { Ok(()) } else { Err("the end of the attempt, and stages of the refit pass without iterations".into()) }
}
