//! Workers that are asked to end: the run goes on from where it is without them, and nothing that was done is lost.

use crate::bench::*;
use conrec_domain::effect::{Command, Effect, Ending, StateSource};
use conrec_domain::event::Event;
use conrec_domain::ids::Iteration;
use conrec_domain::run::RunSetup;
use conrec_domain::status::Activity;

fn leaves(bench: &mut Bench, worker: u64) -> Vec<Effect> {
    bench.apply(Event::Leaving { worker: w(worker) })
}

/// Two workers at the first iteration's leases, state "s2": worker 1 has leases 0 and 2, worker 2 has lease 1.
fn two_in_rollout() -> Bench {
    let mut bench = Bench::new(setup(2));
    bench.join(1);
    bench.join(2);
    for worker in [1, 2] {
        bench.formed(worker, "empty");
    }
    for state in ["s1", "s2"] {
        for worker in [1, 2] {
            bench.changed(worker, state);
        }
    }
    bench
}

/// The iteration at hand is trained, reduced and committed by these; the effects of the last answer.
fn finish_iteration(bench: &mut Bench, workers: &[u64], state: &str) -> Vec<Effect> {
    bench.lease(1, 0, "s2", trained());
    bench.lease(2, 1, "s2", trained());
    bench.lease(1, 2, "s2", trained());
    workers.iter().for_each(|worker| drop(bench.reduced(*worker, 1, "g1")));
    workers.iter().flat_map(|worker| bench.committed(*worker, 1, state)).collect()
}

fn is_released(effects: &[Effect], worker: u64) -> bool {
    let told = |e: &Effect| matches!(e, Effect::Send { worker: to, command: Command::Stop { .. } } if *to == w(worker));
    let shown = |e: &Effect| match e {
        Effect::Show(status) => {
            matches!(&status.activity, Activity::Left { reason } if reason.contains("as it was asked"))
        }
        _ => false,
    };
    let dropped = effects.iter().any(|e| matches!(e, Effect::Drop { .. } | Effect::RollBack { .. }));
    effects.iter().any(told) && effects.iter().any(shown) && !dropped
}

/// Rank, world and source of the state of whom a roster is formed with.
fn places(effects: &[Effect]) -> Vec<(u64, u32, u32, StateSource)> {
    let place = |effect: &Effect| match effect {
        Effect::Send { worker, command: Command::Form { rank, world, state, .. } } => {
            Some((worker.0, *rank, *world, state.clone()))
        }
        _ => None,
    };
    effects.iter().filter_map(place).collect()
}

fn writers(effects: &[Effect]) -> Vec<u64> {
    let writer = |effect: &Effect| match effect {
        Effect::Send { worker, command: Command::WriteParts { .. } } => Some(worker.0),
        _ => None,
    };
    effects.iter().filter_map(writer).collect()
}

fn grants(effects: &[Effect]) -> Vec<(u64, u32)> {
    let granted = |effect: &Effect| match effect {
        Effect::Send { worker, command: Command::Grant(lease) } => Some((worker.0, lease.id.0)),
        _ => None,
    };
    effects.iter().filter_map(granted).collect()
}

const HELD: StateSource = StateSource::Held { root: None };

#[test]
fn a_worker_that_leaves_takes_part_until_the_iteration_is_committed() {
    let mut bench = two_in_rollout();
    assert_eq!(leaves(&mut bench, 2), []);
    assert_eq!(leaves(&mut bench, 2), [], "once more changes nothing");
    let effects = finish_iteration(&mut bench, &[1, 2], "s3");
    assert!(effects.iter().any(|e| matches!(e, Effect::AppendLedger(entry) if entry.iteration == Iteration(1))));
    assert!(is_released(&effects, 2), "{effects:?}");
    assert_eq!(places(&effects), [(1, 0, 1, HELD)]);
    assert_eq!(writers(&bench.formed(1, "s3")), [1], "the run goes on");
}

#[test]
fn all_that_leave_write_a_checkpoint_and_the_run_waits_for_others() {
    let mut bench = two_in_rollout();
    leaves(&mut bench, 1);
    let effects = leaves(&mut bench, 2);
    assert_eq!(writers(&effects), [1], "{effects:?}");
    bench.parts(1);
    let effects = bench.published(0);
    assert_eq!(effects.iter().filter(|e| matches!(e, Effect::Send { .. })).count(), 2, "{effects:?}");
    assert!(!effects.iter().any(|e| matches!(e, Effect::Drop { .. } | Effect::Finish(_))), "{effects:?}");
    // Another comes and takes the state from the checkpoint; nobody comes: a stop ends the run as ever.
    let mut other = Bench::of(bench.run.clone());
    other.now = bench.now;
    let [(3, 0, 1, StateSource::Checkpoint { .. })] = places(&other.join(3))[..] else { panic!("no roster of one") };
    assert_eq!(bench.apply(Event::StopRequested).last(), Some(&Effect::Finish(Ending::Stopped)));
}

#[test]
fn a_stop_and_workers_that_leave_make_one_checkpoint_in_either_order() {
    for stop_after in 0..=2 {
        let mut bench = two_in_rollout();
        let mut effects = Vec::new();
        for step in 0..=2 {
            effects.extend(match step {
                _ if step == stop_after => bench.apply(Event::StopRequested),
                _ if step < stop_after => leaves(&mut bench, step + 1),
                _ => leaves(&mut bench, step),
            });
        }
        assert_eq!(writers(&effects).len(), 1, "{effects:?}");
        let writer = writers(&effects)[0];
        bench.parts(writer);
        let effects = bench.published(0);
        assert_eq!(effects.last(), Some(&Effect::Finish(Ending::Stopped)), "{effects:?}");
        assert_eq!(effects[..2], [stop(1, "a stop was asked for"), stop(2, "a stop was asked for")]);
    }
}

