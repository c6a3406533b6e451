//! The translation stage: the title of a semantic id, by cross-entropy over all tokens of the base, and the semantic id of
//! a title, by cross-entropy over legal codes.

use crate::error::PolicyError;
use crate::lease_gradient::LeaseGradient;
use crate::micro_batch::micro_batches;
use crate::shared_prefix::hidden_everywhere;
use crate::supervised::{SupervisedLease, TargetPrompt};
use tch::{Kind, Tensor};

/// A prompt and the title that follows it.
#[derive(Clone, Copy, Debug)]
pub struct TitlePrompt<'a> {
    /// Tokens of prompt and title; the title's are the base's own.
    pub tokens: &'a [i64],
    /// Where the title begins; 1 or more.
    pub answer: usize,
}

impl SupervisedLease<'_> {
    /// The gradient of the sum of the titles' cross-entropies, -log pi(token | what stands before it) over the base's own
    /// tokens, and of those of `items` as in [`Self::next_negative`]. `codes` of the metrics counts the titles' tokens and
    /// the codes that are not forced: what the sum is to be divided by.
    ///
    /// # Errors
    /// For prompts that the model cannot read, titles with tokens that the base does not have, and cells outside the trie.
    pub fn translation(
        &self,
        titles: &[TitlePrompt<'_>],
        items: &[TargetPrompt<'_>],
    ) -> Result<LeaseGradient, PolicyError> {
        let mut lease = LeaseGradient::default();
        let lengths: Vec<usize> = titles.iter().map(|p| p.tokens.len()).collect();
        for part in micro_batches(&lengths, self.policy.config().micro_batch_tokens) {
            let chosen: Vec<TitlePrompt<'_>> = part.iter().map(|i| titles[*i]).collect();
            let loss = self.title_loss(&chosen, &mut lease)?;
            lease.add(self.policy, &loss)?;
        }
        lease.metrics.title_loss = lease.metrics.loss;
        lease.metrics.codes = lease.metrics.title_tokens;
        Ok(lease.plus(self.next_negative(items)?, 1.0))
    }

    fn title_loss(&self, prompts: &[TitlePrompt<'_>], lease: &mut LeaseGradient) -> Result<Tensor, PolicyError> {
        let words = self.legal.vocabulary.first_sign();
        let sequences: Vec<&[i64]> = prompts.iter().map(|p| p.tokens).collect();
        let hidden = hidden_everywhere(self.policy, &sequences)?;
        let positions = hidden.size()[1];
        let (mut rows, mut right) = (Vec::new(), Vec::new());
        for (row, prompt) in (0i64..).zip(prompts) {
            let title = prompt.tokens.get(prompt.answer..).unwrap_or_default();
            if prompt.answer == 0 || title.is_empty() || title.iter().any(|token| !(0..words).contains(token)) {
                let found = format!("{title:?} after {} tokens", prompt.answer);
                let expected = format!("1 or more tokens of 0..{words} after 1 or more tokens");
                return Err(PolicyError::Input { what: "title", found, expected });
            }
            // A token is predicted where the one before it stands.
            let first = row * positions + prompt.answer as i64 - 1;
            rows.extend(first..first + title.len() as i64);
            right.extend(title);
        }
        let index = |values: &[i64]| Tensor::from_slice(values).to_device(hidden.device());
        let rows = hidden.view([-1, self.policy.config().hidden]).index_select(0, &index(&rows));
        let log_probs = self.policy.logits(&rows, 0, words).log_softmax(-1, None);
        lease.metrics.groups += prompts.len() as u64;
        lease.metrics.completions += prompts.len() as u64;
        lease.metrics.title_tokens += right.len() as u64;
        lease.metrics.prompt_tokens += sequences.iter().map(|s| s.len() as u64).sum::<u64>();
        Ok(-log_probs.gather(1, &index(&right).unsqueeze(1), false).sum(None::<Kind>))
    }
}
