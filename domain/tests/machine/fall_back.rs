//! A checkpoint that no worker can load.

use crate::bench::*;
use conrec_domain::curriculum::{Cursor, StagePoint};
use conrec_domain::effect::{Command, Effect, Ending, StateSource};
use conrec_domain::event::Event;
use conrec_domain::ids::{Fence, Iteration};
use conrec_domain::manifest::Manifest;
use conrec_domain::run::{Run, RunSetup};
use conrec_domain::status::Activity;
use std::time::Duration;

fn saved(iteration: u64) -> Manifest {
    let cursor = Cursor { iteration: Iteration(iteration), at: StagePoint::BeginStage, ..Cursor::start() };
    manifest("state", cursor, some_parts())
}

/// A run of one worker that goes on from iteration 9, with these checkpoints before.
fn resumed(older: &[u64]) -> Bench {
    let run = Run::new(RunSetup { last_fence: Fence(1), resume: Some(saved(9)), ..setup(1) }, Duration::ZERO);
    Bench::of(run.with_older(older.iter().copied().map(saved).collect()))
}

fn fails(bench: &mut Bench, worker: u64) -> Vec<Effect> {
    bench.apply(Event::WorkerFailed { worker: w(worker), message: "shape [3]".into(), exit_code: 1 })
}

/// The checkpoint that a new roster is to load.
fn asked(effects: &[Effect]) -> Option<&str> {
    effects.iter().find_map(|effect| match effect {
        Effect::Send { command: Command::Form { state: StateSource::Checkpoint { key }, .. }, .. } => {
            Some(key.as_str())
        }
        _ => None,
    })
}

fn key(iteration: u64) -> String {
    Manifest::key(Iteration(iteration), Fence(1))
}

#[test]
fn it_is_tried_twice_and_then_the_one_before_takes_its_place() {
    let mut bench = resumed(&[3, 6]);
    assert_eq!(asked(&bench.join(1)), Some(key(9).as_str()));
    let skipped = |effects: &[Effect]| -> Vec<String> {
        let reason = |effect: &Effect| match effect {
            Effect::Show(status) => match &status.activity {
                Activity::Skipped { reason } => Some(reason.clone()),
                _ => None,
            },
            _ => None,
        };
        effects.iter().filter_map(reason).collect()
    };
    assert_eq!(skipped(&fails(&mut bench, 1)), Vec::<String>::new());
    assert_eq!(asked(&bench.join(2)), Some(key(9).as_str()), "the first time may have been the store");
    let effects = fails(&mut bench, 2);
    let said = format!("{}: no worker can load it (shape [3]); the run goes back to {}", key(9), key(6));
    assert_eq!(skipped(&effects), [said]);
    assert!(effects.contains(&Effect::RollBack { iteration: Iteration(6), held: false }));
    assert_eq!(asked(&bench.join(3)), Some(key(6).as_str()));
    let effects = bench.formed(3, "state");
    assert!(!effects.is_empty() && bench.run.cursor().iteration == Iteration(6), "{effects:?}");
}

#[test]
fn it_ends_the_run_where_none_is_left() {
    let mut bench = resumed(&[]);
    for worker in 1..=4 {
        bench.join(worker);
        fails(&mut bench, worker);
    }
    let Some(Ending::Failed { reason, .. }) = bench.run.ending() else { panic!("it goes on") };
    assert!(reason.contains("4 times at the same place") && reason.contains("shape [3]"), "{reason}");
}

#[test]
fn workers_that_die_while_they_load_say_nothing_against_a_checkpoint() {
    let mut bench = resumed(&[3, 6]);
    for worker in 1..=3 {
        assert_eq!(asked(&bench.join(worker)), Some(key(9).as_str()));
        bench.apply(Event::Left { worker: w(worker), reason: "killed".into() });
    }
}
