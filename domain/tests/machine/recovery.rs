//! A coordinator that starts while workers of its run live: it goes on from what they hold.

use crate::bench::*;
use conrec_domain::bookmark::{Bookmark, Held, Pending};
use conrec_domain::effect::{Command, Effect, Ending, StateSource};
use conrec_domain::event::{Event, Hello};
use conrec_domain::ids::{Digest, Fence, Iteration, WorkerId};
use conrec_domain::manifest::Manifest;
use conrec_domain::run::{Run, RunSetup};
use conrec_domain::work::StateChange;
use std::time::Duration;

/// What worker 1 was told to remember at each of its commands, the last of them announcing the commit of iteration 1,
/// and the manifest of the checkpoint that followed.
fn first_life() -> (Vec<Bookmark>, Manifest) {
    let mut bench = Bench::at_first_rollout();
    for lease in 0..3 {
        bench.lease(1, lease, "s2", trained());
    }
    bench.reduced(1, 1, "g1");
    bench.committed(1, 1, "s3");
    let mut told: Vec<Bookmark> = bench.bookmarks.iter().map(|(_, bookmark)| bookmark.clone()).collect();
    let commit = told.iter().rposition(|bookmark| matches!(bookmark.pending, Some(Pending::Commit { .. })));
    told.truncate(commit.unwrap() + 1);
    let effects = bench.parts(1);
    let [Effect::PublishManifest(manifest)] = effects.as_slice() else { panic!("{effects:?}") };
    (told, manifest.clone())
}

/// What a worker keeps after so many bookmarks.
fn kept(told: &[Bookmark]) -> Bookmark {
    told.iter().fold(None, |kept, next| Some(next.clone().after(kept))).unwrap()
}

/// A worker that comes back with this state of a roster of two.
fn back(worker: u64, state: &str, bookmark: Bookmark) -> Event {
    let config_digest = setup(2).spec.digest().unwrap();
    let held =
        Held { run_id: "bench".parse().unwrap(), config_digest, fence: Fence(1), world: 2, state: d(state), bookmark };
    Event::Joined { worker: w(worker), hello: Hello { held: Some(Box::new(held)), ..hello(worker) } }
}

/// The coordinator's next life; it knows of fence 1 and of this checkpoint.
fn restarted(resume: Option<Manifest>) -> Bench {
    let run = Run::new(RunSetup { last_fence: Fence(1), resume, ..setup(2) }, Duration::ZERO);
    Bench::of(run)
}

fn sources(effects: &[Effect]) -> Vec<(WorkerId, Fence, StateSource)> {
    let form = |effect: &Effect| match effect {
        Effect::Send { worker, command: Command::Form { fence, state, .. } } => Some((*worker, *fence, state.clone())),
        _ => None,
    };
    effects.iter().filter_map(form).collect()
}

/// Iterations that were written to the ledger, with the state after.
fn written(effects: &[Effect]) -> Vec<(Iteration, Digest)> {
    let entry = |effect: &Effect| match effect {
        Effect::AppendLedger(entry) => Some((entry.iteration, entry.after)),
        _ => None,
    };
    effects.iter().filter_map(entry).collect()
}

#[test]
fn the_workers_state_goes_on_and_the_ledger_gets_what_the_last_coordinator_did_not_write() {
    let (told, _) = first_life();
    let mut bench = restarted(None);
    assert_eq!(sources(&bench.apply(back(5, "s3", kept(&told)))), [], "the roster had two members");
    let effects = bench.apply(back(7, "s3", kept(&told)));
    assert_eq!(written(&effects), [(Iteration(1), d("s3"))]);
    assert!(effects.iter().any(|effect| matches!(effect, Effect::AppendMetrics(_))), "{effects:?}");
    let held = StateSource::Held { root: None };
    assert_eq!(sources(&effects), [(w(5), Fence(2), held.clone()), (w(7), Fence(2), held)]);
    bench.formed(5, "s3");
    let effects = bench.formed(7, "s3");
    let key = Manifest::key(Iteration(1), Fence(2));
    assert!(effects.contains(&send(5, Command::WriteParts { fence: Fence(2), key })), "{effects:?}");
}

