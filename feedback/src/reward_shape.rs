//! What a completion is paid: the variant's reward (`reward.rs`) alone, against other users, or as a part of its group
//! (method, section 10; formulas and what each shape is for: docs/rewards.md).
//!
//! Shapes that look at a group are leave-one-out: f(group) - f(group without the completion). What is taken off does not
//! depend on the completion, so the expected gradient is that of f, which is a quality of lists (Kool et al. 2019,
//! "Buy 4 REINFORCE samples", section 3, for the baseline).

use crate::event::Sign;
use crate::reward::{RewardModel, Targets};
use crate::semantic_id::SemanticIds;
use crate::split::days;
use crate::training_time::TrainingTime;
use conrec_domain::spec::{ExcludedCells, RewardShape, RewardSpec};

/// Computes what completions are paid; knows cells and training time, but no prompt.
#[derive(Clone, Debug)]
pub struct ShapedReward {
    model: RewardModel,
    shape: RewardShape,
    hit_weight: f64,
    excluded: ExcludedCells,
    /// Of each cell, alpha ln((n + 1) / (mean n + 1)) with its n negatives of training time; 0 under other shapes.
    popularity: Vec<f64>,
}

impl ShapedReward {
    /// The config's shape of a reward; popularity is counted in training time.
    pub fn new(spec: &RewardSpec, model: RewardModel, ids: &SemanticIds, training: &TrainingTime) -> Self {
        let popularity = match spec.shape {
            RewardShape::PopularityAware => popularity(spec, ids, training),
            RewardShape::Single | RewardShape::Lift | RewardShape::Set | RewardShape::Hit | RewardShape::SetHit => {
                vec![0.0; ids.cells()]
            }
        };
        Self { model, shape: spec.shape, hit_weight: spec.hit_weight, excluded: spec.excluded, popularity }
    }

    /// The reward of single completions, and similarities.
    pub fn model(&self) -> &RewardModel {
        &self.model
    }

    /// What the completions `cells` of prompt `asked` are paid. `lease` are the targets of all prompts of the lease, which
    /// the config fixes, so the bits are fixed too. None abstains: no negative of the instance has a cell, or no other
    /// user of the lease has one to compare with.
    pub fn group(&self, lease: &[&Targets], asked: usize, cells: &[u32]) -> Vec<Option<f64>> {
        let Some(targets) = lease.get(asked).filter(|targets| !targets.negatives.is_empty()) else {
            return vec![None; cells.len()];
        };
        let unpaid =
            |cell: &u32| self.excluded == ExcludedCells::Unpaid && targets.excluded.binary_search(cell).is_ok();
        let paid: Vec<bool> = cells.iter().map(|cell| !unpaid(cell)).collect();
        let hit = |cell: u32| f64::from(u8::from(targets.is_hit(cell)));
        let one_by_one = |pay: &dyn Fn(u32) -> Option<f64>| cells.iter().map(|cell| pay(*cell)).collect();
        let shaped: Vec<Option<f64>> = match self.shape {
            RewardShape::Single => one_by_one(&|cell| self.model.reward(cell, targets)),
            RewardShape::PopularityAware => {
                one_by_one(&|cell| Some(self.model.reward(cell, targets)? - self.popularity.get(cell as usize)?))
            }
            RewardShape::Lift => one_by_one(&|cell| self.lift(cell, targets, lease)),
            RewardShape::Hit => one_by_one(&|cell| Some(hit(cell))),
            RewardShape::Set => self.marginal_coverage(targets, cells, &paid),
            RewardShape::SetHit => {
                only_hits(&cells.iter().zip(&paid).map(|(c, p)| *p && targets.is_hit(*c)).collect::<Vec<_>>())
            }
        };
        let mixed = |((shaped, cell), paid): ((Option<f64>, &u32), &bool)| {
            let whole = shaped? + self.hit_weight * hit(*cell);
            Some(if *paid { whole } else { 0.0 })
        };
        shaped.into_iter().zip(cells).zip(&paid).map(mixed).collect()
    }

    /// r(o, p) minus the mean of r(o, q) over the lease's prompts q of other users.
    fn lift(&self, cell: u32, targets: &Targets, lease: &[&Targets]) -> Option<f64> {
        let others = lease.iter().filter(|other| other.user != targets.user);
        let (mut sum, mut count) = (0.0, 0u32);
        for reward in others.filter_map(|other| self.model.reward(cell, other)) {
            sum += reward;
            count += 1;
        }
        let own = self.model.reward(cell, targets)?;
        (count > 0).then(|| own - sum / f64::from(count))
    }

    /// C(group) - C(group without the completion), C = sum over GTS of the largest cover - gamma * the same over FPS.
    fn marginal_coverage(&self, targets: &Targets, cells: &[u32], paid: &[bool]) -> Vec<Option<f64>> {
        let mut marginal = vec![0.0; cells.len()];
        let mut add = |set: &[u32], weight: f64| {
            for &target in set {
                let cover = |(cell, paid): (&u32, &bool)| if *paid { self.model.covers(*cell, target) } else { 0.0 };
                let covers: Vec<f64> = cells.iter().zip(paid).map(cover).collect();
                if let Some((best, ahead)) = lead(&covers) {
                    marginal[best] += weight * ahead;
                }
            }
        };
        add(&targets.negatives, 1.0);
        let positives = self.model.positive_weight();
        if positives > 0.0 {
            add(&targets.positives, -positives);
        }
        marginal.into_iter().map(Some).collect()
    }
}

/// The place of the largest of some values that are 0 or more, and what it is ahead of the second (of 0 if it is alone).
fn lead(values: &[f64]) -> Option<(usize, f64)> {
    let best = (0..values.len()).reduce(|best, i| if values[i] > values[best] { i } else { best })?;
    let others = values.iter().enumerate().filter(|(i, _)| *i != best).map(|(_, value)| *value);
    Some((best, values[best] - others.fold(0.0, f64::max)))
}

/// 1 for a hit that is the only one: without it the group's FHR falls from 1 to 0.
fn only_hits(hits: &[bool]) -> Vec<Option<f64>> {
    let alone = hits.iter().filter(|hit| **hit).count() == 1;
    hits.iter().map(|hit| Some(f64::from(u8::from(*hit && alone)))).collect()
}

fn popularity(spec: &RewardSpec, ids: &SemanticIds, training: &TrainingTime) -> Vec<f64> {
    let window = (spec.popularity_days > 0).then(|| days(spec.popularity_days));
    let mut counts = vec![0u32; ids.cells()];
    let negatives = training.last(window).iter().filter(|event| event.sign == Sign::Negative);
    for cell in negatives.filter_map(|event| ids.cell_of(event.item)) {
        counts[cell as usize] += 1;
    }
    let mean = counts.iter().map(|n| f64::from(*n)).sum::<f64>() / counts.len().max(1) as f64;
    counts.iter().map(|n| spec.popularity_alpha * ((f64::from(*n) + 1.0) / (mean + 1.0)).ln()).collect()
}
