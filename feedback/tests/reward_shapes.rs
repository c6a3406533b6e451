//! The reward's shapes against values made by an independent program (`golden/reward_shapes.py`), their properties, and
//! that popularity is counted in training time only.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use conrec_domain::spec::{ExcludedCells, RewardShape, RewardSpec, RewardVariant};
use conrec_feedback::dataset::{Dataset, Item};
use conrec_feedback::event::{Event, Sign};
use conrec_feedback::matrix::Matrix;
use conrec_feedback::reward::{RewardModel, Targets};
use conrec_feedback::reward_shape::ShapedReward;
use conrec_feedback::semantic_id::SemanticIds;
use conrec_feedback::split::DAY;
use conrec_feedback::training_time::TrainingTime;
use proptest::prelude::*;

const SHAPES: [RewardShape; 6] = [
    RewardShape::Single,
    RewardShape::Lift,
    RewardShape::Set,
    RewardShape::Hit,
    RewardShape::SetHit,
    RewardShape::PopularityAware,
];

#[derive(serde::Deserialize)]
struct Golden {
    levels: usize,
    codes: usize,
    latent: usize,
    gamma: f64,
    truncate_below: f64,
    alpha: f64,
    hit_weight: f64,
    codes_of_item: Vec<u16>,
    vectors: Vec<f32>,
    negatives_of_item: Vec<u32>,
    lease: Vec<Prompt>,
    groups: Vec<Vec<u32>>,
    cases: Vec<Case>,
}

#[derive(serde::Deserialize)]
struct Prompt {
    user: u32,
    negatives: Vec<u32>,
    positives: Vec<u32>,
    excluded: Vec<u32>,
}

#[derive(serde::Deserialize)]
struct Case {
    shape: RewardShape,
    variant: RewardVariant,
    unpaid: bool,
    rewards: Vec<Vec<Option<f64>>>,
}

/// A catalogue: semantic ids, cell vectors, and a dataset of nothing but negatives at time 0.
struct Catalogue {
    ids: SemanticIds,
    vectors: Matrix,
    dataset: Dataset,
}

fn golden() -> (Golden, Catalogue, Vec<Targets>) {
    let golden: Golden = serde_json::from_str(include_str!("golden/reward_shapes.json")).unwrap();
    let items = golden.negatives_of_item.len();
    let ids = SemanticIds::new(golden.levels, golden.codes, golden.codes_of_item.clone(), &vec![true; items]).unwrap();
    let vectors = Matrix { rows: ids.cells(), cols: golden.latent, data: golden.vectors.clone() };
    let disliked = golden.negatives_of_item.iter().enumerate();
    let events = disliked.flat_map(|(item, n)| {
        (0..*n).map(move |user| Event { user, item: item as u32, time: 0, sign: Sign::Negative })
    });
    let dataset = Dataset {
        events: events.collect(),
        users: vec![String::new(); 6],
        items: vec![Item::default(); items],
        ..Dataset::default()
    };
    let lease = golden.lease.iter().map(|p| Targets {
        negatives: p.negatives.clone(),
        positives: p.positives.clone(),
        excluded: p.excluded.clone(),
        user: p.user,
        next: None,
    });
    let lease = lease.collect();
    (golden, Catalogue { ids, vectors, dataset }, lease)
}

impl Catalogue {
    fn reward(&self, spec: &RewardSpec, train_end: i64) -> ShapedReward {
        let model = RewardModel::new(spec, &self.vectors, &self.ids).unwrap();
        ShapedReward::new(spec, model, &self.ids, &TrainingTime::new(&self.dataset, train_end))
    }
}

/// The golden catalogue and lease with another spec.
fn shaped(spec: RewardSpec) -> (ShapedReward, Vec<Targets>) {
    let (_, catalogue, lease) = golden();
    (catalogue.reward(&spec, DAY), lease)
}

fn pay(reward: &ShapedReward, lease: &[Targets], asked: usize, cells: &[u32]) -> Vec<Option<f64>> {
    reward.group(&lease.iter().collect::<Vec<_>>(), asked, cells)
}

#[test]
fn every_shape_equals_the_golden_values() {
    let (golden, catalogue, lease) = golden();
    assert_eq!(golden.cases.len(), 4 * 5 * 2 + 2 * 2);
    for case in &golden.cases {
        let spec = RewardSpec {
            variant: case.variant,
            gamma: golden.gamma,
            truncate_below: golden.truncate_below,
            shape: case.shape,
            hit_weight: golden.hit_weight,
            popularity_alpha: golden.alpha,
            excluded: if case.unpaid { ExcludedCells::Unpaid } else { ExcludedCells::Rewarded },
            ..RewardSpec::default()
        };
        let reward = catalogue.reward(&spec, DAY);
        for (asked, (cells, expected)) in golden.groups.iter().zip(&case.rewards).enumerate() {
            let found = pay(&reward, &lease, asked, cells);
            let near = |(a, b): (&Option<f64>, &Option<f64>)| match (a, b) {
                // Cosines are of 32-bit vectors here, of 64-bit ones there.
                (Some(a), Some(b)) => (a - b).abs() < 2e-6,
                (a, b) => a.is_none() && b.is_none(),
            };
            assert_eq!(found.len(), expected.len());
            let what = format!("{:?} {:?} unpaid {}", case.shape, case.variant, case.unpaid);
            assert!(found.iter().zip(expected).all(near), "{what}, prompt {asked}: {found:?} {expected:?}");
        }
    }
}

