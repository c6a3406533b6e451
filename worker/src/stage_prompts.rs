//! The training prompts of a stage: a fixed list, which leases name by index. What is held of each is where it comes from
//! (4 to 28 bytes); the prompts themselves are made a lease at a time, as a stage may have millions.

use crate::error::WorkerError;
use conrec_domain::spec::{Answers, Context, Exclude, RewardTargets, StageKind, StageSpec};
use conrec_feedback::alignment::{Question, QuestionSource, Questions};
use conrec_feedback::dataset::Dataset;
use conrec_feedback::evaluation::excluded_items;
use conrec_feedback::history::History;
use conrec_feedback::instance::Instance;
use conrec_feedback::prompt::{PromptBuilder, PromptFrame};
use conrec_feedback::reward::Targets;
use conrec_feedback::semantic_id::SemanticIds;
use conrec_feedback::split::days;
use conrec_feedback::translation::{Direction, HeldOut, TitleSequence, Titles, Translator};
use conrec_policy::random_normal::{below, stream};

/// Where a stage's prompts come from, by what the stage learns. Instances are named by their index.
#[derive(Clone, Debug)]
pub enum StagePrompts {
    /// Pieces of users' histories: the user, and which piece.
    Sequences(Vec<(u32, u32)>),
    /// Instances whose next negative has a cell.
    NextNegatives(Vec<u32>),
    /// Items, and what is asked about each.
    Translations(Vec<(u32, Direction)>),
    /// Instances with the question about each.
    Questions(Vec<(u32, Question)>),
    /// Instances with a target that has a cell.
    Groups(Vec<u32>),
}

/// The prompts of a lease.
#[derive(Clone, Debug)]
pub enum LeasePrompts {
    /// Token sequences of users.
    Sequences(Vec<Vec<i64>>),
    /// Prompts, each with the cell of the next negative, or of an alignment question's disliked item.
    NextNegatives(Vec<(Vec<i64>, u32)>),
    /// Semantic ids with their titles, and prompts with a title, each with the cell that is asked for.
    Translations {
        /// The first.
        titles: Vec<TitleSequence>,
        /// The second.
        items: Vec<(Vec<i64>, u32)>,
    },
    /// Prompts, each with the targets of the reward.
    Groups(Vec<(Vec<i64>, Targets)>),
}

