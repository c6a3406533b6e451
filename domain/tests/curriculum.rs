//! Walks through curricula: what is done in which order, what the gate chooses, what the refit pass repeats.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use conrec_domain::curriculum::{Chosen, CurriculumError, Cursor, NextAction, Performed, StagePoint};
use conrec_domain::spec::{RunConfig, RunSpec};
use conrec_domain::work::{Cleaned, Pass, QuestionCounts, Score, StateChange};

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

/// Iterations chosen for each stage.
fn chosen(cursor: &Cursor) -> Vec<u32> {
    cursor.chosen.iter().map(|chosen| chosen.iterations).collect()
}

/// Walks to the end; `scores` answers each validation from (stage, stage iteration). Runs of training are counted.
fn walk(spec: &RunSpec, scores: impl Fn(u32, u32) -> f64) -> (Vec<String>, Cursor) {
    walk_attempts(spec, |cursor| scores(cursor.stage, cursor.stage_iteration))
}

/// The same for scores that the whole cursor decides. What is planned grows only where a retry is decided.
fn walk_attempts(spec: &RunSpec, scores: impl Fn(&Cursor) -> f64) -> (Vec<String>, Cursor) {
    let mut cursor = Cursor::start();
    let mut planned_before = cursor.iterations_planned(spec);
    let mut words: Vec<String> = Vec::new();
    let mut trained = 0;
    loop {
        let action = cursor.next_action();
        if action != NextAction::Train && trained > 0 {
            words.push(format!("train {trained}{}", if cursor.attempt > 0 { " again" } else { "" }));
            trained = 0;
        }
        let (word, performed) = match action {
            NextAction::Change(StateChange::BeginPass { pass }) => (format!("pass {pass:?}"), Performed::Changed),
            NextAction::Change(StateChange::BeginStage { stage }) => (format!("stage {stage}"), Performed::Changed),
            NextAction::Change(StateChange::BeginRollout) => ("rollout".into(), Performed::Changed),
            NextAction::Change(StateChange::KeepBest) => ("keep".into(), Performed::Changed),
            NextAction::Change(StateChange::RestoreBest) => ("restore".into(), Performed::Changed),
            NextAction::Validate => {
                let value = scores(&cursor);
                let score = Score { fhr: value, candidate_accuracy: 0.3 };
                ("validate".into(), Performed::Validated(score, 400))
            }
            NextAction::Ask => ("ask".into(), Performed::Asked(QuestionCounts::default())),
            NextAction::Clean => {
                let cleaned = Cleaned { stage: cursor.stage, prompts: 10, flagged: vec![1, 5, 6] };
                ("clean".into(), Performed::Cleaned(cleaned))
            }
            NextAction::Train => {
                trained += 1;
                (String::new(), Performed::Trained(None))
            }
            NextAction::Checkpoint => ("checkpoint".into(), Performed::Checkpointed),
            NextAction::Report => ("report".into(), Performed::Reported),
            NextAction::Nothing => {
                assert_eq!(planned_before, cursor.iteration.0);
                return (words, cursor);
            }
        };
        if !word.is_empty() {
            words.push(word);
        }
        let text = serde_json::to_string(&cursor).unwrap();
        assert_eq!(serde_json::from_str::<Cursor>(&text).unwrap(), cursor, "a cursor survives a checkpoint");
        let planned = cursor.iterations_planned(spec);
        assert!(planned >= cursor.iteration.0, "{planned} planned at {cursor:?}");
        let retries = cursor.at == StagePoint::RestoreBest { retry: true };
        assert!(planned <= planned_before || retries, "{planned} planned after {planned_before} at {cursor:?}");
        planned_before = planned;
        cursor = cursor.advance(spec, performed).unwrap();
    }
}

