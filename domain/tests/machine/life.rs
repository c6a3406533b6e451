//! The life of a run, verb by verb: each test compares the whole list of effects.

use crate::bench::*;
use conrec_domain::effect::{Command, Effect, Ending, StateSource};
use conrec_domain::ids::{Fence, Iteration};
use conrec_domain::ledger::{LedgerEntry, StateLink, empty_journal};
use conrec_domain::manifest::Manifest;
use conrec_domain::metrics_line::MetricsLine;
use conrec_domain::retention::Kept;
use conrec_domain::run::Run;
use conrec_domain::schedule::Schedule;
use conrec_domain::spec::StageSpec;
use conrec_domain::status::{Activity, Status};
use conrec_domain::work::{Outcome, Pass, RunSummary, Score, StateChange, Work};
use std::time::Duration;

fn show(activity: Activity, iteration: u64, workers: u32) -> Effect {
    Effect::Show(Status { activity, iteration: Iteration(iteration), iterations_planned: 3, workers })
}

fn training(stage: &str, done: u32, of: u32, means: Option<(f64, f64, f64)>) -> Activity {
    let (pass, stage) = (Pass::Select, stage.to_owned());
    let (loss, reward, kl) = means.map_or((0.0, None, None), |(loss, reward, kl)| (loss, Some(reward), Some(kl)));
    Activity::Training { pass, stage, done, of, loss, reward, kl }
}

fn change(worker: u64, change: StateChange, state: &str) -> Effect {
    send(worker, Command::Change { fence: Fence(1), change, state: d(state) })
}

fn prompts(stage: u32, iteration: u32) -> Vec<u32> {
    let count = prepared().passes[0].prompts[stage as usize];
    Schedule::of(&spec_with(&[]), Pass::Select, stage, count).unwrap().iteration(iteration)
}

fn train(stage: u32, iteration: u64, stage_iteration: u32, lease: usize) -> Work {
    let all = prompts(stage, stage_iteration);
    let prompts = all.chunks(2).nth(lease).unwrap().to_vec();
    Work::Train {
        pass: Pass::Select,
        stage,
        iteration: Iteration(iteration),
        attempt: 0,
        update: 0,
        prompts,
        light: Vec::new(),
        reserve: Vec::new(),
    }
}

#[test]
fn the_last_worker_expected_starts_the_roster_in_order_of_ids() {
    let mut bench = Bench::new(setup(2));
    let waiting = Activity::WaitingForWorkers { joined: 1, expected: 2 };
    assert_eq!(bench.join(9), [show(waiting, 0, 1)]);
    let form = |rank| Command::Form {
        fence: Fence(1),
        rank,
        world: 2,
        rendezvous: "10.0.0.4:9000".into(),
        state: StateSource::Empty,
    };
    let all_here = show(Activity::WaitingForWorkers { joined: 2, expected: 2 }, 0, 2);
    assert_eq!(bench.join(4), [all_here, show(Activity::Forming, 0, 2), send(4, form(0)), send(9, form(1))]);
}

#[test]
fn the_lowest_worker_prepares_when_no_data_is_prepared() {
    let mut bench = Bench::new(conrec_domain::run::RunSetup { prepared: None, ..setup(2) });
    bench.join(3);
    let lease = conrec_domain::work::Lease { id: conrec_domain::ids::LeaseId(0), fence: Fence(0), work: Work::Prepare };
    let joined = show(Activity::WaitingForWorkers { joined: 2, expected: 2 }, 0, 2);
    assert_eq!(bench.join(2), [joined, show(Activity::Preparing, 0, 2), send(2, Command::Grant(lease))]);
    let effects = bench.lease(2, 0, "nothing", Outcome::Prepared(prepared()));
    assert_eq!(effects.len(), 4, "{effects:?}");
    assert_eq!(effects[0], show(Activity::Prepared { summary: prepared().summary }, 0, 2), "people see what was read");
    assert!(matches!(&effects[2], Effect::Send { command: Command::Form { fence: Fence(1), rank: 0, .. }, .. }));
    assert_eq!(bench.run.prepared(), Some(&prepared()));
}

