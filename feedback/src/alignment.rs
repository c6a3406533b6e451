//! Item-Level Alignment (method, section 4): "the user disliked one of these four items, which?". The other three, the
//! distractors, are drawn by a rule that says what can NOT tell them from the disliked one: how popular they are, of what
//! category, whether they were shown that day.
//!
//! Draws and the order of the four depend on (seed, user, moment, item, kind) alone: no place in the prompt tells more
//! than another, and no other instance matters.

use crate::dataset::Dataset;
use crate::event::{Event, Sign};
use crate::history::History;
use crate::instance::Instance;
use crate::keyed_random::{below, uniform};
use crate::semantic_id::SemanticIds;
use crate::split::DAY;
use conrec_domain::spec::{Distractor, Distractors};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;
use std::collections::BTreeMap;

/// Distractors of a question.
pub const OTHERS: usize = 3;

/// Popularity-matched distractors are drawn from so many items of nearest popularity.
const NEAREST: usize = 12;

/// Places that are looked at in a large pool before it counts as too small.
const TRIES: usize = 64;

/// The salt of the draw that chooses a kind; kinds have their place in [`Distractor::ALL`].
const KIND: u8 = 255;

/// The salt of the draw of an answer.
const ANSWER: u8 = 254;

/// What questions are drawn from.
#[derive(Clone, Copy, Debug)]
pub struct QuestionSource<'a> {
    /// All events and items; events sorted by time.
    pub dataset: &'a Dataset,
    /// The same events by user.
    pub history: &'a History,
    /// Items without a cell are in no question.
    pub ids: &'a SemanticIds,
    /// Popularity counts events before this.
    pub train_end: i64,
    /// No event at or after this is looked at: `train_end` for training, later for held-out questions.
    pub until: i64,
    /// Seed of the run.
    pub seed: u64,
}

/// Four cells, one of which the user disliked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question {
    /// Where the other three come from.
    pub kind: Distractor,
    /// The cell of the disliked item.
    pub disliked: u32,
    /// The four cells in the order of the prompt, all different.
    pub shown: [u32; OTHERS + 1],
}

impl Question {
    /// One of the four cells, drawn by (seed, user, moment, item) alone: the answer of the control.
    pub fn drawn(&self, seed: u64, instance: &Instance) -> u32 {
        self.shown[below(&mut Stream::new(seed, instance, ANSWER).0, self.shown.len())]
    }
}

/// Draws questions.
#[derive(Clone, Debug)]
pub struct Questions<'a> {
    source: QuestionSource<'a>,
    /// Items with a cell, by their number of events and then by index.
    by_popularity: Vec<u32>,
    /// Place of each item in it; none for items without a cell.
    place: Vec<Option<usize>>,
    /// Items with a cell of each category.
    by_category: BTreeMap<&'a str, Vec<u32>>,
}

impl<'a> Questions<'a> {
    /// Orders the catalogue.
    pub fn new(source: QuestionSource<'a>) -> Self {
        let items = source.dataset.items.len() as u32;
        let mut counts = vec![0u64; items as usize];
        for event in source.dataset.before(source.train_end) {
            if let Some(count) = counts.get_mut(event.item as usize) {
                *count += 1;
            }
        }
        let mut by_popularity: Vec<u32> = (0..items).filter(|item| source.ids.cell_of(*item).is_some()).collect();
        let mut by_category: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
        for item in &by_popularity {
            for category in &source.dataset.items[*item as usize].categories {
                by_category.entry(category).or_default().push(*item);
            }
        }
        by_popularity.sort_by_key(|item| (counts[*item as usize], *item));
        let mut place = vec![None; items as usize];
        for (at, item) in by_popularity.iter().enumerate() {
            place[*item as usize] = Some(at);
        }
        Self { source, by_popularity, place, by_category }
    }

    /// The question about an instance's next negative with distractors of one kind; none where its item has no cell,
    /// or fewer than three distractors are to be had.
    pub fn draw(&self, instance: &Instance, kind: Distractor) -> Option<Question> {
        let salt = Distractor::ALL.iter().position(|other| *other == kind)? as u8;
        let mut random = Stream::new(self.source.seed, instance, salt);
        let disliked = self.source.ids.cell_of(instance.next)?;
        let mut chosen = Chosen::new(self, instance, disliked);
        match kind {
            Distractor::Positives => chosen.take(self.liked(instance), &mut random),
            Distractor::Popularity => self.matched(instance.next, &mut chosen, &mut random),
            Distractor::Category => {
                for category in &self.source.dataset.items[instance.next as usize].categories {
                    let pool = self.by_category.get(category.as_str()).map_or(&[][..], Vec::as_slice);
                    chosen.draw(pool.len(), |at| pool.get(at).copied(), &mut random);
                }
            }
            Distractor::Exposed => {
                let pool = self.exposed(instance);
                let other = |at: usize| pool.get(at).filter(|e| e.user != instance.user).map(|e| e.item);
                chosen.draw(pool.len(), other, &mut random);
            }
        }
        let mut shown = [disliked; OTHERS + 1];
        shown[1..].copy_from_slice(<&[u32; OTHERS]>::try_from(chosen.cells.as_slice()).ok()?);
        random.shuffle(&mut shown);
        Some(Question { kind, disliked, shown })
    }

