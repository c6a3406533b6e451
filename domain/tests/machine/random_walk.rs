//! A seeded random walk: whatever the order of messages, the stops, the losses and the numbers of workers, every
//! invariant holds and the run ends with the same ledger and the same state.

use crate::bench::{prepared, spec_with};
use crate::simulation::Simulation;
use conrec_domain::audit::audit;
use conrec_domain::ids::{Digest, Iteration};
use conrec_domain::ledger::LedgerEntry;
use conrec_domain::spec::RunSpec;
use conrec_domain::work::Pass;
use std::collections::BTreeMap;

/// Events of the walk in all; each run takes some hundreds.
const EVENTS: u64 = 100_000;

/// What must not depend on workers and stops: by iteration, the prompts, the gradient and the state after.
type Outcomes = BTreeMap<Iteration, (Vec<u32>, Digest, Digest)>;

fn walk_spec(variant: u64) -> RunSpec {
    // Half of the variants hardly pass the gate: they meet retries.
    let (statistics, every, (tolerance, patience)) = [
        ("refit", "3", ("0.3", 3)),
        ("frozen", "2", ("0.0", 2)),
        ("refit", "1", ("0.0", 2)),
        ("refit", "1000", ("0.3", 3)),
    ][variant as usize % 4];
    spec_with(&[
        &format!("evaluation.statistics={statistics}"),
        &format!("checkpoint.every={every}"),
        "checkpoint.keep_last=2",
        // With this seed the made-up scores lead to retries of which the refit pass repeats one.
        "seed=14",
        "stage.0.iterations=4",
        "stage.1.iterations=9",
        "stage.1.validate_every=2",
        &format!("stage.1.patience={patience}"),
        "stage.1.retries=2",
        "alarm.min_distinct=0.6",
        "alarm.in_a_row=2",
        &format!("evaluation.tolerance={tolerance}"),
    ])
}

fn last_of_each(ledger: &[LedgerEntry]) -> Outcomes {
    ledger.iter().map(|e| (e.iteration, (e.prompts.clone(), e.gradient, e.after))).collect()
}

fn walk(variant: u64, workers: u32, seed: u64, stop_one_in: u64) -> Simulation {
    let spec = walk_spec(variant);
    let mut simulation = Simulation::new(spec.clone(), workers, seed);
    if let Err(problem) = simulation.run_to_end(stop_one_in) {
        panic!("seed {seed} (variant {variant}, {workers} workers, stops 1 in {stop_one_in}): {problem}");
    }
    let found = audit(&spec, &prepared(), &simulation.ledger);
    assert!(found.findings.is_empty(), "seed {seed}: {:?}", found.findings);
    simulation
}

#[test]
fn every_walk_ends_with_the_same_bits() {
    let quiet: Vec<Simulation> = (0..4).map(|variant| walk(variant, 1, 0, 0)).collect();
    let expected: Vec<Outcomes> = quiet.iter().map(|s| last_of_each(&s.ledger)).collect();
    let (mut events, mut processes, mut replaced, mut seed) = (0, 0, 0, 0);
    let mut faults: BTreeMap<&str, u64> = BTreeMap::new();
    while events < EVENTS {
        seed += 1;
        let variant = seed % 4;
        let stops = [0, 25, 60, 150][(seed / 4 % 4) as usize];
        let simulation = walk(variant, 1 + (seed % 3) as u32, seed, stops);
        let reference = &expected[variant as usize];
        assert_eq!(&last_of_each(&simulation.ledger), reference, "seed {seed}");
        assert_eq!(simulation.final_state, quiet[variant as usize].final_state, "seed {seed}");
        assert_eq!(simulation.decisions, quiet[variant as usize].decisions, "seed {seed}");
        events += simulation.events;
        processes += simulation.processes;
        simulation.faults.iter().for_each(|(kind, count)| *faults.entry(kind).or_default() += count);
        replaced += simulation.ledger.len() - reference.len();
    }
    println!(
        "{seed} runs, {events} events, {processes} processes, {replaced} iterations done again, faults {faults:?}"
    );
    let attempts =
        |variant: usize, pass| quiet[variant].ledger.iter().filter(move |e| e.pass == pass).map(|e| e.attempt);
    assert_eq!(
        (attempts(1, Pass::Select).max(), attempts(2, Pass::Select).max()),
        (Some(2), Some(2)),
        "it must meet retries"
    );
    assert!(attempts(2, Pass::Refit).max() > Some(0), "the refit pass repeats the attempt");
    let rung = |s: &Simulation| s.decisions.iter().filter(|d| d.reason.starts_with("alarm")).count();
    assert!(quiet.iter().all(|s| rung(s) > 0), "it must meet alarms");
    let met = ["killed", "hangs", "joins", "corrupt", "stop", "full", "refused"]
        .iter()
        .all(|kind| faults.get(kind) > Some(&20));
    assert!(met && replaced > 0, "the walk must meet every fault: {faults:?}");
}

#[test]
fn an_audit_finds_what_is_wrong() {
    let spec = walk_spec(0);
    let whole = walk(0, 2, 1, 0).ledger;
    let findings = |change: &dyn Fn(&mut Vec<LedgerEntry>)| {
        let mut ledger = whole.clone();
        change(&mut ledger);
        let found = audit(&spec, &prepared(), &ledger);
        found.findings.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(findings(&|_| {}), Vec::<String>::new());
    let found = findings(&|l| l[1].prompts.swap(0, 1));
    assert_eq!(found, ["iteration 2: 5 prompts in the ledger are not the 5 of the schedule"]);
    let found = findings(&|l| {
        l[5].prompts.pop();
    });
    assert_eq!(found, ["iteration 6: 3 prompts in the ledger are not the 4 of the schedule"]);
    let found = findings(&|l| l[2].before = Digest::of(b"other"));
    assert!(found.len() == 1 && found[0].starts_with("iteration 3 began from state"), "{found:?}");
    let found = findings(&|l| {
        l.remove(7);
    });
    assert!(found[0].starts_with("iteration 9 follows iteration 7"), "{found:?}");
    let found = findings(&|l| l.insert(3, l[2].clone()));
    assert_eq!(found, ["iteration 3 was committed twice by the roster with fence 1"]);
    let found = findings(&|l| l[4].attempt = 3);
    assert_eq!(found[0], "iteration 5 is of attempt 3 at stage `grpo`, of which there are 3, from 0 on");
    let found = findings(&|l| l[4].stage = "other".into());
    assert!(found.iter().any(|f| f.starts_with("iteration 5 names stage `other` of pass Select")), "{found:?}");
    let found = findings(&|l| {
        let mut again = l[2..].to_vec();
        again.iter_mut().for_each(|e| e.fence.0 = 2);
        again[0].gradient = Digest::of(b"other");
        l.truncate(4);
        l.append(&mut again);
    });
    assert_eq!(found, ["iteration 3, committed again under fence 2, has another gradient or other prompts"]);
    let found = findings(&|l| l[6].fence.0 = 0);
    assert_eq!(found, ["iteration 7 carries fence 0 after fence 1"]);
}
