//! The training state through a small curriculum: what changes when, digests, and the parts of a checkpoint.

use crate::fixture::{Fixture, VOCABULARY, prompts};
use conrec_domain::spec::{Objective, RunConfig, RunSpec};
use conrec_domain::work::{Pass, StateChange};
use conrec_policy::base_model::BaseModel;
use conrec_policy::beam_search::BeamSearch;
use conrec_policy::grpo::{GroupPrompt, GrpoLease, GrpoSettings};
use conrec_policy::lora::LoraConfig;
use conrec_policy::rollout::{DrawKey, sample};
use conrec_policy::shared_prefix::Prefix;
use conrec_policy::supervised::{SupervisedLease, TargetPrompt};
use conrec_policy::training_state::TrainingState;
use conrec_policy::warm_start::WarmStart;
use std::collections::BTreeMap;
use tch::{Kind, Tensor};

const SPEC: &str = r#"
seed = 5
[model]
hidden = 16
layers = 2
heads = 4
kv_heads = 2
intermediate = 24
init_std = 0.4
[lora]
rank = 3
[[stage]]
name = "sft"
kind = "next_negative"
iterations = 10
prompts = 4
prompts_per_lease = 2
learning_rate = 0.01
[[stage]]
name = "near"
kind = "grpo"
iterations = 10
prompts = 4
prompts_per_lease = 2
learning_rate = 0.01
[[stage]]
name = "far"
kind = "grpo"
iterations = 10
prompts = 4
prompts_per_lease = 2
learning_rate = 0.01
"#;

fn spec() -> RunSpec {
    RunSpec::check(RunConfig::parse(SPEC, "test").unwrap()).unwrap()
}

fn scratch(spec: &RunSpec) -> BaseModel {
    BaseModel::from_scratch(spec, VOCABULARY.size()).unwrap()
}

fn begin(spec: &RunSpec, stage: u32) -> TrainingState {
    let mut state = TrainingState::new(spec, &scratch(spec)).unwrap();
    state.apply(StateChange::BeginPass { pass: Pass::Select }, spec).unwrap();
    state.apply(StateChange::BeginStage { stage }, spec).unwrap();
    state
}

/// One supervised iteration; returns the loss.
fn learn(state: &mut TrainingState, fixture: &Fixture, spec: &RunSpec) -> f64 {
    let prompts = prompts();
    let policy = state.policy().unwrap();
    let targets: Vec<TargetPrompt<'_>> = prompts.iter().map(|p| TargetPrompt { tokens: p, cell: 4 }).collect();
    let lease = SupervisedLease { policy: &policy, legal: fixture.legal() }.next_negative(&targets).unwrap();
    state.sum().unwrap().accumulate(&lease).unwrap();
    commit(state, spec);
    lease.metrics.loss
}

/// One GRPO iteration that rewards cells near cell 4; returns its mean reward.
fn reinforce(state: &mut TrainingState, fixture: &Fixture, spec: &RunSpec, iteration: u64) -> f64 {
    let prompts = prompts();
    let (policy, reference) = (state.policy().unwrap(), state.reference().unwrap());
    let settings = GrpoSettings {
        seed: 5,
        iteration,
        completions: 8,
        temperature: 1.0,
        beta: 0.01,
        nll_weight: 0.0,
        objective: Objective::paper(),
    };
    let lease = GrpoLease { policy: &policy, reference: &reference, behaviour: None, legal: fixture.legal(), settings };
    let groups: Vec<GroupPrompt<'_>> =
        prompts.iter().enumerate().map(|(i, p)| GroupPrompt { id: i as u64, tokens: p, next: None }).collect();
    let reward = |cell: &u32| Some(1.0 / (1.0 + f64::from(cell.abs_diff(4))));
    let lease = lease.run(&groups, &|_, cells| cells.iter().map(reward).collect()).unwrap();
    state.sum().unwrap().accumulate(&lease).unwrap();
    commit(state, spec);
    lease.metrics.reward / lease.metrics.completions as f64
}

