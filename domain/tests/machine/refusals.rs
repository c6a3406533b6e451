//! What is refused, and that a refusal changes nothing.

use crate::bench::*;
use conrec_domain::event::{Event, Hello};
use conrec_domain::ids::{Fence, Iteration, LeaseId};
use conrec_domain::run::Rejection;

#[test]
fn newcomers_that_do_not_fit_are_refused_with_a_sentence() {
    let mut bench = Bench::new(setup(2));
    bench.join(1);
    let again = bench.try_apply(Event::Joined { worker: w(1), hello: hello(1) }).unwrap_err();
    assert_eq!(again, Rejection::AlreadyJoined { worker: w(1) });
    let other = Hello { code_version: "2".into(), ..hello(2) };
    let error = bench.try_apply(Event::Joined { worker: w(2), hello: other }).unwrap_err();
    assert_eq!(
        error.to_string(),
        "worker-2 runs version `2`, this run needs `1`: start the worker from the same build"
    );
    let error = bench.try_apply(Event::Heartbeat { worker: w(8) }).unwrap_err();
    assert_eq!(error, Rejection::UnknownWorker { worker: w(8) });
}

#[test]
fn what_carries_another_fence_is_dropped() {
    let mut bench = Bench::at_first_rollout();
    let (worker, fence, state) = (w(1), Fence(0), d("s2"));
    let stale = Rejection::StaleFence { worker, found: fence, current: Fence(1) };
    let lease = LeaseId(0);
    let events = [
        Event::LeaseDone { worker, fence, lease, state, outcome: trained() },
        Event::Formed { worker, fence, state },
        Event::Changed { worker, fence, state },
        Event::Reduced { worker, fence, iteration: Iteration(1), gradient: state },
        Event::Committed { worker, fence, iteration: Iteration(1), state },
        Event::PartsWritten { worker, fence, state, parts: Vec::new() },
    ];
    for event in events {
        assert_eq!(bench.try_apply(event).unwrap_err(), stale);
    }
}

#[test]
fn answers_that_nothing_waits_for_are_refused_and_change_nothing() {
    let mut bench = Bench::at_first_rollout();
    let before = format!("{:?}", bench.run.cursor());
    let (worker, fence, state) = (w(1), Fence(1), d("s2"));
    let done = |lease| Event::LeaseDone { worker, fence, lease: LeaseId(lease), state, outcome: trained() };
    let error = bench.try_apply(done(2)).unwrap_err();
    assert_eq!(error, Rejection::NotHeld { worker, lease: LeaseId(2) }, "it waits, nobody holds it");
    bench.apply(done(0));
    assert_eq!(bench.try_apply(done(0)).unwrap_err(), Rejection::NotHeld { worker, lease: LeaseId(0) });
    let error = bench.try_apply(Event::Changed { worker, fence, state }).unwrap_err();
    assert_eq!(error.to_string(), "a change of state came while training: nothing waits for it");
    let error = bench.try_apply(Event::ManifestPublished { key: "k".into() }).unwrap_err();
    assert_eq!(error.to_string(), "a published manifest came while training: nothing waits for it");
    assert_eq!(format!("{:?}", bench.run.cursor()), before);
    bench.apply(done(1));
    bench.apply(done(2));
    let error = bench.try_apply(Event::Reduced { worker, fence, iteration: Iteration(2), gradient: state });
    let (found, expected) = (Iteration(2), Iteration(1));
    assert_eq!(error.unwrap_err(), Rejection::WrongIteration { worker, found, expected });
}

#[test]
fn an_answer_given_twice_is_refused() {
    let mut bench = Bench::new(setup(2));
    bench.join(1);
    bench.join(2);
    bench.formed(1, "empty");
    let again = bench.try_apply(Event::Formed { worker: w(1), fence: Fence(1), state: d("empty") });
    assert_eq!(again.unwrap_err().to_string(), "worker-1 answered twice while forming the roster");
}
