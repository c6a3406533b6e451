//! The mean reward of completions sampled for held-out instances: what GRPO raises, whatever becomes of the lists.

use crate::error::WorkerError;
use crate::pass_data::PassData;
use conrec_domain::spec::RunSpec;
use conrec_feedback::evaluation::Evaluation;
use conrec_policy::micro_batch::micro_batches;
use conrec_policy::rollout::{DrawKey, sample};
use conrec_policy::shared_prefix::Prefix;
use conrec_policy::transformer::Policy;

/// Mean reward of each instance's completions at T = 1; none where no target has a cell.
///
/// # Errors
/// What the policy refuses.
pub fn held_out_rewards(
    spec: &RunSpec,
    data: &PassData,
    evaluation: &Evaluation,
    policy: &Policy,
) -> Result<Vec<Option<f64>>, WorkerError> {
    let _no_grad = tch::no_grad_guard();
    let instances = evaluation.instances();
    let group = spec.evaluation.reward_completions as usize;
    let prompts: Vec<Vec<i64>> = instances.iter().map(|i| data.serving_prompt(spec, i)).collect();
    let lengths: Vec<usize> = prompts.iter().map(Vec::len).collect();
    let mut rewards = vec![None; prompts.len()];
    for micro_batch in micro_batches(&lengths, policy.config().micro_batch_tokens) {
        let tokens: Vec<&[i64]> = micro_batch.iter().map(|i| prompts[*i].as_slice()).collect();
        let key = |i: &usize| DrawKey { seed: spec.evaluation.seed, iteration: u64::MAX, prompt: *i as u64 };
        let keys: Vec<DrawKey> = micro_batch.iter().map(key).collect();
        let prefix = Prefix::compute(policy, &tokens)?;
        let walk = sample(&prefix, &data.legal(), 1.0, &keys, group)?;
        for (slot, i) in micro_batch.iter().enumerate() {
            let targets = data.targets(spec, &instances[*i]);
            let completions = &walk.cells[slot * group..(slot + 1) * group];
            let found: Option<Vec<f64>> = completions.iter().map(|c| data.reward.reward(*c, &targets)).collect();
            rewards[*i] = found.map(|r| r.iter().sum::<f64>() / r.len() as f64);
        }
    }
    Ok(rewards)
}
