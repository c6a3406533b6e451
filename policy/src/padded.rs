//! Prompts of unequal length as one rectangle of tokens.

use crate::error::PolicyError;
use crate::transformer::Policy;
use tch::{Kind, Tensor};

/// Prompts of unequal length, padded on the right. Attention is causal, so that padding changes nothing.
#[derive(Debug)]
pub(crate) struct Padded {
    /// `[prompts, positions]`.
    pub tokens: Tensor,
    pub lengths: Vec<i64>,
    pub positions: i64,
}

impl Padded {
    pub fn new(policy: &Policy, prompts: &[&[i64]]) -> Result<Self, PolicyError> {
        let longest = prompts.iter().map(|p| p.len()).max().unwrap_or(0);
        let shortest = prompts.iter().map(|p| p.len()).min().unwrap_or(0);
        let most = policy.rope.positions() as usize;
        if shortest == 0 || longest > most {
            let found = if shortest == 0 { "an empty prompt or none".into() } else { format!("{longest} tokens") };
            return Err(PolicyError::Input { what: "prompts", found, expected: format!("1 to {most} tokens each") });
        }
        let vocab = policy.config.tokens();
        if let Some(token) = prompts.iter().flat_map(|p| p.iter()).find(|t| !(0..vocab).contains(*t)) {
            let expected = format!("a token of 0..{vocab}");
            return Err(PolicyError::Input { what: "prompts", found: format!("token {token}"), expected });
        }
        let mut tokens = vec![0i64; prompts.len() * longest];
        for (row, prompt) in tokens.chunks_mut(longest).zip(prompts) {
            row[..prompt.len()].copy_from_slice(prompt);
        }
        Ok(Self {
            tokens: Tensor::from_slice(&tokens).to_device(policy.device()),
            lengths: prompts.iter().map(|p| p.len() as i64).collect(),
            positions: longest as i64,
        })
    }

    /// Index of each row's last token among all tokens.
    pub fn last(&self) -> Tensor {
        let index: Vec<i64> = self.lengths.iter().enumerate().map(|(i, n)| i as i64 * self.positions + n - 1).collect();
        Tensor::from_slice(&index).to_device(self.tokens.device())
    }

    /// `[prompts, 1, 1, positions]`: 0 inside a prompt, minus infinity beyond it; none if all are equally long.
    pub fn mask(&self, kind: Kind) -> Option<Tensor> {
        if self.lengths.iter().all(|n| *n == self.positions) {
            return None;
        }
        let mut mask = vec![0f32; self.lengths.len() * self.positions as usize];
        for (row, length) in mask.chunks_mut(self.positions as usize).zip(&self.lengths) {
            row[*length as usize..].fill(f32::NEG_INFINITY);
        }
        let mask = Tensor::from_slice(&mask).to_kind(kind).to_device(self.tokens.device());
        Some(mask.view([self.lengths.len() as i64, 1, 1, self.positions]))
    }
}
