//! The `Clean` lease: which prompts of a GRPO stage the policy completes too near to what the user will like
//! (method, section 5: data cleaning between stages).

use crate::error::WorkerError;
use crate::pass_data::PassData;
use crate::stage_prompts::{LeasePrompts, StagePrompts};
use conrec_domain::spec::RunSpec;
use conrec_policy::beam_search::BeamSearch;
use conrec_policy::micro_batch::micro_batches;
use conrec_policy::transformer::Policy;
use std::ops::Range;

/// The prompts `of` a stage whose greedy completion lies nearer than `clean_above` to a future positive, ascending.
///
/// # Errors
/// Stages that have no groups, prompts that they do not have, and what the policy refuses.
pub fn clean(
    spec: &RunSpec,
    data: &PassData,
    policy: &Policy,
    (stage, of): (u32, Range<u32>),
) -> Result<Vec<u32>, WorkerError> {
    let have = data.stages.get(stage as usize).map_or(0, StagePrompts::len);
    if of.end as usize > have {
        let message = format!("prompts {of:?} of stage {stage} are to be cleaned, but it has {have}");
        return Err(WorkerError::Protocol(message));
    }
    let indices: Vec<u32> = of.clone().collect();
    let LeasePrompts::Groups(prompts) = data.prompts(spec, stage, &indices)? else {
        return Err(WorkerError::Protocol(format!("stage {stage} is to be cleaned, but it has no groups")));
    };
    let tau = spec.stage.get(stage as usize).map_or(1.0, |stage| stage.clean_above);
    // Greedy: a beam search with one beam.
    let search = BeamSearch::new(policy, data.legal(), 1)?;
    let lengths: Vec<usize> = prompts.iter().map(|(tokens, _)| tokens.len()).collect();
    let mut flagged = Vec::new();
    for micro_batch in micro_batches(&lengths, policy.config().micro_batch_tokens) {
        let tokens: Vec<&[i64]> = micro_batch.iter().map(|i| prompts[*i].0.as_slice()).collect();
        for (i, beams) in micro_batch.iter().zip(search.search(&tokens)?) {
            let near = |cell: u32| data.reward.model().similarities(cell, &prompts[*i].1).positive;
            let nearest = beams.first().and_then(|beam| near(beam.cell));
            if nearest.is_some_and(|similarity| similarity > tau) {
                flagged.push(of.start + *i as u32);
            }
        }
    }
    flagged.sort_unstable();
    Ok(flagged)
}