#[test]
fn the_gate_keeps_the_supervised_policy_when_grpo_is_worse() {
    let spec = spec(&["stage.1.retries=0"]);
    let (words, end) = walk(&spec, |_, iteration| 0.2 - 0.001 * f64::from(iteration));
    let expected = "pass Select|stage 0|train 3|checkpoint|stage 1|validate|keep|train 2|validate|train 2|validate|\
                    train 2|validate|restore|checkpoint|pass Refit|stage 0|train 3|checkpoint|stage 1|checkpoint|report";
    assert_eq!(words.join("|"), expected);
    assert_eq!(chosen(&end), [3, 0]);
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
    assert_eq!(chosen(&end), [3, 4]);
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
    assert_eq!(chosen(&end), [3, 6]);
}

#[test]
fn a_rollout_begins_before_the_first_of_its_updates_in_both_passes() {
    let spec = spec(&["stage.1.updates_per_rollout=3", "checkpoint.every=3"]);
    let (words, _) = walk(&spec, |_, iteration| 0.2 + 0.01 * f64::from(iteration));
    let expected = "pass Select|stage 0|train 3|checkpoint|stage 1|validate|keep|rollout|train 2|validate|keep|train 1|\
                    checkpoint|rollout|train 1|validate|keep|train 2|validate|keep|checkpoint|pass Refit|stage 0|train 3|\
                    checkpoint|stage 1|rollout|train 3|checkpoint|rollout|train 3|checkpoint|report";
    assert_eq!(words.join("|"), expected);
}

#[test]
fn patience_ends_a_stage_early() {
    let spec = spec(&["stage.1.patience=2", "stage.1.iterations=100"]);
    let (words, end) = walk(&spec, |_, iteration| if iteration == 2 { 0.3 } else { 0.2 });
    let select = words.join("|");
    let expected = "stage 1|validate|keep|train 2|validate|keep|train 2|validate|train 2|validate|restore|checkpoint|";
    assert!(select.contains(expected), "{select}");
    assert_eq!(chosen(&end), [3, 2]);
    let reason = &end.decisions.iter().rfind(|d| d.pass == Pass::Select).unwrap().reason;
    assert_eq!(
        reason,
        "the stage ends after iteration 6: 2 validations in a row without a new best; \
         the policy goes back to iteration 2, the best"
    );
}

#[test]
fn a_sum_that_rises_is_refused_when_one_score_falls_below_the_bar() {
    let spec = spec(&["stage.1.retries=0"]);
    let mut cursor = Cursor::start();
    let mut validated = 0;
    while cursor.at != StagePoint::Report && cursor.chosen.len() < 2 {
        let performed = match cursor.next_action() {
            NextAction::Change(_) => Performed::Changed,
            NextAction::Validate => {
                validated += 1;
                let first = validated == 1;
                let score =
                    Score { fhr: if first { 0.2 } else { 0.197 }, candidate_accuracy: if first { 0.3 } else { 0.4 } };
                Performed::Validated(score, 400)
            }
            NextAction::Train => Performed::Trained(None),
            NextAction::Checkpoint => Performed::Checkpointed,
            NextAction::Ask | NextAction::Clean | NextAction::Report | NextAction::Nothing => unreachable!(),
        };
        cursor = cursor.advance(&spec, performed).unwrap();
    }
    assert_eq!(chosen(&cursor), [3, 0]);
    let refused = "no new best: FHR@20 0.1970 lies more than 0.002 below the bar of 0.2000";
    assert!(cursor.decisions.iter().any(|d| d.reason == refused), "{:?}", cursor.decisions);
}

