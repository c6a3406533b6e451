//! A GRPO lease against the plain form: every completion a full sequence of its own, sampled in a first pass and
//! scored in a second.

use crate::fixture::{Fixture, G, distance, prompts, settings};
use crate::oracle::{Oracle, legal_tokens};
use conrec_domain::spec::{AdvantageScale, Baseline, Clip, GrpoLoss, Objective, Sampler};
use conrec_domain::work::TrainMetrics;
use conrec_feedback::advantage::CentredGroup;
use conrec_feedback::prefix_trie::PrefixTrie;
use conrec_policy::distinct::{most_probable, without_replacement};
use conrec_policy::exact_sum::ExactSum;
use conrec_policy::grpo::{GroupPrompt, GrpoLease, GrpoSettings};
use conrec_policy::lease_gradient::LeaseGradient;
use conrec_policy::rollout::DrawKey;
use conrec_policy::shared_prefix::Prefix;
use conrec_policy::transformer::{Policy, Trains};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use tch::{Kind, Tensor};

/// Prompt 1 has equal rewards; some cells of prompt 0 abstain.
fn reward(prompt: usize, cell: u32) -> Option<f64> {
    match (prompt, cell) {
        (1, _) => Some(0.25),
        (0, c) if c % 5 == 1 => None,
        (p, c) => Some((f64::from(c) * 0.37 + p as f64).sin()),
    }
}

fn lease(fixture: &Fixture, trains: Trains, of: &[usize]) -> (LeaseGradient, Vec<Vec<u32>>) {
    lease_with(fixture, (trains, false), settings().objective, of)
}

/// `moved`: the completions are those of another policy, the fixture's reference.
fn lease_with(
    fixture: &Fixture,
    (trains, moved): (Trains, bool),
    objective: Objective,
    of: &[usize],
) -> (LeaseGradient, Vec<Vec<u32>>) {
    let prompts = prompts();
    let (policy, reference) = (fixture.policy(trains), fixture.reference());
    let behaviour = fixture.policy_of(&fixture.behaviour());
    let settings = GrpoSettings { objective, ..settings() };
    let behaviour = moved.then_some(&behaviour);
    let lease = GrpoLease { policy: &policy, reference: &reference, behaviour, legal: fixture.legal(), settings };
    let groups: Vec<GroupPrompt<'_>> =
        of.iter().map(|i| GroupPrompt { id: 100 + *i as u64, tokens: &prompts[*i], next: None }).collect();
    let seen = RefCell::new(vec![Vec::new(); of.len()]);
    let out = lease.run(&groups, &|i, cells| {
        seen.borrow_mut()[i].extend(cells);
        cells.iter().map(|cell| reward(of[i], *cell)).collect()
    });
    (out.unwrap(), seen.into_inner())
}

/// Completions, loss, sum of KL and of entropy, counted codes, gradient; in the plain form.
struct Plain {
    cells: Vec<Vec<u32>>,
    loss: Tensor,
    kl: f64,
    entropy: f64,
    codes: u64,
    trained_codes: u64,
    clipped: u64,
    zero_variance: u64,
}

fn sample(oracle: &Oracle<'_>, prompt: usize, member: u64) -> Vec<u32> {
    let s = settings();
    let mut tokens = prompts()[prompt].clone();
    let mut nodes = vec![0];
    for level in 0..3 {
        let (legal, next) = legal_tokens(&oracle.fixture.trie, level, *nodes.last().unwrap());
        let hidden = tch::no_grad(|| oracle.hidden(&tokens).get(-1));
        let log_probs = tch::no_grad(|| oracle.log_probs(&hidden, &legal, s.temperature));
        let probabilities = Vec::<f64>::try_from(log_probs.exp().to_kind(Kind::Double)).unwrap();
        let key = DrawKey { seed: s.seed, iteration: s.iteration, prompt: 100 + prompt as u64 };
        let mut rest = key.uniform(member, level) * probabilities.iter().sum::<f64>();
        let mut chosen = 0;
        while chosen + 1 < legal.len() && rest >= probabilities[chosen] {
            rest -= probabilities[chosen];
            chosen += 1;
        }
        tokens.push(legal[chosen]);
        nodes.push(next[chosen]);
    }
    nodes
}

