//! Forward passes that compute a prompt ONCE and let any number of branches go on from it. Rollout, training,
//! reference and beam search all run through here, with gradients on or off.

use crate::attention::{KeysValues, OwnKeysValues, branching, causal};
use crate::error::PolicyError;
use crate::rope::Angles;
use crate::transformer::Policy;
use tch::{Kind, Tensor};

/// Prompts of unequal length, padded on the right. Attention is causal, so that padding changes nothing.
struct Padded {
    tokens: Tensor,
    lengths: Vec<i64>,
    positions: i64,
}

impl Padded {
    fn new(policy: &Policy, prompts: &[&[i64]]) -> Result<Self, PolicyError> {
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
    fn last(&self) -> Tensor {
        let index: Vec<i64> = self.lengths.iter().enumerate().map(|(i, n)| i as i64 * self.positions + n - 1).collect();
        Tensor::from_slice(&index).to_device(self.tokens.device())
    }

    /// `[prompts, 1, 1, positions]`: 0 inside a prompt, minus infinity beyond it; none if all are equally long.
    fn mask(&self, kind: Kind) -> Option<Tensor> {
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

/// Hidden states (after the final norm) of ALL positions, `[sequences, positions, hidden]`; sequences are padded on
/// the right, and what stands in the padding means nothing.
///
/// # Errors
/// For an empty sequence, one that is too long, and tokens outside the vocabulary.
pub fn hidden_everywhere(policy: &Policy, sequences: &[&[i64]]) -> Result<Tensor, PolicyError> {
    let padded = Padded::new(policy, sequences)?;
    let rows = sequences.len() as i64;
    let angles = policy.rope.first(padded.positions);
    let mut x = policy.embed(&padded.tokens);
    for layer in &policy.layers {
        let a = layer.attend_all(&layer.before_attention(&x), rows, (&policy.rope, &angles));
        let prompt = KeysValues { keys: a.keys.transpose(1, 2), values: a.values.transpose(1, 2) };
        x = layer.after_attention(&x, &causal(&a.queries, &prompt));
    }
    Ok(policy.final_norm(&x).view([rows, padded.positions, -1]))
}

/// Prompts that have been computed: their keys and values, and the hidden state at their last position.
#[derive(Debug)]
pub struct Prefix<'a> {
    policy: &'a Policy,
    layers: Vec<KeysValues>,
    lengths: Vec<i64>,
    mask: Option<Tensor>,
    hidden: Tensor,
}

impl<'a> Prefix<'a> {
    /// Computes prompts. In the last layer only keys and values are computed for all positions.
    ///
    /// # Errors
    /// For an empty prompt, one that is too long, and tokens outside the vocabulary.
    pub fn compute(policy: &'a Policy, prompts: &[&[i64]]) -> Result<Self, PolicyError> {
        let padded = Padded::new(policy, prompts)?;
        let rows = prompts.len() as i64;
        let angles = policy.rope.first(padded.positions);
        let rope = (&policy.rope, &angles);
        let mask = padded.mask(policy.hidden_kind());
        let mut x = policy.embed(&padded.tokens);
        let mut layers = Vec::with_capacity(policy.layers.len());
        let (last, inner) = policy
            .layers
            .split_last()
            .ok_or_else(|| PolicyError::State("the decoder has no layer: expected at least one".into()))?;
        // Branches multiply with keys and values again and again: they are laid out for that once.
        let store = |keys: &Tensor, values: &Tensor| KeysValues {
            keys: keys.transpose(1, 2).contiguous(),
            values: values.transpose(1, 2).contiguous(),
        };
        for layer in inner {
            let a = layer.attend_all(&layer.before_attention(&x), rows, rope);
            let prompt = store(&a.keys, &a.values);
            x = layer.after_attention(&x, &causal(&a.queries, &prompt));
            layers.push(prompt);
        }
        let normed = last.before_attention(&x);
        let (keys, values) = last.keys_values(&normed, rows, rope);
        let prompt = store(&keys, &values);
        let ends = padded.last();
        let at: Vec<i64> = padded.lengths.iter().map(|n| n - 1).collect();
        let queries = last.queries(&normed.index_select(0, &ends), (&policy.rope, &policy.rope.at(&at)));
        let attention = branching(&queries, &prompt, mask.as_ref(), &[]);
        let hidden = policy.final_norm(&last.after_attention(&x.index_select(0, &ends), &attention));
        layers.push(prompt);
        Ok(Self { policy, layers, lengths: padded.lengths, mask, hidden })
    }

    /// Hidden states at the prompts' last positions, after the final norm: `[prompts, hidden]`.
    pub fn hidden(&self) -> &Tensor {
        &self.hidden
    }

    /// Number of prompts.
    pub fn prompts(&self) -> usize {
        self.lengths.len()
    }

    /// The policy that computed it.
    pub fn policy(&self) -> &'a Policy {
        self.policy
    }

    /// `width` branches of each prompt, none decoded yet; rows are prompt-major.
    pub fn branches(&self, width: usize) -> Branches<'_> {
        let own = self.layers.iter().map(|_| Vec::new()).collect();
        Branches { prefix: self, width: width as i64, own, decoded: 0 }
    }
}