#[test]
fn what_lies_within_the_noise_of_a_validation_is_not_lost() {
    // The bar of .2 on 400 instances has a standard error of .02: .19 is refused by the tolerance alone, taken with 1.
    let fall = |_: u32, iteration: u32| if iteration == 0 { 0.2 } else { 0.19 };
    let (words, _) = walk(&spec(&[]), fall);
    assert!(words.join("|").contains("again"), "{words:?}");
    let (words, end) = walk(&spec(&["evaluation.tolerance_errors=1.0"]), fall);
    assert!(!words.join("|").contains("again"), "{words:?}");
    let start = "the stage starts at FHR@20 0.2000 and CandAcc 0.3000: the bar for all that follows; 0.0200 of FHR@20 and 0.0229 \
                 of CandAcc below it count as noise (1 standard error of 400 instances)";
    assert!(end.decisions.iter().any(|d| d.reason == start), "{:?}", end.decisions);
    // A larger fall is refused, and the sentence has the number that was used.
    let (words, end) = walk(&spec(&["evaluation.tolerance_errors=0.25"]), fall);
    assert!(words.join("|").contains("again"), "{words:?}");
    let refused = "no new best: FHR@20 0.1900 lies more than 0.0050 (0.25 standard errors of 400 instances) below the bar \
                   of 0.2000";
    assert!(end.decisions.iter().any(|d| d.reason == refused), "{:?}", end.decisions);
}

#[test]
fn a_key_that_asks_for_nothing_changes_no_digest_of_a_config() {
    let digest = |overrides: &[&str]| spec(overrides).digest().unwrap();
    assert_eq!(digest(&["evaluation.tolerance_errors=0.0"]), digest(&[]));
    assert_ne!(digest(&["evaluation.tolerance_errors=1.0"]), digest(&[]));
}

#[test]
fn a_supervised_stage_that_validates_has_no_bar_at_its_start() {
    let spec = spec(&["stage.0.validate_every=1", "stage.1.iterations=1"]);
    let (words, end) = walk(&spec, |stage, iteration| if stage == 0 && iteration == 2 { 0.1 } else { 0.05 });
    let expected =
        "stage 0|train 1|validate|keep|train 1|validate|keep|train 1|validate|restore|checkpoint|stage 1|validate";
    assert!(words.join("|").contains(expected), "{words:?}");
    assert_eq!(chosen(&end)[0], 2);
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
    let error = start.advance(&spec, Performed::Trained(None)).unwrap_err();
    let (at, performed) = (StagePoint::BeginPass, Performed::Trained(None));
    assert_eq!(error, CurriculumError::Unexpected { at, performed });
    let lost = Cursor { stage: 7, ..Cursor::start() };
    let error = lost.advance(&spec, Performed::Changed).unwrap_err();
    assert_eq!(error, CurriculumError::NoSuchStage { stage: 7, stages: 2 });
    let unchosen = Cursor { pass: Pass::Refit, at: StagePoint::BeginStage, ..Cursor::start() };
    let error = unchosen.advance(&spec, Performed::Changed).unwrap_err();
    assert_eq!(error, CurriculumError::NothingChosen { stage: 0 });
}

/// Stage 1 loses in its first attempts and gains in the one named.
fn gains_in(attempt: u32) -> impl Fn(&Cursor) -> f64 {
    move |cursor| match (cursor.attempt == attempt, cursor.stage_iteration) {
        (true, 4) => 0.3,
        (_, 0) => 0.2,
        _ => 0.19,
    }
}

#[test]
fn a_stage_that_lost_accuracy_is_tried_again_from_its_start() {
    let (words, end) = walk_attempts(&spec(&[]), gains_in(1));
    let expected = "pass Select|stage 0|train 3|checkpoint|\
                    stage 1|validate|keep|train 2|validate|train 2|validate|train 2|validate|restore|\
                    stage 1|keep|train 2 again|validate|train 2 again|validate|keep|train 2 again|validate|restore|\
                    checkpoint|pass Refit|stage 0|train 3|checkpoint|stage 1|train 4 again|checkpoint|report";
    assert_eq!(words.join("|"), expected);
    assert_eq!(end.iteration.0, 3 + 6 + 6 + 3 + 4);
    let retry = end.decisions.iter().find(|d| d.reason.contains("tried again")).unwrap();
    assert_eq!(
        retry.reason,
        "the stage ends after iteration 6: all iterations are done; no iteration was better than the stage's start and \
         accuracy was lost (validations below the bar: 3), so the policy goes back to it and the stage is tried again \
         with beta 0.3 instead of 0.1, retry 1 of 1"
    );
    assert_eq!((retry.pass, retry.iteration), (Pass::Select, 6));
    assert_eq!(retry.score, Some(Score { fhr: 0.2, candidate_accuracy: 0.3 }));
}