fn commit(state: &mut TrainingState, spec: &RunSpec) {
    let reduced = Tensor::from_slice(&state.sum().unwrap().integers().unwrap().0);
    state.commit(&reduced, 4, 0.02, &spec.optimizer).unwrap();
}

#[test]
fn a_supervised_stage_trains_the_base_and_a_grpo_stage_the_adapter() {
    let (fixture, spec) = (Fixture::new(Kind::Float), spec());
    let mut state = begin(&spec, 0);
    let (base, lora) = (state.base().copy(), state.lora().copy());
    let losses: Vec<f64> = (0..3).map(|_| learn(&mut state, &fixture, &spec)).collect();
    assert!(losses[2] < 0.9 * losses[0], "{losses:?}");
    assert!(state.base() != &base && state.lora() == &lora);
    state.apply(StateChange::BeginStage { stage: 1 }, &spec).unwrap();
    let base = state.base().copy();
    (0..3).for_each(|i| {
        reinforce(&mut state, &fixture, &spec, i);
    });
    assert!(state.base() == &base && state.lora() != &lora);
}

#[test]
fn grpo_raises_its_reward() {
    let (fixture, spec) = (Fixture::new(Kind::Float), spec());
    let mut state = begin(&spec, 1);
    let rewards: Vec<f64> = (0..60).map(|i| reinforce(&mut state, &fixture, &spec, i)).collect();
    let mean = |r: &[f64]| r.iter().sum::<f64>() / r.len() as f64;
    assert!(mean(&rewards[..5]) < 0.6 && mean(&rewards[50..]) > 0.9, "{rewards:?}");
}

#[test]
fn best_is_kept_and_restored_and_a_stage_goes_on_with_the_adapter() {
    let (fixture, spec) = (Fixture::new(Kind::Float), spec());
    let mut state = begin(&spec, 1);
    assert!(state.apply(StateChange::RestoreBest, &spec).is_err(), "nothing was kept");
    reinforce(&mut state, &fixture, &spec, 0);
    state.apply(StateChange::KeepBest, &spec).unwrap();
    let best = state.lora().copy();
    reinforce(&mut state, &fixture, &spec, 1);
    assert!(state.lora() != &best);
    state.apply(StateChange::RestoreBest, &spec).unwrap();
    assert!(state.lora() == &best);
    state.apply(StateChange::BeginStage { stage: 2 }, &spec).unwrap();
    assert!(state.lora() == &best);
    assert!(state.apply(StateChange::BeginStage { stage: 3 }, &spec).is_err());
}

#[test]
fn digest_follows_every_change_and_nothing_else() {
    let (fixture, spec) = (Fixture::new(Kind::Float), spec());
    let mut state = begin(&spec, 1);
    let start = state.digest().unwrap();
    assert_eq!(start, begin(&spec, 1).digest().unwrap());
    assert_ne!(start, begin(&spec, 0).digest().unwrap());
    reinforce(&mut state, &fixture, &spec, 0);
    let after = state.digest().unwrap();
    assert_ne!(after, start);
    state.clear_sum();
    assert_eq!(after, state.digest().unwrap());
    let mut twin = begin(&spec, 1);
    reinforce(&mut twin, &fixture, &spec, 0);
    assert_eq!(twin.digest().unwrap(), after);
    state.apply(StateChange::KeepBest, &spec).unwrap();
    assert_ne!(after, state.digest().unwrap());
}

#[test]
fn a_state_read_from_its_parts_goes_on_alike() {
    let (fixture, spec) = (Fixture::new(Kind::Float), spec());
    let mut state = begin(&spec, 1);
    reinforce(&mut state, &fixture, &spec, 0);
    state.apply(StateChange::KeepBest, &spec).unwrap();
    reinforce(&mut state, &fixture, &spec, 1);
    let parts: BTreeMap<_, _> = state.to_parts().unwrap().into_iter().collect();
    let read = |name: &str| parts.get(name).map(Vec::as_slice);
    let mut back = TrainingState::from_parts(&spec, &scratch(&spec), &read).unwrap();
    assert_eq!(back.digest().unwrap(), state.digest().unwrap());
    reinforce(&mut state, &fixture, &spec, 2);
    reinforce(&mut back, &fixture, &spec, 2);
    assert_eq!(back.digest().unwrap(), state.digest().unwrap());
    back.apply(StateChange::RestoreBest, &spec).unwrap();
}