#[test]
fn who_is_in_no_roster_is_released_at_once() {
    let mut bench = Bench::new(setup(2));
    bench.join(1);
    assert!(is_released(&leaves(&mut bench, 1), 1), "it waited for others");
    let mut bench = two_in_rollout();
    bench.join(3);
    assert!(is_released(&leaves(&mut bench, 3), 3), "it waited for a roster");
    assert!(grants(&finish_iteration(&mut bench, &[1, 2], "s3")).is_empty());
    // One prepares, the other has nothing to do.
    let mut bench = Bench::new(RunSetup { prepared: None, ..setup(2) });
    bench.join(1);
    assert_eq!(grants(&bench.join(2)), [(1, 0)]);
    assert!(is_released(&leaves(&mut bench, 2), 2));
    assert_eq!(leaves(&mut bench, 1), [], "what it prepares may be done in time");
    let left = bench.apply(Event::Left { worker: w(1), reason: "too late".into() });
    assert!(left.iter().any(|e| matches!(e, Effect::Drop { .. })), "{left:?}");
    assert!(bench.run.ending().is_none());
    assert_eq!(grants(&bench.join(3)), [], "two are expected");
    assert_eq!(grants(&bench.join(4)), [(3, 0)]);
}

#[test]
fn a_newcomer_gets_the_state_from_the_one_that_leaves() {
    let mut bench = two_in_rollout();
    bench.join(3);
    leaves(&mut bench, 1);
    assert_eq!(leaves(&mut bench, 2), [], "the newcomer stays: the run goes on");
    let effects = finish_iteration(&mut bench, &[1, 2], "s3");
    let expected = [(1, 0, 2, StateSource::Held { root: Some(0) }), (3, 1, 2, StateSource::Peer { root: 0 })];
    assert_eq!(places(&effects), expected);
    assert!(is_released(&effects, 2), "{effects:?}");
    bench.formed(1, "s3");
    let effects = bench.formed(3, "s3");
    assert_eq!(places(&effects), [(3, 0, 1, HELD)]);
    assert!(is_released(&effects, 1), "{effects:?}");
}

#[test]
fn a_validation_keeps_what_is_counted_and_grants_no_more_to_who_leaves() {
    let mut bench = two_in_rollout();
    finish_iteration(&mut bench, &[1, 2], "s3");
    bench.parts(1);
    bench.published(1);
    bench.changed(1, "s4");
    let effects = bench.changed(2, "s4");
    assert_eq!(grants(&effects), [(1, 0), (2, 1)]);
    assert_eq!(leaves(&mut bench, 2), [], "it has a lease");
    let effects = bench.lease(2, 1, "s4", validated(2));
    assert!(is_released(&effects, 2), "{effects:?}");
    assert_eq!(grants(&effects), []);
    assert_eq!(places(&bench.lease(1, 0, "s4", validated(2))), [(1, 0, 1, HELD)]);
}

#[test]
fn what_one_does_alone_is_done_by_one_that_stays() {
    let mut bench = two_in_rollout();
    leaves(&mut bench, 1);
    let effects = finish_iteration(&mut bench, &[1, 2], "s3");
    assert_eq!(writers(&effects), [] as [u64; 0], "the roster comes first: {effects:?}");
    assert_eq!(places(&effects), [(2, 0, 1, HELD)]);
    assert_eq!(writers(&bench.formed(2, "s3")), [2]);
}

#[test]
fn who_writes_a_checkpoint_stays_until_its_parts_are_in_the_store() {
    let mut bench = two_in_rollout();
    assert_eq!(writers(&finish_iteration(&mut bench, &[1, 2], "s3")), [1]);
    assert_eq!(leaves(&mut bench, 1), []);
    bench.changed(1, "s4");
    assert_eq!(grants(&bench.changed(2, "s4")), [(1, 0), (2, 1)], "it takes part for as long");
    let effects = bench.lease(1, 0, "s4", validated(2));
    assert!(!is_released(&effects, 1), "{effects:?}");
    let effects = bench.parts(1);
    assert!(matches!(effects[0], Effect::PublishManifest(_)) && is_released(&effects, 1), "{effects:?}");
    assert_eq!(bench.published(1), [], "the run goes on");
}

#[test]
fn a_store_that_is_full_when_all_leave_costs_the_iterations_not_the_run() {
    let mut bench = two_in_rollout();
    finish_iteration(&mut bench, &[1, 2], "s3");
    leaves(&mut bench, 1);
    leaves(&mut bench, 2);
    let mut failed = Vec::new();
    for _ in 0..2 {
        // The one on its way, and the one of the stop, where there is another.
        let (worker, message, fence) = (w(1), "no space is left".to_owned(), bench.run.fence());
        failed.extend(bench.try_apply(Event::PartsFailed { worker, fence, message }).unwrap_or_default());
        for worker in [1, 2] {
            failed.extend(
                bench.try_apply(Event::Changed { worker: w(worker), fence, state: d("s4") }).unwrap_or_default(),
            );
        }
    }
    assert!(failed.iter().any(|e| matches!(e, Effect::RollBack { iteration: Iteration(0), .. })), "{failed:?}");
    assert!(bench.run.ending().is_none());
    assert!(!places(&bench.join(3)).is_empty(), "it begins anew with whoever comes");
}
