//! What the probe is to tell apart: an item that a user is about to dislike and one that the same user is about to like,
//! asked for at the same moment, so that neither user nor time can tell.

use crate::error::WorkerError;
use crate::pass_data::PassData;
use conrec_domain::spec::RunSpec;
use conrec_feedback::evaluation::Evaluation;
use conrec_feedback::event::Sign;
use conrec_feedback::instance::Instance;
use conrec_feedback::matrix::Matrix;
use conrec_feedback::prompt::PromptBuilder;
use conrec_policy::micro_batch::micro_batches;
use conrec_policy::random_normal::{below, stream, uniform};
use conrec_policy::shared_prefix::Prefix;
use conrec_policy::transformer::Policy;
use tch::{Device, Kind};

/// Pairs of cells, each with where it stands.
pub(super) struct ProbePairs<'a> {
    data: &'a PassData,
    instances: Vec<&'a Instance>,
    /// The disliked cell, then the liked one.
    cells: Vec<[u32; 2]>,
    /// The user of each pair.
    pub users: Vec<u32>,
    /// Of each pair whether a coin swaps its labels, in the control.
    pub coins: Vec<bool>,
}

impl<'a> ProbePairs<'a> {
    /// One pair for each instance with a future positive whose cell is none of its negatives'.
    pub fn new(spec: &RunSpec, data: &'a PassData, evaluation: &'a Evaluation) -> Self {
        let ids = &data.prepared.ids;
        let mut pairs = Self { data, instances: Vec::new(), cells: Vec::new(), users: Vec::new(), coins: Vec::new() };
        let mut random = stream(spec.seed, "pairs of the linear probe");
        for instance in evaluation.instances() {
            let Some(disliked) = ids.cell_of(instance.next) else { continue };
            let negatives: Vec<u32> = instance.gts.iter().filter_map(|item| ids.cell_of(*item)).collect();
            let is_other = |cell: &u32| *cell != disliked && !negatives.contains(cell);
            let liked: Vec<u32> = instance.fps.iter().filter_map(|item| ids.cell_of(*item)).filter(is_other).collect();
            let Some(liked) = liked.get(below(&mut random, liked.len())) else { continue };
            pairs.instances.push(instance);
            pairs.cells.push([disliked, *liked]);
            pairs.users.push(instance.user);
            pairs.coins.push(uniform(&mut random) < 0.5);
        }
        pairs
    }

    /// The cells' vectors, from content and co-occurrence: what the item is, whoever the user.
    pub fn item_vectors(&self) -> Matrix {
        let vectors = &self.data.prepared.cell_vectors;
        let data = self.cells.iter().flatten().flat_map(|cell| vectors.row(*cell as usize).iter().copied()).collect();
        Matrix { rows: 2 * self.cells.len(), cols: vectors.cols, data }
    }

    /// Largest and mean cosine to what the user disliked before, and to what the user liked: what co-occurrence says of
    /// this user, without a policy.
    pub fn nearness(&self) -> Matrix {
        let reward = self.data.reward.model();
        let mut out = Matrix::zeros(2 * self.cells.len(), 4);
        for (pair, (instance, cells)) in self.instances.iter().zip(&self.cells).enumerate() {
            let past = self.data.history.before(instance.user, instance.t0);
            for (side, cell) in cells.iter().enumerate() {
                let row = out.row_mut(2 * pair + side);
                for (at, sign) in [(0, Sign::Negative), (2, Sign::Positive)] {
                    let of_sign = past.iter().filter(|event| event.sign == sign);
                    let cells = of_sign.filter_map(|event| self.data.prepared.ids.cell_of(event.item));
                    let near: Vec<f32> = cells.map(|other| reward.similarity(*cell, other) as f32).collect();
                    if !near.is_empty() {
                        row[at] = near.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                        row[at + 1] = near.iter().sum::<f32>() / near.len() as f32;
                    }
                }
            }
        }
        out
    }

    /// The policy's states after the served prompt and the item's codes.
    ///
    /// # Errors
    /// What the policy refuses.
    pub fn states(&self, spec: &RunSpec, policy: &Policy) -> Result<Matrix, WorkerError> {
        let mut sequences = Vec::with_capacity(2 * self.cells.len());
        for (instance, cells) in self.instances.iter().zip(&self.cells) {
            let prompt = self.data.serving_prompt(spec, instance);
            sequences.extend(cells.iter().map(|cell| with_codes(self.data, &prompt, *cell)));
        }
        last_states(policy, &sequences)
    }
}

/// The policy's state after each of these cells' codes, with no user before them.
///
/// # Errors
/// What the policy refuses.
pub(super) fn cell_states(
    spec: &RunSpec,
    data: &PassData,
    policy: &Policy,
    cells: &[u32],
) -> Result<Matrix, WorkerError> {
    let builder = PromptBuilder::new(&data.prepared.ids, &data.frame, spec.model.max_prompt_tokens as usize);
    let nobody = builder.prompt(&[], 0, spec.serving_context());
    let sequences: Vec<Vec<i64>> = cells.iter().map(|cell| with_codes(data, &nobody, *cell)).collect();
    last_states(policy, &sequences)
}

fn with_codes(data: &PassData, prompt: &[i64], cell: u32) -> Vec<i64> {
    let codes = data.prepared.ids.cell_codes(cell);
    prompt.iter().copied().chain(data.vocabulary.codes(codes)).collect()
}

fn last_states(policy: &Policy, sequences: &[Vec<i64>]) -> Result<Matrix, WorkerError> {
    let _no_grad = tch::no_grad_guard();
    let width = policy.config().hidden as usize;
    let mut out = Matrix::zeros(sequences.len(), width);
    let lengths: Vec<usize> = sequences.iter().map(Vec::len).collect();
    for part in micro_batches(&lengths, policy.config().micro_batch_tokens) {
        let chosen: Vec<&[i64]> = part.iter().map(|i| sequences[*i].as_slice()).collect();
        let hidden = Prefix::compute(policy, &chosen)?.hidden().to_device(Device::Cpu).to_kind(Kind::Float);
        let flat = Vec::<f32>::try_from(&hidden.contiguous().view(-1)).map_err(WorkerError::Torch)?;
        for (row, i) in flat.chunks_exact(width).zip(&part) {
            out.row_mut(*i).copy_from_slice(row);
        }
    }
    Ok(out)
}
