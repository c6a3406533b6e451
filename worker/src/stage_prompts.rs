//! The training prompts of a stage: a fixed list, which leases name by index.

use conrec_domain::spec::{Exclude, StageKind, StageSpec};
use conrec_feedback::dataset::Dataset;
use conrec_feedback::evaluation::excluded_items;
use conrec_feedback::history::History;
use conrec_feedback::instance::Instance;
use conrec_feedback::prompt::{PromptBuilder, PromptFrame};
use conrec_feedback::reward::Targets;
use conrec_feedback::semantic_id::SemanticIds;
use conrec_feedback::split::days;

/// A stage's prompts, by what the stage learns.
#[derive(Clone, Debug)]
pub enum StagePrompts {
    /// Token sequences of users.
    Sequences(Vec<Vec<i64>>),
    /// Prompts, each with the cell of the next negative.
    NextNegatives(Vec<(Vec<i64>, u32)>),
    /// Prompts, each with the targets of the reward.
    Groups(Vec<(Vec<i64>, Targets)>),
}

impl StagePrompts {
    /// Number of prompts.
    pub fn len(&self) -> usize {
        match self {
            Self::Sequences(list) => list.len(),
            Self::NextNegatives(list) => list.len(),
            Self::Groups(list) => list.len(),
        }
    }

    /// Whether there is nothing to learn from.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What prompts are made from: one pass of the prepared data.
#[derive(Clone, Copy)]
pub struct PromptSource<'a> {
    /// All events and items.
    pub dataset: &'a Dataset,
    /// Events by user.
    pub history: &'a History,
    /// Training instances, in order of time.
    pub instances: &'a [Instance],
    /// Semantic ids.
    pub ids: &'a SemanticIds,
    /// What prompts say around the events.
    pub frame: &'a PromptFrame,
    /// Swing neighbours of each item, which extend the ground-truth sets.
    pub swing: &'a [Vec<(u32, f64)>],
    /// Nothing at or after this moment is seen.
    pub train_end: i64,
    /// The longest prompt.
    pub max_prompt_tokens: u32,
    /// What is left out of a user's lists, which a reward may leave unpaid.
    pub exclude: Exclude,
}

impl PromptSource<'_> {
    /// The prompts of a stage. Instances without a target cell are left out: they teach nothing.
    pub fn stage(&self, stage: &StageSpec) -> StagePrompts {
        let from = match stage.recent_days {
            0 => i64::MIN,
            n => self.train_end - days(n),
        };
        match stage.kind {
            StageKind::NextItem => StagePrompts::Sequences(self.sequences(from)),
            StageKind::NextNegative => StagePrompts::NextNegatives(
                self.prompts(stage, from)
                    .filter_map(|(prompt, instance)| Some((prompt, self.ids.cell_of(instance.next)?)))
                    .collect(),
            ),
            StageKind::Grpo => StagePrompts::Groups(
                self.prompts(stage, from)
                    .map(|(prompt, instance)| (prompt, self.targets(instance)))
                    .filter(|(_, targets)| !targets.negatives.is_empty())
                    .collect(),
            ),
        }
    }

    /// The reward's targets of an instance.
    pub fn targets(&self, instance: &Instance) -> Targets {
        let neighbours = |item: u32| self.swing.get(item as usize).map_or(&[][..], Vec::as_slice);
        let excluded = excluded_items(self.history, instance, self.exclude);
        Targets::new(self.ids, &instance.gts, &instance.fps, neighbours).of(instance, &excluded, self.ids)
    }

    fn prompts<'s>(&'s self, stage: &'s StageSpec, from: i64) -> impl Iterator<Item = (Vec<i64>, &'s Instance)> + 's {
        let builder = PromptBuilder::new(self.ids, self.frame, self.max_prompt_tokens as usize);
        self.instances.iter().filter(move |i| i.t0 >= from).map(move |instance| {
            let past = self.history.before(instance.user, instance.t0);
            (builder.prompt(past, instance.t0, stage.context), instance)
        })
    }

    fn sequences(&self, from: i64) -> Vec<Vec<i64>> {
        let builder = PromptBuilder::new(self.ids, self.frame, self.max_prompt_tokens as usize);
        (0..self.dataset.users.len() as u32)
            .map(|user| self.history.before(user, self.train_end))
            .filter(|events| events.last().is_some_and(|e| e.time >= from))
            .flat_map(|events| builder.sequence(events, self.train_end))
            .collect()
    }
}
