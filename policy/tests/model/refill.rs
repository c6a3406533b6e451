//! Dynamic sampling: groups that teach nothing are replaced by prompts of the lease's reserve, in its order.

use crate::fixture::{Fixture, distance, prompts, settings};
use conrec_domain::spec::{AdvantageScale, GrpoLoss, Objective};
use conrec_policy::grpo::{GroupPrompt, GrpoLease, GrpoSettings};
use conrec_policy::lease_gradient::LeaseGradient;
use conrec_policy::transformer::Trains;
use tch::Kind;

/// The lease of some prompts with a reserve; groups of prompt 1 have equal rewards, whatever their number.
fn lease(objective: Objective, of: &[usize], reserve: &[usize]) -> LeaseGradient {
    let fixture = Fixture::new(Kind::Double);
    let (policy, reference) = (fixture.policy(Trains::Lora), fixture.reference());
    let settings = GrpoSettings { objective, ..settings() };
    let lease = GrpoLease { policy: &policy, reference: &reference, behaviour: None, legal: fixture.legal(), settings };
    let prompts = prompts();
    let group = |i: &usize| GroupPrompt { id: 100 + *i as u64, tokens: &prompts[*i], next: None };
    let all: Vec<usize> = of.iter().chain(reserve).copied().collect();
    // By place too: a group may hold one cell only, and must have variance all the same.
    let varied = |of: usize, place: usize, c: u32| (f64::from(c) * 0.37 + (of + place) as f64).sin();
    let reward = |i: usize, cells: &[u32]| {
        let of = all[i];
        let one = |(place, c): (usize, &u32)| Some(if of == 1 { 0.25 } else { varied(of, place, *c) });
        cells.iter().enumerate().map(one).collect()
    };
    let groups: (Vec<_>, Vec<_>) = (of.iter().map(group).collect(), reserve.iter().map(group).collect());
    lease.run_refilled((&groups.0, &groups.1), &reward).unwrap()
}

fn same(found: &LeaseGradient, expected: &LeaseGradient) {
    let error = distance(found.gradient.as_ref().unwrap(), expected.gradient.as_ref().unwrap());
    assert!(error < 1e-11, "gradient {error}");
}

#[test]
fn groups_without_variance_are_replaced_until_the_reserve_is_used_up() {
    for loss in [GrpoLoss::Grpo, GrpoLoss::Dapo] {
        let objective = Objective { loss, ..Objective::paper() };
        // Prompt 1 teaches nothing; nor does its first replacement; the second does, and the third is not touched.
        let found = lease(objective, &[0, 1, 2], &[1, 3, 0]);
        let m = &found.metrics;
        assert_eq!((m.groups, m.zero_variance_groups, m.refilled), (5, 2, 2));
        let plain = lease(objective, &[0, 2, 3], &[]);
        assert_eq!(m.trained_codes, plain.metrics.trained_codes);
        assert_eq!((plain.metrics.groups, plain.metrics.refilled), (3, 0));
        same(&found, &plain);

        // A reserve of one does not suffice.
        let short = lease(objective, &[0, 1, 2], &[1]);
        assert_eq!((short.metrics.groups, short.metrics.refilled), (4, 1));
        same(&short, &lease(objective, &[0, 2], &[]));
    }
}

#[test]
fn a_lease_in_which_every_group_teaches_takes_nothing() {
    let found = lease(Objective::paper(), &[0, 2], &[3, 1]);
    assert_eq!((found.metrics.groups, found.metrics.refilled), (2, 0));
    assert!(found.gradient.unwrap() == lease(Objective::paper(), &[0, 2], &[]).gradient.unwrap(), "to the last bit");
}

#[test]
fn the_deviation_of_the_lease_is_that_of_all_its_groups() {
    let objective = Objective { scale: AdvantageScale::BatchStd, ..Objective::paper() };
    same(&lease(objective, &[0, 1, 2], &[3]), &lease(objective, &[0, 1, 2, 3], &[]));
}
