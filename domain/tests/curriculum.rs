//! Walks through curricula: what is done in which order, what the gate chooses, what the refit pass repeats.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use conrec_domain::curriculum::{CurriculumError, Cursor, NextAction, Performed, StagePoint};
use conrec_domain::spec::{RunConfig, RunSpec};
use conrec_domain::work::{Pass, Score, StateChange};

fn spec(overrides: &[&str]) -> RunSpec {
    let text = r#"
checkpoint.every = 1000
[data]
source = "synthetic"
[[stage]]
name = "sft"
kind = "next_negative"
iterations = 3
prompts = 4
prompts_per_lease = 2
learning_rate = 1e-3
[[stage]]
name = "grpo"
kind = "grpo"
iterations = 6
prompts = 4
prompts_per_lease = 2
learning_rate = 1e-4
validate_every = 2
"#;
    let overrides: Vec<String> = overrides.iter().map(|s| (*s).to_owned()).collect();
    RunSpec::check(RunConfig::parse_with(text, "run.toml", &overrides).unwrap()).unwrap()
}

/// Walks to the end; `scores` answers each validation from (stage, stage iteration). Runs of training are counted.
fn walk(spec: &RunSpec, scores: impl Fn(u32, u32) -> f64) -> (Vec<String>, Cursor) {
    let mut cursor = Cursor::start();
    let mut words: Vec<String> = Vec::new();
    let mut trained = 0;
    loop {
        let action = cursor.next_action();
        if action != NextAction::Train && trained > 0 {
            words.push(format!("train {trained}"));
            trained = 0;
        }
        let (word, performed) = match action {
            NextAction::Change(StateChange::BeginPass { pass }) => (format!("pass {pass:?}"), Performed::Changed),
            NextAction::Change(StateChange::BeginStage { stage }) => (format!("stage {stage}"), Performed::Changed),
            NextAction::Change(StateChange::KeepBest) => ("keep".into(), Performed::Changed),
            NextAction::Change(StateChange::RestoreBest) => ("restore".into(), Performed::Changed),
            NextAction::Validate => {
                let value = scores(cursor.stage, cursor.stage_iteration);
                let score = Score { fhr: value, candidate_accuracy: 0.3 };
                ("validate".into(), Performed::Validated(score))
            }
            NextAction::Train => {
                trained += 1;
                (String::new(), Performed::Trained)
            }
            NextAction::Checkpoint => ("checkpoint".into(), Performed::Checkpointed),
            NextAction::Report => ("report".into(), Performed::Reported),
            NextAction::Nothing => return (words, cursor),
        };
        if !word.is_empty() {
            words.push(word);
        }
        let text = serde_json::to_string(&cursor).unwrap();
        assert_eq!(serde_json::from_str::<Cursor>(&text).unwrap(), cursor, "a cursor survives a checkpoint");
        let planned = cursor.iterations_planned(spec);
        assert!(planned >= cursor.iteration.0, "{planned} planned at {cursor:?}");
        cursor = cursor.advance(spec, performed).unwrap();
    }
}

#[test]
fn the_gate_keeps_the_supervised_policy_when_grpo_is_worse() {
    let spec = spec(&[]);
    let (words, end) = walk(&spec, |_, iteration| 0.2 - 0.001 * f64::from(iteration));
    let expected = "pass Select|stage 0|train 3|checkpoint|stage 1|validate|keep|train 2|validate|train 2|validate|\
                    train 2|validate|restore|checkpoint|pass Refit|stage 0|train 3|checkpoint|stage 1|checkpoint|report";
    assert_eq!(words.join("|"), expected);
    assert_eq!(end.chosen, [3, 0]);
    assert_eq!(end.iteration.0, 3 + 6 + 3);
    let last = end.decisions.iter().rfind(|d| d.pass == Pass::Select).unwrap();
    assert_eq!(
        last.reason,
        "the stage ends after iteration 6: all iterations are done; no iteration was better than the stage's start, \
         so the policy goes back to it"
    );
    assert_eq!(end.iterations_planned(&spec), 12);
}

#[test]
fn the_best_iteration_comes_back_and_is_repeated() {
    let (words, end) = walk(&spec(&[]), |_, iteration| if iteration == 4 { 0.3 } else { 0.2 });
    let expected = "pass Select|stage 0|train 3|checkpoint|stage 1|validate|keep|train 2|validate|train 2|validate|\
                    keep|train 2|validate|restore|checkpoint|pass Refit|stage 0|train 3|checkpoint|stage 1|train 4|\
                    checkpoint|report";
    assert_eq!(words.join("|"), expected);
    assert_eq!(end.chosen, [3, 4]);
    let refit: Vec<&str> = end.decisions.iter().filter(|d| d.pass == Pass::Refit).map(|d| d.reason.as_str()).collect();
    assert_eq!(
        refit,
        [
            "repeats the 3 iterations that the select pass chose; nothing is chosen",
            "repeats the 4 iterations that the select pass chose; nothing is chosen"
        ]
    );
    assert!(end.decisions.iter().filter(|d| d.pass == Pass::Refit).all(|d| d.score.is_none()));
}