impl StagePrompts {
    /// Number of prompts.
    pub fn len(&self) -> usize {
        match self {
            Self::Sequences(list) => list.len(),
            Self::NextNegatives(list) | Self::Groups(list) => list.len(),
            Self::Questions(list) => list.len(),
            Self::Translations(list) => list.len(),
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
    /// Titles in the base's tokens, where a stage translates.
    pub titles: Option<&'a Titles>,
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
    /// Which negatives a reward is measured against.
    pub targets: RewardTargets,
}

impl PromptSource<'_> {
    /// Where the prompts of a stage come from. Instances without a target cell are left out: they teach nothing.
    pub fn stage(&self, stage: &StageSpec) -> StagePrompts {
        let from = match stage.recent_days {
            0 => i64::MIN,
            n => self.train_end - days(n),
        };
        let instances = || (0u32..).zip(self.instances).filter(move |(_, instance)| instance.t0 >= from);
        match stage.kind {
            StageKind::NextItem => StagePrompts::Sequences(self.pieces(from)),
            StageKind::NextNegative => {
                let has_cell = |(_, instance): &(u32, &Instance)| self.ids.cell_of(instance.next).is_some();
                StagePrompts::NextNegatives(instances().filter(has_cell).map(|(at, _)| at).collect())
            }
            StageKind::Translation => {
                let seen = self.dataset.between(from, self.train_end);
                let prompts = self.translator(stage).map(|of| of.prompts(seen));
                StagePrompts::Translations(prompts.unwrap_or_default())
            }
            StageKind::Alignment => {
                let questions = self.questions();
                let draw = |(at, instance)| Some((at, questions.draw_mixed(instance, &stage.distractors)?));
                StagePrompts::Questions(instances().filter_map(draw).collect())
            }
            StageKind::Grpo => {
                let has_target = |(_, instance): &(u32, &Instance)| !self.targets(instance).negatives.is_empty();
                StagePrompts::Groups(instances().filter(has_target).map(|(at, _)| at).collect())
            }
        }
    }

    /// The prompts `of` a stage, in that order.
    ///
    /// # Errors
    /// Indices that the stage, or what it was made from, does not have.
    pub fn make(&self, (stage, all): (&StageSpec, &StagePrompts), of: &[u32]) -> Result<LeasePrompts, WorkerError> {
        let builder = PromptBuilder::new(self.ids, self.frame, self.max_prompt_tokens as usize);
        let past = |instance: &Instance| self.history.before(instance.user, instance.t0);
        let prompt = |i: &Instance| builder.prompt(&past(i), i.t0, self.context(stage.context, i));
        Ok(match all {
            StagePrompts::Sequences(list) => {
                let piece = |(user, piece): &(u32, u32)| {
                    let events = self.history.before(*user, self.train_end);
                    builder.sequence(&events, self.train_end).into_iter().nth(*piece as usize)
                };
                let made = |place| piece(place).ok_or_else(|| gone("piece of a history"));
                LeasePrompts::Sequences(pick(list, of)?.map(made).collect::<Result<_, _>>()?)
            }
            StagePrompts::NextNegatives(list) => {
                let made = |at: &u32| {
                    let instance = self.instance(*at)?;
                    let cell = self.ids.cell_of(instance.next).ok_or_else(|| gone("cell"))?;
                    Ok((prompt(instance), cell))
                };
                LeasePrompts::NextNegatives(pick(list, of)?.map(made).collect::<Result<_, WorkerError>>()?)
            }
            StagePrompts::Questions(list) => {
                let made = |(at, question): &(u32, Question)| {
                    let i = self.instance(*at)?;
                    let answer = match stage.answers {
                        Answers::Disliked => question.disliked,
                        Answers::Drawn => question.drawn(self.seed, i),
                    };
                    Ok((builder.question(&past(i), i.t0, stage.question_context, &question.shown), answer))
                };
                LeasePrompts::NextNegatives(pick(list, of)?.map(made).collect::<Result<_, WorkerError>>()?)
            }
            StagePrompts::Translations(list) => self.translations(stage, pick(list, of)?)?,
            StagePrompts::Groups(list) => {
                let made = |at: &u32| self.instance(*at).map(|instance| (prompt(instance), self.targets(instance)));
                LeasePrompts::Groups(pick(list, of)?.map(made).collect::<Result<_, _>>()?)
            }
        })
    }

    /// The reward's targets of an instance.
    pub fn targets(&self, instance: &Instance) -> Targets {
        self.targets_by(self.targets, instance)
    }

    /// The same for other negatives than the config's.
    pub fn targets_by(&self, targets: RewardTargets, instance: &Instance) -> Targets {
        let neighbours = |item: u32| self.swing.get(item as usize).map_or(&[][..], Vec::as_slice);
        let excluded = excluded_items(self.history, instance, self.exclude);
        let gts = match targets {
            RewardTargets::Horizon => &instance.gts[..],
            RewardTargets::Next => std::slice::from_ref(&instance.next),
        };
        Targets::new(self.ids, gts, &instance.fps, neighbours).of(instance, &excluded, self.ids)
    }

    fn instance(&self, at: u32) -> Result<&Instance, WorkerError> {
        self.instances.get(at as usize).ok_or_else(|| gone("instance"))
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

    fn translator(&self, stage: &StageSpec) -> Option<Translator<'_>> {
        let limits = (stage.title_tokens as usize, self.max_prompt_tokens as usize);
        let held_out = HeldOut { share: stage.held_out, seed: self.seed };
        let ids = (self.ids, self.frame.vocabulary(self.ids));
        self.titles.map(|titles| Translator::new(ids, titles, limits, held_out))
    }

    fn translations<'p>(
        &self,
        stage: &StageSpec,
        of: impl Iterator<Item = &'p (u32, Direction)>,
    ) -> Result<LeasePrompts, WorkerError> {
        let translator = self.translator(stage).ok_or_else(|| gone("title"))?;
        let (mut titles, mut items) = (Vec::new(), Vec::new());
        for (item, direction) in of {
            match direction {
                Direction::ToTitle => titles.push(translator.to_title(*item).ok_or_else(|| gone("title"))?),
                Direction::ToItem => items.push(translator.to_item(*item).ok_or_else(|| gone("title"))?),
            }
        }
        Ok(LeasePrompts::Translations { titles, items })
    }

    fn questions(&self) -> Questions<'_> {
        let PromptSource { dataset, history, ids, train_end, seed, .. } = *self;
        Questions::new(QuestionSource { dataset, history, ids, train_end, until: train_end, seed })
    }

    fn pieces(&self, from: i64) -> Vec<(u32, u32)> {
        let builder = PromptBuilder::new(self.ids, self.frame, self.max_prompt_tokens as usize);
        (0..self.dataset.users.len() as u32)
            .map(|user| (user, self.history.before(user, self.train_end)))
            .filter(|(_, events)| events.last().is_some_and(|e| e.time >= from))
            .flat_map(|(user, events)| {
                (0..builder.pieces(&events, self.train_end) as u32).map(move |piece| (user, piece))
            })
            .collect()
    }
}

fn pick<'a, T>(all: &'a [T], of: &[u32]) -> Result<impl Iterator<Item = &'a T>, WorkerError> {
    let one = |index: &u32| {
        all.get(*index as usize)
            .ok_or_else(|| WorkerError::Protocol(format!("prompt {index} of a stage that has {}", all.len())))
    };
    Ok(of.iter().map(one).collect::<Result<Vec<&T>, WorkerError>>()?.into_iter())
}

/// The list of a stage names what its source does not have: the two belong to different data.
fn gone(what: &str) -> WorkerError {
    WorkerError::Protocol(format!("a prompt names a {what} that the prepared data does not have"))
}
