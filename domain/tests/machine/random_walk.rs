//! A seeded random walk: whatever the order of messages, the stops, the losses and the numbers of workers, every
//! invariant holds and the run ends with the same ledger and the same state.

use crate::bench::{prepared, spec_with};
use crate::simulation::{Faults, Simulation};
use conrec_domain::audit::{Audit, audit_ledger};
use conrec_domain::ids::{Digest, Iteration};
use conrec_domain::ledger::{LedgerEntry, StateLink};
use conrec_domain::spec::RunSpec;
use conrec_domain::work::{Pass, StateChange};
use std::collections::BTreeMap;

/// Events of the walk in all; each run takes some hundreds.
const EVENTS: u64 = 150_000;

/// Configs that are walked.
const VARIANTS: u64 = 6;

/// What must not depend on workers and stops: by iteration, the prompts, the gradient, the state after and the journal
/// before, which stands for the metrics too.
type Outcomes = BTreeMap<Iteration, (Vec<u32>, [Digest; 3])>;

fn walk_spec(variant: u64) -> RunSpec {
    // Half of the variants hardly pass the gate: they meet retries. The others update several times a rollout and refill.
    let (statistics, every, (tolerance, patience), updates) = [
        ("refit", "3", ("0.3", 3), 2),
        ("frozen", "2", ("0.0", 2), 1),
        ("refit", "1", ("0.0", 2), 1),
        ("refit", "1000", ("0.3", 3), 3),
    ][variant as usize % 4];
    // What lies between stages: questions, and prompts that are dropped or count less.
    let between: &[&str] = match variant {
        4 => &["stage.0.kind=alignment", "stage.1.clean=drop", "stage.1.prompts=3"],
        5 => &["stage.0.kind=alignment", "stage.1.clean=reweight"],
        _ => &[],
    };
    let common = [
        &format!("evaluation.statistics={statistics}"),
        &format!("checkpoint.every={every}"),
        "checkpoint.keep_last=2",
        // With this seed the made-up scores lead to retries of which the refit pass repeats one.
        "seed=14",
        "stage.0.iterations=4",
        "stage.1.iterations=9",
        "stage.1.validate_every=2",
        &format!("stage.1.patience={patience}"),
        &format!("stage.1.updates_per_rollout={updates}"),
        &format!("stage.1.refill={}", updates - 1),
        "stage.1.retries=2",
        "alarm.min_distinct=0.6",
        "alarm.in_a_row=2",
        &format!("evaluation.tolerance={tolerance}"),
    ];
    spec_with(&[&common[..], between].concat())
}

fn last_of_each(ledger: &[LedgerEntry]) -> Outcomes {
    ledger.iter().map(|e| (e.iteration, (e.prompts.clone(), [e.gradient, e.after, e.previous]))).collect()
}

fn audited(spec: &RunSpec, ledger: &[LedgerEntry]) -> Audit {
    let numbered: Vec<_> = (1..).zip(ledger.iter().cloned()).collect();
    audit_ledger(spec, &prepared(), &numbered)
}

fn walk(variant: u64, workers: u32, (seed, may): (u64, Faults), stop_one_in: u64) -> Simulation {
    let spec = walk_spec(variant);
    let mut simulation = Simulation::new(spec.clone(), workers, (seed, may));
    if let Err(problem) = simulation.run_to_end(stop_one_in) {
        panic!("seed {seed} (variant {variant}, {workers} workers, stops 1 in {stop_one_in}): {problem}");
    }
    let found = audited(&spec, &simulation.ledger);
    assert!(found.findings.is_empty(), "seed {seed}: {:?}", found.findings);
    simulation
}

fn quiet_walk(variant: u64) -> Simulation {
    walk(variant, 1, (0, Faults::ALL), 0)
}

