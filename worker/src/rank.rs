//! Ranks items for instances with the policy: constrained beam search, then cells to items; and scores of CandAcc's
//! candidates. Instances are computed in micro-batches of like prompt length, cut by a fixed rule.

use crate::error::WorkerError;
use crate::pass_data::PassData;
use conrec_domain::spec::RunSpec;
use conrec_feedback::cell_ranking::OUTSIDE;
use conrec_feedback::evaluation::{Evaluation, Predictions};
use conrec_policy::beam_search::{Beam, BeamSearch, score_cells};
use conrec_policy::transformer::Policy;

/// Prompts computed together; part of what fixes the bits.
const PROMPTS: usize = 32;

/// Ranked cells, ranked items and candidate scores of some instances, in their order.
#[derive(Clone, Debug, Default)]
pub struct Ranked {
    /// Best cells of each instance, most probable first.
    pub cells: Vec<Vec<u32>>,
    /// Items and candidate scores.
    pub predictions: Predictions,
}

/// Ranks for the instances `of` (indices into the evaluation's list).
///
/// # Errors
/// What the policy refuses.
pub fn rank(
    spec: &RunSpec,
    data: &PassData,
    evaluation: &Evaluation,
    policy: &Policy,
    of: std::ops::Range<usize>,
) -> Result<Ranked, WorkerError> {
    let instances = &evaluation.instances()[of.clone()];
    let prompts: Vec<Vec<i64>> = instances.iter().map(|i| data.serving_prompt(spec, i)).collect();
    let mut order: Vec<usize> = (0..prompts.len()).collect();
    order.sort_by_key(|i| (prompts[*i].len(), *i));
    let search = BeamSearch::new(policy, data.legal(), spec.evaluation.beams as usize)?;
    let mut ranked = Ranked {
        cells: vec![Vec::new(); prompts.len()],
        predictions: Predictions {
            ranked: vec![Vec::new(); prompts.len()],
            candidate_scores: vec![Vec::new(); prompts.len()],
        },
    };
    for micro_batch in order.chunks(PROMPTS) {
        let tokens: Vec<&[i64]> = micro_batch.iter().map(|i| prompts[*i].as_slice()).collect();
        let beams = search.search(&tokens)?;
        let candidates = |i: &usize| evaluation.candidates(of.start + i);
        let cells: Vec<Vec<Option<u32>>> = micro_batch
            .iter()
            .map(|i| candidates(i).iter().map(|item| data.prepared.ids.cell_of(*item)).collect())
            .collect();
        let scores = score_cells(policy, data.legal(), &tokens, &cells)?;
        for (slot, i) in micro_batch.iter().enumerate() {
            let index = of.start + i;
            ranked.predictions.ranked[*i] = items(spec, data, evaluation.excluded(index), &beams[slot]);
            // An item outside the catalogue has no cell: it comes after all others.
            ranked.predictions.candidate_scores[*i] = candidates(i)
                .iter()
                .zip(&scores[slot])
                .map(|(item, log_probability)| (log_probability + data.shares.log_share(*item)).max(OUTSIDE))
                .collect();
            ranked.cells[*i] = beams[slot].iter().map(|beam| beam.cell).collect();
        }
    }
    Ok(ranked)
}

fn items(spec: &RunSpec, data: &PassData, excluded: &[u32], beams: &[Beam]) -> Vec<u32> {
    let beams: Vec<(u32, f64)> = beams.iter().map(|beam| (beam.cell, beam.log_probability)).collect();
    data.shares.rank(&data.prepared.ids, &beams, excluded, spec.evaluation.top as usize)
}
