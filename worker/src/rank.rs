//! Ranks items for instances with the policy: constrained beam search, then cells to items; and scores of CandAcc's
//! candidates. Instances are computed in micro-batches of like prompt length, cut by a fixed rule.

use crate::error::WorkerError;
use crate::pass_data::PassData;
use conrec_domain::spec::{CandidateScore, RunSpec};
use conrec_feedback::cell_ranking::OUTSIDE;
use conrec_feedback::evaluation::{Evaluation, Predictions};
use conrec_feedback::popularity_mix::ItemProbabilities;
use conrec_policy::beam_search::{Beam, BeamSearch, Ranking};
use conrec_policy::micro_batch::micro_batches;
use conrec_policy::transformer::Policy;

/// Ranked cells, ranked items and candidate scores of some instances, in their order.
#[derive(Clone, Debug, Default)]
pub struct Ranked {
    /// Best cells of each instance, most probable first.
    pub cells: Vec<Vec<u32>>,
    /// Items and candidate scores.
    pub predictions: Predictions,
    /// What the policy says of items, whatever rule scores candidates.
    pub probabilities: Vec<ItemProbabilities>,
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
    let lengths: Vec<usize> = prompts.iter().map(Vec::len).collect();
    let search = BeamSearch::new(policy, data.legal(), spec.evaluation.beams as usize)?;
    let mut ranked = Ranked {
        cells: vec![Vec::new(); prompts.len()],
        predictions: Predictions {
            ranked: vec![Vec::new(); prompts.len()],
            candidate_scores: vec![Vec::new(); prompts.len()],
        },
        probabilities: vec![ItemProbabilities::default(); prompts.len()],
    };
    for micro_batch in micro_batches(&lengths, policy.config().micro_batch_tokens) {
        let tokens: Vec<&[i64]> = micro_batch.iter().map(|i| prompts[*i].as_slice()).collect();
        let candidates = |i: &usize| evaluation.candidates(of.start + i);
        let cells: Vec<Vec<Option<u32>>> = micro_batch
            .iter()
            .map(|i| candidates(i).iter().map(|item| data.prepared.ids.cell_of(*item)).collect())
            .collect();
        let found = search.search_and_score(&tokens, &cells)?;
        for (slot, i) in micro_batch.iter().enumerate() {
            let index = of.start + i;
            let probabilities = ItemProbabilities {
                listed: listed(data, evaluation.excluded(index), &found[slot].beams),
                candidates: log_probabilities(data, candidates(i), &found[slot]),
            };
            let top = probabilities.listed.iter().take(spec.evaluation.top as usize);
            ranked.predictions.ranked[*i] = top.map(|(_, item)| *item).collect();
            ranked.predictions.candidate_scores[*i] = match spec.evaluation.candidate_score {
                CandidateScore::LogProbability => probabilities.candidates.clone(),
                CandidateScore::PredictSet => nearness(data, candidates(i), &found[slot]),
            };
            ranked.probabilities[*i] = probabilities;
            ranked.cells[*i] = found[slot].beams.iter().map(|beam| beam.cell).collect();
        }
    }
    Ok(ranked)
}

/// log P of candidates. An item outside the catalogue has no cell: it comes after all others.
fn log_probabilities(data: &PassData, candidates: &[u32], found: &Ranking) -> Vec<f64> {
    let pairs = candidates.iter().zip(&found.scores);
    pairs.map(|(item, cell)| (cell + data.shares.log_share(*item)).max(OUTSIDE)).collect()
}

/// The largest similarity of each candidate to a cell of the predict set.
fn nearness(data: &PassData, candidates: &[u32], found: &Ranking) -> Vec<f64> {
    let nearest = |item: &u32| {
        let cell = data.prepared.ids.cell_of(*item)?;
        found.beams.iter().map(|beam| data.reward.model().similarity(cell, beam.cell)).reduce(f64::max)
    };
    candidates.iter().map(|item| nearest(item).unwrap_or(OUTSIDE)).collect()
}

fn listed(data: &PassData, excluded: &[u32], beams: &[Beam]) -> Vec<(f64, u32)> {
    let beams: Vec<(u32, f64)> = beams.iter().map(|beam| (beam.cell, beam.log_probability)).collect();
    data.shares.scored(&data.prepared.ids, &beams, excluded)
}
