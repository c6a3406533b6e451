//! How a run ends: stops at every phase, digests that differ, stores and data that do not fit; and missed deadlines.

use crate::bench::*;
use conrec_domain::curriculum::Cursor;
use conrec_domain::effect::{Command, Effect, Ending};
use conrec_domain::event::Event;
use conrec_domain::ids::{Fence, Iteration};
use conrec_domain::manifest::Manifest;
use conrec_domain::run::{Rejection, RunSetup};
use conrec_domain::status::Activity;
use std::time::Duration;

const STOPPED: &str = "a stop was asked for";

fn finish(effects: &[Effect]) -> &Ending {
    match effects.last() {
        Some(Effect::Finish(ending)) => ending,
        _ => panic!("no end in {effects:?}"),
    }
}

/// The worker that is dropped, and why.
fn dropped(effects: &[Effect]) -> &str {
    effects
        .iter()
        .find_map(|effect| match effect {
            Effect::Drop { reason, .. } => Some(reason.as_str()),
            _ => None,
        })
        .unwrap_or_else(|| panic!("nobody is dropped in {effects:?}"))
}

fn failure(effects: &[Effect]) -> (&str, u8) {
    match finish(effects) {
        Ending::Failed { reason, exit_code } => (reason, *exit_code),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_stop_before_the_roster_has_formed_ends_at_once() {
    let mut bench = Bench::new(setup(2));
    bench.join(1);
    let effects = bench.apply(Event::StopRequested);
    assert_eq!(effects[0], stop(1, STOPPED));
    assert!(matches!(&effects[1], Effect::Show(s) if s.activity == Activity::Stopped));
    assert_eq!(effects[2..], [Effect::Finish(Ending::Stopped)]);
    let mut bench = Bench::new(setup(1));
    bench.join(1);
    assert_eq!(finish(&bench.apply(Event::StopRequested)), &Ending::Stopped);
    assert_eq!(bench.apply(Event::StopRequested), [], "an ended run asks for nothing");
}

#[test]
fn a_stop_drops_the_leases_and_checkpoints_the_cursor() {
    let mut bench = Bench::at_first_rollout();
    let cursor = bench.run.cursor().clone();
    let effects = bench.apply(Event::StopRequested);
    let cursor = Cursor { seconds: bench.now.as_secs_f64(), ..cursor };
    let key = Manifest::key(Iteration(0), Fence(1));
    assert_eq!(effects[0], send(1, Command::WriteParts { fence: Fence(1), key }));
    assert!(matches!(&effects[1..], [Effect::Show(s)] if s.activity == Activity::Checkpointing));
    assert_eq!(bench.lease(1, 0, "s2", trained()), [], "a lease that comes after the drop is ignored");
    let effects = bench.parts(1);
    let [Effect::PublishManifest(manifest)] = effects.as_slice() else { panic!("{effects:?}") };
    assert_eq!((&manifest.cursor, manifest.state_digest), (&cursor, d("s2")));
    let effects = bench.published(0);
    assert_eq!(effects[0], stop(1, STOPPED));
    assert_eq!(finish(&effects), &Ending::Stopped);
}

#[test]
fn a_stop_during_a_reduce_finishes_the_iteration_first() {
    let mut bench = Bench::at_first_rollout();
    for lease in 0..3 {
        bench.lease(1, lease, "s2", trained());
    }
    assert_eq!(bench.apply(Event::StopRequested), []);
    assert_eq!(bench.reduced(1, 1, "g").len(), 1);
    let effects = bench.committed(1, 1, "s3");
    assert!(matches!(&effects[0], Effect::AppendLedger(_)));
    let writes = |effect: &Effect| matches!(effect, Effect::Send { command: Command::WriteParts { .. }, .. });
    assert!(effects.iter().any(writes) && !effects.iter().any(|e| matches!(e, Effect::Finish(_))), "{effects:?}");
    bench.parts(1);
    assert_eq!(finish(&bench.published(1)), &Ending::Stopped);
}

#[test]
fn a_stop_writes_nothing_when_the_newest_checkpoint_can_repeat_the_rest() {
    let mut bench = Bench::at_first_validation();
    let effects = bench.apply(Event::StopRequested);
    assert_eq!(effects[0], stop(1, STOPPED));
    assert_eq!(finish(&effects), &Ending::Stopped);
}

#[test]
fn a_stop_keeps_the_line_of_metrics_that_waits_for_scores() {
    let mut bench = Bench::at_first_validation();
    bench.lease(1, 0, "s4", validated(2));
    bench.lease(1, 1, "s4", validated(2));
    bench.changed(1, "s4");
    bench.lease(1, 0, "s4", trained());
    bench.lease(1, 1, "s4", trained());
    bench.reduced(1, 2, "g2");
    bench.committed(1, 2, "s5");
    let effects = bench.apply(Event::StopRequested);
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::AppendMetrics(_))), "{effects:?}");
    let published = bench.parts(1);
    let holds = |effect: &Effect| match effect {
        Effect::PublishManifest(manifest) => {
            manifest.cursor.held_line.as_ref().is_some_and(|line| line.iteration == Iteration(2))
        }
        _ => false,
    };
    assert!(published.iter().any(holds), "{published:?}");
}

#[test]
fn a_failed_worker_passes_its_exit_code_on() {
    let mut bench = Bench::new(RunSetup { prepared: None, ..setup(1) });
    bench.join(1);
    let message = "prepare: ratings.dat line 7".to_owned();
    let effects = bench.apply(Event::WorkerFailed { worker: w(1), message, exit_code: 65 });
    let reason = "prepare: ratings.dat line 7\n  in worker-1 (host-1), while preparing the data";
    assert_eq!(failure(&effects), (reason, 65));
}