/// A completion: the nodes on its way, and its share of its group.
type Completion = (Vec<u32>, f64);

/// The completions of all prompts, each drawn for itself.
fn drawn(oracle: &Oracle<'_>) -> Vec<Vec<Completion>> {
    let group = |prompt| (0..G as u64).map(|member| (sample(oracle, prompt, member), 1.0 / G as f64)).collect();
    (0..prompts().len()).map(group).collect()
}

/// The deviation of all rewards of a lease, each group counting alike.
fn lease_deviation(trie: &PrefixTrie, groups: &[Vec<Completion>]) -> f64 {
    let cells = |p: usize| groups[p].iter().map(move |(nodes, share)| (p, trie.cell(nodes[3]).unwrap(), *share));
    let all: Vec<(f64, f64)> =
        (0..groups.len()).flat_map(cells).filter_map(|(p, cell, share)| Some((reward(p, cell)?, share))).collect();
    let total: f64 = all.iter().map(|(_, w)| w).sum();
    let mean = all.iter().map(|(r, w)| w * r).sum::<f64>() / total;
    let squares = all.iter().map(|(r, w)| w / total * (r - mean).powi(2)).sum::<f64>();
    (squares / (1.0 - all.iter().map(|(_, w)| (w / total).powi(2)).sum::<f64>())).sqrt()
}

impl Plain {
    fn nothing(kind: Kind) -> Self {
        Self {
            cells: Vec::new(),
            loss: Tensor::zeros([], (kind, tch::Device::Cpu)),
            kl: 0.0,
            entropy: 0.0,
            codes: 0,
            trained_codes: 0,
            clipped: 0,
            zero_variance: 0,
        }
    }
}

/// What one code of a completion weighs: the completion's share of its group, its free codes, the group's size.
fn weight_of_a_code(loss: GrpoLoss, (share, free, group): (f64, usize, usize)) -> f64 {
    match loss {
        GrpoLoss::Grpo | GrpoLoss::Gspo => share / free as f64,
        GrpoLoss::DrGrpo => share / 3.0,
        GrpoLoss::Dapo | GrpoLoss::Cispo => share * group as f64,
    }
}

/// What a code gains at this ratio, and whether the ratio was cut.
fn gain(objective: Objective, (ratio, chosen): (&Tensor, &Tensor), advantage: f64) -> (Tensor, bool) {
    let rho = ratio.double_value(&[]);
    let cut = rho.clamp(1.0 - objective.clip.low, 1.0 + objective.clip.high);
    let is_less = cut * advantage < rho * advantage;
    let gain = if objective.loss == GrpoLoss::Cispo {
        chosen * (cut * advantage)
    } else if is_less {
        // The cut ratio is a constant.
        chosen * 0.0 + cut * advantage
    } else {
        ratio * advantage
    };
    (gain, is_less || (objective.loss == GrpoLoss::Cispo && cut != rho))
}

