//! Groups without replacement with real rewards: every shape is computed, and a shape that pays each completion for itself
//! has the mean that independent draws have.

use crate::fixture::{CELLS, Fixture, prompts};
use conrec_domain::spec::{Objective, RewardShape, RewardSpec, Sampler};
use conrec_domain::work::TrainMetrics;
use conrec_feedback::dataset::{Dataset, Item};
use conrec_feedback::event::{Event, Sign};
use conrec_feedback::matrix::Matrix;
use conrec_feedback::reward::{RewardModel, Targets};
use conrec_feedback::reward_shape::ShapedReward;
use conrec_feedback::semantic_id::SemanticIds;
use conrec_feedback::split::DAY;
use conrec_feedback::training_time::TrainingTime;
use conrec_policy::grpo::{GroupPrompt, GrpoLease, GrpoSettings};
use conrec_policy::rollout::follow;
use conrec_policy::shared_prefix::Prefix;
use conrec_policy::transformer::Trains;
use tch::{Kind, Tensor};

const G: usize = 5;
const T: f64 = 0.5;
/// Groups of one prompt, each with its own randomness.
const GROUPS: usize = 400;

/// One item a cell; some have been disliked before.
fn shaped(shape: RewardShape) -> ShapedReward {
    let of_item = CELLS.iter().flatten().copied().collect();
    let ids = SemanticIds::new(3, 6, of_item, &[true; CELLS.len()]).unwrap();
    let wave = |i: usize| ((i * i) as f32 * 0.7 + i as f32).sin();
    let vectors = Matrix { rows: CELLS.len(), cols: 4, data: (0..4 * CELLS.len()).map(wave).collect() };
    let disliked = |n: usize| Event { user: 0, item: (n % 7) as u32, time: n as i64, sign: Sign::Negative };
    let dataset = Dataset {
        events: (0..40).map(disliked).collect(),
        users: vec![String::new()],
        items: vec![Item::default(); CELLS.len()],
        ..Dataset::default()
    };
    let spec = RewardSpec { shape, ..RewardSpec::default() };
    let model = RewardModel::new(&spec, &vectors, &ids).unwrap();
    ShapedReward::new(&spec, model, &ids, &TrainingTime::new(&dataset, DAY))
}

fn targets() -> [Targets; 2] {
    let of = |user, negatives: &[u32], positives: &[u32]| Targets {
        negatives: negatives.to_vec(),
        positives: positives.to_vec(),
        user,
        ..Targets::default()
    };
    [of(1, &[3, 9], &[5]), of(2, &[0, 10], &[])]
}

fn run(fixture: &Fixture, sampler: Sampler, reward: &ShapedReward) -> TrainMetrics {
    let (policy, reference) = (fixture.policy(Trains::Lora), fixture.reference());
    let objective = Objective { sampler, ..Objective::paper() };
    let settings =
        GrpoSettings { seed: 8, iteration: 1, completions: G, temperature: T, beta: 0.0, nll_weight: 0.0, objective };
    let lease = GrpoLease { policy: &policy, reference: &reference, behaviour: None, legal: fixture.legal(), settings };
    let (tokens, targets) = (&prompts()[1], targets());
    let groups: Vec<GroupPrompt<'_>> = (0..GROUPS as u64).map(|id| GroupPrompt { id, tokens, next: None }).collect();
    let together: Vec<&Targets> = targets.iter().collect();
    let out = lease.run(&groups, &|_, cells| reward.group(&together, 0, cells)).unwrap();
    assert!(out.gradient.is_some_and(|g| bool::try_from(g.isfinite().all()).unwrap()));
    out.metrics
}

/// pi of every cell, by enumeration.
fn probabilities(fixture: &Fixture) -> Vec<f64> {
    let policy = fixture.policy(Trains::Nothing);
    let prefix = Prefix::compute(&policy, &[&prompts()[1]]).unwrap();
    let cells: Vec<u32> = (0..CELLS.len() as u32).collect();
    let all = follow(&prefix, &fixture.legal(), T, &cells).unwrap();
    let log_probs: Tensor = (0..3).map(|l| all.chosen(l)).sum();
    Vec::try_from(log_probs.exp().to_kind(Kind::Double)).unwrap()
}

#[test]
fn weights_make_up_for_how_a_group_was_drawn() {
    let fixture = Fixture::new(Kind::Float);
    let probabilities = probabilities(&fixture);
    let together = targets();
    let together: Vec<&Targets> = together.iter().collect();
    for shape in [RewardShape::Single, RewardShape::Lift, RewardShape::Hit, RewardShape::PopularityAware] {
        let reward = shaped(shape);
        let of = |cell: usize| reward.group(&together, 0, &[cell as u32])[0].unwrap();
        let rewards: Vec<f64> = (0..CELLS.len()).map(of).collect();
        let expected: f64 = rewards.iter().zip(&probabilities).map(|(r, p)| r * p).sum();
        let range = rewards.iter().fold(f64::MIN, |a, b| a.max(*b)) - rewards.iter().fold(f64::MAX, |a, b| a.min(*b));
        for sampler in [Sampler::Iid, Sampler::GumbelTopK] {
            let m = run(&fixture, sampler, &reward);
            let found = m.reward / m.completions as f64;
            assert!(
                (found - expected).abs() < 0.04 * range,
                "{shape:?} {sampler:?}: {found} instead of {expected}, range {range}"
            );
            assert_eq!(m.distinct == (GROUPS * G) as u64, sampler == Sampler::GumbelTopK);
        }
    }
}

#[test]
fn shapes_that_look_at_the_group_see_distinct_completions() {
    let fixture = Fixture::new(Kind::Float);
    for shape in [RewardShape::Set, RewardShape::SetHit] {
        let m = run(&fixture, Sampler::GumbelTopK, &shaped(shape));
        assert_eq!((m.distinct, m.abstained), ((GROUPS * G) as u64, 0));
        assert!(m.trained_codes > 0 && m.zero_variance_groups < GROUPS as u64, "{m:?}");
    }
}
