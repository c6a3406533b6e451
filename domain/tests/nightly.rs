//! Nights as lists of steps, and random walks of several processes over one store, with what must always hold.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use conrec_domain::day::Day;
use conrec_domain::ids::{Digest, RunId};
use conrec_domain::nightly::{
    Answer, Arrival, Claimed, Compared, EXIT_CODES, Ending, Facts, Plan, Promotion, Start, Step, Trained, Verdict, Why,
    next, rollback,
};
use conrec_domain::spec::NightlySpec;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// What a store keeps: entries are created once and stay.
#[derive(Clone, Default)]
struct Store {
    claims: Vec<(Day, usize)>,
    released: usize,
    promotions: Vec<Promotion>,
    plans: BTreeMap<Day, Plan>,
    trained: BTreeMap<Day, Trained>,
    verdicts: BTreeMap<(Day, u64), Verdict>,
    predicted: BTreeMap<Day, RunId>,
    endings: BTreeMap<Day, Ending>,
}

/// A process that works on a night; all that it remembers.
struct Process {
    name: usize,
    night: Day,
    arrival: Option<Arrival>,
    claim: Option<usize>,
}

fn rules() -> NightlySpec {
    NightlySpec { metrics: vec!["fhr".into()], ..NightlySpec::default() }
}

fn day(n: i64) -> Day {
    Day::of(0).plus(n)
}

/// From the run of a night by the entry of this number.
fn warm(night: i64, number: u64) -> Start {
    let run = RunId::of_night(day(night));
    let state = Digest::of(run.as_str().as_bytes());
    Start::Warm { run, number, state }
}

impl Process {
    fn new(name: usize, night: i64) -> Self {
        Self { name, night: day(night), arrival: None, claim: None }
    }

    fn step(&self, store: &Store, rules: &NightlySpec) -> Step {
        let claimed = match store.claims.len() {
            newest if newest == store.released => Claimed::Nobody,
            newest if self.claim == Some(newest) => Claimed::Here,
            newest => Claimed::Elsewhere { night: store.claims[newest - 1].0 },
        };
        next(&Facts {
            night: self.night,
            rules,
            refit: false,
            now: 0,
            arrival: self.arrival.clone(),
            claimed,
            history: store.promotions.clone(),
            plan: store.plans.get(&self.night).cloned(),
            trained: store.trained.get(&self.night).cloned(),
            verdicts: store.verdicts.range((self.night, 0)..=(self.night, u64::MAX)).map(|(_, v)| v.clone()).collect(),
            predicted: store.predicted.get(&self.night).cloned(),
            ending: store.endings.get(&self.night).cloned(),
        })
    }

    /// Performs a step that was decided earlier: the store may have changed since. `good`: how the evaluation turns out.
    fn perform(&mut self, step: Step, store: &mut Store, good: bool) -> Option<Answer> {
        match step {
            Step::Answer(answer) => return Some(answer),
            Step::LookAtData => self.arrival = Some(Arrival::Ready { thin: Vec::new() }),
            // The one that waits takes over when nothing moves any more: here, at once.
            Step::Wait { .. } => {}
            Step::Claim => {
                if store.claims.len() == store.released {
                    store.claims.push((self.night, self.name));
                    self.claim = Some(store.claims.len());
                }
            }
            Step::Plan(plan) => drop(store.plans.entry(self.night).or_insert(plan)),
            Step::Train(plan) => {
                let state = Digest::of(plan.run.as_str().as_bytes());
                store.trained.entry(self.night).or_insert(Trained { state, kept_ids: 0, changed_ids: 0, new_ids: 0 });
            }
            Step::Evaluate(_, opponent) => {
                let low = if good { 0.0 } else { -1.0 };
                let compared =
                    Compared { metric: "fhr".into(), new: 0.0, old: 0.0, difference: low, low, instances: 1000 };
                let number = opponent.number();
                store
                    .verdicts
                    .entry((self.night, number))
                    .or_insert_with(|| Verdict::of(&rules(), opponent, vec![compared]));
            }
            Step::Promote(entry) => {
                if entry.number == store.promotions.len() as u64 + 1 {
                    store.promotions.push(entry);
                }
            }
            Step::Predict(_, run) => drop(store.predicted.entry(self.night).or_insert(run)),
            Step::End(ending) => drop(store.endings.entry(self.night).or_insert(ending)),
        }
        None
    }