#[test]
fn every_walk_ends_with_the_same_bits() {
    let quiet: Vec<Simulation> = (0..VARIANTS).map(quiet_walk).collect();
    let expected: Vec<Outcomes> = quiet.iter().map(|s| last_of_each(&s.ledger)).collect();
    let (mut events, mut processes, mut repeated, mut seed) = (0, 0, 0, 0);
    let mut faults: BTreeMap<&str, u64> = BTreeMap::new();
    while events < EVENTS {
        seed += 1;
        let variant = seed % VARIANTS;
        let stops = [0, 25, 60, 150][(seed / VARIANTS % 4) as usize];
        let simulation = walk(variant, 1 + (seed % 3) as u32, (seed, Faults::ALL), stops);
        let reference = &expected[variant as usize];
        assert_eq!(&last_of_each(&simulation.ledger), reference, "seed {seed}");
        assert_eq!(simulation.final_state, quiet[variant as usize].final_state, "seed {seed}");
        assert_eq!(simulation.final_journal, quiet[variant as usize].final_journal, "seed {seed}");
        assert_eq!(simulation.decisions, quiet[variant as usize].decisions, "seed {seed}");
        events += simulation.events;
        processes += simulation.processes;
        simulation.faults.iter().for_each(|(kind, count)| *faults.entry(kind).or_default() += count);
        repeated += simulation.repeated;
        assert_eq!(simulation.ledger.len(), reference.len(), "seed {seed}");
    }
    println!(
        "{seed} runs, {events} events, {processes} processes, {repeated} iterations done again, faults {faults:?}"
    );
    let attempts =
        |variant: usize, pass| quiet[variant].ledger.iter().filter(move |e| e.pass == pass).map(|e| e.attempt);
    assert_eq!(
        (attempts(1, Pass::Select).max(), attempts(2, Pass::Select).max()),
        (Some(2), Some(2)),
        "it must meet retries"
    );
    assert!(attempts(2, Pass::Refit).max() > Some(0), "the refit pass repeats the attempt");
    let cleaned = |variant: usize| {
        let lines = quiet[variant].ledger.iter().filter_map(|entry| entry.cleaned.as_ref());
        lines.map(|cleaned| cleaned.flagged.len()).collect::<Vec<_>>()
    };
    assert!(cleaned(4).len() > 1 && cleaned(4).iter().all(|n| *n > 0), "each pass is cleaned: {:?}", cleaned(4));
    assert!(!cleaned(5).is_empty() && cleaned(0).is_empty());
    let asked = quiet[5].decisions.iter().filter(|d| d.reason.starts_with("alignment questions")).count();
    assert_eq!(asked, 3, "before the first stage and after both of the select pass");
    let rung = |s: &Simulation| s.decisions.iter().filter(|d| d.reason.starts_with("alarm")).count();
    assert!(quiet.iter().all(|s| rung(s) > 0), "it must meet alarms");
    let kinds = [
        "killed",
        "hangs",
        "joins",
        "corrupt",
        "stop",
        "coordinator",
        "full",
        "refused",
        "leaving",
        "all leave",
        "asked",
    ];
    let met = kinds.iter().all(|kind| faults.get(kind) > Some(&20));
    assert!(met && repeated > 0, "the walk must meet every fault: {faults:?}");
}

#[test]
fn walk_1221_does_not_believe_a_damaged_sender() {
    let (quiet, disturbed) = (quiet_walk(1), walk(1, 1, (1221, Faults::WITHOUT_LEAVING), 25));
    assert_eq!(last_of_each(&disturbed.ledger), last_of_each(&quiet.ledger));
}

#[test]
fn workers_that_leave_and_stops_lose_no_committed_iteration() {
    let (mut met, mut seed) = (BTreeMap::<&str, u64>::new(), 0);
    let quiet: Vec<Simulation> = (0..VARIANTS).map(quiet_walk).collect();
    while met.values().sum::<u64>() < 3_000 {
        seed += 1;
        let (variant, one_in) = (seed % VARIANTS, [10, 25, 60][(seed / VARIANTS % 3) as usize]);
        let simulation = walk(variant, 1 + (seed % 3) as u32, (seed, Faults::ORDERLY), one_in);
        assert_eq!(last_of_each(&simulation.ledger), last_of_each(&quiet[variant as usize].ledger), "seed {seed}");
        assert_eq!(simulation.repeated, 0, "seed {seed}");
        simulation.faults.iter().for_each(|(kind, count)| *met.entry(kind).or_default() += count);
    }
    assert!(["joins", "stop", "leaving", "all leave"].iter().all(|kind| met.get(kind) > Some(&100)), "{met:?}");
}

/// What an audit finds after a change of a ledger that was whole.
fn findings(change: &dyn Fn(&mut Vec<LedgerEntry>)) -> Vec<String> {
    let mut ledger = walk(0, 2, (1, Faults::ALL), 0).ledger;
    change(&mut ledger);
    audited(&walk_spec(0), &ledger).findings.iter().map(ToString::to_string).collect()
}

