//! The mean reward of completions sampled for held-out instances: what GRPO raises, whatever becomes of the lists; and
//! beside the config's shape always the paper's reward, so that runs of different shapes can be compared.

use crate::error::WorkerError;
use crate::pass_data::PassData;
use conrec_domain::spec::RunSpec;
use conrec_feedback::evaluation::Evaluation;
use conrec_feedback::reward::Targets;
use conrec_policy::micro_batch::micro_batches;
use conrec_policy::rollout::{DrawKey, sample};
use conrec_policy::shared_prefix::Prefix;
use conrec_policy::transformer::Policy;

/// Mean rewards of each instance's completions at T = 1; none where no target has a cell.
pub struct HeldOutRewards {
    /// By the config's variant and shape; a group is the instance's completions, a lease are `instances_per_lease`
    /// instances in a row.
    pub shaped: Vec<Option<f64>>,
    /// By the paper's formula: variant c, all negatives of the horizon, each completion for itself; the config's gamma and
    /// Swing neighbours.
    pub paper: Vec<Option<f64>>,
}

/// Samples completions of all instances and pays them.
///
/// # Errors
/// What the policy refuses.
pub fn held_out_rewards(
    spec: &RunSpec,
    data: &PassData,
    evaluation: &Evaluation,
    policy: &Policy,
) -> Result<HeldOutRewards, WorkerError> {
    let instances = evaluation.instances();
    let completions = completions(spec, data, evaluation, policy)?;
    let targets: Vec<Targets> = instances.iter().map(|i| data.targets(spec, i)).collect();
    let papers: Vec<Targets> = instances.iter().map(|i| data.paper_targets(spec, i)).collect();
    let mut rewards = HeldOutRewards { shaped: Vec::new(), paper: Vec::new() };
    let a_lease = spec.evaluation.instances_per_lease as usize;
    for (cells, targets) in completions.iter().zip(&papers) {
        let paper = cells.iter().map(|cell| data.reward.model().paper_reward(*cell, targets));
        rewards.paper.push(mean(paper.collect()));
    }
    for (lease, completions) in targets.chunks(a_lease).zip(completions.chunks(a_lease)) {
        let together: Vec<&Targets> = lease.iter().collect();
        for (place, cells) in completions.iter().enumerate() {
            rewards.shaped.push(mean(data.reward.group(&together, place, cells).into_iter().collect()));
        }
    }
    Ok(rewards)
}

/// Completions of each instance: cells, `evaluation.reward_completions` of them.
fn completions(
    spec: &RunSpec,
    data: &PassData,
    evaluation: &Evaluation,
    policy: &Policy,
) -> Result<Vec<Vec<u32>>, WorkerError> {
    let _no_grad = tch::no_grad_guard();
    let group = spec.evaluation.reward_completions as usize;
    let prompts: Vec<Vec<i64>> = evaluation.instances().iter().map(|i| data.serving_prompt(spec, i)).collect();
    let lengths: Vec<usize> = prompts.iter().map(Vec::len).collect();
    let mut completions = vec![Vec::new(); prompts.len()];
    for micro_batch in micro_batches(&lengths, policy.config().micro_batch_tokens) {
        let tokens: Vec<&[i64]> = micro_batch.iter().map(|i| prompts[*i].as_slice()).collect();
        let key = |i: &usize| DrawKey { seed: spec.evaluation.seed, iteration: u64::MAX, prompt: *i as u64 };
        let keys: Vec<DrawKey> = micro_batch.iter().map(key).collect();
        let prefix = Prefix::compute(policy, &tokens)?;
        let walk = sample(&prefix, &data.legal(), 1.0, &keys, group)?;
        for (i, cells) in micro_batch.iter().zip(walk.cells.chunks(group)) {
            completions[*i] = cells.to_vec();
        }
    }
    Ok(completions)
}

/// Mean of a group's rewards; none if one of them abstains.
fn mean(rewards: Option<Vec<f64>>) -> Option<f64> {
    rewards.map(|r| r.iter().sum::<f64>() / r.len() as f64)
}