#[test]
fn a_rollout_keeps_the_policy_that_samples_until_the_next_stage() {
    let (fixture, spec) = (Fixture::new(Kind::Float), spec());
    let mut state = begin(&spec, 0);
    assert!(state.apply(StateChange::BeginRollout, &spec).is_err(), "a supervised stage samples nothing");
    state.apply(StateChange::BeginStage { stage: 1 }, &spec).unwrap();
    assert!(state.behaviour().is_err(), "no rollout has begun");
    let without = state.digest().unwrap();
    state.apply(StateChange::BeginRollout, &spec).unwrap();
    let begun = state.digest().unwrap();
    assert_ne!(begun, without, "what later updates depend on is part of the digest");
    reinforce(&mut state, &fixture, &spec, 0);

    let parts: BTreeMap<_, _> = state.to_parts().unwrap().into_iter().collect();
    let read = |name: &str| parts.get(name).map(Vec::as_slice);
    let mut back = TrainingState::from_parts(&spec, &scratch(&spec), &read).unwrap();
    assert_eq!(back.digest().unwrap(), state.digest().unwrap());
    for state in [&mut state, &mut back] {
        assert_eq!(again(state, &fixture, 0), again(&begun_anew(&spec), &fixture, 0), "as before the first update");
        assert!(state.is_unharmed().unwrap());
        state.apply(StateChange::BeginStage { stage: 2 }, &spec).unwrap();
        assert!(state.behaviour().is_err(), "the next stage begins without");
    }
    assert_eq!(back.digest().unwrap(), state.digest().unwrap());
}

fn begun_anew(spec: &RunSpec) -> TrainingState {
    let mut state = begin(spec, 0);
    state.apply(StateChange::BeginStage { stage: 1 }, spec).unwrap();
    state.apply(StateChange::BeginRollout, spec).unwrap();
    state
}

/// The completions that the rollout at hand draws for one prompt.
fn again(state: &TrainingState, fixture: &Fixture, iteration: u64) -> Vec<u32> {
    let behaviour = state.behaviour().unwrap();
    let prefix = Prefix::compute(&behaviour, &[&prompts()[0]]).unwrap();
    let key = DrawKey { seed: 5, iteration, prompt: 0 };
    sample(&prefix, &fixture.legal(), 1.0, &[key], 200).unwrap().cells
}

#[test]
fn parts_of_another_model_are_refused_by_name() {
    let spec = spec();
    let parts: BTreeMap<_, _> = begin(&spec, 1).to_parts().unwrap().into_iter().collect();
    let wider = RunSpec::check(RunConfig::parse(&SPEC.replace("rank = 3", "rank = 4"), "test").unwrap()).unwrap();
    let read = |name: &str| parts.get(name).map(Vec::as_slice);
    let error = TrainingState::from_parts(&wider, &scratch(&wider), &read).unwrap_err().to_string();
    let expected = "tensor `base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight`: found F32 of shape [3, 16], expected F32 of shape [4, 16]";
    assert_eq!(error, expected);
    let none = |name: &str| parts.get(name).filter(|_| name != "base.safetensors").map(Vec::as_slice);
    let error = TrainingState::from_parts(&spec, &scratch(&spec), &none).unwrap_err().to_string();
    assert_eq!(error, "part `base.safetensors`: is missing");
    let cut = |name: &str| parts.get(name).map(|b| &b[..b.len() - 7]);
    assert!(TrainingState::from_parts(&spec, &scratch(&spec), &cut).is_err());
}

