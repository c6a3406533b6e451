//! A GRPO lease: each prompt once, G completions sampled from it, and one backward pass through that very forward.

use crate::distinct::{most_probable, without_replacement};
use crate::error::PolicyError;
use crate::exact_kl::{entropy, exact_kl};
use crate::group_scores::{Groups, Scores, deviation};
use crate::grpo_loss::{GrpoTerms, cross_entropy, grpo_loss, ratios};
use crate::lease_gradient::LeaseGradient;
use crate::legal::Legal;
use crate::micro_batch::micro_batches;
use crate::rollout::{DrawKey, Walk, follow, sample};
use crate::shared_prefix::Prefix;
use crate::transformer::Policy;
use conrec_domain::spec::{AdvantageScale, Objective, Sampler};
use tch::{Kind, Tensor};

pub use crate::group_scores::Reward;

/// One prompt of a lease.
#[derive(Clone, Copy, Debug)]
pub struct GroupPrompt<'a> {
    /// Names the prompt in the randomness of the rollout.
    pub id: u64,
    /// Its tokens.
    pub tokens: &'a [i64],
    /// The cell of the instance's next negative, for the anchor; none where it has no cell.
    pub next: Option<u32>,
}

/// How completions are sampled and scored.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GrpoSettings {
    /// Seed of the run.
    pub seed: u64,
    /// The iteration, which names the draws: that of the rollout's first update.
    pub iteration: u64,
    /// G: completions a prompt.
    pub completions: usize,
    /// T: temperature of rollout and loss.
    pub temperature: f64,
    /// beta: weight of the KL term; at 0 the reference is not computed and the KL is reported as 0.
    pub beta: f64,
    /// Weight of the anchor, the cross-entropy of the next negative; at 0 it is not computed.
    pub nll_weight: f64,
    /// Sampler, advantages and loss.
    pub objective: Objective,
}

/// What a lease computes with.
#[derive(Clone, Copy)]
pub struct GrpoLease<'a> {
    /// The policy; its adapter (or its base) trains.
    pub policy: &'a Policy,
    /// The policy at the stage's start; nothing of it trains.
    pub reference: &'a Policy,
    /// The policy that samples, where it is another than the one that trains: that of the rollout's first update, in
    /// the updates after it. The ratio of the two is clipped.
    pub behaviour: Option<&'a Policy>,
    /// The legal codes.
    pub legal: Legal<'a>,
    /// How.
    pub settings: GrpoSettings,
}

/// The completions of a micro-batch, and what is left to compute with.
struct Drawn {
    groups: Groups,
    /// The policy's own forward pass, where completions were drawn from it, with the anchor.
    pass: Option<(Walk, Option<Tensor>)>,
    /// log pi of each code under the behaviour policy, level by level, where that is another policy.
    old: Option<Tensor>,
}

