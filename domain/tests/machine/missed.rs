//! A store that does not take a checkpoint: full, gone, or read-only since the run began.

use crate::bench::*;
use conrec_domain::effect::{Command, Effect, Ending};
use conrec_domain::event::Event;
use conrec_domain::ids::{Fence, Iteration};
use conrec_domain::manifest::Manifest;
use conrec_domain::run::RunSetup;
use conrec_domain::status::Activity;

/// One worker, iteration 1 committed, the parts of the stage's checkpoint asked for.
fn at_first_checkpoint(setup: RunSetup) -> Bench {
    let mut bench = Bench::new(setup);
    bench.join(1);
    for state in ["empty", "s1", "s2"] {
        if state == "empty" {
            bench.formed(1, state)
        } else {
            bench.changed(1, state)
        };
    }
    for lease in 0..3 {
        bench.lease(1, lease, "s2", trained());
    }
    bench.reduced(1, 1, "g1");
    bench.committed(1, 1, "s3");
    bench
}

fn full(bench: &mut Bench) -> Vec<Effect> {
    bench.apply(Event::PartsFailed { worker: w(1), fence: bench.run.fence(), message: "no space is left".into() })
}

fn missed(effect: &Effect) -> &str {
    match effect {
        Effect::Show(status) => match &status.activity {
            Activity::CheckpointMissed { reason } => reason,
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

fn failure(effects: &[Effect]) -> (&str, u8) {
    match effects.last() {
        Some(Effect::Finish(Ending::Failed { reason, exit_code })) => (reason, *exit_code),
        other => panic!("{other:?}"),
    }
}

#[test]
fn parts_that_cannot_be_written_are_reported_and_the_run_goes_on() {
    let mut bench = at_first_checkpoint(setup(1));
    let effects = full(&mut bench);
    let key = Manifest::key(Iteration(1), Fence(1));
    let reason = format!("checkpoint {key} could not be written: no space is left; no checkpoint is whole yet");
    assert_eq!(missed(&effects[0]), reason);
    assert_eq!(effects.len(), 1, "the run has gone on long ago: {effects:?}");
    assert!(matches!(&bench.changed(1, "s4")[..], [Effect::Show(_), Effect::Send { .. }, ..]));
}

#[test]
fn a_manifest_that_is_refused_is_reported_and_the_run_goes_on() {
    let mut bench = at_first_checkpoint(setup(1));
    bench.parts(1);
    let effects = bench.apply(Event::ManifestRefused { message: "the store is gone".into() });
    assert!(missed(&effects[0]).contains("refused the manifest"), "{effects:?}");
    assert_eq!(effects.len(), 1, "{effects:?}");
}

#[test]
fn the_next_attempt_at_the_same_place_has_another_key() {
    let mut bench = at_first_checkpoint(setup(1));
    full(&mut bench);
    bench.apply(Event::StopRequested);
    // A stop waits for the change under way. Something may lie under the key that failed.
    let effects = bench.changed(1, "s4");
    assert!(effects.iter().any(|e| matches!(e, Effect::Send { command: Command::Form { fence: Fence(2), .. }, .. })));
    let effects = bench.formed(1, "s4");
    let key = Manifest::key(Iteration(1), Fence(2));
    assert!(effects.contains(&send(1, Command::WriteParts { fence: Fence(2), key })), "{effects:?}");
    bench.parts(1);
    let effects = bench.published(1);
    assert_eq!(effects.last(), Some(&Effect::Finish(Ending::Stopped)));
}

#[test]
fn a_stop_whose_checkpoint_cannot_be_written_names_the_newest_whole_one() {
    let mut bench = Bench::at_first_validation();
    for (lease, hits) in [(0, 2), (1, 2)] {
        bench.lease(1, lease, "s4", validated(hits));
    }
    bench.changed(1, "s4");
    for lease in 0..2 {
        bench.lease(1, lease, "s4", trained());
    }
    bench.reduced(1, 2, "g2");
    bench.committed(1, 2, "s5");
    bench.apply(Event::StopRequested);
    let effects = full(&mut bench);
    let (missed, whole) = (Manifest::key(Iteration(2), Fence(1)), Manifest::key(Iteration(1), Fence(1)));
    let reason = format!("checkpoint {missed} could not be written: no space is left; the newest whole one is {whole}");
    assert_eq!(failure(&effects), (reason.as_str(), 69));
}

#[test]
fn the_checkpoint_that_the_report_will_need_is_not_done_without() {
    let spec = spec_with(&["evaluation.statistics=refit", "stage.1.iterations=1"]);
    let mut bench = at_first_checkpoint(RunSetup { spec, ..setup(1) });
    bench.parts(1);
    bench.published(1);
    bench.changed(1, "s4");
    for lease in 0..2 {
        bench.lease(1, lease, "s4", validated(2));
    }
    bench.changed(1, "s4");
    for lease in 0..2 {
        bench.lease(1, lease, "s4", trained());
    }
    bench.reduced(1, 2, "g2");
    bench.committed(1, 2, "s5");
    for lease in 0..2 {
        bench.lease(1, lease, "s5", validated(3));
    }
    bench.changed(1, "s6");
    let (reason, code) = {
        let effects = full(&mut bench);
        let (reason, code) = failure(&effects);
        (reason.to_owned(), code)
    };
    assert!(reason.contains("the newest whole one is checkpoints/0000000001-000001") && code == 69, "{reason}");
}

#[test]
fn a_store_that_takes_too_long_at_a_stop_ends_the_run() {
    let mut bench = Bench::at_first_rollout();
    bench.apply(Event::StopRequested);
    let mut effects = Vec::new();
    while effects.is_empty() {
        bench.apply(Event::Heartbeat { worker: w(1) });
        effects = bench.apply(Event::Tick);
    }
    let (reason, code) = failure(&effects);
    let key = Manifest::key(Iteration(0), Fence(1));
    assert!(reason.starts_with(&format!("checkpoint {key}: its parts were not written within 360 s")), "{reason}");
    assert_eq!(code, 69);
}