/// Continuations of computed prompts: `prompts * width` rows, prompt-major, all equally long.
#[derive(Debug)]
pub struct Branches<'a> {
    prefix: &'a Prefix<'a>,
    width: i64,
    /// A layer's decoded positions.
    own: Vec<Vec<OwnKeysValues>>,
    decoded: i64,
}

impl Branches<'_> {
    /// Branches a prompt.
    pub fn width(&self) -> usize {
        self.width as usize
    }

    /// Decodes one position: `tokens` has one token a row. Returns the hidden states after the final norm,
    /// `[prompts * width, hidden]`.
    ///
    /// # Errors
    /// For a wrong number of tokens, tokens outside the vocabulary, and more positions than there are angles.
    pub fn advance(&mut self, tokens: &[i64]) -> Result<Tensor, PolicyError> {
        let policy = self.prefix.policy;
        let rows = self.prefix.lengths.len() as i64 * self.width;
        let vocab = policy.config.tokens();
        if tokens.len() as i64 != rows || tokens.iter().any(|t| !(0..vocab).contains(t)) {
            let expected = format!("{rows} tokens of 0..{vocab}");
            return Err(PolicyError::Input { what: "branches", found: format!("{} tokens", tokens.len()), expected });
        }
        let angles = self.angles()?;
        let rope = (&policy.rope, &angles);
        let prompts = self.prefix.lengths.len() as i64;
        let mut x = policy.embed(&Tensor::from_slice(tokens).to_device(policy.device()));
        for ((layer, prompt), own) in policy.layers.iter().zip(&self.prefix.layers).zip(&mut self.own) {
            let a = layer.attend_all(&layer.before_attention(&x), prompts, rope);
            let rows_of = |t: &Tensor| t.reshape([rows, policy.config.kv_heads, policy.config.head_dim]);
            own.push(OwnKeysValues { keys: rows_of(&a.keys), values: rows_of(&a.values) });
            x = layer.after_attention(&x, &branching(&a.queries, prompt, self.prefix.mask.as_ref(), own));
        }
        self.decoded += 1;
        Ok(policy.final_norm(&x))
    }

    /// Replaces the branches: new branch j of prompt p continues old branch `parents[p * width + j]` of the same
    /// prompt (an index below the old width). Before the first `advance` it only sets the width.
    ///
    /// # Errors
    /// For a wrong number of parents, or one outside the old width.
    pub fn select(&mut self, parents: &[i64], width: usize) -> Result<(), PolicyError> {
        let prompts = self.prefix.lengths.len();
        if parents.len() != prompts * width || parents.iter().any(|p| !(0..self.width).contains(p)) {
            let expected = format!("{} parents of 0..{}", prompts * width, self.width);
            return Err(PolicyError::Input { what: "branches", found: format!("{} parents", parents.len()), expected });
        }
        let rows: Vec<i64> =
            parents.iter().enumerate().map(|(i, p)| (i / width.max(1)) as i64 * self.width + p).collect();
        let index = Tensor::from_slice(&rows).to_device(self.prefix.policy.device());
        for position in self.own.iter_mut().flatten() {
            position.keys = position.keys.index_select(0, &index);
            position.values = position.values.index_select(0, &index);
        }
        self.width = width as i64;
        Ok(())
    }

    /// Angles of the position to decode next, one a prompt.
    fn angles(&self) -> Result<Angles, PolicyError> {
        let rope = &self.prefix.policy.rope;
        let at: Vec<i64> = self.prefix.lengths.iter().map(|n| n + self.decoded).collect();
        if at.iter().any(|p| *p >= rope.positions()) {
            let expected = format!("at most {} positions", rope.positions());
            return Err(PolicyError::Input { what: "branches", found: "a longer sequence".into(), expected });
        }
        Ok(rope.at(&at))
    }
}
