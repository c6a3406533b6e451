//! What each completion of a micro-batch counts in the loss: its reward, its advantage, its weight. No tensors here.

use crate::error::PolicyError;
use crate::legal::Legal;
use conrec_domain::spec::{AdvantageScale, Baseline, GrpoLoss, Objective};
use conrec_domain::work::TrainMetrics;
use conrec_feedback::advantage::{CentredGroup, Spread};
use std::collections::BTreeSet;

/// The rewards of a group: index of the prompt in the lease, cells of its completions; one entry a cell, none abstains.
/// A group is asked for once, as a whole, so that a reward may depend on what else was sampled.
pub type Reward<'r> = dyn Fn(usize, &[u32]) -> Vec<Option<f64>> + 'r;

/// The completions of a micro-batch's prompts.
#[derive(Debug)]
pub(crate) struct Groups {
    /// The prompts, as indices into the lease's.
    pub(crate) prompts: Vec<usize>,
    /// Where completions ended, `prompts * width`, prompt-major.
    pub(crate) cells: Vec<u32>,
    /// Completions a prompt.
    pub(crate) width: usize,
    /// What each stands for, up to a factor a prompt; none where all stand for the same.
    pub(crate) weights: Option<Vec<f64>>,
}

/// What is known of them, one entry a completion.
#[derive(Debug)]
pub(crate) struct Scores {
    /// |y|: codes that were not forced.
    pub(crate) free: Vec<u32>,
    rewards: Vec<Option<f64>>,
    /// Reward less baseline.
    centred: Vec<f64>,
    /// Standard deviation of the group.
    std: Vec<f64>,
    /// The completion is one of so many equal ones that the group would have; none where it gives no gradient.
    one_of: Vec<Option<f64>>,
    width: usize,
}

impl Groups {
    /// Asks for rewards and compares them within each group; counts all of that.
    ///
    /// A group whose rewards are all equal gives no gradient. A completion without reward takes no part in its group.
    pub(crate) fn score(
        &self,
        legal: &Legal<'_>,
        reward: &Reward<'_>,
        baseline: Baseline,
        metrics: &mut TrainMetrics,
    ) -> Result<Scores, PolicyError> {
        let (width, all) = (self.width, self.cells.len());
        let mut scores = Scores {
            free: self.cells.iter().map(|cell| legal.free_codes(*cell)).collect(),
            rewards: Vec::with_capacity(all),
            centred: vec![0.0; all],
            std: vec![0.0; all],
            one_of: vec![None; all],
            width,
        };
        for (place, prompt) in self.prompts.iter().enumerate() {
            let members = place * width..(place + 1) * width;
            let given = reward(*prompt, &self.cells[members.clone()]);
            if given.len() != width {
                let expected = format!("{width}, one a completion");
                return Err(PolicyError::Input {
                    what: "rewards of a group",
                    found: given.len().to_string(),
                    expected,
                });
            }
            scores.rewards.extend(given.into_iter().map(|r| r.filter(|r| r.is_finite())));
            metrics.groups += 1;
            metrics.completions += width as u64;
            metrics.distinct += self.cells[members.clone()].iter().collect::<BTreeSet<_>>().len() as u64;
            metrics.codes += scores.free[members.clone()].iter().map(|n| u64::from(*n)).sum::<u64>();
            let weights = self.weights.as_ref().map(|w| &w[members.clone()]);
            scores.compare(members.start, weights, baseline, metrics);
        }
        Ok(scores)
    }
}

impl Scores {
    /// One group, which begins at `first`.
    fn compare(&mut self, first: usize, weights: Option<&[f64]>, baseline: Baseline, metrics: &mut TrainMetrics) {
        let rewarded: Vec<(usize, f64)> =
            (0..self.width).filter_map(|i| self.rewards[first + i].map(|reward| (i, reward))).collect();
        let values: Vec<f64> = rewarded.iter().map(|(_, r)| *r).collect();
        let of_rewarded: Option<Vec<f64>> = weights.map(|w| rewarded.iter().map(|(i, _)| w[*i]).collect());
        let group = CentredGroup::new(&values, of_rewarded.as_deref(), baseline);
        metrics.abstained += (self.width - values.len()) as u64;
        metrics.reward += match weights {
            None => values.iter().sum::<f64>(),
            Some(_) => group.mean * values.len() as f64,
        };
        metrics.reward_std += group.std;
        if let Some(weights) = weights {
            let total: f64 = weights.iter().sum();
            metrics.effective += 1.0 / weights.iter().map(|w| (w / total) * (w / total)).sum::<f64>();
        }
        if group.zero_variance {
            metrics.zero_variance_groups += 1;
            return;
        }
        let total: f64 = weights.map_or(0.0, |w| w.iter().sum());
        for ((i, _), centred) in rewarded.iter().zip(&group.values) {
            let at = first + i;
            self.centred[at] = *centred;
            self.std[at] = group.std;
            self.one_of[at] = Some(weights.map_or(self.width as f64, |w| total / w[*i]));
            metrics.trained_codes += u64::from(self.free[at]);
        }
    }

    /// A = (r - baseline) / divisor; 0 for completions that give no gradient. `batch` is the lease's deviation.
    pub(crate) fn advantages(&self, objective: &Objective, batch: f64) -> Vec<f64> {
        let scaled = |(centred, std): (&f64, &f64)| match objective.scale {
            AdvantageScale::GroupStd => centred / std.max(objective.floor),
            AdvantageScale::BatchStd => centred / batch.max(objective.floor),
            AdvantageScale::None => *centred,
        };
        self.centred.iter().zip(&self.std).map(scaled).collect()
    }

    /// What each of a completion's codes counts in the lease's sum; 0 where it gives no gradient. The sum is divided by
    /// the iteration's groups, or by its codes that train (`Dapo`, `Cispo`). `levels` is the longest completion.
    pub(crate) fn weights(&self, loss: GrpoLoss, levels: usize) -> Vec<f64> {
        let weight = |(one_of, free): (&Option<f64>, &u32)| match one_of {
            Some(one_of) if *free > 0 => match loss {
                GrpoLoss::Grpo | GrpoLoss::Gspo => 1.0 / (one_of * f64::from(*free)),
                GrpoLoss::DrGrpo => 1.0 / (one_of * levels as f64),
                GrpoLoss::Dapo | GrpoLoss::Cispo => self.width as f64 / one_of,
            },
            _ => 0.0,
        };
        self.one_of.iter().zip(&self.free).map(weight).collect()
    }
}

/// The standard deviation of all rewards of a lease; every group counts alike, whatever its completions stand for.
pub(crate) fn deviation<'a>(lease: impl Iterator<Item = (&'a Groups, &'a Scores)>) -> f64 {
    let (mut rewards, mut weights) = (Vec::new(), None);
    for (groups, scores) in lease {
        if groups.weights.is_some() {
            weights.get_or_insert_with(Vec::new);
        }
        for first in (0..groups.cells.len()).step_by(groups.width.max(1)) {
            let members = first..first + groups.width;
            let total: f64 = groups.weights.as_ref().map_or(1.0, |w| w[members.clone()].iter().sum());
            for i in members {
                let Some(reward) = scores.rewards[i] else { continue };
                rewards.push(reward);
                if let (Some(all), Some(own)) = (&mut weights, &groups.weights) {
                    all.push(own[i] / total);
                }
            }
        }
    }
    Spread::of(&rewards, weights.as_deref()).std
}
