//! Alarms: what rings, when, how often, and that a resumed run hears the same.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use conrec_domain::curriculum::{Cursor, Health, NextAction, Performed};
use conrec_domain::spec::{RunConfig, RunSpec};
use conrec_domain::work::{Decision, Score, TrainMetrics};

const HEALTHY: Health = Health { entropy: 2.0, distinct: 14.0, abstained: 0.0 };

fn spec(overrides: &[&str]) -> RunSpec {
    let text = r#"
[data]
source = "synthetic"
[evaluation]
statistics = "frozen"
[[stage]]
name = "sft"
kind = "next_negative"
iterations = 1
prompts = 4
prompts_per_lease = 2
learning_rate = 1e-3
[[stage]]
name = "grpo"
kind = "grpo"
iterations = 8
prompts = 4
prompts_per_lease = 2
learning_rate = 1e-4
retries = 0
"#;
    let overrides: Vec<String> = overrides.iter().map(|s| (*s).to_owned()).collect();
    RunSpec::check(RunConfig::parse_with(text, "run.toml", &overrides).unwrap()).unwrap()
}

/// Runs to the end through a checkpoint at every point; `health` answers GRPO iterations from (attempt, stage
/// iteration, the first being 1). Every validation but the first loses accuracy.
fn alarms(spec: &RunSpec, health: impl Fn(u32, u32) -> Health) -> Vec<Decision> {
    let mut cursor = Cursor::start();
    loop {
        let performed = match cursor.next_action() {
            NextAction::Change(_) => Performed::Changed,
            NextAction::Validate => {
                let fhr = if cursor.stage_iteration == 0 { 0.2 } else { 0.1 };
                Performed::Validated(Score { fhr, candidate_accuracy: 0.3 }, 400)
            }
            NextAction::Train if cursor.stage == 0 => Performed::Trained(None),
            NextAction::Train => Performed::Trained(Some(health(cursor.attempt, cursor.stage_iteration + 1))),
            NextAction::Checkpoint => Performed::Checkpointed,
            NextAction::Report => Performed::Reported,
            NextAction::Ask | NextAction::Clean | NextAction::Nothing => break,
        };
        let stored = serde_json::to_string(&cursor.advance(spec, performed).unwrap()).unwrap();
        cursor = serde_json::from_str(&stored).unwrap();
    }
    cursor.decisions.into_iter().filter(|d| d.reason.starts_with("alarm")).collect()
}

fn said(decisions: &[Decision]) -> Vec<(u32, &str)> {
    decisions.iter().map(|d| (d.iteration, d.reason.as_str())).collect()
}

#[test]
fn entropy_rings_once_when_it_stays_below_a_share_of_the_first() {
    let rung = alarms(&spec(&[]), |_, i| Health { entropy: if i < 3 { 2.0 } else { 0.5 }, ..HEALTHY });
    let expected = "alarm: entropy 0.5000 a code fell below 0.3 of the first iteration's 2.0000 (iterations in a \
                    row: 3); nothing is changed";
    assert_eq!(said(&rung), [(5, expected)]);
    assert!(rung[0].score.is_none() && rung[0].stage == "grpo");
}

#[test]
fn distinct_completions_ring_below_a_share_of_the_group() {
    let rung = alarms(&spec(&[]), |_, _| Health { distinct: 3.96, ..HEALTHY });
    let expected = "alarm: 3.96 distinct completions a group fell below 0.25 of 16 (iterations in a row: 3); nothing \
                    is changed";
    assert_eq!(said(&rung), [(3, expected)]);
    assert!(alarms(&spec(&[]), |_, _| Health { distinct: 4.0, ..HEALTHY }).is_empty(), "not at the bound");
    assert!(alarms(&spec(&["stage.1.completions=8"]), |_, _| Health { distinct: 3.9, ..HEALTHY }).is_empty());
}

#[test]
fn completions_without_reward_ring_above_a_share() {
    let rung = alarms(&spec(&[]), |_, _| Health { abstained: 0.0625, ..HEALTHY });
    let expected = "alarm: a share of 0.0625 of the completions has no reward, above 0.05 (iterations in a row: 3); \
                    nothing is changed";
    assert_eq!(said(&rung), [(3, expected)]);
}

#[test]
fn noise_does_not_ring() {
    let sick = Health { entropy: 0.1, distinct: 1.0, abstained: 0.5 };
    assert!(alarms(&spec(&[]), |_, i| if i % 3 == 0 { HEALTHY } else { sick }).is_empty());
    let rung = alarms(&spec(&["alarm.in_a_row=2"]), |_, i| if i % 3 == 1 { HEALTHY } else { sick });
    assert_eq!(said(&rung).iter().map(|(i, _)| *i).collect::<Vec<_>>(), [3, 3, 3], "each kind rings once");
}

#[test]
fn an_attempt_has_its_own_first_entropy_and_its_own_alarms() {
    let falling = |_, i: u32| Health { entropy: 2.0 / f64::from(i * i), ..HEALTHY };
    let rung = alarms(&spec(&["stage.1.retries=1"]), falling);
    assert_eq!(said(&rung).iter().map(|(i, _)| *i).collect::<Vec<_>>(), [4, 4]);
    // A second attempt that begins low does not fall.
    let low = |attempt, i: u32| if attempt == 0 { falling(0, i) } else { Health { entropy: 0.1, ..HEALTHY } };
    assert_eq!(alarms(&spec(&["stage.1.retries=1"]), low).len(), 1);
}

#[test]
fn each_alarm_can_be_turned_off() {
    let sick = |_, i: u32| Health { entropy: if i == 1 { 2.0 } else { 0.0 }, distinct: 1.0, abstained: 1.0 };
    let count = |overrides: &[&str]| alarms(&spec(overrides), sick).len();
    assert_eq!(count(&[]), 3);
    assert_eq!(count(&["alarm.min_entropy=0.0"]), 2);
    assert_eq!(count(&["alarm.min_distinct=0.0"]), 2);
    assert_eq!(count(&["alarm.max_abstained=1.0"]), 2);
}

#[test]
fn an_entropy_that_is_no_number_rings_nothing_and_survives_a_checkpoint() {
    assert!(alarms(&spec(&[]), |_, _| Health { entropy: f64::NAN, ..HEALTHY }).is_empty());
}

#[test]
fn health_is_a_mean_over_codes_groups_and_completions() {
    let sums = TrainMetrics { entropy: 6.0, codes: 4, distinct: 30, groups: 3, ..TrainMetrics::default() };
    let sums = TrainMetrics { abstained: 12, completions: 48, ..sums };
    assert_eq!(Health::of(&sums), Health { entropy: 1.5, distinct: 10.0, abstained: 0.25 });
    assert_eq!(Health::of(&TrainMetrics::default()), Health { entropy: 0.0, distinct: 0.0, abstained: 0.0 });
}
