//! What a policy knows of semantic ids in words, and of titles in semantic ids: of items that the translation stage kept back,
//! beside items that it trained on.
//!
//! Items are asked for in a circle: the control of each is the next one's answer, so that what is likely of any item counts
//! for nothing.

use crate::error::WorkerError;
use crate::pass_data::PassData;
use crate::run_folder::RunFolder;
use crate::titles::read_titles;
use conrec_domain::spec::{RunSpec, StageKind, StageSpec};
use conrec_feedback::bootstrap::{MetricValue, Resampling, interval};
use conrec_feedback::instance::evenly;
use conrec_feedback::split::days;
use conrec_feedback::translation::{HeldOut, TitleSequence, Titles, Translator};
use conrec_policy::beam_search::BeamSearch;
use conrec_policy::micro_batch::micro_batches;
use conrec_policy::transformer::Policy;
use conrec_policy::translation::{TitlePrompt, TitleScore, title_scores};
use serde::Serialize;

/// So many items of each kind are asked for at most, taken evenly from all.
const ASKED: usize = 400;

/// What was found of one policy.
#[derive(Debug, Serialize)]
pub(crate) struct Translated {
    /// Items that the stage kept back.
    pub held_out: Option<Knows>,
    /// Items that it trained on.
    pub trained: Option<Knows>,
}

/// What a policy knows of some items; each a mean over items with its 95 % interval.
#[derive(Debug, Serialize)]
pub(crate) struct Knows {
    /// Title to semantic id: the first code of the most probable id is right, the first two are, and so on to the whole.
    pub codes: Vec<MetricValue>,
    /// The same, where the next item's codes count as right: what guessing without the title finds.
    pub codes_of_another: Vec<MetricValue>,
    /// The right id is among the most probable ones, as many as an evaluation's beams.
    pub among_beams: MetricValue,
    /// Semantic id to title: the share of an item's tokens that are the most probable ones at their places.
    pub tokens: MetricValue,
    /// The title is more probable after its own id than after the next item's; chance is one half.
    pub title_prefers_id: MetricValue,
    /// A token of the own title is more probable, on average, than one of the next item's, after the same id.
    pub id_prefers_title: MetricValue,
    /// log p(title | its id) - log p(title | the next item's id), a token.
    pub nats: MetricValue,
}

/// Asks policies for the items of a run.
pub(super) struct Translating<'a> {
    spec: &'a RunSpec,
    data: &'a PassData,
    stage: &'a StageSpec,
    titles: Titles,
    held_out: Vec<u32>,
    trained: Vec<u32>,
}

impl<'a> Translating<'a> {
    /// Takes items; none where no stage translates. Of several such stages it is the one that keeps back least: what it keeps
    /// back no stage has trained on.
    ///
    /// # Errors
    /// A file that is missing or damaged.
    pub fn new(spec: &'a RunSpec, folder: &RunFolder, data: &'a PassData) -> Result<Option<Self>, WorkerError> {
        let translates = spec.stage.iter().filter(|stage| stage.kind == StageKind::Translation);
        let least = translates.min_by(|a, b| a.held_out.total_cmp(&b.held_out));
        let Some((stage, titles)) = least.zip(read_titles(spec, folder)?) else { return Ok(None) };
        let mut of = Self { spec, data, stage, titles, held_out: Vec::new(), trained: Vec::new() };
        let end = data.prepared.windows.train_end;
        let from = if stage.recent_days == 0 { i64::MIN } else { end - days(stage.recent_days) };
        let (held_out, trained) = of.translator().items(data.prepared.dataset.between(from, end));
        let some = |all: Vec<u32>| evenly(all.len(), ASKED).into_iter().map(|at| all[at]).collect();
        (of.held_out, of.trained) = (some(held_out), some(trained));
        Ok(Some(of))
    }

    /// Asks one policy.
    ///
    /// # Errors
    /// What the policy refuses.
    pub fn measure(&self, policy: &Policy) -> Result<Translated, WorkerError> {
        // One item has no next.
        let ask = |items: &[u32]| (items.len() > 1).then(|| self.knows(policy, items)).transpose();
        Ok(Translated { held_out: ask(&self.held_out)?, trained: ask(&self.trained)? })
    }

