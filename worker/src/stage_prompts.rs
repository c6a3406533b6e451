//! The training prompts of a stage: a fixed list, which leases name by index.

use conrec_domain::spec::{Context, Exclude, StageKind, StageSpec};
use conrec_feedback::alignment::{QuestionSource, Questions};
use conrec_feedback::dataset::Dataset;
use conrec_feedback::evaluation::excluded_items;
use conrec_feedback::history::History;
use conrec_feedback::instance::Instance;
use conrec_feedback::prompt::{PromptBuilder, PromptFrame};
use conrec_feedback::reward::Targets;
use conrec_feedback::semantic_id::SemanticIds;
use conrec_feedback::split::days;
use conrec_policy::random_normal::{below, stream};

/// A stage's prompts, by what the stage learns.
#[derive(Clone, Debug)]
pub enum StagePrompts {
    /// Token sequences of users.
    Sequences(Vec<Vec<i64>>),
    /// Prompts, each with the cell of the next negative, or of an alignment question's disliked item.
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
    /// Seed of the run: alignment questions are drawn.
    pub seed: u64,
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
            StageKind::Alignment => StagePrompts::NextNegatives(self.questions(stage, from)),
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
            (builder.prompt(&past, instance.t0, self.context(stage.context, instance)), instance)
        })
    }

    /// The context of an instance: its own draw where contexts are mixed.
    fn context(&self, of_stage: Context, instance: &Instance) -> Context {
        if of_stage != Context::Mixed {
            return of_stage;
        }
        let Instance { user, t0, next, .. } = instance;
        let mut random = stream(self.seed, &format!("context of {user} {t0} {next}"));
        let all = [Context::Negatives3d, Context::Negatives, Context::All];
        all[below(&mut random, all.len())]
    }

    fn questions(&self, stage: &StageSpec, from: i64) -> Vec<(Vec<i64>, u32)> {
        let builder = PromptBuilder::new(self.ids, self.frame, self.max_prompt_tokens as usize);
        let PromptSource { dataset, history, ids, train_end, seed, .. } = *self;
        let questions = Questions::new(QuestionSource { dataset, history, ids, train_end, until: train_end, seed });
        let ask = |instance: &Instance| {
            let question = questions.draw_mixed(instance, &stage.distractors)?;
            let past = history.before(instance.user, instance.t0);
            Some((builder.question(&past, instance.t0, stage.question_context, &question.shown), question.disliked))
        };
        self.instances.iter().filter(|instance| instance.t0 >= from).filter_map(ask).collect()
    }

    fn sequences(&self, from: i64) -> Vec<Vec<i64>> {
        let builder = PromptBuilder::new(self.ids, self.frame, self.max_prompt_tokens as usize);
        (0..self.dataset.users.len() as u32)
            .map(|user| self.history.before(user, self.train_end))
            .filter(|events| events.last().is_some_and(|e| e.time >= from))
            .flat_map(|events| builder.sequence(&events, self.train_end))
            .collect()
    }
}