#[test]
fn a_formed_roster_begins_the_pass_then_the_stage_then_trains() {
    let mut bench = Bench::new(setup(2));
    bench.join(1);
    bench.join(2);
    assert_eq!(bench.formed(2, "empty"), []);
    let begin = StateChange::BeginPass { pass: Pass::Select };
    let shown = show(training("sft", 0, 1, None), 0, 2);
    assert_eq!(bench.formed(1, "empty"), [shown, change(1, begin, "empty"), change(2, begin, "empty")]);
    assert_eq!(bench.changed(1, "s1"), []);
    let begin = StateChange::BeginStage { stage: 0 };
    assert_eq!(bench.changed(2, "s1"), [change(1, begin, "s1"), change(2, begin, "s1")]);
    bench.changed(1, "s2");
    // Three leases: one each, then a second for the lowest worker.
    let expected = [0, 1, 2].map(|lease| grant([1, 2, 1][lease], lease as u32, train(0, 1, 0, lease)));
    assert_eq!(bench.changed(2, "s2"), expected);
}

#[test]
fn the_updates_of_a_rollout_have_its_prompts() {
    let spec = spec_with(&["stage.1.iterations=5", "stage.1.updates_per_rollout=2"]);
    let stage = &spec.stage[1];
    let places: Vec<_> = (0..5).map(|i| (stage.rollout_of(i), stage.update_of(i), stage.begins_rollout(i))).collect();
    assert_eq!(places, [(0, 0, true), (0, 1, false), (1, 0, true), (1, 1, false), (2, 0, true)]);
    let once = &spec_with(&[]).stage[1];
    assert_eq!((once.rollout_of(4), once.update_of(4), once.begins_rollout(4)), (4, 0, false));
    let supervised = StageSpec { updates_per_rollout: 2, ..spec.stage[0].clone() };
    assert_eq!((supervised.rollout_of(4), supervised.begins_rollout(4)), (4, false), "it samples nothing");
}

#[test]
fn a_finished_lease_makes_room_for_the_next() {
    let mut bench = Bench::at_first_rollout();
    assert_eq!(bench.lease(1, 0, "s2", trained()), [grant(1, 2, train(0, 1, 0, 2))]);
    assert_eq!(bench.lease(1, 2, "s2", trained()), []);
    let reduce = Command::Reduce { fence: Fence(1), iteration: Iteration(1) };
    assert_eq!(bench.lease(1, 1, "s2", trained()), [send(1, reduce)]);
}

#[test]
fn equal_sums_are_committed_with_the_divisor_of_the_stage() {
    let mut bench = Bench::at_first_rollout();
    for lease in 0..3 {
        bench.lease(1, lease, "s2", trained());
    }
    let commit =
        Command::Commit { fence: Fence(1), iteration: Iteration(1), divisor: 96, learning_rate: 1e-3, state: d("s2") };
    assert_eq!(bench.reduced(1, 1, "g1"), [send(1, commit)], "a supervised stage divides by target codes");
}

