//! What operators wish of a run under way: a checkpoint now, or its end.

use crate::bench::*;
use conrec_domain::effect::{Command, Effect, Ending};
use conrec_domain::event::Event;
use conrec_domain::ids::{Fence, Iteration};
use conrec_domain::manifest::Manifest;
use conrec_domain::run::RunSetup;
use conrec_domain::work::Work;

/// One worker, three iterations in the first stage, the leases of the first out.
fn at_first_rollout() -> Bench {
    let mut bench = Bench::new(RunSetup { spec: spec_with(&["stage.0.iterations=3"]), ..setup(1) });
    bench.join(1);
    bench.formed(1, "empty");
    bench.changed(1, "s1");
    bench.changed(1, "s2");
    bench
}

fn iterate(bench: &mut Bench, iteration: u64) -> Vec<Effect> {
    let state = format!("s{}", iteration + 1);
    for lease in 0..3 {
        bench.lease(1, lease, &state, trained());
    }
    bench.reduced(1, iteration, "g");
    bench.committed(1, iteration, &format!("s{}", iteration + 2))
}

fn parts_asked_for(effects: &[Effect]) -> Vec<String> {
    let keys = effects.iter().filter_map(|effect| match effect {
        Effect::Send { command: Command::WriteParts { key, .. }, .. } => Some(key.clone()),
        _ => None,
    });
    keys.collect()
}

fn goes_on(effects: &[Effect]) -> bool {
    let trains = |work: &Work| matches!(work, Work::Train { .. });
    effects.iter().any(|e| matches!(e, Effect::Send { command: Command::Grant(lease), .. } if trains(&lease.work)))
}

#[test]
fn a_wished_checkpoint_is_written_after_the_iteration_under_way_which_goes_on() {
    let mut bench = at_first_rollout();
    assert_eq!(bench.apply(Event::CheckpointRequested), []);
    assert_eq!(bench.apply(Event::CheckpointRequested), [], "two wishes are one checkpoint");
    let effects = iterate(&mut bench, 1);
    assert_eq!(parts_asked_for(&effects), [Manifest::key(Iteration(1), Fence(1))]);
    assert!(goes_on(&effects), "{effects:?}");
    bench.parts(1);
    bench.published(1);
    assert_eq!(bench.run.newest_whole().unwrap().iteration, Iteration(1));
    let effects = iterate(&mut bench, 2);
    assert_eq!(parts_asked_for(&effects), Vec::<String>::new(), "a wish is fulfilled once");
    // The curriculum's own, at the stage's end, is written as ever.
    assert_eq!(parts_asked_for(&iterate(&mut bench, 3)), [Manifest::key(Iteration(3), Fence(1))]);
}

#[test]
fn a_wish_during_a_save_is_fulfilled_after_it_under_a_key_of_its_own() {
    let mut bench = at_first_rollout();
    bench.apply(Event::CheckpointRequested);
    iterate(&mut bench, 1);
    bench.apply(Event::CheckpointRequested);
    assert_eq!(parts_asked_for(&iterate(&mut bench, 2)), Vec::<String>::new(), "one at a time");
    bench.parts(1);
    bench.published(1);
    assert_eq!(parts_asked_for(&iterate(&mut bench, 3)), [Manifest::key(Iteration(3), Fence(1))]);
}

#[test]
fn a_cancelled_run_ends_at_once_and_writes_nothing() {
    let mut bench = at_first_rollout();
    let effects = bench.apply(Event::CancelRequested);
    assert_eq!(parts_asked_for(&effects), Vec::<String>::new());
    assert!(
        matches!(&effects[0], Effect::Send { command: Command::Stop { reason, .. }, .. } if reason.contains("cancel"))
    );
    assert_eq!(effects.last(), Some(&Effect::Finish(Ending::Cancelled)));
    assert_eq!(Ending::Cancelled.exit_code(), 15);
    assert_eq!(bench.apply(Event::CancelRequested), [], "an ended run asks for nothing");
}
