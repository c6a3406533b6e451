//! Gradient checkpointing changes no gradient: activations that are computed again are those that were dropped.

use crate::fixture::{Fixture, distance, prompts, settings};
use conrec_policy::grpo::{GroupPrompt, GrpoLease, GrpoSettings};
use conrec_policy::lease_gradient::LeaseGradient;
use conrec_policy::supervised::{SupervisedLease, TargetPrompt};
use conrec_policy::transformer::{Policy, Trains};
use tch::Kind;

/// Prompts that are as long as each other are computed together, so that a lease has several micro-batches.
fn leases(fixture: &Fixture, policy: &Policy, reference: &Policy) -> [LeaseGradient; 3] {
    let all = prompts();
    let tokens: Vec<&[i64]> = all.iter().map(Vec::as_slice).collect();
    let supervised = SupervisedLease { policy, legal: fixture.legal() };
    let targets: Vec<TargetPrompt<'_>> =
        tokens.iter().zip([3, 6, 11, 0]).map(|(tokens, cell)| TargetPrompt { tokens, cell }).collect();
    let settings = GrpoSettings { iteration: 1, ..settings() };
    let groups: Vec<GroupPrompt<'_>> =
        tokens.iter().zip(0u64..).map(|(tokens, id)| GroupPrompt { id, tokens, next: None }).collect();
    // The first group has no variance: its prompt gets no gradient.
    let reward = |prompt: usize, cell: u32| Some(if prompt == 0 { 0.5 } else { f64::from(cell % 3) });
    let grpo = GrpoLease { policy, behaviour: None, reference, legal: fixture.legal(), settings };
    [
        supervised.next_item(&tokens[..3], 0.2).unwrap(),
        supervised.next_negative(&targets).unwrap(),
        grpo.run(&groups, &|prompt, cells| cells.iter().map(|cell| reward(prompt, *cell)).collect()).unwrap(),
    ]
}

#[test]
fn gradient_checkpointing_changes_no_gradient() {
    for (kind, tolerance) in [(Kind::Double, 1e-13), (Kind::Float, 1e-5)] {
        let fixture = Fixture::new(kind);
        for trains in [Trains::Base, Trains::Lora] {
            let [kept, recomputed] = [false, true].map(|recomputes| {
                leases(&fixture, &fixture.policy(trains).recomputing(recomputes), &fixture.reference())
            });
            for (kept, recomputed) in kept.into_iter().zip(recomputed) {
                assert_eq!(kept.metrics, recomputed.metrics);
                let error = distance(&recomputed.gradient.unwrap(), &kept.gradient.unwrap());
                assert!(error < tolerance, "{trains:?} in {kind:?}: {error}");
            }
        }
    }
}