#[test]
fn the_refit_pass_repeats_the_attempt_that_was_chosen() {
    let (_, end) = walk_attempts(&spec(&["stage.1.retries=3", "stage.1.beta_factor=2.0"]), gains_in(2));
    let expected = [Chosen { iterations: 3, attempt: 0 }, Chosen { iterations: 4, attempt: 2 }];
    assert_eq!(end.chosen, expected);
    assert_eq!(end.attempt, 2, "the refit pass trains with the beta of attempt 2");
    let reason = &end.decisions.last().unwrap().reason;
    assert_eq!(reason, "repeats the 4 iterations that the select pass chose with beta 0.4; nothing is chosen");
}

#[test]
fn retries_are_bounded_and_a_stage_that_loses_them_all_keeps_its_start() {
    for (retries, trained) in [(0, 6), (1, 12), (2, 18)] {
        let (words, end) = walk_attempts(&spec(&[&format!("stage.1.retries={retries}")]), gains_in(u32::MAX));
        assert_eq!(end.chosen[1], Chosen { iterations: 0, attempt: retries });
        assert_eq!(end.iteration.0, 3 + trained + 3);
        let count = |word: &str| words.iter().filter(|w| *w == word).count() as u32;
        assert_eq!((count("restore"), count("validate")), (retries + 1, 3 * (retries + 1) + 1), "{words:?}");
        let last = end.decisions.iter().rfind(|d| d.pass == Pass::Select).unwrap();
        assert!(last.reason.ends_with("so the policy goes back to it"), "{}", last.reason);
        let repeated = &end.decisions.last().unwrap().reason;
        assert_eq!(repeated, "repeats the 0 iterations that the select pass chose; nothing is chosen");
    }
}

#[test]
fn nothing_is_tried_again_where_no_accuracy_was_lost_or_beta_is_zero() {
    // Never better, and never below the bar by more than the tolerance.
    let (words, end) = walk(&spec(&[]), |_, iteration| if iteration == 0 { 0.2 } else { 0.1985 });
    assert!(!words.join("|").contains("again"), "{words:?}");
    assert_eq!(end.chosen[1], Chosen { iterations: 0, attempt: 0 });
    // One new best is enough, however deep the others fall.
    let (words, end) = walk(&spec(&[]), |_, iteration| [0.2, 0.0, 0.21, 0.0, 0.0, 0.0, 0.0][iteration as usize]);
    assert!(!words.join("|").contains("again"), "{words:?}");
    assert_eq!(end.chosen[1], Chosen { iterations: 2, attempt: 0 });
    let (words, _) = walk_attempts(&spec(&["stage.1.beta=0.0"]), gains_in(u32::MAX));
    assert!(!words.join("|").contains("again"), "three times nothing is nothing: {words:?}");
}

#[test]
fn the_next_stage_begins_with_its_own_beta_and_may_be_tried_again_too() {
    let third =
        r#"[{name="sft", kind="next_negative", iterations=1, prompts=4, prompts_per_lease=2, learning_rate=1e-3},
        {name="a", kind="grpo", iterations=1, prompts=4, prompts_per_lease=2, learning_rate=1e-4},
        {name="b", kind="grpo", iterations=1, prompts=4, prompts_per_lease=2, learning_rate=1e-4}]"#
            .replace('\n', " ");
    let (words, end) = walk(&spec(&[&format!("stage={third}")]), |_, iteration| 0.2 - 0.1 * f64::from(iteration));
    let (kept, lost) = (Chosen { iterations: 1, attempt: 0 }, Chosen { iterations: 0, attempt: 1 });
    assert_eq!(end.chosen, [kept, lost, lost]);
    let expected = "stage 2|validate|keep|train 1|validate|restore|stage 2|keep|train 1 again|validate|restore|";
    assert!(words.join("|").contains(expected), "{words:?}");
}