#[test]
fn a_commit_enters_ledger_and_metrics_and_the_stage_ends_with_a_checkpoint() {
    let mut bench = Bench::at_first_rollout();
    for lease in 0..3 {
        bench.lease(1, lease, "s2", trained());
    }
    bench.reduced(1, 1, "g1");
    let entry = LedgerEntry {
        iteration: Iteration(1),
        pass: Pass::Select,
        stage: "sft".into(),
        attempt: 0,
        fence: Fence(1),
        changes: vec![
            StateLink { change: StateChange::BeginPass { pass: Pass::Select }, before: d("empty"), after: d("s1") },
            StateLink { change: StateChange::BeginStage { stage: 0 }, before: d("s1"), after: d("s2") },
        ],
        decisions: Vec::new(),
        cleaned: None,
        prompts: prompts(0, 0),
        refilled: Vec::new(),
        gradient: d("g1"),
        before: d("s2"),
        after: d("s3"),
        previous: empty_journal(),
    };
    let line = MetricsLine {
        iteration: Iteration(1),
        pass: Pass::Select,
        stage: "sft".into(),
        stage_iteration: 1,
        loss: 2.0,
        loss_to_title: None,
        loss_to_item: None,
        reward: None,
        reward_std: None,
        frac_reward_zero_std: None,
        beta: None,
        kl: None,
        entropy: None,
        clip_ratio: None,
        ratio_std: None,
        refilled: None,
        nll: None,
        effective_completions: None,
        distinct: None,
        abstained: None,
        learning_rate: 1e-3,
        step_time: 5.0,
        validation_fhr: None,
        validation_candidate_accuracy: None,
    };
    let kept = Activity::Decided {
        stage: "sft".into(),
        iteration: 1,
        score: None,
        reason: "kept after all 1 iterations: the stage is not validated".into(),
    };
    let key = Manifest::key(Iteration(1), Fence(1));
    assert_eq!(
        bench.committed(1, 1, "s3"),
        [
            Effect::AppendLedger(entry),
            show(kept, 1, 1),
            Effect::AppendMetrics(line),
            send(1, Command::WriteParts { fence: Fence(1), key }),
            show(training("grpo", 0, 2, None), 1, 1),
            change(1, StateChange::BeginStage { stage: 1 }, "s3"),
        ],
        "the next stage begins while the checkpoint is written"
    );
}

#[test]
fn parts_are_published_in_order_of_names_while_the_run_goes_on() {
    let mut bench = Bench::at_first_rollout();
    for lease in 0..3 {
        bench.lease(1, lease, "s2", trained());
    }
    bench.reduced(1, 1, "g1");
    bench.committed(1, 1, "s3");
    let after = bench.run.cursor().clone();
    let mut parts = some_parts();
    parts.reverse();
    let manifest = manifest("s3", after, parts);
    bench.changed(1, "s4");
    assert_eq!(bench.parts(1), [Effect::PublishManifest(manifest)], "it holds what was there when it was asked for");
    assert_eq!(bench.published(1), []);
}

#[test]
fn validation_counts_are_added_and_the_gate_says_why() {
    let mut bench = Bench::at_first_validation();
    let progress = |done| Activity::Validating { stage: "grpo".into(), done, of: 2 };
    assert_eq!(bench.lease(1, 1, "s4", validated(1)), [show(progress(1), 1, 1)]);
    let decided = Activity::Decided {
        stage: "grpo".into(),
        iteration: 0,
        score: Some(Score { fhr: 0.4, candidate_accuracy: 0.0 }),
        reason: "the stage starts at FHR@20 0.4000 and CandAcc 0.0000: the bar for all that follows".into(),
    };
    assert_eq!(
        bench.lease(1, 0, "s4", validated(3)),
        [
            show(progress(2), 1, 1),
            show(decided, 1, 1),
            show(training("grpo", 0, 2, None), 1, 1),
            change(1, StateChange::KeepBest, "s4")
        ]
    );
    assert_eq!(bench.changed(1, "s4"), [0, 1].map(|lease| grant(1, lease as u32, train(1, 2, 0, lease))));
}

#[test]
fn the_gate_is_told_of_how_many_instances_its_scores_are_means() {
    let spec = spec_with(&["evaluation.tolerance_errors=2.0"]);
    let mut bench = Bench::validating(conrec_domain::run::RunSetup { spec, ..setup(1) });
    bench.lease(1, 0, "s4", validated(2));
    let effects = bench.lease(1, 1, "s4", validated(2));
    // 10 instances in two leases: 2 sqrt(.4 * .6 / 10) = .3098.
    let words = "0.3098 of FHR@20 and 0.0020 of CandAcc below it count as noise (2 standard errors of 10 instances)";
    assert!(format!("{effects:?}").contains(words), "{effects:?}");
}

