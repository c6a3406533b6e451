//! Forward passes that compute a prompt ONCE and let any number of branches go on from it. Rollout, training,
//! reference and beam search all run through here, with gradients on or off.

use crate::attention::{KeysValues, OwnKeysValues, branching};
use crate::error::PolicyError;
use crate::prompt_pass::PromptPass;
use crate::recompute;
use crate::rope::Angles;
use crate::transformer::Policy;
use tch::Tensor;

/// Hidden states (after the final norm) of ALL positions, `[sequences, positions, hidden]`; sequences are padded on
/// the right, and what stands in the padding means nothing.
///
/// # Errors
/// For an empty sequence, one that is too long, and tokens outside the vocabulary.
pub fn hidden_everywhere(policy: &Policy, sequences: &[&[i64]]) -> Result<Tensor, PolicyError> {
    let pass = PromptPass::new(policy, sequences)?;
    let hidden = if policy.recomputes() { recompute::everywhere(policy, pass) } else { pass.everywhere(policy) };
    Ok(hidden)
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
        let pass = PromptPass::new(policy, prompts)?;
        let (lengths, mask) = (pass.padded.lengths.clone(), pass.mask.as_ref().map(Tensor::shallow_clone));
        let (layers, hidden) = if policy.recomputes() { recompute::prefix(policy, pass) } else { pass.prefix(policy) };
        Ok(Self { policy, layers, lengths, mask, hidden })
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
