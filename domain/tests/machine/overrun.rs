//! Preparing or evaluating that takes longer than it may is begun anew, and the third time in a row ends the run.

use crate::bench::*;
use crate::life::at_report;
use conrec_domain::effect::{Command, Effect, Ending};
use conrec_domain::event::Event;
use conrec_domain::run::RunSetup;
use conrec_domain::work::{Lease, Work};
use std::time::Duration;

fn limit() -> Duration {
    Duration::from_secs(u64::from(spec_with(&[]).cluster.prepare_seconds))
}

/// All who are there are heard of until just before the limit; then time passes it.
fn overrun(bench: &mut Bench, alive: &[u64]) -> Vec<Effect> {
    bench.now += limit() - Duration::from_secs(1);
    for worker in alive {
        bench.apply(Event::Heartbeat { worker: w(*worker) });
    }
    bench.apply(Event::Tick)
}

fn failure(bench: &Bench) -> (String, u8) {
    match bench.run.ending() {
        Some(Ending::Failed { reason, exit_code }) => (reason.clone(), *exit_code),
        other => panic!("{other:?}"),
    }
}

fn prepares(effects: &[Effect]) -> Vec<u64> {
    let of = |effect: &Effect| match effect {
        Effect::Send { worker, command: Command::Grant(Lease { work: Work::Prepare, .. }) } => Some(worker.0),
        _ => None,
    };
    effects.iter().filter_map(of).collect()
}

#[test]
fn data_that_nobody_prepares_in_time_ends_the_run_the_third_time() {
    let mut bench = Bench::new(RunSetup { prepared: None, ..setup(3) });
    bench.join(1);
    bench.join(2);
    assert_eq!(prepares(&bench.join(3)), [1]);
    let effects = overrun(&mut bench, &[1, 2, 3]);
    let words = format!("did not answer within cluster.prepare_seconds = {} s", limit().as_secs());
    assert!(matches!(&effects[0], Effect::Drop { reason, .. } if reason.contains(&words)), "{effects:?}");
    assert_eq!(prepares(&effects), [2], "another worker tries");
    assert_eq!(prepares(&overrun(&mut bench, &[2, 3])), [3]);
    assert!(bench.run.ending().is_none());
    overrun(&mut bench, &[3]);
    let (reason, code) = failure(&bench);
    let expected = format!("preparing the data took longer than cluster.prepare_seconds = {}", limit().as_secs());
    assert!(reason.starts_with(&expected) && reason.contains("worker-3 (host-3)"), "{reason}");
    assert!(reason.contains("3rd time") && reason.contains("set it higher and start the same run again"), "{reason}");
    assert_eq!(code, 1);
}

/// The same worker, started again each time: the run would go on like that for ever.
#[test]
fn a_worker_that_comes_back_does_not_start_the_count_anew() {
    let mut bench = Bench::new(RunSetup { prepared: None, ..setup(1) });
    for worker in [1, 2, 3] {
        assert!(bench.run.ending().is_none(), "worker {worker}");
        assert_eq!(prepares(&bench.join(worker)), [worker]);
        overrun(&mut bench, &[worker]);
    }
    assert_eq!(failure(&bench).1, 1);
}

#[test]
fn an_evaluation_that_takes_too_long_is_tried_three_times() {
    let (mut bench, _) = at_report();
    for worker in [2, 3] {
        overrun(&mut bench, &[worker - 1]);
        assert!(bench.run.ending().is_none(), "worker {worker}");
        bench.join(worker);
        let effects = bench.formed(worker, "s4");
        let reports = |effect: &Effect| {
            matches!(effect, Effect::Send { command: Command::Grant(Lease { work: Work::Report { .. }, .. }), .. })
        };
        assert!(effects.iter().any(reports), "{effects:?}");
    }
    overrun(&mut bench, &[3]);
    let (reason, code) = failure(&bench);
    assert!(reason.starts_with("the final evaluation took longer than cluster.prepare_seconds = "), "{reason}");
    assert_eq!(code, 1);
}