#[test]
fn betas_of_attempts_are_powers_of_the_factor() {
    let spec = spec(&["stage.1.beta=0.5", "stage.1.beta_factor=4.0", "stage.1.retries=3"]);
    let stage = &spec.stage[1];
    assert_eq!((0..5).map(|attempt| stage.beta_at(attempt)).collect::<Vec<_>>(), [0.5, 2.0, 8.0, 32.0, 32.0]);
    assert_eq!((stage.attempts(), spec.stage[0].attempts()), (4, 1));
}

#[test]
fn questions_are_asked_before_the_first_stage_and_after_each_of_the_select_pass() {
    let spec = spec(&["stage.0.kind=alignment"]);
    let (words, end) = walk(&spec, |_, iteration| if iteration == 4 { 0.3 } else { 0.2 });
    let expected = "pass Select|ask|stage 0|train 3|ask|checkpoint|stage 1|validate|keep|train 2|validate|train 2|\
                    validate|keep|train 2|validate|restore|ask|checkpoint|pass Refit|stage 0|train 3|checkpoint|\
                    stage 1|train 4|checkpoint|report";
    assert_eq!(words.join("|"), expected);
    let stages: Vec<&str> = end.questions.iter().map(|point| point.stage.as_str()).collect();
    assert_eq!(stages, ["", "sft", "grpo"]);
    let said = "alignment questions after the stage, right answers: none could be asked (chance 0.25)";
    assert_eq!(end.decisions.iter().filter(|d| d.reason == said).count(), 2, "{:?}", end.decisions);
}

#[test]
fn a_stage_is_cleaned_once_in_each_pass_and_not_again_when_it_is_tried_again() {
    let (words, end) = walk_attempts(&spec(&["stage.1.clean=drop"]), gains_in(1));
    let expected = "pass Select|stage 0|train 3|checkpoint|\
                    clean|stage 1|validate|keep|train 2|validate|train 2|validate|train 2|validate|restore|\
                    stage 1|keep|train 2 again|validate|train 2 again|validate|keep|train 2 again|validate|restore|\
                    checkpoint|pass Refit|stage 0|train 3|checkpoint|clean|stage 1|train 4 again|checkpoint|report";
    assert_eq!(words.join("|"), expected);
    let said = "cleaning by the policy of stage `sft`: of 10 prompts 3 are completed nearer than 0.8 to what the user will \
                like; they are dropped, 7 are left";
    let passes: Vec<Pass> = end.decisions.iter().filter(|d| d.reason == said).map(|d| d.pass).collect();
    assert_eq!(passes, [Pass::Select, Pass::Refit]);
}

#[test]
fn a_stage_that_is_left_out_is_not_cleaned_in_the_refit_pass() {
    let spec = spec(&["stage.1.clean=reweight", "stage.1.retries=0"]);
    let (words, end) = walk(&spec, |_, iteration| 0.2 - 0.01 * f64::from(iteration));
    assert_eq!(words.iter().filter(|word| *word == "clean").count(), 1, "{words:?}");
    let reason = end.decisions.iter().find(|d| d.reason.starts_with("cleaning")).unwrap();
    assert!(reason.reason.ends_with("their gradients count 0.25"), "{reason:?}");
}

#[test]
fn cleaning_that_would_leave_too_little_drops_nothing() {
    let spec = spec(&["stage.1.clean=drop", "stage.1.prompts=8"]);
    let (_, end) = walk(&spec, |_, _| 0.2);
    let reason = end.decisions.iter().find(|d| d.reason.starts_with("cleaning")).unwrap();
    assert!(reason.reason.ends_with("none is dropped, as 7 would be left and an iteration takes 8"), "{reason:?}");
    let mut cursor = Cursor { stage: 1, at: StagePoint::Clean, ..Cursor::start() };
    let cleaned = Cleaned { stage: 1, prompts: 10, flagged: vec![1, 5, 6] };
    cursor = cursor.advance(&spec, Performed::Cleaned(cleaned)).unwrap();
    assert_eq!(cursor.cleaned.unwrap().flagged, Vec::<u32>::new());
}
