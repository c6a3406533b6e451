//! The supervised stages: every item of a user's sequence with its sign, or the next negative, by cross-entropy over
//! legal codes.

use crate::error::PolicyError;
use crate::lease_gradient::LeaseGradient;
use crate::legal::{Legal, LevelAt};
use crate::micro_batch::micro_batches;
use crate::rollout::follow;
use crate::shared_prefix::{Prefix, hidden_everywhere};
use crate::transformer::Policy;
use tch::{Kind, Tensor};

/// What a supervised lease computes with.
#[derive(Clone, Copy, Debug)]
pub struct SupervisedLease<'a> {
    /// The policy; all its weights train.
    pub policy: &'a Policy,
    /// The legal codes.
    pub legal: Legal<'a>,
}

/// A prompt and the cell that follows it.
#[derive(Clone, Copy, Debug)]
pub struct TargetPrompt<'a> {
    /// Tokens of the prompt.
    pub tokens: &'a [i64],
    /// The next negative's cell.
    pub cell: u32,
}

/// Predictions at one level, or of signs: which hidden state, at which node, and what is right.
#[derive(Default)]
struct Targets {
    rows: Vec<i64>,
    nodes: Vec<u32>,
    right: Vec<i64>,
}

impl SupervisedLease<'_> {
    /// The gradient of the sum, over all events of all sequences (BOS, then sign and codes of each event), of the
    /// codes' cross-entropies given the true prefix, and of `sign_weight` times the sign's over the three signs. The
    /// weight is to be small: signs are few and easy, and the model is asked for items; but without the term nothing
    /// teaches it which signs follow which past. Forced codes have no loss. `codes` of the metrics counts the others: what the sum is to be divided by.
    ///
    /// # Errors
    /// For sequences that the model cannot read.
    pub fn next_item(&self, sequences: &[&[i64]], sign_weight: f64) -> Result<LeaseGradient, PolicyError> {
        let mut lease = LeaseGradient::default();
        let lengths: Vec<usize> = sequences.iter().map(|s| s.len()).collect();
        for part in micro_batches(&lengths, self.policy.config().micro_batch_tokens) {
            let chosen: Vec<&[i64]> = part.iter().map(|i| sequences[*i]).collect();
            let loss = self.next_item_loss(&chosen, sign_weight, &mut lease)?;
            lease.add(self.policy, &loss)?;
        }
        Ok(lease)
    }

    /// The gradient of the sum of the targets' cross-entropies, -log pi(cell | prompt) at T = 1. `codes` of the
    /// metrics counts the codes that are not forced: what the sum is to be divided by.
    ///
    /// # Errors
    /// For prompts that the model cannot read, and targets outside the trie.
    pub fn next_negative(&self, prompts: &[TargetPrompt<'_>]) -> Result<LeaseGradient, PolicyError> {
        let mut lease = LeaseGradient::default();
        let lengths: Vec<usize> = prompts.iter().map(|p| p.tokens.len()).collect();
        for part in micro_batches(&lengths, self.policy.config().micro_batch_tokens) {
            let tokens: Vec<&[i64]> = part.iter().map(|i| prompts[*i].tokens).collect();
            let cells: Vec<u32> = part.iter().map(|i| prompts[*i].cell).collect();
            let prefix = Prefix::compute(self.policy, &tokens)?;
            let walk = follow(&prefix, &self.legal, 1.0, &cells)?;
            let chosen: Vec<Tensor> = (0..walk.levels.len()).map(|l| walk.chosen(l)).collect();
            let codes: u64 = walk.cells.iter().map(|cell| u64::from(self.legal.free_codes(*cell))).sum();
            lease.metrics.groups += part.len() as u64;
            lease.metrics.completions += part.len() as u64;
            lease.metrics.codes += codes;
            lease.metrics.prompt_tokens += tokens.iter().map(|t| t.len() as u64).sum::<u64>();
            if codes > 0 {
                lease.add(self.policy, &-Tensor::cat(&chosen, 0).sum(self.policy.kind()))?;
            }
        }
        Ok(lease)
    }

    fn next_item_loss(
        &self,
        sequences: &[&[i64]],
        sign_weight: f64,
        lease: &mut LeaseGradient,
    ) -> Result<Tensor, PolicyError> {
        let hidden = hidden_everywhere(self.policy, sequences)?;
        let positions = hidden.size()[1];
        let hidden = hidden.view([-1, self.policy.config().hidden]);
        let (codes, signs) = self.targets(sequences, positions);
        let mut loss = Tensor::zeros([], (self.policy.kind(), hidden.device()));
        for (level, targets) in codes.iter().enumerate().filter(|(_, t)| !t.rows.is_empty()) {
            let rows = hidden.index_select(0, &Tensor::from_slice(&targets.rows).to_device(hidden.device()));
            let at = LevelAt { level, temperature: 1.0 };
            loss -= chosen(&self.legal.log_softmax(self.policy, &rows, &targets.nodes, at)?, &targets.right);
            lease.metrics.codes += targets.nodes.iter().filter(|n| !self.legal.is_forced(**n)).count() as u64;
        }
        if !signs.rows.is_empty() {
            let rows = hidden.index_select(0, &Tensor::from_slice(&signs.rows).to_device(hidden.device()));
            let of = self.legal.vocabulary.signs();
            let logits = self.policy.logits(&rows, of.start, of.end - of.start);
            loss -= chosen(&logits.log_softmax(-1, None), &signs.right) * sign_weight;
        }
        lease.metrics.groups += sequences.len() as u64;
        lease.metrics.completions += codes.first().map_or(0, |t| t.rows.len() as u64);
        lease.metrics.prompt_tokens += sequences.iter().map(|s| s.len() as u64).sum::<u64>();
        Ok(loss)
    }

    /// What each position of the sequences should predict: codes by level, and signs. Codes that are not legal after
    /// what stands before them (items outside the trie) are context only.
    fn targets(&self, sequences: &[&[i64]], positions: i64) -> (Vec<Targets>, Targets) {
        let mut codes: Vec<Targets> = (0..self.legal.trie.levels()).map(|_| Targets::default()).collect();
        let mut signs = Targets::default();
        let of_signs = self.legal.vocabulary.signs();
        for (row, sequence) in sequences.iter().enumerate() {
            let mut node = Some(0);
            for (before, token) in sequence.iter().skip(1).enumerate() {
                let at = row as i64 * positions + before as i64;
                if of_signs.contains(token) {
                    signs.rows.push(at);
                    signs.right.push(token - of_signs.start);
                    node = Some(0);
                    continue;
                }
                let child = self.legal.vocabulary.parse(*token).and_then(|(level, code)| {
                    let here = node.filter(|n| self.legal.trie.depth(*n) == level)?;
                    Some((level, here, self.legal.trie.child(here, code)?))
                });
                node = child.map(|(_, _, c)| c.node);
                if let Some((level, here, child)) = child {
                    codes[level].rows.push(at);
                    codes[level].nodes.push(here);
                    codes[level].right.push(i64::from(child.code));
                }
            }
        }
        (codes, signs)
    }
}

/// Sum of the entries of `log_probs` (`[rows, n]`) at one index a row.
fn chosen(log_probs: &Tensor, index: &[i64]) -> Tensor {
    let index = Tensor::from_slice(index).to_device(log_probs.device()).unsqueeze(1);
    log_probs.gather(1, &index, false).sum(None::<Kind>)
}