#[test]
fn the_line_of_a_validated_iteration_waits_for_its_scores() {
    let mut bench = Bench::at_first_validation();
    bench.lease(1, 0, "s4", validated(2));
    bench.lease(1, 1, "s4", validated(2));
    bench.changed(1, "s4");
    bench.lease(1, 0, "s4", trained());
    bench.lease(1, 1, "s4", trained());
    bench.reduced(1, 2, "g2");
    let effects = bench.committed(1, 2, "s5");
    let validating = Activity::Validating { stage: "grpo".into(), done: 0, of: 2 };
    assert!(matches!(&effects[0], Effect::AppendLedger(e) if e.iteration == Iteration(2)));
    assert_eq!(
        effects[1..],
        [
            show(validating, 2, 1),
            grant(1, 0, Work::Validate { from: 0, to: 10 }),
            grant(1, 1, Work::Validate { from: 10, to: 15 })
        ]
    );
    bench.lease(1, 0, "s5", validated(3));
    let effects = bench.lease(1, 1, "s5", validated(3));
    let Effect::AppendMetrics(line) = &effects[1] else { panic!("{effects:?}") };
    assert_eq!((line.iteration, line.stage_iteration), (Iteration(2), 1));
    assert_eq!((line.validation_fhr, line.validation_candidate_accuracy), (Some(0.6), Some(0.0)));
    assert_eq!((line.reward, line.reward_std, line.frac_reward_zero_std), (Some(8.0 / 28.0), Some(0.25), Some(0.5)));
    assert_eq!((line.beta, line.kl), (Some(0.1), Some(0.5 / 64.0)));
    assert_eq!((line.entropy, line.distinct, line.abstained), (Some(0.25), Some(5.0), Some(0.125)));
    assert_eq!((line.loss, line.learning_rate), (32.0, 1e-4), "128 over 4 groups");
}

#[test]
fn an_alarm_is_shown_and_a_line_without_beta_has_no_kl() {
    let spec = spec_with(&["stage.1.beta=0.0", "stage.1.validate_every=0", "alarm.in_a_row=1"]);
    let mut bench = Bench::new(conrec_domain::run::RunSetup { spec, ..setup(1) });
    bench.join(1);
    bench.formed(1, "empty");
    bench.changed(1, "s1");
    bench.changed(1, "s2");
    for lease in 0..3 {
        bench.lease(1, lease, "s2", trained());
    }
    bench.reduced(1, 1, "g1");
    bench.committed(1, 1, "s3");
    bench.parts(1);
    bench.published(1);
    bench.changed(1, "s4");
    bench.lease(1, 0, "s4", validated(2));
    bench.lease(1, 1, "s4", validated(2));
    bench.changed(1, "s4");
    bench.lease(1, 0, "s4", trained());
    bench.lease(1, 1, "s4", trained());
    bench.reduced(1, 2, "g2");
    let effects = bench.committed(1, 2, "s5");
    let reason = "alarm: a share of 0.1250 of the completions has no reward, above 0.05 (iterations in a row: 1); \
                  nothing is changed";
    let alarm = Activity::Decided { stage: "grpo".into(), iteration: 1, score: None, reason: reason.into() };
    assert_eq!(effects[1], show(alarm, 2, 1));
    let Effect::AppendMetrics(line) = &effects[2] else { panic!("{effects:?}") };
    assert_eq!((line.beta, line.kl, line.entropy), (Some(0.0), None, Some(0.25)));
}