/// The optimiser's part with another header; lengths of the file are put right.
fn with_header(part: &[u8], change: impl Fn(&str) -> String) -> Vec<u8> {
    let length = u64::from_le_bytes(part[..8].try_into().unwrap()) as usize;
    let header = change(std::str::from_utf8(&part[8..8 + length]).unwrap());
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &part[8 + length..]].concat()
}

#[test]
fn a_list_without_numbers_that_claims_a_huge_shape_is_an_error() {
    let spec = spec();
    let state = TrainingState::new(&spec, &scratch(&spec)).unwrap();
    let mut parts: BTreeMap<&str, Vec<u8>> = state.to_parts().unwrap().into_iter().collect();
    let changed = with_header(&parts["optimizer.safetensors"], |header| {
        let at = header.find("\"best\"").unwrap();
        let (before, after) = header.split_at(at);
        before.to_owned() + &after.replacen("\"shape\":[0]", "\"shape\":[18446744073709551615,0]", 1)
    });
    parts.insert("optimizer.safetensors", changed);
    let part = |name: &str| parts.get(name).map(Vec::as_slice);
    let error = TrainingState::from_parts(&spec, &scratch(&spec), &part).err().unwrap().to_string();
    assert!(error.contains("best") && error.contains("18446744073709551615"), "{error}");
}

/// From scratch the adapter is folded in: another run goes on from the same function, with a fresh adapter and optimiser.
#[test]
fn a_warm_start_is_the_same_function_in_both_passes() {
    let (fixture, spec) = (Fixture::new(Kind::Float), spec());
    let mut earlier = begin(&spec, 0);
    for _ in 0..3 {
        learn(&mut earlier, &fixture, &spec);
    }
    earlier.apply(StateChange::BeginStage { stage: 1 }, &spec).unwrap();
    for i in 0..3 {
        reinforce(&mut earlier, &fixture, &spec, i);
    }
    let prompts = prompts();
    let prompts: Vec<&[i64]> = prompts.iter().map(Vec::as_slice).collect();
    let start = WarmStart::of(&earlier).unwrap();
    start.check(&scratch(&spec), earlier.lora_config()).unwrap();
    let warm = scratch(&spec).going_on_from(start);
    let mut state = TrainingState::new(&spec, &warm).unwrap();
    for pass in [Pass::Select, Pass::Refit] {
        state.apply(StateChange::BeginPass { pass }, &spec).unwrap();
        let best = |state: &TrainingState| {
            let policy = state.frozen().unwrap();
            let search = BeamSearch::new(&policy, fixture.legal(), 3).unwrap();
            let found = search.search(&prompts).unwrap();
            found.iter().flatten().map(|beam| (beam.cell, beam.log_probability)).collect::<Vec<_>>()
        };
        for ((cell, now), (then, before)) in best(&state).into_iter().zip(best(&earlier)) {
            assert_eq!(cell, then);
            assert!((now - before).abs() < 1e-4, "{now} {before}");
        }
        assert!(state.base() != earlier.base(), "the adapter is folded in");
        // What trains in one pass is not what the next begins with.
        state.apply(StateChange::BeginStage { stage: 0 }, &spec).unwrap();
        learn(&mut state, &fixture, &spec);
    }

    let other = RunConfig { lora: conrec_domain::spec::LoraSpec { rank: 2, ..spec.lora.clone() }, ..(*spec).clone() };
    let wider =
        RunConfig { model: conrec_domain::spec::ModelSpec { hidden: 24, ..spec.model.clone() }, ..(*spec).clone() };
    let start = WarmStart::of(&earlier).unwrap();
    // A fresh adapter may have any rank; another width is another model.
    let other = RunSpec::check(other).unwrap();
    start.check(&scratch(&other), LoraConfig::new(&other.lora).unwrap()).unwrap();
    let wider = RunSpec::check(wider).unwrap();
    let error = start.check(&scratch(&wider), earlier.lora_config()).unwrap_err().to_string();
    assert!(error.contains("warm_start.run has another model"), "{error}");
}
