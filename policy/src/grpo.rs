//! A GRPO lease: each prompt once, G completions sampled from it, and one backward pass through that very forward.

use crate::error::PolicyError;
use crate::exact_kl::{entropy, exact_kl};
use crate::grpo_loss::{Clip, GrpoTerms, grpo_loss};
use crate::lease_gradient::LeaseGradient;
use crate::legal::Legal;
use crate::micro_batch::micro_batches;
use crate::rollout::{DrawKey, Walk, follow, sample};
use crate::shared_prefix::Prefix;
use crate::transformer::Policy;
use conrec_feedback::advantage::group_advantages;
use std::collections::BTreeSet;
use tch::{Kind, Tensor};

/// One prompt of a lease.
#[derive(Clone, Copy, Debug)]
pub struct GroupPrompt<'a> {
    /// Names the prompt in the randomness of the rollout.
    pub id: u64,
    /// Its tokens.
    pub tokens: &'a [i64],
}

/// How completions are sampled and scored.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GrpoSettings {
    /// Seed of the run.
    pub seed: u64,
    /// The iteration.
    pub iteration: u64,
    /// G: completions a prompt.
    pub completions: usize,
    /// T: temperature of rollout and loss.
    pub temperature: f64,
    /// beta: weight of the KL term; at 0 the reference is not computed and the KL is reported as 0.
    pub beta: f64,
    /// Bounds of the ratio; with one update a rollout the ratio is 1 and they do nothing.
    pub clip: Clip,
    /// Lower bound of the divisor of advantages.
    pub advantage_floor: f64,
}

/// What a lease computes with.
#[derive(Clone, Copy)]
pub struct GrpoLease<'a> {
    /// The policy; its adapter (or its base) trains.
    pub policy: &'a Policy,
    /// The policy at the stage's start; nothing of it trains.
    pub reference: &'a Policy,
    /// The legal codes.
    pub legal: Legal<'a>,
    /// How.
    pub settings: GrpoSettings,
}

/// The rewards of a group: index of the prompt in the lease, cells of its completions; one entry a cell, none abstains.
/// A group is asked for once, as a whole, so that a reward may depend on what else was sampled.
pub type Reward<'r> = dyn Fn(usize, &[u32]) -> Vec<Option<f64>> + 'r;

