//! Walks of branches down the trie: with codes drawn from the policy (the rollout), or with codes that are given
//! (reference, targets). The log-probabilities of a walk are nodes of the autograd graph: on policy, the rollout's
//! forward pass IS the training forward pass.

use crate::error::PolicyError;
use crate::legal::{Legal, LevelAt};
use crate::shared_prefix::{Branches, Prefix};
use conrec_feedback::prefix_trie::Child;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tch::{Device, Kind, Tensor};

/// Names the randomness of one prompt's completions. Sample and position are counters of the same key, so that a
/// draw depends on nothing but its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrawKey {
    /// Seed of the run.
    pub seed: u64,
    /// Iteration of the run.
    pub iteration: u64,
    /// The prompt.
    pub prompt: u64,
}

impl DrawKey {
    /// The uniform variate of [0, 1), 53 bits, for this sample's code at this position.
    pub fn uniform(&self, sample: u64, position: usize) -> f64 {
        let mut rng = self.stream(*b"rollout\0");
        rng.set_stream(sample);
        rng.set_word_pos(2 * position as u128);
        (rng.next_u64() >> 11) as f64 * UNIT
    }

    /// The uniform variates of (0, 1) for the children of a trie node, in their order; for none the prompt's own.
    pub fn of_node(&self, node: Option<u32>) -> impl FnMut() -> f64 + use<> {
        let mut rng = self.stream(*b"perturb\0");
        rng.set_stream(node.map_or(0, |n| u64::from(n) + 1));
        // In the middle of its interval: neither 0 nor 1, whose logarithms are of no use.
        move || ((rng.next_u64() >> 12) as f64 + 0.5) * (2.0 * UNIT)
    }

    fn stream(&self, purpose: [u8; 8]) -> ChaCha8Rng {
        let mut key = [0; 32];
        for (bytes, word) in
            key.chunks_mut(8).zip([self.seed, self.iteration, self.prompt, u64::from_le_bytes(purpose)])
        {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        ChaCha8Rng::from_seed(key)
    }
}

/// 2^-53.
const UNIT: f64 = 1.0 / 9_007_199_254_740_992.0;

/// Draws a child by inverse CDF in f64, in the order of codes. `log_probs` has one entry a code of the level.
/// A code of probability 0 is never drawn; none is returned only if no child has positive probability.
pub fn draw(children: &[Child], log_probs: &[f64], uniform: f64) -> Option<Child> {
    let probability = |c: &Child| log_probs.get(usize::from(c.code)).map_or(0.0, |l| l.exp());
    let total: f64 = children.iter().map(probability).sum();
    let (mut cumulated, mut last) = (0.0, None);
    for child in children {
        let p = probability(child);
        if p > 0.0 {
            cumulated += p;
            last = Some(*child);
            if uniform * total < cumulated {
                break;
            }
        }
    }
    last
}

/// One level of a walk.
#[derive(Debug)]
pub struct WalkLevel {
    /// log pi of all codes of the level: `[prompts, codes]` at level 0, `[prompts * width, codes]` below. None if the
    /// code of every branch is forced: then nothing was computed.
    pub log_probs: Option<Tensor>,
    /// The code of each branch.
    pub codes: Vec<u16>,
    /// Whether it was the only one.
    pub forced: Vec<bool>,
}

/// Completions of prompts, `prompts * width` of them, prompt-major.
#[derive(Debug)]
pub struct Walk {
    /// From the first code to the last.
    pub levels: Vec<WalkLevel>,
    /// Where each ended.
    pub cells: Vec<u32>,
    prompts: i64,
    width: i64,
    /// Of the policy's tensors.
    options: (Kind, Device),
}

impl Walk {
    /// log pi of the codes taken at a level: `[prompts * width]`; forced codes have exactly 0.
    pub fn chosen(&self, level: usize) -> Tensor {
        let level = &self.levels[level];
        let rows = self.prompts * self.width;
        let Some(log_probs) = &level.log_probs else {
            return Tensor::zeros([rows], self.options);
        };
        let index: Vec<i64> = level.codes.iter().map(|c| i64::from(*c)).collect();
        let index = Tensor::from_slice(&index).to_device(log_probs.device());
        log_probs.gather(1, &index.view([log_probs.size()[0], -1]), false).view([rows])
    }