    /// Takes steps until the night answers; gives their names.
    fn finish(&mut self, store: &mut Store, good: bool) -> (Vec<String>, Answer) {
        let mut names = Vec::new();
        for _ in 0..20 {
            let step = self.step(store, &rules());
            names.push(format!("{step:?}").split(['(', ' ']).next().unwrap().to_owned());
            if let Some(answer) = self.perform(step, store, good) {
                store.released = store.claims.len();
                return (names, answer);
            }
        }
        panic!("no end after {names:?}");
    }
}

#[test]
fn a_first_night_then_a_warm_one_then_a_bad_one() {
    let mut store = Store::default();
    let (steps, answer) = Process::new(0, 1).finish(&mut store, true);
    let all = ["LookAtData", "Claim", "Plan", "Train", "Evaluate", "Promote", "Predict", "End", "Answer"];
    assert_eq!(steps, all);
    assert!(matches!(answer, Answer::AlreadyRan(_)), "what performs it knows that it ended it");
    assert_eq!(store.plans[&day(1)].start, Start::Cold);

    Process::new(0, 2).finish(&mut store, true);
    assert_eq!(store.plans[&day(2)].start, warm(1, 1));

    let (steps, _) = Process::new(0, 3).finish(&mut store, false);
    assert!(!steps.contains(&"Promote".to_owned()) && steps.contains(&"Predict".to_owned()), "{steps:?}");
    assert_eq!(store.promotions.last().unwrap().run, RunId::of_night(day(2)), "the old adapter stays");
    assert_eq!(store.predicted[&day(3)], RunId::of_night(day(2)), "and predicts for the new day");
    assert_eq!(store.endings[&day(3)].promotion, None);

    Process::new(0, 4).finish(&mut store, true);
    assert_eq!(store.plans[&day(4)].start, warm(2, 2));
}

#[test]
fn a_first_night_below_the_floor_promotes_nothing_and_predicts_nothing() {
    let mut store = Store::default();
    let (steps, _) = Process::new(0, 1).finish(&mut store, false);
    assert!(!steps.contains(&"Predict".to_owned()), "{steps:?}");
    assert!(store.promotions.is_empty());
    Process::new(0, 2).finish(&mut store, true);
    assert_eq!(store.plans[&day(2)].start, Start::Cold, "there is nothing to go on from");
}

#[test]
fn a_night_before_one_that_was_promoted_is_overtaken() {
    let mut store = Store::default();
    Process::new(0, 5).finish(&mut store, true);
    let (steps, answer) = Process::new(0, 4).finish(&mut store, true);
    assert_eq!((steps, answer.exit_code()), (vec!["Answer".to_owned()], 12));
}

#[test]
fn a_rollback_between_evaluation_and_promotion_is_evaluated_again() {
    let mut store = Store::default();
    Process::new(0, 1).finish(&mut store, true);
    Process::new(0, 2).finish(&mut store, true);
    let mut third = Process::new(0, 3);
    loop {
        let step = third.step(&store, &rules());
        if matches!(step, Step::Promote(_)) {
            break;
        }
        third.perform(step, &mut store, true);
    }
    let entry = rollback(&store.promotions, None, 0).unwrap();
    store.promotions.push(entry);
    let Step::Evaluate(plan, opponent) = third.step(&store, &rules()) else { panic!("expected another evaluation") };
    assert_eq!(opponent.number(), 3);
    assert_eq!(plan.start, warm(2, 2), "what it trained stays what it was");
}

#[test]
fn skipped_data_trains_nothing() {
    for (arrival, code) in [
        (Arrival::Late { day: day(1), events: 0, until: 5 }, 13),
        (Arrival::Empty { day: day(1), events: 0, expected: 9 }, 14),
        (Arrival::Broken { reason: "x".into() }, 65),
    ] {
        let process = Process { arrival: Some(arrival), ..Process::new(0, 1) };
        let Step::Answer(answer) = process.step(&Store::default(), &rules()) else { panic!("expected an answer") };
        assert_eq!(answer.exit_code(), code);
    }
}

