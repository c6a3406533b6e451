//! The schedule: golden orders of an independent ChaCha8, and what holds for every schedule.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use conrec_domain::schedule::{Schedule, evaluation_ranges, learning_rate};
use conrec_domain::spec::{RunConfig, StageSpec};
use conrec_domain::work::Pass;
use proptest::prelude::*;
use std::collections::BTreeSet;

#[test]
fn epochs_equal_the_golden_orders() {
    let golden: serde_json::Value = serde_json::from_str(include_str!("golden/schedule.json")).unwrap();
    for case in golden.as_array().unwrap() {
        let number = |key: &str| case[key].as_u64().unwrap();
        let schedule = Schedule {
            seed: number("seed"),
            pass: if number("pass") == 0 { Pass::Select } else { Pass::Refit },
            stage: number("stage") as u32,
            prompts: number("n") as u32,
            an_iteration: 1,
            a_lease: 1,
        };
        let expected: Vec<u32> = serde_json::from_value(case["order"].clone()).unwrap();
        assert_eq!(schedule.epoch(number("epoch")), expected);
    }
}

prop_compose! {
    fn any_schedule()(
        seed in any::<u64>(), refit in any::<bool>(), stage in 0u32..5, prompts in 1u32..200,
        an_iteration in 1u32..60, a_lease in 1u32..20,
    ) -> Schedule {
        let pass = if refit { Pass::Refit } else { Pass::Select };
        Schedule { seed, pass, stage, prompts, an_iteration, a_lease }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn each_epoch_is_a_permutation(schedule in any_schedule(), epoch in 0u64..1000) {
        let mut order = schedule.epoch(epoch);
        order.sort_unstable();
        prop_assert_eq!(order, (0..schedule.prompts).collect::<Vec<_>>());
    }

    #[test]
    fn no_iteration_holds_a_prompt_twice(schedule in any_schedule(), iteration in any::<u32>()) {
        let taken = schedule.iteration(iteration);
        let distinct: BTreeSet<u32> = taken.iter().copied().collect();
        prop_assert_eq!(distinct.len(), taken.len());
        prop_assert!(taken.iter().all(|p| *p < schedule.prompts));
        let fits = schedule.an_iteration <= schedule.prompts;
        prop_assert_eq!(taken.len() as u32, if fits { schedule.an_iteration } else { 0 });
    }

    #[test]
    fn the_iterations_of_an_epoch_share_no_prompt(schedule in any_schedule(), epoch in 0u32..1000) {
        let an_epoch = schedule.iterations_an_epoch();
        let taken: Vec<u32> =
            (0..an_epoch).flat_map(|i| schedule.iteration(epoch * an_epoch + i)).collect();
        // They are the epoch's order, less a rest that does not fill an iteration.
        let order = schedule.epoch(u64::from(epoch));
        prop_assert_eq!(&taken[..], &order[..taken.len()]);
        prop_assert_eq!(taken.iter().collect::<BTreeSet<_>>().len(), taken.len());
        prop_assert!(order.len() - taken.len() < schedule.an_iteration as usize);
    }

    #[test]
    fn reserves_share_no_prompt_with_each_other_or_the_iteration(
        schedule in any_schedule(), iteration in 0u32..50, refill in 0u32..9,
    ) {
        let (leases, reserves) = (schedule.leases(iteration), schedule.reserves(iteration, refill));
        prop_assert_eq!(reserves.len(), leases.len(), "one a lease");
        let taken = schedule.iteration(iteration);
        let all: Vec<u32> = reserves.concat();
        let distinct: BTreeSet<u32> = all.iter().chain(&taken).copied().collect();
        prop_assert_eq!(distinct.len(), all.len() + taken.len());
        prop_assert!(all.iter().all(|prompt| *prompt < schedule.prompts));
        let share = (schedule.prompts as usize - taken.len()).checked_div(leases.len()).unwrap_or(0);
        prop_assert!(reserves.iter().all(|reserve| reserve.len() == share.min(refill as usize)));
        prop_assert_eq!(schedule.reserves(iteration, refill), reserves);
        let more = schedule.reserves(iteration + 1, refill).concat();
        prop_assert!(all.len() < 10 || all != more, "another iteration has others");
    }

    #[test]
    fn leases_partition_the_iteration(schedule in any_schedule(), iteration in 0u32..50) {
        let leases = schedule.leases(iteration);
        let taken = schedule.iteration(iteration);
        prop_assert_eq!(leases.len() as u32, (taken.len() as u32).div_ceil(schedule.a_lease));
        let full = leases.iter().rev().skip(1).all(|l| l.len() as u32 == schedule.a_lease);
        prop_assert!(full && leases.iter().all(|l| !l.is_empty()));
        prop_assert_eq!(leases.concat(), taken);
    }

    #[test]
    fn ranges_cover_the_instances_once(instances in 0u32..500, a_lease in 1u32..70) {
        let covered: Vec<u32> = evaluation_ranges(instances, a_lease).into_iter().flat_map(|(a, b)| a..b).collect();
        prop_assert_eq!(covered, (0..instances).collect::<Vec<_>>());
    }
}

#[test]
fn orders_differ_by_seed_pass_stage_and_epoch() {
    let base = Schedule { seed: 1, pass: Pass::Select, stage: 0, prompts: 50, an_iteration: 8, a_lease: 4 };
    let order = base.epoch(0);
    assert_ne!(order, base.epoch(1));
    assert_ne!(order, Schedule { seed: 2, ..base }.epoch(0));
    assert_ne!(order, Schedule { pass: Pass::Refit, ..base }.epoch(0));
    assert_ne!(order, Schedule { stage: 1, ..base }.epoch(0));
}

#[test]
fn what_an_epoch_leaves_over_falls_on_other_prompts_each_time() {
    let schedule = Schedule { seed: 1, pass: Pass::Select, stage: 0, prompts: 7, an_iteration: 3, a_lease: 2 };
    assert_eq!(schedule.iterations_an_epoch(), 2);
    let dropped = |epoch: u32| {
        let taken: Vec<u32> = (2 * epoch..2 * epoch + 2).flat_map(|i| schedule.iteration(i)).collect();
        (0..7).find(|p| !taken.contains(p)).unwrap()
    };
    assert_eq!((0..40).map(dropped).collect::<BTreeSet<_>>().len(), 7, "each prompt is left out now and then");
}

#[test]
fn fewer_prompts_than_an_iteration_takes_give_none() {
    let schedule = Schedule { seed: 1, pass: Pass::Select, stage: 0, prompts: 3, an_iteration: 7, a_lease: 4 };
    assert!(schedule.iteration(0).is_empty() && schedule.leases(5).is_empty());
}

#[test]
fn no_prompts_give_an_empty_iteration() {
    let schedule = Schedule { seed: 1, pass: Pass::Select, stage: 0, prompts: 0, an_iteration: 7, a_lease: 4 };
    assert!(schedule.leases(0).is_empty());
}

fn stage(iterations: u32, warmup: u32, final_rate: f64) -> StageSpec {
    let text = format!(
        "[[stage]]\nname = \"s\"\nkind = \"grpo\"\niterations = {iterations}\nprompts = 1\nprompts_per_lease = 1\n\
         learning_rate = 2.0\nwarmup = {warmup}\nfinal_rate = {final_rate:?}\n"
    );
    RunConfig::parse(&text, "run.toml").unwrap().stage.remove(0)
}

#[test]
fn the_rate_rises_then_falls() {
    let rates = |s: &StageSpec| (0..s.iterations).map(|i| learning_rate(s, i)).collect::<Vec<_>>();
    assert_eq!(rates(&stage(4, 4, 0.0)), [0.5, 1.0, 1.5, 2.0]);
    assert_eq!(rates(&stage(6, 2, 0.0)), [1.0, 2.0, 1.5, 1.0, 0.5, 0.0]);
    assert_eq!(rates(&stage(3, 0, 0.5)), [2.0, 1.5, 1.0]);
    assert_eq!(rates(&stage(3, 0, 1.0)), [2.0, 2.0, 2.0]);
    assert_eq!(rates(&stage(1, 1, 0.0)), [2.0]);
}