    /// A value a row of a level's `log_probs` as a value a branch: `[prompts * width]`.
    pub fn spread(&self, values: &Tensor) -> Tensor {
        if values.size()[0] == self.prompts * self.width {
            return values.shallow_clone();
        }
        values.view([self.prompts, 1]).expand([self.prompts, self.width], false).reshape([-1])
    }

    /// log pi of all codes taken, level by level: `[levels * prompts * width]`.
    pub fn all_chosen(&self) -> Tensor {
        let chosen: Vec<Tensor> = (0..self.levels.len()).map(|level| self.chosen(level)).collect();
        Tensor::cat(&chosen, 0)
    }
}

/// Samples `width` completions of each prompt at temperature T; `keys` names each prompt's randomness.
///
/// # Errors
/// When the trie is empty or deeper than the vocabulary, or probabilities are not finite.
pub fn sample(
    prefix: &Prefix<'_>,
    legal: &Legal<'_>,
    temperature: f64,
    keys: &[DrawKey],
    width: usize,
) -> Result<Walk, PolicyError> {
    walk(prefix, legal, (width, temperature), &mut |at, children, row| {
        let key = keys.get(at.branch / width).ok_or_else(|| PolicyError::Input {
            what: "draw keys",
            found: keys.len().to_string(),
            expected: "one a prompt".into(),
        })?;
        let uniform = key.uniform((at.branch % width) as u64, at.level);
        draw(children, row, uniform).ok_or_else(|| PolicyError::Input {
            what: "probabilities of the rollout",
            found: "no code of positive probability".into(),
            expected: "finite logits; the weights may have diverged: lower the learning rate".into(),
        })
    })
}

/// Walks to given cells: `cells` has `prompts * width` entries, prompt-major.
///
/// # Errors
/// For an index outside the cells or a wrong number of them.
pub fn follow(prefix: &Prefix<'_>, legal: &Legal<'_>, temperature: f64, cells: &[u32]) -> Result<Walk, PolicyError> {
    let width = cells.len() / prefix.prompts().max(1);
    let wrong = |found: String| PolicyError::Input {
        what: "cells",
        found,
        expected: "cells of the trie, equally many a prompt".into(),
    };
    if width * prefix.prompts() != cells.len() || width == 0 {
        return Err(wrong(format!("{} for {} prompts", cells.len(), prefix.prompts())));
    }
    walk(prefix, legal, (width, temperature), &mut |at, children, _| {
        let node = legal.trie.path(cells[at.branch]).get(at.level).copied();
        let child = children.iter().find(|c| Some(c.node) == node).copied();
        child.ok_or_else(|| wrong(format!("cell {}", cells[at.branch])))
    })
}

/// A choice to be made.
struct Choice {
    branch: usize,
    level: usize,
}

type Chooser<'c> = dyn FnMut(Choice, &[Child], &[f64]) -> Result<Child, PolicyError> + 'c;

fn walk(
    prefix: &Prefix<'_>,
    legal: &Legal<'_>,
    (width, temperature): (usize, f64),
    choose: &mut Chooser<'_>,
) -> Result<Walk, PolicyError> {
    let rows = prefix.prompts() * width;
    let codes = legal.vocabulary.codes;
    let mut branches = prefix.branches(width);
    let mut hidden = prefix.hidden().shallow_clone();
    // Positions whose codes are known but not yet computed: nothing needs them while codes are forced.
    let mut pending: Vec<Vec<i64>> = Vec::new();
    let mut nodes = vec![0u32; rows];
    let mut levels = Vec::with_capacity(legal.trie.levels());
    for level in 0..legal.trie.levels() {
        let forced: Vec<bool> = nodes.iter().map(|n| legal.is_forced(*n)).collect();
        let mut log_probs = None;
        let mut values = Vec::new();
        // At level 0 all branches of a prompt stand at the same row.
        let share = if level == 0 { width } else { 1 };
        if !forced.iter().all(|f| *f) {
            hidden = catch_up(&mut branches, &mut pending, hidden)?;
            let at: Vec<u32> = nodes.iter().copied().step_by(share).collect();
            let l = legal.log_softmax(prefix.policy(), &hidden, &at, LevelAt { level, temperature })?;
            values = Vec::<f64>::try_from(l.detach().to_device(Device::Cpu).to_kind(Kind::Double).view([-1]))?;
            log_probs = Some(l);
        }
        let mut taken = Vec::with_capacity(rows);
        for (branch, node) in nodes.iter_mut().enumerate() {
            let children = legal.trie.children(*node);
            let row = values.get((branch / share) * codes..(branch / share + 1) * codes).unwrap_or(&[]);
            let child = match children {
                [only] => *only,
                _ => choose(Choice { branch, level }, children, row)?,
            };
            *node = child.node;
            taken.push(child.code);
        }
        pending.push(taken.iter().map(|c| legal.vocabulary.code(level, *c)).collect());
        levels.push(WalkLevel { log_probs, codes: taken, forced });
    }
    let cells = nodes.iter().map(|n| legal.trie.cell(*n)).collect::<Option<Vec<u32>>>();
    let cells = cells.ok_or_else(|| PolicyError::State("a walk ended above the cells of the trie".into()))?;
    let options = (prefix.policy().kind(), prefix.policy().device());
    Ok(Walk { levels, cells, prompts: prefix.prompts() as i64, width: width as i64, options })
}

/// Decodes the positions that were put off and returns the hidden states at the last of them.
fn catch_up(branches: &mut Branches<'_>, pending: &mut Vec<Vec<i64>>, hidden: Tensor) -> Result<Tensor, PolicyError> {
    let mut hidden = hidden;
    for tokens in pending.drain(..) {
        hidden = branches.advance(&tokens)?;
    }
    Ok(hidden)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_of_probability_zero_is_never_drawn() {
        let children: Vec<Child> = (0..4).map(|code| Child { code, node: u32::from(code) + 1 }).collect();
        let log_probs = [f64::NEG_INFINITY, 0.25f64.ln(), -1e30, 0.75f64.ln()];
        for i in 0..1000 {
            let uniform = f64::from(i) / 1000.0;
            let code = draw(&children, &log_probs, uniform).unwrap().code;
            assert_eq!(code, if uniform < 0.25 { 1 } else { 3 }, "{uniform}");
        }
        // Rounding can leave the cumulated sum below the variate: the last possible code is taken, not the last code.
        assert_eq!(draw(&children, &[0.0, f64::NEG_INFINITY, -1e30, -1e30], 1.0).unwrap().code, 0);
        assert!(draw(&children, &[-1e30; 4], 0.5).is_none());
        assert!(draw(&children, &[f64::NAN; 4], 0.5).is_none());
    }

    #[test]
    fn every_part_of_a_draws_name_counts() {
        let key = DrawKey { seed: 1, iteration: 2, prompt: 3 };
        let base = key.uniform(4, 5);
        assert_eq!(base, key.uniform(4, 5));
        let others = [
            DrawKey { seed: 9, ..key }.uniform(4, 5),
            DrawKey { iteration: 9, ..key }.uniform(4, 5),
            DrawKey { prompt: 9, ..key }.uniform(4, 5),
            key.uniform(9, 5),
            key.uniform(4, 9),
        ];
        assert!(others.iter().all(|o| *o != base && (0.0..1.0).contains(o)));
    }
}