#[test]
fn the_last_iteration_stays_when_it_is_the_best() {
    let (words, end) = walk(&spec(&[]), |_, iteration| 0.2 + 0.01 * f64::from(iteration));
    assert!(!words.contains(&"restore".to_owned()), "{words:?}");
    assert_eq!(end.chosen, [3, 6]);
}

#[test]
fn patience_ends_a_stage_early() {
    let spec = spec(&["stage.1.patience=2", "stage.1.iterations=100"]);
    let (words, end) = walk(&spec, |_, iteration| if iteration == 2 { 0.3 } else { 0.2 });
    let select = words.join("|");
    let expected = "stage 1|validate|keep|train 2|validate|keep|train 2|validate|train 2|validate|restore|checkpoint|";
    assert!(select.contains(expected), "{select}");
    assert_eq!(end.chosen, [3, 2]);
    let reason = &end.decisions.iter().rfind(|d| d.pass == Pass::Select).unwrap().reason;
    assert_eq!(
        reason,
        "the stage ends after iteration 6: 2 validations in a row without a new best; \
         the policy goes back to iteration 2, the best"
    );
}

#[test]
fn a_sum_that_rises_is_refused_when_one_score_falls_below_the_bar() {
    let spec = spec(&[]);
    let mut cursor = Cursor::start();
    let mut validated = 0;
    while cursor.at != StagePoint::Report && cursor.chosen.len() < 2 {
        let performed = match cursor.next_action() {
            NextAction::Change(_) => Performed::Changed,
            NextAction::Validate => {
                validated += 1;
                let first = validated == 1;
                Performed::Validated(Score {
                    fhr: if first { 0.2 } else { 0.197 },
                    candidate_accuracy: if first { 0.3 } else { 0.4 },
                })
            }
            NextAction::Train => Performed::Trained,
            NextAction::Checkpoint => Performed::Checkpointed,
            NextAction::Report | NextAction::Nothing => unreachable!(),
        };
        cursor = cursor.advance(&spec, performed).unwrap();
    }
    assert_eq!(cursor.chosen, [3, 0]);
    let refused = "no new best: FHR@20 0.1970 lies more than 0.002 below the bar of 0.2000";
    assert!(cursor.decisions.iter().any(|d| d.reason == refused), "{:?}", cursor.decisions);
}

#[test]
fn a_supervised_stage_that_validates_has_no_bar_at_its_start() {
    let spec = spec(&["stage.0.validate_every=1", "stage.1.iterations=1"]);
    let (words, end) = walk(&spec, |stage, iteration| if stage == 0 && iteration == 2 { 0.1 } else { 0.05 });
    let expected =
        "stage 0|train 1|validate|keep|train 1|validate|keep|train 1|validate|restore|checkpoint|stage 1|validate";
    assert!(words.join("|").contains(expected), "{words:?}");
    assert_eq!(end.chosen[0], 2);
}

#[test]
fn checkpoints_come_regularly_and_once_where_a_stage_ends() {
    let (words, _) = walk(&spec(&["checkpoint.every=3", "evaluation.statistics=frozen"]), |_, _| 0.2);
    let expected = "pass Select|stage 0|train 3|checkpoint|stage 1|validate|keep|train 2|validate|train 1|checkpoint|\
                    train 1|validate|train 2|validate|restore|checkpoint|report";
    assert_eq!(words.join("|"), expected);
}

#[test]
fn frozen_statistics_have_one_pass() {
    let (words, end) = walk(&spec(&["evaluation.statistics=frozen"]), |_, _| 0.2);
    assert!(!words.contains(&"pass Refit".to_owned()));
    assert_eq!(end.iteration.0, 9);
    assert_eq!(end.at, StagePoint::Done);
}

#[test]
fn a_result_that_was_not_asked_for_is_an_error() {
    let spec = spec(&[]);
    let start = Cursor::start();
    let error = start.advance(&spec, Performed::Trained).unwrap_err();
    let (at, performed) = (StagePoint::BeginPass, Performed::Trained);
    assert_eq!(error, CurriculumError::Unexpected { at, performed });
    let lost = Cursor { stage: 7, ..Cursor::start() };
    let error = lost.advance(&spec, Performed::Changed).unwrap_err();
    assert_eq!(error, CurriculumError::NoSuchStage { stage: 7, stages: 2 });
    let unchosen = Cursor { pass: Pass::Refit, at: StagePoint::BeginStage, ..Cursor::start() };
    let error = unchosen.advance(&spec, Performed::Changed).unwrap_err();
    assert_eq!(error, CurriculumError::NothingChosen { stage: 0 });
}