    fn translator(&self) -> Translator<'_> {
        let limits = (self.stage.title_tokens as usize, self.spec.model.max_prompt_tokens as usize);
        let held_out = HeldOut { share: self.stage.held_out, seed: self.spec.seed };
        Translator::new((&self.data.prepared.ids, self.data.vocabulary), &self.titles, limits, held_out)
    }

    fn knows(&self, policy: &Policy, items: &[u32]) -> Result<Knows, WorkerError> {
        let Guesses { codes, codes_of_another, among_beams } = self.guesses(policy, items)?;
        let own = self.scores(policy, items, |at| (items[at], items[at]))?;
        let next = |at: usize| items[(at + 1) % items.len()];
        // Place i: the title of item i + 1 after the id of item i.
        let crossed = self.scores(policy, items, |at| (items[at], next(at)))?;
        let before = |at: usize| &crossed[(at + items.len() - 1) % items.len()];
        let a_token = |score: &TitleScore| score.log_probability / f64::from(score.tokens.max(1));
        let beats = |mine: f64, other: f64| if mine > other { 1.0 } else { f64::from(u8::from(mine == other)) / 2.0 };
        let of = |value: &dyn Fn(usize) -> f64| self.mean(items, (0..items.len()).map(value).collect());
        Ok(Knows {
            codes: codes.into_iter().map(|right| self.mean(items, right)).collect(),
            codes_of_another: codes_of_another.into_iter().map(|right| self.mean(items, right)).collect(),
            among_beams: self.mean(items, among_beams),
            tokens: of(&|at| f64::from(own[at].right) / f64::from(own[at].tokens.max(1))),
            title_prefers_id: of(&|at| beats(a_token(&own[at]), a_token(before(at)))),
            id_prefers_title: of(&|at| beats(a_token(&own[at]), a_token(&crossed[at]))),
            nats: of(&|at| a_token(&own[at]) - a_token(before(at))),
        })
    }

    /// Which semantic ids the policy finds for the items' titles.
    fn guesses(&self, policy: &Policy, items: &[u32]) -> Result<Guesses, WorkerError> {
        let (ids, translator) = (&self.data.prepared.ids, self.translator());
        let asked = |item: &u32| translator.to_item(*item).ok_or_else(gone);
        let prompts: Vec<(Vec<i64>, u32)> = items.iter().map(asked).collect::<Result<_, _>>()?;
        let lengths: Vec<usize> = prompts.iter().map(|(tokens, _)| tokens.len()).collect();
        let search = BeamSearch::new(policy, self.data.legal(), self.spec.evaluation.beams as usize)?;
        let mut found: Vec<Vec<u32>> = vec![Vec::new(); items.len()];
        for part in micro_batches(&lengths, policy.config().micro_batch_tokens) {
            let tokens: Vec<&[i64]> = part.iter().map(|at| prompts[*at].0.as_slice()).collect();
            for (at, beams) in part.iter().zip(search.search(&tokens)?) {
                found[*at] = beams.iter().map(|beam| beam.cell).collect();
            }
        }
        // The first `length` codes of the best guess for item `at` are those of item `of`.
        let right = |at: usize, of: usize, length: usize| {
            let guess = found[at].first().map(|cell| &ids.cell_codes(*cell)[..length]);
            f64::from(u8::from(guess == Some(&ids.cell_codes(prompts[of].1)[..length])))
        };
        let of_lengths = |of: &dyn Fn(usize) -> usize| -> Vec<Vec<f64>> {
            let each = |length| (0..items.len()).map(|at| right(at, of(at), length)).collect();
            (1..=self.data.vocabulary.levels).map(each).collect()
        };
        let among = |at: usize| f64::from(u8::from(found[at].contains(&prompts[at].1)));
        Ok(Guesses {
            codes: of_lengths(&|at| at),
            codes_of_another: of_lengths(&|at| (at + 1) % items.len()),
            among_beams: (0..items.len()).map(among).collect(),
        })
    }

    /// Scores of a title after a semantic id for each place; `pair` gives the id's item and the title's.
    fn scores(
        &self,
        policy: &Policy,
        items: &[u32],
        pair: impl Fn(usize) -> (u32, u32),
    ) -> Result<Vec<TitleScore>, WorkerError> {
        let translator = self.translator();
        let sequence = |at: usize| {
            let (item, title_of) = pair(at);
            translator.title_after(item, title_of).ok_or_else(gone)
        };
        let sequences: Vec<TitleSequence> = (0..items.len()).map(sequence).collect::<Result<_, _>>()?;
        let prompts: Vec<TitlePrompt<'_>> =
            sequences.iter().map(|s| TitlePrompt { tokens: &s.tokens, answer: s.answer }).collect();
        Ok(title_scores(policy, self.data.vocabulary.first_sign(), &prompts)?)
    }

    /// The mean with its interval over items.
    fn mean(&self, items: &[u32], values: Vec<f64>) -> MetricValue {
        let resampling = Resampling { times: self.spec.evaluation.bootstrap, seed: self.spec.evaluation.seed };
        let values: Vec<Option<f64>> = values.into_iter().map(Some).collect();
        interval(items, &values, resampling)
    }
}

/// By number of codes and by item, and by item: 1 where it is right.
struct Guesses {
    codes: Vec<Vec<f64>>,
    codes_of_another: Vec<Vec<f64>>,
    among_beams: Vec<f64>,
}

fn gone() -> WorkerError {
    WorkerError::Protocol("an item has no title or no semantic id any more".to_owned())
}