#[test]
fn digests_that_differ_end_the_run_and_name_the_workers() {
    let mut bench = Bench::new(setup(2));
    bench.join(1);
    bench.join(2);
    for state in ["empty", "s1", "s2"] {
        for worker in [1, 2] {
            if state == "empty" {
                bench.formed(worker, state)
            } else {
                bench.changed(worker, state)
            };
        }
    }
    bench.lease(1, 0, "s2", trained());
    bench.lease(2, 1, "s2", trained());
    bench.lease(1, 2, "s2", trained());
    bench.reduced(2, 1, "g");
    let effects = bench.reduced(1, 1, "other");
    let (reason, code) = failure(&effects);
    let who = format!("worker-1 has {:.12}, worker-2 has {:.12}", d("other").to_string(), d("g").to_string());
    assert_eq!(reason, format!("digests differ after the reduce while reducing iteration 1 (stage `sft`): {who}"));
    assert_eq!(code, 1);
}

#[test]
fn missed_deadlines_name_worker_phase_and_iteration() {
    let mut bench = Bench::new(setup(2));
    bench.join(1);
    let tick_after = |bench: &mut Bench, seconds: u64, alive: bool| {
        for _ in 0..seconds {
            if alive {
                bench.apply(Event::Heartbeat { worker: w(1) });
            } else {
                bench.now += Duration::from_secs(1);
            }
        }
        bench.apply(Event::Tick)
    };
    assert_eq!(tick_after(&mut bench, 50, true), []);
    assert_eq!(failure(&tick_after(&mut bench, 10, true)).0, "1 of 2 workers joined within 60 s");

    let mut bench = Bench::at_first_rollout();
    assert_eq!(tick_after(&mut bench, 9, false), []);
    let effects = tick_after(&mut bench, 1, false);
    let silent = "worker-1 (host-1) was silent for more than 10 s, while training iteration 1 (stage `sft`)";
    assert_eq!(dropped(&effects), silent);

    let mut bench = Bench::at_first_rollout();
    assert_eq!(tick_after(&mut bench, 100, true), []);
    bench.lease(1, 0, "s2", trained());
    assert_eq!(tick_after(&mut bench, 100, true), [], "the second lease's time begins when the first is done");
    let effects = tick_after(&mut bench, 30, true);
    let late = "worker-1 (host-1) did not finish lease 1 within 120 s, while training iteration 1 (stage `sft`)";
    assert_eq!(dropped(&effects), late);

    let mut bench = Bench::at_first_rollout();
    for lease in 0..3 {
        bench.lease(1, lease, "s2", trained());
    }
    let effects = tick_after(&mut bench, 31, true);
    let late = "worker-1 (host-1) did not answer within 30 s, while reducing iteration 1 (stage `sft`)";
    assert_eq!(dropped(&effects), late);
}

#[test]
fn a_refused_manifest_ends_the_run_with_the_stores_exit_code() {
    let mut bench = Bench::at_first_rollout();
    bench.apply(Event::StopRequested);
    bench.parts(1);
    let wrong = bench.try_apply(Event::ManifestPublished { key: "other".into() }).unwrap_err();
    assert!(matches!(wrong, Rejection::WrongKey { .. }));
    let effects = bench.apply(Event::ManifestRefused { message: "it exists".into() });
    let key = Manifest::key(Iteration(0), Fence(1));
    let reason = format!("the store refused the manifest of {key}: it exists; no checkpoint is whole yet");
    assert_eq!(failure(&effects), (reason.as_str(), 69));
}

#[test]
fn data_and_checkpoints_that_do_not_fit_end_the_run_before_it_trains() {
    let fail = |change: &dyn Fn(&mut RunSetup)| {
        let mut setup = setup(1);
        change(&mut setup);
        let effects = Bench::new(setup).join(1);
        let (reason, code) = failure(&effects);
        (reason.to_owned(), code)
    };
    let (reason, code) = fail(&|s| s.prepared.as_mut().unwrap().passes[0].prompts[1] = 0);
    assert!(reason.starts_with("stage `grpo` has no training prompts") && code == 65, "{reason}");
    let (reason, code) = fail(&|s| s.prepared.as_mut().unwrap().passes[0].prompts[1] = 3);
    assert!(reason.starts_with("stage.1.prompts = 4: allowed is 1 to 3: stage `grpo` has 3") && code == 78, "{reason}");
    let (reason, code) = fail(&|s| s.prepared.as_mut().unwrap().validation_instances = 0);
    assert!(reason.starts_with("the validation window holds no instance") && code == 65, "{reason}");
    let (reason, _) = fail(&|s| s.prepared.as_mut().unwrap().passes.clear());
    assert!(reason.contains("no part for pass Select"), "{reason}");

    let mut bench = Bench::at_first_rollout();
    bench.apply(Event::StopRequested);
    let effects = bench.parts(1);
    let [Effect::PublishManifest(manifest)] = effects.as_slice() else { panic!("{effects:?}") };
    let resume = |s: &mut RunSetup| s.resume = Some(manifest.clone());
    let (reason, code) = fail(&|s| {
        resume(s);
        s.prepared.as_mut().unwrap().data_digest = d("other data");
    });
    assert!(reason.starts_with("the checkpoint was trained on data") && code == 65, "{reason}");
    let (reason, code) = fail(&|s| {
        resume(s);
        s.spec = spec_with(&["seed=6"]);
    });
    assert!(reason.starts_with("the checkpoint was made with config") && code == 78, "{reason}");
    let mut bench = Bench::new(RunSetup { resume: Some(manifest.clone()), ..setup(1) });
    bench.join(1);
    let effects = bench.formed(1, "not s2");
    assert!(failure(&effects).0.contains("its manifest promises"), "{effects:?}");
}
