//! The anchor of a GRPO lease against the plain form: each next negative as a full sequence of its own.

use crate::fixture::{Fixture, distance, prompts, settings};
use crate::oracle::{Oracle, legal_tokens};
use conrec_domain::spec::{AdvantageScale, Objective, Sampler};
use conrec_policy::grpo::{GroupPrompt, GrpoLease, GrpoSettings};
use conrec_policy::lease_gradient::LeaseGradient;
use conrec_policy::transformer::Trains;
use tch::{Kind, Tensor};

const T: f64 = 0.8;

/// Cells of the next negatives; prompt 2 has none.
const NEXT: [Option<u32>; 4] = [Some(3), Some(7), None, Some(0)];

/// Prompt 1 has equal rewards in every group.
fn lease(fixture: &Fixture, objective: Objective, nll_weight: f64, moved: bool, reserve: &[usize]) -> LeaseGradient {
    let (policy, reference) = (fixture.policy(Trains::Lora), fixture.reference());
    let behaviour = fixture.policy_of(&fixture.behaviour());
    let behaviour = moved.then_some(&behaviour);
    let settings = GrpoSettings { nll_weight, objective, ..settings() };
    let lease = GrpoLease { policy: &policy, reference: &reference, behaviour, legal: fixture.legal(), settings };
    let prompts = prompts();
    let group = |i: usize| GroupPrompt { id: 100 + i as u64, tokens: &prompts[i], next: NEXT[i] };
    let scheduled: Vec<_> = (0..prompts.len()).map(group).collect();
    let reserve: Vec<_> = reserve.iter().map(|i| group(*i)).collect();
    let reward = |i: usize, cells: &[u32]| {
        cells.iter().map(|c| Some(if i == 1 { 0.25 } else { (f64::from(*c) * 0.37 + i as f64).sin() })).collect()
    };
    lease.run_refilled((&scheduled, &reserve), &reward).unwrap()
}

/// sum over prompts of the mean of -log pi over the codes of the next negative that are not forced.
fn plain(oracle: &Oracle<'_>) -> Tensor {
    let trie = &oracle.fixture.trie;
    let mut sum = Tensor::zeros([], (Kind::Double, tch::Device::Cpu));
    for (tokens, next) in prompts().iter().zip(NEXT) {
        let Some(cell) = next else { continue };
        let (mut full, mut node, mut terms) = (tokens.clone(), 0, Vec::new());
        for (level, child) in trie.path(cell).iter().enumerate() {
            let (legal, nodes) = legal_tokens(trie, level, node);
            let place = nodes.iter().position(|n| n == child).unwrap();
            if legal.len() > 1 {
                let hidden = oracle.hidden(&full).get(-1);
                terms.push(-oracle.log_probs(&hidden, &legal, T).get(place as i64));
            }
            full.push(legal[place]);
            node = *child;
        }
        let free = terms.len() as f64;
        sum += terms.into_iter().sum::<Tensor>() / free;
    }
    sum
}

#[test]
fn the_anchor_adds_the_cross_entropy_of_the_next_negatives() {
    let fixture = Fixture::new(Kind::Double);
    let lora = fixture.lora.copy().set_requires_grad(true);
    let oracle = Oracle { fixture: &fixture, base: &fixture.base, lora: Some(&lora) };
    let nll = plain(&oracle);
    let gradient = &Tensor::run_backward(&[&nll], &[&lora], false, false)[0];
    let nll = nll.double_value(&[]);
    let weight = 0.3;
    let batch_std = Objective { scale: AdvantageScale::BatchStd, ..Objective::paper() };
    let gumbel = Objective { sampler: Sampler::GumbelTopK, ..Objective::paper() };
    for (objective, moved) in
        [(Objective::paper(), false), (Objective::paper(), true), (batch_std, false), (gumbel, false)]
    {
        let without = lease(&fixture, objective, 0.0, moved, &[]);
        let with = lease(&fixture, objective, weight, moved, &[]);
        assert_eq!(without.metrics.nll, 0.0);
        assert!((with.metrics.nll - nll).abs() < 1e-10, "{} instead of {nll}", with.metrics.nll);
        assert!((with.metrics.loss - without.metrics.loss - weight * nll).abs() < 1e-10);
        let added = (with.gradient.unwrap() - without.gradient.unwrap()) / weight;
        let error = distance(&added, gradient);
        assert!(error < 1e-9, "{objective:?}, moved {moved}: gradient {error}");
    }
    // Groups that are taken from the reserve have no anchor: it is a mean over scheduled prompts.
    let refilled = lease(&fixture, Objective::paper(), weight, false, &[3]);
    assert_eq!(refilled.metrics.refilled, 1);
    assert!((refilled.metrics.nll - nll).abs() < 1e-10);
}
