//! A run goes on without the workers that it loses.

use crate::bench::*;
use conrec_domain::effect::{Command, Effect, Ending, StateSource};
use conrec_domain::event::Event;
use conrec_domain::ids::{Fence, Iteration, LeaseId, WorkerId};
use conrec_domain::work::{Lease, Outcome, Work};

/// Three workers at their first rollout: one lease each.
fn three() -> Bench {
    let mut bench = Bench::new(setup(3));
    for worker in [1, 2, 3] {
        bench.join(worker);
    }
    for worker in [1, 2, 3] {
        bench.formed(worker, "empty");
    }
    for state in ["s1", "s2"] {
        for worker in [1, 2, 3] {
            bench.changed(worker, state);
        }
    }
    bench
}

fn left(bench: &mut Bench, worker: u64) -> Vec<Effect> {
    bench.apply(Event::Left { worker: w(worker), reason: "connection reset".into() })
}

fn sent(effects: &[Effect]) -> Vec<(WorkerId, &Command)> {
    fn one(effect: &Effect) -> Option<(WorkerId, &Command)> {
        if let Effect::Send { worker, command } = effect { Some((*worker, command)) } else { None }
    }
    effects.iter().filter_map(one).collect()
}

/// Leases granted, by worker.
fn granted(effects: &[Effect]) -> Vec<(u64, u32)> {
    let of = |(worker, command): (WorkerId, &Command)| match command {
        Command::Grant(Lease { id, work: Work::Train { .. }, .. }) => Some((worker.0, id.0)),
        _ => None,
    };
    sent(effects).into_iter().filter_map(of).collect()
}

/// Fence, world and sources of a new roster.
fn forming(effects: &[Effect]) -> Vec<(u64, u32, StateSource)> {
    let of = |(worker, command): (WorkerId, &Command)| match command {
        Command::Form { world, state, .. } => Some((worker.0, *world, state.clone())),
        _ => None,
    };
    sent(effects).into_iter().filter_map(of).collect()
}

#[test]
fn only_the_lost_workers_own_leases_are_granted_again_the_reported_ones_too() {
    let mut bench = three();
    bench.lease(1, 0, "s2", trained());
    bench.lease(2, 1, "s2", trained());
    let effects = left(&mut bench, 1);
    let reason = "worker-1 (host-1) left: connection reset, while training iteration 1 (stage `sft`)";
    assert_eq!(effects[0], Effect::Drop { worker: w(1), reason: reason.into() });
    assert_eq!(granted(&effects), [(2, 0)], "lease 0 was reported, but its sum is gone; lease 1 stays done");
    bench.lease(3, 2, "s2", trained());
    let held = StateSource::Held { root: None };
    let effects = bench.lease(2, 0, "s2", trained());
    assert_eq!(forming(&effects), [(2, 2, held.clone()), (3, 2, held)], "those left form anew before they reduce");
    assert_eq!(bench.run.fence(), Fence(2));
    bench.formed(2, "s2");
    let reduce = Command::Reduce { fence: Fence(2), iteration: Iteration(1) };
    let effects = bench.formed(3, "s2");
    assert_eq!(sent(&effects), [(w(2), &reduce), (w(3), &reduce)]);
}

#[test]
fn a_reduce_that_loses_a_member_is_given_up_and_only_its_leases_are_repeated() {
    let mut bench = three();
    for (worker, lease) in [(1, 0), (2, 1), (3, 2)] {
        bench.lease(worker, lease, "s2", trained());
    }
    let effects = left(&mut bench, 3);
    let abort = Command::Abort { fence: Fence(1) };
    assert_eq!(sent(&effects)[..2], [(w(1), &abort), (w(2), &abort)]);
    assert_eq!(granted(&effects), [(1, 2)]);
    // The others' calls end, one with a sum that counts for nothing.
    let message = "connection closed".to_owned();
    assert_eq!(bench.apply(Event::CollectiveFailed { worker: w(1), fence: Fence(1), message }), []);
    assert_eq!(bench.reduced(2, 1, "wrong"), []);
    assert_eq!(forming(&bench.lease(1, 2, "s2", trained())).len(), 2);
}

#[test]
fn a_commit_does_not_wait_for_a_member_that_is_lost() {
    let mut bench = three();
    for (worker, lease) in [(1, 0), (2, 1), (3, 2)] {
        bench.lease(worker, lease, "s2", trained());
    }
    for worker in [1, 2, 3] {
        bench.reduced(worker, 1, "g");
    }
    bench.committed(1, 1, "s3");
    bench.committed(2, 1, "s3");
    let effects = left(&mut bench, 3);
    assert!(effects.iter().any(|e| matches!(e, Effect::AppendLedger(entry) if entry.iteration == Iteration(1))));
}