impl GrpoLease<'_> {
    /// The gradient of the SUM of the loss's terms over prompts (`grpo_loss`, `docs/losses.md`); what it is divided by is
    /// a count of the whole iteration, so that leases add up. For `Grpo` a prompt's term is
    /// - 1/G sum_i 1/|y_i| sum_t (min(rho A, clip(rho) A) - beta KL_t), where |y_i| counts codes that were not forced.
    ///
    /// A group whose rewards are all equal has no gradient: its KL term is left out too, it is counted, and a
    /// micro-batch of such groups has no backward pass. A completion without reward takes no part in its group.
    ///
    /// # Errors
    /// For prompts that the model cannot read, rewards that are not one a completion, or when weights have diverged.
    pub fn run(&self, prompts: &[GroupPrompt<'_>], reward: &Reward<'_>) -> Result<LeaseGradient, PolicyError> {
        self.run_refilled((prompts, &[]), reward)
    }

    /// The same of prompts with a reserve (dynamic sampling, DAPO 2503.14476, section 3.2): after all prompts, as many of
    /// the reserve are taken, in its order, as there were groups whose rewards are all equal; and again for those among
    /// them, until there are none or the reserve is used up. The reward gets indices into prompts and reserve, one after
    /// the other.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn run_refilled(
        &self,
        (prompts, reserve): (&[GroupPrompt<'_>], &[GroupPrompt<'_>]),
        reward: &Reward<'_>,
    ) -> Result<LeaseGradient, PolicyError> {
        let mut lease = LeaseGradient::default();
        let objective = &self.settings.objective;
        let mut waiting = Vec::new();
        let scheduled = prompts.len();
        // The anchor is a mean over the scheduled prompts, however many are taken beside them.
        let reserve: Vec<GroupPrompt<'_>> = reserve.iter().map(|p| GroupPrompt { next: None, ..*p }).collect();
        let prompts = &[prompts, &reserve].concat();
        let mut round = 0..scheduled;
        while !round.is_empty() {
            let lengths: Vec<usize> = prompts[round.clone()].iter().map(|p| p.tokens.len()).collect();
            let equal_before = lease.metrics.zero_variance_groups;
            for part in micro_batches(&lengths, self.policy.config().micro_batch_tokens) {
                let part = part.into_iter().map(|place| round.start + place).collect();
                let drawn = self.draw(prompts, part, &mut lease)?;
                let scores = drawn.groups.score(&self.legal, reward, objective.baseline, &mut lease.metrics)?;
                if objective.scale == AdvantageScale::BatchStd {
                    waiting.push((Drawn { pass: None, ..drawn }, scores));
                } else {
                    self.learn(prompts, (drawn, &scores), 0.0, &mut lease)?;
                }
            }
            let equal = (lease.metrics.zero_variance_groups - equal_before) as usize;
            round = round.end..prompts.len().min(round.end + equal);
        }
        lease.metrics.refilled = (round.end - scheduled) as u64;
        let batch = deviation(waiting.iter().map(|(drawn, scores)| (&drawn.groups, scores)));
        for (drawn, scores) in waiting {
            self.learn(prompts, (drawn, &scores), batch, &mut lease)?;
        }
        Ok(lease)
    }

    /// The completions of some prompts. Where the policy draws them itself, one by one, and learns from them at once,
    /// this forward pass is the one that the gradient goes through.
    fn draw(
        &self,
        prompts: &[GroupPrompt<'_>],
        part: Vec<usize>,
        lease: &mut LeaseGradient,
    ) -> Result<Drawn, PolicyError> {
        let s = &self.settings;
        let tokens: Vec<&[i64]> = part.iter().map(|i| prompts[*i].tokens).collect();
        let key = |i: &usize| DrawKey { seed: s.seed, iteration: s.iteration, prompt: prompts[*i].id };
        let keys: Vec<DrawKey> = part.iter().map(key).collect();
        lease.metrics.prompt_tokens += tokens.iter().map(|t| t.len() as u64).sum::<u64>();
        let at_once = s.objective.sampler == Sampler::Iid
            && s.objective.scale != AdvantageScale::BatchStd
            && self.behaviour.is_none();
        let _no_grad = (!at_once).then(tch::no_grad_guard);
        let prefix = Prefix::compute(self.behaviour.unwrap_or(self.policy), &tokens)?;
        let (legal, t, g) = (&self.legal, s.temperature, s.completions);
        let distinct = match s.objective.sampler {
            Sampler::Iid => {
                let walk = sample(&prefix, legal, t, &keys, g)?;
                let groups = Groups { prompts: part, cells: walk.cells.clone(), width: g, weights: None };
                let old = self.behaviour.map(|_| walk.all_chosen());
                let anchor = if at_once { self.anchor(&prefix, prompts, &groups.prompts, lease)? } else { None };
                return Ok(Drawn { groups, pass: at_once.then_some((walk, anchor)), old });
            }
            Sampler::GumbelTopK => without_replacement(&prefix, legal, t, &keys, g)?,
            Sampler::Beam => most_probable(&prefix, legal, t, g)?,
        };
        let old =
            self.behaviour.map(|_| Ok::<_, PolicyError>(follow(&prefix, legal, t, &distinct.cells)?.all_chosen()));
        let groups = Groups { prompts: part, cells: distinct.cells, width: distinct.width, weights: distinct.weights };
        Ok(Drawn { groups, pass: None, old: old.transpose()? })
    }

    /// Adds the gradient of a micro-batch, and what there is to know about it. `batch` is the deviation of the lease's
    /// rewards.
    fn learn(
        &self,
        prompts: &[GroupPrompt<'_>],
        (drawn, scores): (Drawn, &Scores),
        batch: f64,
        lease: &mut LeaseGradient,
    ) -> Result<(), PolicyError> {
        let objective = &self.settings.objective;
        let Drawn { groups, pass, old } = drawn;
        let weights = scores.weights(objective.loss, self.legal.trie.levels());
        let trains = weights.iter().any(|w| *w != 0.0);
        let tokens: Vec<&[i64]> = groups.prompts.iter().map(|i| prompts[*i].tokens).collect();
        let (walk, anchor) = match pass {
            Some(pass) => pass,
            None => {
                let _no_grad = (!trains && self.settings.nll_weight == 0.0).then(tch::no_grad_guard);
                let prefix = Prefix::compute(self.policy, &tokens)?;
                let walk = follow(&prefix, &self.legal, self.settings.temperature, &groups.cells)?;
                (walk, self.anchor(&prefix, prompts, &groups.prompts, lease)?)
            }
        };
        let kl = self.kl(&tokens, &walk, lease)?;
        let loss = trains.then(|| {
            let advantages = scores.advantages(objective, batch);
            self.loss(&walk, &Weighted { advantages, weights, free: &scores.free, old }, kl.as_deref(), lease)
        });
        // Groups whose rewards are all equal learn from the anchor alone.
        match (loss, anchor) {
            (Some(loss), Some(anchor)) => lease.add(self.policy, &(loss + anchor)),
            (Some(loss), None) | (None, Some(loss)) => lease.add(self.policy, &loss),
            (None, None) => Ok(()),
        }
    }

    /// The weighted sum over prompts of the cross-entropy of their next negatives; none where no prompt has one.
    fn anchor(
        &self,
        prefix: &Prefix<'_>,
        prompts: &[GroupPrompt<'_>],
        part: &[usize],
        lease: &mut LeaseGradient,
    ) -> Result<Option<Tensor>, PolicyError> {
        let next: Vec<Option<u32>> = part.iter().map(|i| prompts[*i].next).collect();
        let free = |cell: &Option<u32>| cell.map_or(0, |cell| self.legal.free_codes(cell));
        let weights: Vec<f64> = next.iter().map(free).map(|n| if n == 0 { 0.0 } else { 1.0 / f64::from(n) }).collect();
        if self.settings.nll_weight == 0.0 || weights.iter().all(|w| *w == 0.0) {
            return Ok(None);
        }
        // A prompt without one follows the first cell, at no weight.
        let cells: Vec<u32> = next.iter().map(|cell| cell.unwrap_or(0)).collect();
        let walk = follow(prefix, &self.legal, self.settings.temperature, &cells)?;
        let nll = cross_entropy(&walk.all_chosen(), &self.row(weights.into_iter()));
        lease.metrics.nll += nll.double_value(&[]);
        Ok(Some(nll * self.settings.nll_weight))
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

    fn loss(&self, walk: &Walk, of: &Weighted<'_>, kl: Option<&[Tensor]>, lease: &mut LeaseGradient) -> Tensor {
        let objective = &self.settings.objective;
        let levels = walk.levels.len();
        let log_probs = walk.all_chosen();
        let kl = kl.map(|levels| Tensor::cat(levels, 0));
        let advantages = self.row(of.advantages.iter().copied()).repeat([levels as i64]);
        let counted = walk.levels.iter().flat_map(|l| l.forced.iter().zip(&of.weights));
        let weights = self.row(counted.map(|(forced, w)| if *forced { 0.0 } else { *w }));
        let terms = GrpoTerms {
            log_probs: &log_probs,
            // In a rollout's first update the policy is the one that sampled: its ratio is exactly 1.
            old_log_probs: &of.old.as_ref().map_or_else(|| log_probs.detach(), Tensor::shallow_clone),
            advantages: &advantages,
            kl: kl.as_ref(),
            weights: &weights,
            lengths: &self.row(of.free.iter().map(|n| f64::from((*n).max(1)))),
        };
        if of.old.is_some() {
            let ratios = ratios(&terms, (objective.loss, objective.clip));
            lease.metrics.clipped += ratios.clipped;
            lease.metrics.ratio += ratios.sum;
            lease.metrics.ratio_squares += ratios.squares;
        }
        grpo_loss(&terms, (objective.loss, objective.clip), self.settings.beta)
    }

    fn row(&self, values: impl Iterator<Item = f64>) -> Tensor {
        let values: Vec<f64> = values.collect();
        Tensor::from_slice(&values).to_kind(self.policy.kind()).to_device(self.policy.device())
    }
}

/// One entry a completion.
struct Weighted<'s> {
    advantages: Vec<f64>,
    /// Of each of its codes, or 0 for a completion that gives no gradient.
    weights: Vec<f64>,
    free: &'s [u32],
    /// As in [`Drawn`].
    old: Option<Tensor>,
}