#[test]
fn a_hub_has_no_lift() {
    let (reward, mut lease) = shaped(RewardSpec { shape: RewardShape::Lift, ..RewardSpec::default() });
    // All users dislike the same: whatever is near that is near everybody's dislikes.
    for targets in &mut lease {
        (targets.negatives, targets.positives) = (vec![2, 5], vec![1]);
    }
    for asked in 0..lease.len() {
        for lift in pay(&reward, &lease, asked, &[0, 2, 5, 9]) {
            assert!(lift.unwrap().abs() < 1e-12, "{lift:?}");
        }
    }
    // What only this user dislikes keeps a lift; alone in its lease nobody has one.
    lease[1].negatives = vec![7];
    assert!(pay(&reward, &lease, 1, &[7])[0].unwrap() > 0.1);
    assert_eq!(pay(&reward, &lease[1..2], 0, &[7]), [None]);
    lease[0].user = lease[3].user;
    assert_eq!(pay(&reward, &[lease[0].clone(), lease[3].clone()], 0, &[7]), [None]);
}

#[test]
fn twice_the_same_completion_adds_nothing_to_a_set() {
    let spec = RewardSpec { gamma: 0.0, ..RewardSpec::default() };
    for shape in [RewardShape::Set, RewardShape::SetHit] {
        let (reward, lease) = shaped(RewardSpec { shape, ..spec.clone() });
        let target = lease[0].negatives[0];
        assert!(pay(&reward, &lease, 0, &[target])[0].unwrap() >= 1.0 - 1e-6);
        assert_eq!(pay(&reward, &lease, 0, &[target, target]), [Some(0.0); 2]);
    }
}

#[test]
fn popularity_looks_at_nothing_after_training_time_and_at_its_window() {
    let (_, mut catalogue, lease) = golden();
    let spec = RewardSpec { shape: RewardShape::PopularityAware, popularity_alpha: 1.0, ..RewardSpec::default() };
    let paid = |catalogue: &Catalogue, spec: &RewardSpec| pay(&catalogue.reward(spec, DAY), &lease, 0, &[0, 1, 2]);
    let before = paid(&catalogue, &spec);
    let late = |time| Event { user: 0, item: 0, time, sign: Sign::Negative };
    catalogue.dataset.events.push(late(DAY));
    assert_eq!(paid(&catalogue, &spec), before);
    // The same event within training time is seen: the comparison could not pass by looking at nothing.
    *catalogue.dataset.events.last_mut().unwrap() = late(DAY - 1);
    assert_ne!(paid(&catalogue, &spec), before);
    let windowed = |days| paid(&catalogue, &RewardSpec { popularity_days: days, ..spec.clone() });
    assert_eq!(windowed(1), windowed(0));
    catalogue.dataset.events.iter_mut().for_each(|e| e.time -= DAY);
    let late_only = pay(&catalogue.reward(&RewardSpec { popularity_days: 1, ..spec.clone() }, DAY), &lease, 0, &[0, 1]);
    assert_ne!(late_only, before[..2]);
}

proptest! {
    #[test]
    fn no_shape_depends_on_the_order_of_the_group(
        cells in prop::collection::vec(0u32..10, 1..9),
        asked in 0usize..4,
        shape in 0usize..6,
        turn in 0usize..8,
    ) {
        let spec = RewardSpec { shape: SHAPES[shape], hit_weight: 0.5, excluded: ExcludedCells::Unpaid, ..RewardSpec::default() };
        let (reward, lease) = shaped(spec);
        let mut turned = cells.clone();
        let by = turn % cells.len();
        turned.rotate_left(by);
        let mut found = pay(&reward, &lease, asked, &turned);
        found.rotate_right(by);
        prop_assert_eq!(found, pay(&reward, &lease, asked, &cells));
    }

    #[test]
    fn marginal_coverages_add_up_to_no_more_than_the_coverage(
        cells in prop::collection::vec(0u32..10, 1..9),
        asked in 0usize..4,
    ) {
        let (reward, lease) = shaped(RewardSpec { shape: RewardShape::Set, gamma: 0.0, ..RewardSpec::default() });
        let paid = pay(&reward, &lease, asked, &cells);
        let model = reward.model();
        let best = |target: &u32| cells.iter().map(|cell| model.covers(*cell, *target)).fold(0.0, f64::max);
        let coverage: f64 = lease[asked].negatives.iter().map(best).sum();
        let sum: f64 = paid.iter().map(|r| r.unwrap()).sum();
        prop_assert!(paid.iter().all(|r| r.unwrap() >= 0.0));
        prop_assert!(sum <= coverage + 1e-9, "{} {}", sum, coverage);
        // Alone a completion is paid all that it covers.
        let alone = pay(&reward, &lease, asked, &cells[..1])[0].unwrap();
        let covered: f64 = lease[asked].negatives.iter().map(|t| model.covers(cells[0], *t)).sum();
        prop_assert!((alone - covered).abs() < 1e-9);
    }
}