#[test]
fn every_exit_code_is_documented() {
    let document = include_str!("../../docs/nightly.md");
    for (code, says) in EXIT_CODES {
        let outcome = says.split([':', ',', ';']).next().unwrap();
        let line = document.lines().find(|line| line.starts_with(&format!("| {code} |")));
        assert!(line.is_some_and(|line| line.contains(outcome)), "{code} {outcome}");
    }
}

/// What somebody does at a moment of a random walk.
#[derive(Clone, Copy, Debug)]
enum Act {
    /// A process looks at the store and decides.
    Decide(usize),
    /// It performs what it decided.
    Perform(usize, bool),
    /// It dies; another begins, of the same or the next night.
    Crash(usize, bool),
    /// Somebody takes the claim for abandoned.
    TakeOver,
    Rollback,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => (0..3usize).prop_map(Act::Decide),
        6 => (0..3usize, prop::bool::weighted(0.7)).prop_map(|(who, good)| Act::Perform(who, good)),
        1 => (0..3usize, any::<bool>()).prop_map(|(who, on)| Act::Crash(who, on)),
        1 => Just(Act::TakeOver),
        1 => Just(Act::Rollback),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn whatever_processes_do_to_each_other_the_store_stays_sound(acts in prop::collection::vec(act(), 0..160)) {
        let mut store = Store::default();
        let mut processes: Vec<(Process, Option<Step>)> =
            [1, 1, 2].into_iter().enumerate().map(|(name, night)| (Process::new(name, night), None)).collect();
        for act in acts {
            let before = store.clone();
            match act {
                Act::Decide(who) => {
                    let step = processes[who].0.step(&store, &rules());
                    processes[who].1 = Some(step);
                }
                Act::Perform(who, good) => {
                    let (process, step) = &mut processes[who];
                    if let Some(answer) = step.take().and_then(|step| process.perform(step, &mut store, good)) {
                        if process.claim == Some(store.claims.len()) {
                            store.released = store.claims.len();
                        }
                        prop_assert!(answer.exit_code() != 1);
                        *process = Process::new(who, 1 + (process.night.start() / 86_400));
                    }
                }
                Act::Crash(who, on) => {
                    let night = processes[who].0.night.start() / 86_400;
                    processes[who] = (Process::new(who, night + i64::from(on)), None);
                }
                Act::TakeOver => store.released = store.claims.len(),
                Act::Rollback => {
                    if let Ok(entry) = rollback(&store.promotions, None, 0) {
                        store.promotions.push(entry);
                    }
                }
            }
            sound(&before, &store)?;
        }
    }
}

/// Lists only grow by one entry at a time; a night is promoted at most once, only after it passed against what served just
/// before; and nothing that was written changes.
fn sound(before: &Store, after: &Store) -> Result<(), TestCaseError> {
    prop_assert!(after.promotions.starts_with(&before.promotions));
    prop_assert!(after.promotions.len() <= before.promotions.len() + 1);
    prop_assert!(after.claims.starts_with(&before.claims));
    for (at, entry) in after.promotions.iter().enumerate() {
        prop_assert_eq!(entry.number, at as u64 + 1);
        if entry.why == Why::Night {
            let verdict = after.verdicts.get(&(entry.night, at as u64));
            prop_assert!(verdict.is_some_and(|verdict| verdict.passed), "entry {} without a verdict", entry.number);
            let twice = after.promotions.iter().filter(|other| other.why == Why::Night && other.night == entry.night);
            prop_assert_eq!(twice.count(), 1);
        }
    }
    for (night, ending) in &after.endings {
        prop_assert_eq!(ending.promotion.is_some(), ending.verdict.passed);
        if let Some(number) = ending.promotion {
            prop_assert_eq!(after.promotions[number as usize - 1].night, *night);
        }
    }
    prop_assert!(before.plans.iter().all(|(night, plan)| after.plans.get(night) == Some(plan)));
    prop_assert!(before.endings.iter().all(|(night, ending)| after.endings.get(night) == Some(ending)));
    Ok(())
}