#[test]
fn a_newcomer_is_taken_in_between_two_iterations_with_the_state_of_a_member() {
    let mut bench = three();
    bench.join(4);
    for (worker, lease) in [(1, 0), (2, 1), (3, 2)] {
        bench.lease(worker, lease, "s2", trained());
    }
    for worker in [1, 2, 3] {
        bench.reduced(worker, 1, "g");
    }
    bench.committed(1, 1, "s3");
    bench.committed(2, 1, "s3");
    let effects = bench.committed(3, 1, "s3");
    let held = StateSource::Held { root: Some(0) };
    let expected = [(1, 4, held.clone()), (2, 4, held.clone()), (3, 4, held), (4, 4, StateSource::Peer { root: 0 })];
    assert_eq!(forming(&effects), expected);
}

#[test]
fn a_member_with_other_bits_than_most_is_lost_and_named() {
    let mut bench = three();
    for (worker, lease) in [(1, 0), (2, 1), (3, 2)] {
        bench.lease(worker, lease, "s2", trained());
    }
    bench.reduced(1, 1, "g");
    bench.reduced(2, 1, "flipped");
    let effects = bench.reduced(3, 1, "g");
    let Effect::Drop { worker, reason } = &effects[0] else { panic!("{effects:?}") };
    assert!(*worker == w(2) && reason.contains("its memory or arithmetic is damaged"), "{reason}");
    assert_eq!(granted(&effects), [(1, 1)]);
}

#[test]
fn a_lease_computed_from_another_state_loses_its_worker() {
    for (state, outcome, words) in
        [("s1", trained(), "computed lease 0 from training state"), ("s2", Outcome::Reported, "with another outcome")]
    {
        let mut bench = three();
        let effects = bench.lease(1, 0, state, outcome);
        let Effect::Drop { worker, reason } = &effects[0] else { panic!("{effects:?}") };
        assert!(*worker == w(1) && reason.contains(words), "{reason}");
        assert_eq!(granted(&effects), [(2, 0)]);
    }
}

#[test]
fn a_collective_that_fails_although_nobody_is_lost_is_tried_again_a_few_times() {
    let mut bench = three();
    for (worker, lease) in [(1, 0), (2, 1), (3, 2)] {
        bench.lease(worker, lease, "s2", trained());
    }
    for fence in 1..=6 {
        let fail =
            |worker| Event::CollectiveFailed { worker: w(worker), fence: Fence(fence), message: "timeout".into() };
        bench.apply(fail(1));
        bench.apply(fail(2));
        let effects = bench.apply(fail(3));
        if fence < 6 {
            assert_eq!(forming(&effects).len(), 3, "fence {fence}");
            continue;
        }
        let Some(Effect::Finish(Ending::Failed { reason, exit_code: 69 })) = effects.last() else {
            panic!("{effects:?}")
        };
        assert!(reason.contains("could not work together 6 times in a row") && reason.ends_with("timeout"), "{reason}");
    }
}

#[test]
fn when_all_are_lost_the_run_goes_back_to_its_newest_checkpoint_a_few_times() {
    let mut bench = three();
    left(&mut bench, 1);
    left(&mut bench, 2);
    let effects = left(&mut bench, 3);
    assert!(effects.contains(&Effect::RollBack { iteration: Iteration(0), held: false }), "{effects:?}");
    for worker in 4..=6 {
        let effects = bench.join(worker);
        assert_eq!(forming(&effects), [(worker, 1, StateSource::Empty)], "one is enough to go on");
        let effects = left(&mut bench, worker);
        let ended = matches!(effects.last(), Some(Effect::Finish(Ending::Failed { .. })));
        assert_eq!(ended, worker == 6, "{effects:?}");
    }
}

#[test]
fn data_that_cannot_be_read_ends_the_run_but_a_preparing_worker_may_be_lost() {
    let mut bench = Bench::new(conrec_domain::run::RunSetup { prepared: None, ..setup(2) });
    bench.join(1);
    bench.join(2);
    let effects = left(&mut bench, 1);
    let again = Command::Grant(Lease { id: LeaseId(0), fence: Fence(0), work: Work::Prepare });
    assert_eq!(sent(&effects), [(w(2), &again)]);
}
