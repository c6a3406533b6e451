//! A later update of a rollout draws the completions of the first anew, from the policy as it was then.

use crate::fixture::{Fixture, prompts, settings};
use conrec_domain::spec::{Objective, Sampler};
use conrec_domain::work::TrainMetrics;
use conrec_policy::grpo::{GroupPrompt, GrpoLease, GrpoSettings};
use conrec_policy::transformer::{Policy, Trains};
use std::cell::RefCell;
use tch::Kind;

/// Metrics, and the cells of each prompt.
fn lease(fixture: &Fixture, policy: &Policy, from: Option<&Policy>, sampler: Sampler) -> (TrainMetrics, Vec<Vec<u32>>) {
    let prompts = prompts();
    let objective = Objective { sampler, ..Objective::paper() };
    let settings = GrpoSettings { objective, ..settings() };
    let reference = fixture.reference();
    let lease = GrpoLease { policy, reference: &reference, behaviour: from, legal: fixture.legal(), settings };
    let groups: Vec<GroupPrompt<'_>> =
        prompts.iter().enumerate().map(|(i, tokens)| GroupPrompt { id: i as u64, tokens, next: None }).collect();
    let seen = RefCell::new(vec![Vec::new(); prompts.len()]);
    let out = lease.run(&groups, &|i, cells| {
        seen.borrow_mut()[i].extend(cells);
        cells.iter().map(|cell| Some((f64::from(*cell) * 0.37 + i as f64).sin())).collect()
    });
    (out.unwrap().metrics, seen.into_inner())
}

#[test]
fn completions_are_those_of_the_first_update_in_f32() {
    let fixture = Fixture::new(Kind::Float);
    let behaviour = fixture.behaviour();
    let (first, kept, moved) =
        (fixture.with(&behaviour, Trains::Lora), fixture.policy_of(&behaviour), fixture.policy(Trains::Lora));
    for sampler in [Sampler::Iid, Sampler::GumbelTopK, Sampler::Beam] {
        let (on_policy, cells) = lease(&fixture, &first, None, sampler);
        assert_eq!((on_policy.clipped, on_policy.ratio), (0, 0.0));
        let (later, again) = lease(&fixture, &moved, Some(&kept), sampler);
        assert_eq!(again, cells, "{sampler:?}");
        let n = later.trained_codes as f64;
        assert!(later.ratio_squares / n - (later.ratio / n).powi(2) > 1e-4, "{sampler:?}: {later:?}");
        // A policy that has not moved has ratios of 1, up to the rounding of another order of work.
        let (still, again) = lease(&fixture, &first, Some(&kept), sampler);
        assert_eq!(again, cells, "{sampler:?}");
        let n = still.trained_codes as f64;
        assert!((still.ratio / n - 1.0).abs() < 1e-5 && still.clipped == 0, "{sampler:?}: {still:?}");
    }
}
