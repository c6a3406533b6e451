//! The translation stage: the title of a semantic id, by cross-entropy over all tokens of the base, and the semantic id of
//! a title, by cross-entropy over legal codes.

use crate::error::PolicyError;
use crate::lease_gradient::LeaseGradient;
use crate::micro_batch::micro_batches;
use crate::shared_prefix::hidden_everywhere;
use crate::supervised::{SupervisedLease, TargetPrompt};
use crate::transformer::Policy;
use tch::{Device, Kind, Tensor};

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
        let (log_probs, right) = predictions(self.policy, self.legal.vocabulary.first_sign(), prompts)?;
        lease.metrics.groups += prompts.len() as u64;
        lease.metrics.completions += prompts.len() as u64;
        lease.metrics.title_tokens += right.size()[0] as u64;
        lease.metrics.prompt_tokens += prompts.iter().map(|prompt| prompt.tokens.len() as u64).sum::<u64>();
        Ok(-log_probs.gather(1, &right.unsqueeze(1), false).sum(None::<Kind>))
    }
}

/// What a policy makes of a title.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct TitleScore {
    /// Sum of its tokens' log-probabilities among all tokens of the base.
    pub log_probability: f64,
    /// Tokens that are the most probable ones at their places, after the right ones before them.
    pub right: u32,
    /// Tokens.
    pub tokens: u32,
}

/// Scores titles; `words` tokens are the base's own.
///
/// # Errors
/// For prompts that the model cannot read, and titles with tokens that the base does not have.
pub fn title_scores(policy: &Policy, words: i64, titles: &[TitlePrompt<'_>]) -> Result<Vec<TitleScore>, PolicyError> {
    let _no_grad = tch::no_grad_guard();
    let mut scores = vec![TitleScore::default(); titles.len()];
    let lengths: Vec<usize> = titles.iter().map(|prompt| prompt.tokens.len()).collect();
    for part in micro_batches(&lengths, policy.config().micro_batch_tokens) {
        let chosen: Vec<TitlePrompt<'_>> = part.iter().map(|i| titles[*i]).collect();
        let (log_probs, right) = predictions(policy, words, &chosen)?;
        let of_right = log_probs.f_gather(1, &right.unsqueeze(1), false)?.to_kind(Kind::Double).view([-1]);
        let hits = log_probs.argmax(-1, false).eq_tensor(&right);
        let of_right = Vec::<f64>::try_from(of_right.to_device(Device::Cpu))?;
        let hits = Vec::<bool>::try_from(hits.to_device(Device::Cpu))?;
        let mut each = of_right.into_iter().zip(hits);
        for i in part {
            for (log_probability, hit) in each.by_ref().take(titles[i].tokens.len() - titles[i].answer) {
                let TitleScore { log_probability: sum, right, tokens } = scores[i];
                scores[i] = TitleScore {
                    log_probability: sum + log_probability,
                    right: right + u32::from(hit),
                    tokens: tokens + 1,
                };
            }
        }
    }
    Ok(scores)
}

/// Log-probabilities `[tokens, words]` at the places of all tokens of the titles, and these tokens.
fn predictions(policy: &Policy, words: i64, prompts: &[TitlePrompt<'_>]) -> Result<(Tensor, Tensor), PolicyError> {
    let sequences: Vec<&[i64]> = prompts.iter().map(|p| p.tokens).collect();
    let hidden = hidden_everywhere(policy, &sequences)?;
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
    let rows = hidden.view([-1, policy.config().hidden]).index_select(0, &index(&rows));
    Ok((policy.logits(&rows, 0, words).log_softmax(-1, None), index(&right)))
}