    /// A question with distractors of a kind drawn by weight among those that are to be had.
    pub fn draw_mixed(&self, instance: &Instance, weights: &Distractors) -> Option<Question> {
        let weighted = Distractor::ALL.into_iter().zip(weights.weights()).filter(|(_, weight)| *weight > 0.0);
        let found: Vec<(Question, f64)> =
            weighted.filter_map(|(kind, weight)| Some((self.draw(instance, kind)?, weight))).collect();
        let total: f64 = found.iter().map(|(_, weight)| weight).sum();
        let mut rest = uniform(&mut Stream::new(self.source.seed, instance, KIND).0) * total;
        let hit = found.iter().find(|(_, weight)| {
            rest -= weight;
            rest < 0.0
        });
        // Rounding may leave nothing to hit: then it is the last.
        hit.or_else(|| found.last()).map(|(question, _)| *question)
    }

    /// What the user liked before and never disliked, each item once.
    fn liked(&self, instance: &Instance) -> Vec<u32> {
        let past = self.source.history.before(instance.user, instance.t0);
        let mut liked: Vec<u32> = past.iter().filter(|e| e.sign == Sign::Positive).map(|e| e.item).collect();
        liked.sort_unstable();
        liked.dedup();
        liked.retain(|item| !past.iter().any(|e| e.item == *item && e.sign == Sign::Negative));
        liked
    }

    /// From the items of nearest popularity, to both sides in turn.
    fn matched(&self, item: u32, chosen: &mut Chosen<'_>, random: &mut Stream) {
        let Some(own) = self.place.get(item as usize).copied().flatten() else {
            return;
        };
        let mut near = Vec::with_capacity(NEAREST);
        let sides = (1..self.by_popularity.len()).flat_map(|step| [own.checked_sub(step), Some(own + step)]);
        for at in sides.flatten() {
            if let Some(item) = self.by_popularity.get(at).filter(|item| chosen.allows_item(**item)) {
                near.push(*item);
            }
            if near.len() == NEAREST {
                break;
            }
        }
        chosen.take(near, random);
    }

    /// Events of the instance's UTC day.
    fn exposed(&self, instance: &Instance) -> &'a [Event] {
        let day = instance.t0.div_euclid(DAY) * DAY;
        self.source.dataset.between(day, (day + DAY).min(self.source.until))
    }
}

/// Distractors found so far, and what may be none.
struct Chosen<'q> {
    ids: &'q SemanticIds,
    /// Items that the user met before, sorted: only for the kind that asks for liked ones they are no bar.
    met: Vec<u32>,
    /// Cells of what the user dislikes now or in the horizon.
    disliked: Vec<u32>,
    cells: Vec<u32>,
}

impl<'q> Chosen<'q> {
    fn new(questions: &Questions<'q>, instance: &Instance, disliked: u32) -> Self {
        let QuestionSource { history, ids, .. } = questions.source;
        let mut met: Vec<u32> = history.before(instance.user, instance.t0).iter().map(|e| e.item).collect();
        met.sort_unstable();
        let gts = instance.gts.iter().filter_map(|item| ids.cell_of(*item));
        Self { ids, met, disliked: std::iter::once(disliked).chain(gts).collect(), cells: Vec::with_capacity(OTHERS) }
    }

    fn allows_item(&self, item: u32) -> bool {
        self.met.binary_search(&item).is_err() && self.ids.cell_of(item).is_some_and(|cell| self.allows(cell))
    }

    fn allows(&self, cell: u32) -> bool {
        self.cells.len() < OTHERS && !self.disliked.contains(&cell) && !self.cells.contains(&cell)
    }

    /// Takes items of a small pool, in drawn order.
    fn take(&mut self, mut pool: Vec<u32>, random: &mut Stream) {
        random.shuffle(&mut pool);
        for cell in pool.into_iter().filter_map(|item| self.ids.cell_of(item)) {
            if self.allows(cell) {
                self.cells.push(cell);
            }
        }
    }

    /// Draws from a pool of any size: a small one is gone through, a large one is tried so many times.
    fn draw(&mut self, pool: usize, item: impl Fn(usize) -> Option<u32>, random: &mut Stream) {
        if self.cells.len() == OTHERS || pool == 0 {
            return;
        }
        if pool <= TRIES {
            let items: Vec<u32> = (0..pool).filter_map(item).filter(|item| self.allows_item(*item)).collect();
            return self.take(items, random);
        }
        for _ in 0..TRIES {
            let Some(item) = item(below(&mut random.0, pool)).filter(|item| self.allows_item(*item)) else {
                continue;
            };
            self.cells.extend(self.ids.cell_of(item));
        }
    }
}

/// Random numbers of one question.
struct Stream(ChaCha8Rng);

impl Stream {
    fn new(seed: u64, instance: &Instance, salt: u8) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8..16].copy_from_slice(&instance.t0.to_le_bytes());
        key[16..20].copy_from_slice(&instance.user.to_le_bytes());
        key[20..24].copy_from_slice(&instance.next.to_le_bytes());
        key[24..31].copy_from_slice(b"aligned");
        key[31] = salt;
        Self(ChaCha8Rng::from_seed(key))
    }

    /// Fisher and Yates.
    fn shuffle<T>(&mut self, values: &mut [T]) {
        for last in (1..values.len()).rev() {
            let place = below(&mut self.0, last + 1);
            values.swap(last, place);
        }
    }
}

#[cfg(test)]
mod tests;