#[test]
fn an_audit_finds_wrong_prompts_and_broken_chains() {
    assert_eq!(findings(&|_| {}), Vec::<String>::new());
    let found = findings(&|l| l[1].prompts.swap(0, 1));
    assert_eq!(found, ["ledger.jsonl:2: iteration 2: the prompts are those of the schedule in another order"]);
    let found = findings(&|l| {
        l[5].prompts.pop();
    });
    assert!(found.len() == 1 && found[0].contains("of the schedule is missing (1 of 4 are)"), "{found:?}");
    let found = findings(&|l| l[5].prompts[1] = l[5].prompts[0]);
    assert!(found.len() == 2 && found[0].contains("entered the sum 2 times"), "{found:?}");
    let found = findings(&|l| l[5].prompts.push(999));
    assert_eq!(found, ["ledger.jsonl:6: iteration 6: prompt 999 is not one of the schedule's 4"]);
    let found = findings(&|l| {
        let took = l.iter().position(|e| !e.refilled.is_empty()).unwrap();
        l[took].refilled.push(999);
    });
    assert!(found.len() == 1 && found[0].contains("prompt 999 was taken beyond the schedule's"), "{found:?}");
    let found = findings(&|l| {
        let begins = l.iter().position(|e| e.changes.iter().any(|c| c.change == StateChange::BeginRollout)).unwrap();
        // The second update of that rollout.
        let link = StateLink { before: l[begins + 1].before, after: l[begins + 1].before, ..l[begins].changes[0] };
        l[begins + 1].changes.push(StateLink { change: StateChange::BeginRollout, ..link });
    });
    assert!(found.len() == 1 && found[0].contains("was changed by begin rollout"), "{found:?}");
    let found = findings(&|l| l[2].before = Digest::of(b"other"));
    assert!(found.len() == 1 && found[0].contains("iteration 3 began from state"), "{found:?}");
    // Where a stage begins, the state is changed: the chain goes over these changes.
    let begins = |l: &[LedgerEntry]| l.iter().rposition(|e| e.changes.len() > 1).unwrap();
    let found = findings(&|l| {
        let at = begins(l);
        l[at].changes[1].after = Digest::of(b"other");
    });
    assert!(found.len() == 1 && found[0].contains("began from state"), "{found:?}");
    let found = findings(&|l| {
        let at = begins(l);
        l[at].changes.clear();
    });
    assert!(found[0].contains("began from state") && found[1].contains("was changed by nothing"), "{found:?}");
    let found = findings(&|l| {
        let (link, same) = (l[0].changes[0], l[2].before);
        l[2].changes.push(StateLink { before: same, after: same, ..link });
    });
    assert!(found.len() == 1 && found[0].contains("was changed by begin pass select"), "{found:?}");
}

#[test]
fn an_audit_finds_prompts_that_were_dropped_and_came_back() {
    let ledger = walk(4, 1, (0, Faults::ALL), 0).ledger;
    let found = |change: &dyn Fn(&mut LedgerEntry)| {
        let mut ledger = ledger.clone();
        change(ledger.iter_mut().find(|entry| entry.cleaned.is_some()).unwrap());
        audited(&walk_spec(4), &ledger).findings.len()
    };
    assert_eq!(found(&|_| {}), 0);
    assert!(found(&|entry| entry.cleaned = None) > 0);
    assert!(found(&|entry| entry.cleaned.as_mut().unwrap().flagged.clear()) > 0);
}

#[test]
fn an_audit_finds_lines_that_are_missing_doubled_or_of_another_order() {
    let found = findings(&|l| {
        l.remove(7);
    });
    assert!(found[0].starts_with("ledger.jsonl:8: iteration 9 follows iteration 7"), "{found:?}");
    let found = findings(&|l| l.insert(3, l[2].clone()));
    assert_eq!(found, ["ledger.jsonl:4: iteration 3 was committed twice by the roster with fence 1"]);
    let found = findings(&|l| l.swap(3, 4));
    let expected =
        "ledger.jsonl:5: iteration 4 lies behind iteration 5: only a new roster, with a higher fence, goes back";
    assert_eq!(found, [expected]);
    let found = findings(&|l| l[4].attempt = 3);
    assert!(found[0].contains("iteration 5 is of attempt 3 at stage `grpo`, of which there are 3"), "{found:?}");
    let found = findings(&|l| l[4].stage = "other".into());
    assert!(found.iter().any(|f| f.contains("iteration 5 names stage `other` of pass Select")), "{found:?}");
    let found = findings(&|l| l[4..].iter_mut().for_each(|e| e.stage = "sft".into()));
    assert!(found.iter().any(|f| f.contains("the config allows 4")), "{found:?}");
    let found = findings(&|l| {
        let mut again = l[2..].to_vec();
        again.iter_mut().for_each(|e| e.fence.0 = 2);
        again[0].gradient = Digest::of(b"other");
        l.truncate(4);
        l.append(&mut again);
    });
    let expected =
        "ledger.jsonl:5: iteration 3, committed again under fence 2, has other bits, prompts or changes of state";
    assert_eq!(found, [expected]);
    let found = findings(&|l| l[6].fence.0 = 0);
    assert_eq!(found, ["ledger.jsonl:7: iteration 7 carries fence 0 after fence 1"]);
}