impl GrpoLease<'_> {
    /// The gradient of the sum over prompts of
    /// - 1/G sum_i 1/|y_i| sum_t (min(rho A, clip(rho) A) - beta KL_t), where |y_i| counts codes that were not forced.
    ///
    /// A group whose rewards are all equal has no gradient: its KL term is left out too, it is counted, and a
    /// micro-batch of such groups has no backward pass. A completion without reward takes no part in its group.
    ///
    /// # Errors
    /// For prompts that the model cannot read, rewards that are not one a completion, or when weights have diverged.
    pub fn run(&self, prompts: &[GroupPrompt<'_>], reward: &Reward<'_>) -> Result<LeaseGradient, PolicyError> {
        let mut lease = LeaseGradient::default();
        let lengths: Vec<usize> = prompts.iter().map(|p| p.tokens.len()).collect();
        for part in micro_batches(&lengths, self.policy.config().micro_batch_tokens) {
            self.micro_batch((prompts, &part), reward, &mut lease)?;
        }
        Ok(lease)
    }

    fn micro_batch(
        &self,
        (prompts, part): (&[GroupPrompt<'_>], &[usize]),
        reward: &Reward<'_>,
        lease: &mut LeaseGradient,
    ) -> Result<(), PolicyError> {
        let s = &self.settings;
        let tokens: Vec<&[i64]> = part.iter().map(|i| prompts[*i].tokens).collect();
        let key = |i: &usize| DrawKey { seed: s.seed, iteration: s.iteration, prompt: prompts[*i].id };
        let keys: Vec<DrawKey> = part.iter().map(key).collect();
        let prefix = Prefix::compute(self.policy, &tokens)?;
        let walk = sample(&prefix, &self.legal, s.temperature, &keys, s.completions)?;
        lease.metrics.prompt_tokens += tokens.iter().map(|t| t.len() as u64).sum::<u64>();
        let weighted = self.weigh(part, &walk, reward, lease)?;
        let kl = self.kl(&tokens, &walk, lease)?;
        if weighted.weights.iter().all(|w| *w == 0.0) {
            return Ok(());
        }
        let loss = self.loss(&walk, &weighted, kl.as_deref());
        lease.add(self.policy, &loss)
    }

    /// Rewards, advantages and weights of a micro-batch's completions.
    fn weigh(
        &self,
        part: &[usize],
        walk: &Walk,
        reward: &Reward<'_>,
        lease: &mut LeaseGradient,
    ) -> Result<Weighted, PolicyError> {
        let group = self.settings.completions;
        let free = walk.free_codes();
        let mut weighted = Weighted { advantages: vec![0.0; free.len()], weights: vec![0.0; free.len()] };
        let metrics = &mut lease.metrics;
        for (place, prompt) in part.iter().enumerate() {
            let members = place * group..(place + 1) * group;
            let given = reward(*prompt, &walk.cells[members.clone()]);
            if given.len() != group {
                let expected = format!("{group}, one a completion");
                return Err(PolicyError::Input {
                    what: "rewards of a group",
                    found: given.len().to_string(),
                    expected,
                });
            }
            let finite = |(i, r): (usize, Option<f64>)| r.filter(|r| r.is_finite()).map(|r| (i, r));
            let rewards: Vec<(usize, f64)> = members.clone().zip(given).filter_map(finite).collect();
            let values: Vec<f64> = rewards.iter().map(|(_, r)| *r).collect();
            metrics.groups += 1;
            metrics.completions += group as u64;
            metrics.distinct += walk.cells[members.clone()].iter().collect::<BTreeSet<_>>().len() as u64;
            metrics.abstained += (group - values.len()) as u64;
            metrics.reward += values.iter().sum::<f64>();
            metrics.codes += free[members].iter().map(|n| u64::from(*n)).sum::<u64>();
            let advantages = group_advantages(&values, self.settings.advantage_floor);
            metrics.reward_std += advantages.std;
            if advantages.zero_variance {
                metrics.zero_variance_groups += 1;
                continue;
            }
            for ((i, _), advantage) in rewards.iter().zip(&advantages.values) {
                weighted.advantages[*i] = *advantage;
                weighted.weights[*i] = if free[*i] == 0 { 0.0 } else { 1.0 / (group as f64 * f64::from(free[*i])) };
            }
        }
        Ok(weighted)
    }

    /// Exact KL of each level's rows to the reference, on the same completions; also the sums for the metrics.
    fn kl(
        &self,
        tokens: &[&[i64]],
        walk: &Walk,
        lease: &mut LeaseGradient,
    ) -> Result<Option<Vec<Tensor>>, PolicyError> {
        let free = |level: usize| self.row(walk.levels[level].forced.iter().map(|f| if *f { 0.0 } else { 1.0 }));
        let sum = |values: &Tensor, level: usize| {
            (walk.spread(&values.detach()) * free(level)).sum(Kind::Double).double_value(&[])
        };
        for (level, of) in walk.levels.iter().enumerate() {
            if let Some(l) = &of.log_probs {
                lease.metrics.entropy += sum(&tch::no_grad(|| entropy(l)), level);
            }
        }
        if self.settings.beta == 0.0 {
            return Ok(None);
        }
        let reference = tch::no_grad(|| {
            let prefix = Prefix::compute(self.reference, tokens)?;
            follow(&prefix, &self.legal, self.settings.temperature, &walk.cells)
        })?;
        let mut all = Vec::with_capacity(walk.levels.len());
        for (level, of) in walk.levels.iter().enumerate() {
            let kl = match (&of.log_probs, &reference.levels[level].log_probs) {
                (Some(policy), Some(reference)) => exact_kl(policy, reference),
                _ => self.row(walk.cells.iter().map(|_| 0.0)),
            };
            lease.metrics.kl += sum(&kl, level);
            all.push(walk.spread(&kl));
        }
        Ok(Some(all))
    }

    fn loss(&self, walk: &Walk, weighted: &Weighted, kl: Option<&[Tensor]>) -> Tensor {
        let levels = walk.levels.len();
        let chosen: Vec<Tensor> = (0..levels).map(|l| walk.chosen(l)).collect();
        let log_probs = Tensor::cat(&chosen, 0);
        let kl = kl.map(|levels| Tensor::cat(levels, 0));
        let advantages = self.row(weighted.advantages.iter().copied()).repeat([levels as i64]);
        let counted = walk.levels.iter().flat_map(|l| l.forced.iter().zip(&weighted.weights));
        let weights = self.row(counted.map(|(forced, w)| if *forced { 0.0 } else { *w }));
        let terms = GrpoTerms {
            log_probs: &log_probs,
            old_log_probs: &log_probs.detach(),
            advantages: &advantages,
            kl: kl.as_ref(),
            weights: &weights,
        };
        grpo_loss(&terms, self.settings.clip, self.settings.beta)
    }

    fn row(&self, values: impl Iterator<Item = f64>) -> Tensor {
        let values: Vec<f64> = values.collect();
        Tensor::from_slice(&values).to_kind(self.policy.kind()).to_device(self.policy.device())
    }
}

/// One entry a completion.
struct Weighted {
    advantages: Vec<f64>,
    /// 1 / (G |y_i|), or 0 for a completion that gives no gradient.
    weights: Vec<f64>,
}