/// Goes on to the report: the second stage's iterations score as its start did, so its start comes back.
pub fn at_report() -> (Bench, Vec<Effect>) {
    let mut bench = Bench::at_first_validation();
    bench.lease(1, 0, "s4", validated(2));
    bench.lease(1, 1, "s4", validated(2));
    bench.changed(1, "s4");
    let mut state = "s4".to_owned();
    for iteration in [2, 3] {
        bench.lease(1, 0, &state, trained());
        bench.lease(1, 1, &state, trained());
        bench.reduced(1, iteration, "g");
        state = format!("after {iteration}");
        bench.committed(1, iteration, &state);
        bench.lease(1, 0, &state, validated(2));
        bench.lease(1, 1, &state, validated(2));
    }
    bench.changed(1, "s4");
    bench.parts(1);
    let effects = bench.published(3);
    (bench, effects)
}

#[test]
fn retention_prunes_and_the_report_ends_the_run() {
    let (mut bench, effects) = at_report();
    let summary = RunSummary {
        changes: bench.run.cursor().changes.clone(),
        state_digest: d("s4"),
        iterations: 3,
        journal_digest: bench.run.cursor().journal,
        wall_seconds: bench.now.as_secs_f64(),
        select_checkpoint: bench.run.cursor().select_checkpoint.clone(),
        decisions: bench.run.cursor().decisions.clone(),
        questions: Vec::new(),
    };
    assert_eq!(
        effects,
        [
            Effect::Prune { keys: vec![Manifest::key(Iteration(1), Fence(1))] },
            show(Activity::Evaluating, 3, 1),
            grant(1, 0, Work::Report { summary })
        ]
    );
    let chosen: Vec<u32> = bench.run.cursor().chosen.iter().map(|chosen| chosen.iterations).collect();
    assert_eq!(chosen, [1, 0]);
    assert_eq!(
        bench.lease(1, 0, "s4", Outcome::Reported),
        [stop(1, "the run is complete"), show(Activity::Completed, 3, 1), Effect::Finish(Ending::Completed)]
    );
    assert_eq!(bench.run.ending(), Some(&Ending::Completed));
}

#[test]
fn a_resumed_run_forms_with_the_checkpoint_under_a_new_fence() {
    let mut first = Bench::at_first_rollout();
    for lease in 0..3 {
        first.lease(1, lease, "s2", trained());
    }
    first.reduced(1, 1, "g1");
    first.committed(1, 1, "s3");
    let effects = first.parts(1);
    let [Effect::PublishManifest(manifest)] = effects.as_slice() else { panic!("{effects:?}") };
    let setup = conrec_domain::run::RunSetup { resume: Some(manifest.clone()), last_fence: Fence(4), ..setup(1) };
    let older =
        Kept { key: Manifest::key(Iteration(0), Fence(1)), iteration: Iteration(0), fhr: None, ends_stage: false };
    let run = Run::new(setup, Duration::ZERO).knowing_checkpoints(vec![older.clone()]);
    let mut bench = Bench::of(run);
    let effects = bench.join(1);
    let form = Command::Form {
        fence: Fence(5),
        rank: 0,
        world: 1,
        rendezvous: "10.0.0.1:9000".into(),
        state: StateSource::Checkpoint { key: Manifest::key(Iteration(1), Fence(1)) },
    };
    assert_eq!(effects[1..], [show(Activity::Forming, 1, 1), send(1, form)]);
    let effects = bench.formed(1, "s3");
    let begin = Command::Change { fence: Fence(5), change: StateChange::BeginStage { stage: 1 }, state: d("s3") };
    assert_eq!(effects[1..], [send(1, begin)]);
    bench.changed(1, "s4");
    bench.lease(1, 0, "s4", validated(2));
    bench.apply(conrec_domain::event::Event::StopRequested);
    bench.parts(1);
    let effects = bench.published(1);
    let pruned = vec![older.key, Manifest::key(Iteration(1), Fence(1))];
    assert_eq!(effects[0], Effect::Prune { keys: pruned }, "checkpoints of earlier processes count too");
}