#[test]
fn a_commit_that_did_not_reach_all_is_done_again() {
    let (told, _) = first_life();
    let before = &told[..told.len() - 1];
    let mut bench = restarted(None);
    bench.apply(back(5, "s3", kept(&told)));
    let effects = bench.apply(back(7, "s2", kept(before)));
    assert_eq!(written(&effects), [], "worker 7 holds what iteration 1 begins from, worker 5 vouches for it");
    let (peer, root) = (StateSource::Peer { root: 1 }, StateSource::Held { root: Some(1) });
    assert_eq!(sources(&effects), [(w(5), Fence(2), peer), (w(7), Fence(2), root)]);
}

#[test]
fn two_that_differ_at_the_same_place_go_back_to_the_checkpoint() {
    let (told, _) = first_life();
    let mut bench = restarted(None);
    bench.apply(back(5, "s3", kept(&told)));
    let effects = bench.apply(back(7, "flipped", kept(&told)));
    assert_eq!(sources(&effects), [(w(5), Fence(2), StateSource::Empty), (w(7), Fence(2), StateSource::Empty)]);
}

#[test]
fn a_checkpoint_that_is_further_is_not_loaded_where_its_state_is_held() {
    let (told, manifest) = first_life();
    let mut bench = restarted(Some(manifest));
    bench.apply(back(5, "s3", kept(&told)));
    let effects = bench.apply(back(7, "s3", kept(&told)));
    assert_eq!(written(&effects), [], "the ledger reached the store with the checkpoint");
    let held = StateSource::Held { root: None };
    assert_eq!(sources(&effects), [(w(5), Fence(2), held.clone()), (w(7), Fence(2), held)]);
    bench.formed(5, "s3");
    let effects = bench.formed(7, "s3");
    let change = StateChange::BeginStage { stage: 1 };
    assert!(effects.contains(&send(5, Command::Change { fence: Fence(2), change, state: d("s3") })), "{effects:?}");
}

#[test]
fn a_journal_with_a_gap_goes_back_to_the_checkpoint() {
    let (told, _) = first_life();
    let mut gap = kept(&told);
    gap.pending = None;
    let mut bench = restarted(None);
    bench.apply(back(5, "s3", gap.clone()));
    let effects = bench.apply(back(7, "s3", gap));
    assert_eq!(sources(&effects)[0].2, StateSource::Empty);
}

#[test]
fn those_that_do_not_come_back_are_not_waited_for_long() {
    let (told, _) = first_life();
    let mut bench = restarted(None);
    bench.apply(back(5, "s3", kept(&told)));
    for second in 1..5 {
        assert_eq!(sources(&bench.apply(Event::Tick)), [], "after {second} s");
    }
    assert_eq!(sources(&bench.apply(Event::Tick)), [(w(5), Fence(2), StateSource::Held { root: None })]);
}

#[test]
fn a_coordinator_that_another_has_replaced_ends() {
    let (told, _) = first_life();
    let mut bench = Bench::new(setup(2));
    let effects = bench.apply(back(5, "s3", kept(&told)));
    let Some(Effect::Finish(Ending::Failed { reason, exit_code: 69 })) = effects.last() else { panic!("{effects:?}") };
    assert!(reason.starts_with("another coordinator has taken over the run: worker-5 was in the roster with fence 1"));
}

#[test]
fn the_state_of_another_run_counts_for_nothing() {
    let (told, _) = first_life();
    let mut bench = Bench::new(RunSetup { run_id: "other".parse().unwrap(), ..setup(1) });
    let effects = bench.apply(back(5, "s3", kept(&told)));
    assert_eq!(sources(&effects), [(w(5), Fence(1), StateSource::Empty)]);
}

#[test]
fn workers_keep_every_line_since_the_newest_checkpoint() {
    let mut bench = Bench::at_first_validation();
    bench.lease(1, 0, "s4", validated(2));
    bench.lease(1, 1, "s4", validated(2));
    bench.changed(1, "s5");
    for lease in 0..2 {
        bench.lease(1, lease, "s5", trained());
    }
    bench.reduced(1, 2, "g2");
    bench.committed(1, 2, "s6");
    for lease in 0..2 {
        bench.lease(1, lease, "s6", validated(1));
    }
    let told: Vec<Bookmark> = bench.bookmarks.into_iter().map(|(_, bookmark)| bookmark).collect();
    let kept = kept(&told);
    let newest = kept.lines.len();
    assert!(newest <= 2, "iteration 1 lies in the checkpoint: {:?}", kept.lines);
    assert!(told.iter().any(|bookmark| bookmark.follows) && !told[0].follows);
}