/// The loss of given completions by the formulas, code by code; `old` is the policy that sampled, if it is another.
fn plain(
    (oracle, reference, old): (&Oracle<'_>, &Oracle<'_>, Option<&Oracle<'_>>),
    groups: &[Vec<Completion>],
    objective: Objective,
) -> Plain {
    let s = settings();
    let trie = &oracle.fixture.trie;
    let mut out = Plain::nothing(oracle.base.kind());
    let batch = lease_deviation(trie, groups);
    for (prompt, tokens) in prompts().iter().enumerate() {
        let walks = &groups[prompt];
        let cells: Vec<u32> = walks.iter().map(|(nodes, _)| trie.cell(nodes[3]).unwrap()).collect();
        let rewards: Vec<Option<f64>> = cells.iter().map(|c| reward(prompt, *c)).collect();
        let shares: Vec<f64> = walks.iter().zip(&rewards).filter_map(|((_, share), r)| r.map(|_| *share)).collect();
        let rewarded = rewards.iter().flatten().copied().collect::<Vec<_>>();
        let group = CentredGroup::new(&rewarded, Some(&shares), objective.baseline);
        let divisor = match objective.scale {
            AdvantageScale::GroupStd => group.std.max(objective.floor),
            AdvantageScale::BatchStd => batch,
            AdvantageScale::None => 1.0,
        };
        out.zero_variance += u64::from(group.zero_variance);
        let mut centred = group.values.iter();
        for ((nodes, share), reward) in walks.iter().zip(&rewards) {
            let free = (0..3).filter(|l| trie.children(nodes[*l]).len() > 1).count();
            let advantage = reward.map_or(0.0, |_| *centred.next().unwrap() / divisor);
            let trains = reward.is_some() && !group.zero_variance;
            let weight = if trains { weight_of_a_code(objective.loss, (*share, free, walks.len())) } else { 0.0 };
            let mut full = tokens.clone();
            for level in 0..2 {
                let (legal, next) = legal_tokens(trie, level, nodes[level]);
                full.push(legal[next.iter().position(|n| *n == nodes[level + 1]).unwrap()]);
            }
            let (hidden, hidden_reference) = (oracle.hidden(&full), tch::no_grad(|| reference.hidden(&full)));
            let hidden_old = old.map(|old| tch::no_grad(|| old.hidden(&full)));
            let mut codes = Vec::new();
            for level in 0..3 {
                let (legal, next) = legal_tokens(trie, level, nodes[level]);
                if legal.len() == 1 {
                    continue;
                }
                let at = (tokens.len() - 1 + level) as i64;
                let place = next.iter().position(|n| *n == nodes[level + 1]).unwrap() as i64;
                let log_probs = oracle.log_probs(&hidden.get(at), &legal, s.temperature);
                let of_reference = reference.log_probs(&hidden_reference.get(at), &legal, s.temperature);
                let kl = (log_probs.exp() * (&log_probs - of_reference.detach())).sum(log_probs.kind());
                out.kl += kl.double_value(&[]);
                out.entropy -= (log_probs.exp() * &log_probs).sum(Kind::Double).double_value(&[]);
                out.codes += 1;
                out.trained_codes += u64::from(trains);
                let chosen = log_probs.get(place);
                let before = match (old, &hidden_old) {
                    (Some(old), Some(hidden)) => old.log_probs(&hidden.get(at), &legal, s.temperature).get(place),
                    _ => chosen.copy(),
                };
                codes.push((&chosen - before.detach(), chosen, kl));
            }
            let sequence =
                codes.iter().map(|(log_ratio, _, _)| log_ratio.shallow_clone()).sum::<Tensor>() / free as f64;
            for (log_ratio, chosen, kl) in codes {
                let ratio = if objective.loss == GrpoLoss::Gspo { sequence.exp() } else { log_ratio.exp() };
                let (gain, is_cut) = gain(objective, (&ratio, &chosen), advantage);
                out.clipped += u64::from(trains && is_cut);
                out.loss = &out.loss - (gain - kl * s.beta) * weight;
            }
        }
        out.cells.push(cells);
    }
    out
}

fn lease_equals_the_plain_form(kind: Kind, trains: Trains, tolerance: f64) {
    let fixture = Fixture::new(kind);
    let base = fixture.base.copy().set_requires_grad(trains == Trains::Base);
    let lora = fixture.lora.copy().set_requires_grad(trains == Trains::Lora);
    let oracle = Oracle { fixture: &fixture, base: &base, lora: Some(&lora) };
    let reference = Oracle { fixture: &fixture, base: &fixture.base, lora: Some(&fixture.reference) };
    let expected = plain((&oracle, &reference, None), &drawn(&oracle), settings().objective);
    let (found, cells) = lease(&fixture, trains, &[0, 1, 2, 3]);
    assert_eq!(cells, expected.cells);
    let m = &found.metrics;
    let relative = |found: f64, expected: f64| ((found - expected) / expected).abs();
    assert!(relative(m.loss, expected.loss.double_value(&[])) < 10.0 * tolerance, "loss {}", m.loss);
    assert!(relative(m.kl, expected.kl) < 10.0 * tolerance && m.kl > 0.1, "kl {} instead of {}", m.kl, expected.kl);
    assert!(relative(m.entropy, expected.entropy) < 10.0 * tolerance, "entropy {}", m.entropy);
    assert_eq!((m.groups, m.completions, m.codes), (4, 4 * G as u64, expected.codes));
    assert_eq!((m.trained_codes, m.clipped, m.ratio, m.effective), (expected.trained_codes, 0, 0.0, 0.0));
    let rewards: Vec<Option<f64>> =
        cells.iter().enumerate().flat_map(|(p, c)| c.iter().map(move |c| reward(p, *c))).collect();
    let abstained = rewards.iter().filter(|r| r.is_none()).count() as u64;
    let zero = expected.zero_variance;
    assert!(abstained > 0 && (1..4).contains(&zero), "the fixture must show both: {cells:?}");
    assert_eq!((m.abstained, m.zero_variance_groups), (abstained, zero));
    let distinct = |cells: &Vec<u32>| cells.iter().collect::<BTreeSet<_>>().len() as u64;
    assert_eq!(m.distinct, expected.cells.iter().map(distinct).sum::<u64>(), "of each group for itself");
    assert!((m.reward - rewards.iter().flatten().sum::<f64>()).abs() < 1e-9);
    assert_eq!(m.prompt_tokens, prompts().iter().map(|p| p.len() as u64).sum::<u64>());
    let trained = if trains == Trains::Base { &base } else { &lora };
    let gradient = Tensor::run_backward(&[&expected.loss], &[trained], false, false);
    let error = distance(&found.gradient.unwrap(), &gradient[0]);
    assert!(error < tolerance, "gradient {error}");
}

/// Any objective, on policy or not, against the plain form in f64. Gives the metrics.
fn objective_equals_the_plain_form(
    objective: Objective,
    moved: bool,
    groups: Option<&[Vec<Completion>]>,
) -> TrainMetrics {
    let fixture = Fixture::new(Kind::Double);
    let lora = fixture.lora.copy().set_requires_grad(true);
    let moved_lora = fixture.behaviour();
    let oracle = Oracle { fixture: &fixture, base: &fixture.base, lora: Some(&lora) };
    let reference = Oracle { fixture: &fixture, base: &fixture.base, lora: Some(&fixture.reference) };
    let behaviour = Oracle { fixture: &fixture, base: &fixture.base, lora: Some(&moved_lora) };
    let old = moved.then_some(&behaviour);
    let own = drawn(old.unwrap_or(&oracle));
    let expected = plain((&oracle, &reference, old), groups.unwrap_or(&own), objective);
    let (found, cells) = lease_with(&fixture, (Trains::Lora, moved), objective, &[0, 1, 2, 3]);
    assert_eq!(cells, expected.cells, "{objective:?}");
    let m = found.metrics;
    let loss = expected.loss.double_value(&[]);
    assert!((m.loss - loss).abs() < 1e-10 * loss.abs().max(1.0), "{objective:?}: {} instead of {loss}", m.loss);
    assert_eq!((m.trained_codes, m.clipped), (expected.trained_codes, expected.clipped), "{objective:?}");
    let gradient = Tensor::run_backward(&[&expected.loss], &[&lora], false, false);
    let error = distance(&found.gradient.unwrap(), &gradient[0]);
    assert!(error < 1e-10, "{objective:?}: gradient {error}");
    m
}

const LOSSES: [GrpoLoss; 5] = [GrpoLoss::Grpo, GrpoLoss::DrGrpo, GrpoLoss::Dapo, GrpoLoss::Gspo, GrpoLoss::Cispo];

#[test]
fn every_loss_equals_the_plain_form_when_another_policy_sampled() {
    let mut clipped = Vec::new();
    for loss in LOSSES {
        let clip = Clip { low: 0.02, high: 0.02 };
        let m = objective_equals_the_plain_form(Objective { loss, clip, ..Objective::paper() }, true, None);
        let n = m.trained_codes as f64;
        let variance = m.ratio_squares / n - (m.ratio / n).powi(2);
        assert!((m.ratio / n - 1.0).abs() < 0.5 && variance > 1e-4, "ratios {m:?}");
        clipped.push(m.clipped);
    }
    assert!(clipped.iter().all(|n| *n > 0), "the bounds must bite: {clipped:?}");
}

#[test]
fn every_loss_equals_the_plain_form_on_policy() {
    for loss in LOSSES {
        let m = objective_equals_the_plain_form(Objective { loss, ..Objective::paper() }, false, None);
        assert_eq!((m.clipped, m.ratio, m.ratio_squares), (0, 0.0, 0.0));
    }
}

#[test]
fn every_scale_and_baseline_equals_the_plain_form() {
    for scale in [AdvantageScale::GroupStd, AdvantageScale::BatchStd, AdvantageScale::None] {
        for baseline in [Baseline::Mean, Baseline::LeaveOneOut] {
            for moved in [false, true] {
                objective_equals_the_plain_form(Objective { scale, baseline, ..Objective::paper() }, moved, None);
            }
        }
    }
}

#[test]
fn distinct_completions_count_with_their_weights() {
    let fixture = Fixture::new(Kind::Double);
    for moved in [false, true] {
        let policy = if moved { fixture.policy_of(&fixture.behaviour()) } else { fixture.policy(Trains::Nothing) };
        for sampler in [Sampler::GumbelTopK, Sampler::Beam] {
            let groups: Vec<Vec<Completion>> =
                (0..4).map(|prompt| distinct(&fixture, &policy, prompt, sampler)).collect();
            for loss in LOSSES {
                for scale in [AdvantageScale::GroupStd, AdvantageScale::BatchStd] {
                    let objective = Objective { loss, scale, sampler, ..Objective::paper() };
                    let m = objective_equals_the_plain_form(objective, moved, Some(&groups));
                    assert_eq!((m.distinct, m.completions), (4 * G as u64, 4 * G as u64));
                    let weighted = sampler == Sampler::GumbelTopK;
                    assert_eq!(m.effective > 4.0 && m.effective < 4.0 * G as f64, weighted, "{}", m.effective);
                }
            }
        }
    }
}

/// What the sampler gives for one prompt, with shares that sum to 1.
fn distinct(fixture: &Fixture, policy: &Policy, prompt: usize, sampler: Sampler) -> Vec<Completion> {
    let s = settings();
    let tokens = &prompts()[prompt];
    let prefix = Prefix::compute(policy, &[tokens]).unwrap();
    let key = DrawKey { seed: s.seed, iteration: s.iteration, prompt: 100 + prompt as u64 };
    let found = match sampler {
        Sampler::Beam => most_probable(&prefix, &fixture.legal(), s.temperature, G),
        _ => without_replacement(&prefix, &fixture.legal(), s.temperature, &[key], G),
    }
    .unwrap();
    let weights = found.weights.unwrap_or_else(|| vec![1.0; G]);
    let total: f64 = weights.iter().sum();
    let nodes = |cell: &u32| std::iter::once(0).chain(fixture.trie.path(*cell).iter().copied()).collect();
    found.cells.iter().zip(weights).map(|(cell, weight)| (nodes(cell), weight / total)).collect()
}

#[test]
fn completions_loss_and_adapter_gradient_equal_the_plain_form_in_f64() {
    lease_equals_the_plain_form(Kind::Double, Trains::Lora, 1e-11);
}

#[test]
fn completions_loss_and_adapter_gradient_equal_the_plain_form_in_f32() {
    lease_equals_the_plain_form(Kind::Float, Trains::Lora, 1e-5);
}

#[test]
fn gradient_of_all_weights_equals_the_plain_form() {
    lease_equals_the_plain_form(Kind::Double, Trains::Base, 1e-11);
}

#[test]
fn the_same_lease_gives_the_same_bits() {
    let fixture = Fixture::new(Kind::Float);
    let (first, _) = lease(&fixture, Trains::Lora, &[0, 1, 2, 3]);
    let (second, _) = lease(&fixture, Trains::Lora, &[0, 1, 2, 3]);
    assert_eq!(first.metrics, second.metrics);
    assert!(first.gradient.unwrap() == second.gradient.unwrap());
}

#[test]
fn rewards_that_are_not_one_a_completion_are_refused() {
    let fixture = Fixture::new(Kind::Float);
    let (policy, reference) = (fixture.policy(Trains::Lora), fixture.reference());
    let lease = GrpoLease {
        policy: &policy,
        reference: &reference,
        behaviour: None,
        legal: fixture.legal(),
        settings: settings(),
    };
    let tokens = &prompts()[0];
    let error = lease.run(&[GroupPrompt { id: 1, tokens, next: None }], &|_, _| vec![Some(1.0); G - 1]).unwrap_err();
    assert!(error.to_string().contains("rewards of a group"), "{error}");
}

#[test]
fn a_group_without_variance_has_no_gradient() {
    let fixture = Fixture::new(Kind::Float);
    let (found, _) = lease(&fixture, Trains::Lora, &[1]);
    assert!(found.gradient.is_none());
    assert_eq!((found.metrics.zero_variance_groups, found.metrics.groups), (1, 1));
    assert!(found.metrics.kl > 0.0, "its KL is still reported");
}

#[test]
fn leases_add_up_to_the_same_bits_in_any_order() {
    let fixture = Fixture::new(Kind::Float);
    let layout = fixture.lora_config.layout(&fixture.config);
    let leases: Vec<LeaseGradient> =
        [[0, 2], [3, 1], [2, 3], [0, 3]].iter().map(|of| lease(&fixture, Trains::Lora, of).0).collect();
    let sum = |order: &[usize]| {
        let mut sum = ExactSum::new(layout.len(), 48, 8);
        for i in order {
            sum.add(&layout, leases[*i].gradient.as_ref().unwrap()).unwrap();
        }
        sum
    };
    let whole = sum(&[0, 1, 2, 3]);
    assert!(whole.integers().abs().max().int64_value(&[]) > 1 << 40);
    assert!(whole.integers() == sum(&[3, 1, 0, 2]).integers());
    // Two workers with a part each, as the all-reduce adds them.
    let reduced = sum(&[2, 0]).integers() + sum(&[1, 3]).integers();
    assert!(whole.integers() == &reduced);
}

#[test]
fn rollout_follows_the_policys_probabilities() {
    let fixture = Fixture::new(Kind::Float);
    let policy = fixture.policy(Trains::Nothing);
    let tokens = &prompts()[1];
    let prefix = conrec_policy::shared_prefix::Prefix::compute(&policy, &[tokens]).unwrap();
    let legal = fixture.legal();
    let cells: Vec<u32> = (0..12).collect();
    let all = conrec_policy::rollout::follow(&prefix, &legal, 0.8, &cells).unwrap();
    let log_probs: Tensor = (0..3).map(|l| all.chosen(l)).sum();
    let expected = Vec::<f64>::try_from(log_probs.exp().to_kind(Kind::Double)).unwrap();
    assert!((expected.iter().sum::<f64>() - 1.0).abs() < 1e-5, "cells are all there is");
    let key = DrawKey { seed: 9, iteration: 1, prompt: 4 };
    let draws = 4000;
    let walk = conrec_policy::rollout::sample(&prefix, &legal, 0.8, &[key], draws).unwrap();
    let mut counts = BTreeMap::new();
    for cell in &walk.cells {
        *counts.entry(*cell).or_insert(0usize) += 1;
    }
    // Chi-square with 11 degrees of freedom: 31.3 is exceeded once in a thousand.
    let statistic: f64 = expected
        .iter()
        .enumerate()
        .map(|(cell, p)| {
            let n = p * draws as f64;
            (counts.get(&(cell as u32)).copied().unwrap_or(0) as f64 - n).powi(2) / n
        })
        .sum();
    assert!(statistic < 31.3, "{statistic}: {counts:?} {expected:?}");
}
