//! From a user's past to tokens: the vocabulary, the prompt of an instance, and the sequences of the next-item stage.
//!
//! A prompt is a beginning (BOS, or the instruction of a pretrained base), events oldest first, a question, and last the
//! sign whose item is asked for: negative. An event is its sign and the D codes of its item. The completion is the D codes
//! of an item. Events of items outside the trie are left out.

use crate::event::{Event, Sign};
use crate::semantic_id::SemanticIds;
use crate::split::DAY;
use conrec_domain::spec::Context;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Fills sequences of unequal length; only a decoder from scratch has it.
pub const PAD: i64 = 0;
/// Begins every sequence of a decoder from scratch.
pub const BOS: i64 = 1;
/// Tokens before the signs in a decoder from scratch.
const SPECIAL: usize = 2;
/// Negative, neutral, positive.
const SIGNS: usize = 3;

/// What `Context::Negatives3d` shows, in seconds.
const THREE_DAYS: i64 = 3 * DAY;

/// The numbering of tokens: some before (two special ones, or all tokens of a pretrained base), then three signs, then K
/// codes a level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vocabulary {
    /// D: codes in a semantic id.
    pub levels: usize,
    /// K: codes a level.
    pub codes: usize,
    /// Tokens before the signs.
    before: usize,
}

impl Vocabulary {
    /// The vocabulary of a decoder from scratch.
    pub const fn new(levels: usize, codes: usize) -> Self {
        Self { levels, codes, before: SPECIAL }
    }

    /// The vocabulary of these semantic ids, for a decoder from scratch.
    pub fn of(ids: &SemanticIds) -> Self {
        Self::new(ids.levels, ids.codes)
    }

    /// The same signs and codes after the `tokens` tokens of a pretrained base.
    pub const fn after(self, tokens: usize) -> Self {
        Self { before: tokens, ..self }
    }

    /// Number of tokens, without [`Vocabulary::question`].
    pub fn size(&self) -> usize {
        self.before + self.own()
    }

    /// Tokens that a pretrained base does not have: signs and codes.
    pub fn own(&self) -> usize {
        SIGNS + self.levels * self.codes
    }

    /// The first sign; signs and codes follow without a gap.
    pub fn first_sign(&self) -> i64 {
        self.before as i64
    }

    fn first_code(&self) -> i64 {
        (self.before + SIGNS) as i64
    }

    /// Token of a code: `first code + level * codes + code`.
    pub fn code(&self, level: usize, code: u16) -> i64 {
        self.first_code() + (level * self.codes) as i64 + i64::from(code)
    }

    /// Tokens of all codes of a level.
    pub fn level(&self, level: usize) -> Range<i64> {
        self.code(level, 0)..self.code(level + 1, 0)
    }

    /// Level and code of a token; none for all other tokens and outside the vocabulary.
    pub fn parse(&self, token: i64) -> Option<(usize, u16)> {
        let at = usize::try_from(token.checked_sub(self.first_code())?).ok()?;
        (at < self.levels * self.codes).then(|| (at / self.codes, (at % self.codes) as u16))
    }

    /// The token that begins an alignment question: the one after all codes. Only runs that ask such questions have it,
    /// so that all other runs keep their weights.
    pub fn question(&self) -> i64 {
        self.size() as i64
    }

    /// Token of a sign.
    pub fn sign(&self, sign: Sign) -> i64 {
        let place = match sign {
            Sign::Negative => 0,
            Sign::Neutral => 1,
            Sign::Positive => 2,
        };
        self.first_sign() + place
    }

    /// Tokens of the three signs.
    pub fn signs(&self) -> Range<i64> {
        self.first_sign()..self.first_code()
    }

    /// Tokens of an item's codes, for all levels.
    pub fn codes<'a>(&'a self, codes: &'a [u16]) -> impl Iterator<Item = i64> + 'a {
        codes.iter().enumerate().map(|(level, &code)| self.code(level, code))
    }

    /// Tokens of one event: its sign and the codes of its item.
    pub fn event_tokens(&self) -> usize {
        1 + self.levels
    }
}

/// What a prompt says around the events: tokens of the base's own text, or of a decoder from scratch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PromptFrame {
    /// Tokens of the pretrained base, which come before the signs; none from scratch.
    pub base_tokens: Option<usize>,
    /// Begins every sequence and every prompt; at least one token.
    pub beginning: Vec<i64>,
    /// Follows the events of a prompt, before the sign.
    pub question: Vec<i64>,
}

impl PromptFrame {
    /// The frame of a decoder from scratch: BOS and nothing else.
    pub fn from_scratch() -> Self {
        Self { base_tokens: None, beginning: vec![BOS], question: Vec::new() }
    }

    /// The vocabulary of these semantic ids.
    pub fn vocabulary(&self, ids: &SemanticIds) -> Vocabulary {
        self.base_tokens.map_or_else(|| Vocabulary::of(ids), |tokens| Vocabulary::of(ids).after(tokens))
    }

    /// Tokens of a prompt without events.
    pub fn tokens(&self) -> usize {
        self.beginning.len() + self.question.len() + 1
    }
}

/// Makes prompts and sequences of one set of semantic ids.
#[derive(Clone, Copy, Debug)]
pub struct PromptBuilder<'a> {
    ids: &'a SemanticIds,
    frame: &'a PromptFrame,
    /// The numbering of tokens.
    pub vocabulary: Vocabulary,
    max_prompt_tokens: usize,
}

impl<'a> PromptBuilder<'a> {
    /// Prompts and sequences of at most `max_prompt_tokens` tokens (a prompt has at least its frame, a sequence one event).
    pub fn new(ids: &'a SemanticIds, frame: &'a PromptFrame, max_prompt_tokens: usize) -> Self {
        Self { ids, frame, vocabulary: frame.vocabulary(ids), max_prompt_tokens }
    }

    /// The prompt of an instance at `t0`, from the user's events, oldest first.
    ///
    /// Events at or after `t0` are never shown, whatever is passed in. Of too many, the oldest are left out.
    pub fn prompt(&self, past: &[Event], t0: i64, context: Context) -> Vec<i64> {
        let room = self.max_prompt_tokens.saturating_sub(self.frame.tokens()) / self.vocabulary.event_tokens();
        let shown = |event: &&Event| event.time < t0 && shows(context, event, t0) && self.is_known(event);
        let newest_first: Vec<&Event> = past.iter().rev().filter(shown).take(room).collect();
        let mut tokens = Vec::with_capacity(self.frame.tokens() + newest_first.len() * self.vocabulary.event_tokens());
        tokens.extend(&self.frame.beginning);
        for event in newest_first.into_iter().rev() {
            self.push(event, &mut tokens);
        }
        tokens.extend(&self.frame.question);
        tokens.push(self.vocabulary.sign(Sign::Negative));
        tokens
    }

    /// The prompt of an alignment question at `t0`: the beginning, what the context shows, the question's token, the codes
    /// of the four cells, and the sign that is asked for. The completion is the codes of the disliked one.
    ///
    /// Events at or after `t0` are never shown. Of too many, the oldest are left out; the question never is.
    pub fn question(&self, past: &[Event], t0: i64, context: Context, cells: &[u32]) -> Vec<i64> {
        let needed = self.frame.beginning.len() + 2 + cells.len() * self.vocabulary.levels;
        let room = self.max_prompt_tokens.saturating_sub(needed) / self.vocabulary.event_tokens();
        let shown = |event: &&Event| event.time < t0 && shows(context, event, t0) && self.is_known(event);
        let newest_first: Vec<&Event> = past.iter().rev().filter(shown).take(room).collect();
        let mut tokens = self.frame.beginning.clone();
        newest_first.into_iter().rev().for_each(|event| self.push(event, &mut tokens));
        tokens.push(self.vocabulary.question());
        for cell in cells {
            tokens.extend(self.vocabulary.codes(self.ids.cell_codes(*cell)));
        }
        tokens.push(self.vocabulary.sign(Sign::Negative));
        tokens
    }

    /// The tokens of an item's codes: what a completion must be to name the item; empty outside the catalogue.
    pub fn completion(&self, item: u32) -> Vec<i64> {
        self.vocabulary.codes(self.ids.item_codes(item)).collect()
    }

    /// A user's events before `end`, oldest first, as sequences of the next-item stage.
    ///
    /// Each begins as a prompt does and fits the longest prompt; every event is in exactly one. The windows are cut from the
    /// newest end, so that only the oldest may be short. Without events there is no sequence.
    pub fn sequence(&self, events: &[Event], end: i64) -> Vec<Vec<i64>> {
        let known: Vec<&Event> = events.iter().filter(|e| e.time < end && self.is_known(e)).collect();
        let mut windows: Vec<Vec<i64>> =
            known.rchunks(self.events_a_sequence()).map(|window| self.window(window)).collect();
        windows.reverse();
        windows
    }

    /// How many sequences [`Self::sequence`] gives.
    pub fn pieces(&self, events: &[Event], end: i64) -> usize {
        let known = events.iter().filter(|e| e.time < end && self.is_known(e)).count();
        known.div_ceil(self.events_a_sequence())
    }

    fn events_a_sequence(&self) -> usize {
        (self.max_prompt_tokens.saturating_sub(self.frame.beginning.len()) / self.vocabulary.event_tokens()).max(1)
    }

    fn window(&self, events: &[&Event]) -> Vec<i64> {
        let beginning = &self.frame.beginning;
        let mut tokens = Vec::with_capacity(beginning.len() + events.len() * self.vocabulary.event_tokens());
        tokens.extend(beginning);
        for event in events {
            self.push(event, &mut tokens);
        }
        tokens
    }

    fn is_known(&self, event: &Event) -> bool {
        self.ids.cell_of(event.item).is_some()
    }

    fn push(&self, event: &Event, tokens: &mut Vec<i64>) {
        tokens.push(self.vocabulary.sign(event.sign));
        tokens.extend(self.vocabulary.codes(self.ids.item_codes(event.item)));
    }
}

/// Whether a context shows an event that lies before `t0`.
fn shows(context: Context, event: &Event, t0: i64) -> bool {
    match context {
        Context::Negatives3d => event.sign == Sign::Negative && event.time >= t0 - THREE_DAYS,
        Context::Negatives => event.sign == Sign::Negative,
        Context::Positives => event.sign == Sign::Positive,
        Context::None => false,
        // Whoever makes training prompts draws one of the three; a policy that is served sees all.
        Context::All | Context::Mixed => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NEGATIVE: i64 = 2;
    const NEUTRAL: i64 = 3;
    const POSITIVE: i64 = 4;

    fn frame() -> PromptFrame {
        PromptFrame::from_scratch()
    }

    /// Item i has codes (i, i + 1); item 3 is outside the trie.
    fn ids() -> SemanticIds {
        let of_item = (0..5).flat_map(|i| [i, i + 1]).collect();
        SemanticIds::new(2, 10, of_item, &[true, true, true, false, true]).unwrap()
    }

    fn event(item: u32, time: i64, sign: Sign) -> Event {
        Event { user: 0, item, time, sign }
    }

    fn past() -> Vec<Event> {
        vec![
            event(0, 0, Sign::Negative),
            event(1, DAY, Sign::Positive),
            event(2, 7 * DAY, Sign::Negative),
            event(3, 8 * DAY, Sign::Negative),
            event(4, 9 * DAY, Sign::Neutral),
        ]
    }

    #[test]
    fn tokens_are_numbered_by_level_and_code() {
        let v = Vocabulary::new(3, 64);
        assert_eq!(v.size(), 5 + 192);
        assert_eq!((v.code(0, 0), v.code(1, 2), v.code(2, 63)), (5, 71, 196));
        assert_eq!(v.level(1), 69..133);
        assert_eq!((v.parse(71), v.parse(4), v.parse(197), v.parse(i64::MIN)), (Some((1, 2)), None, None, None));
        assert_eq!([Sign::Negative, Sign::Neutral, Sign::Positive].map(|s| v.sign(s)), [2, 3, 4]);
    }

    #[test]
    fn each_context_shows_its_part_of_the_past() {
        let ids = ids();
        let frame = frame();
        let builder = PromptBuilder::new(&ids, &frame, 100);
        let prompt = |context| builder.prompt(&past(), 10 * DAY, context);
        assert_eq!(prompt(Context::Negatives3d), [BOS, NEGATIVE, 7, 18, NEGATIVE]);
        assert_eq!(prompt(Context::Negatives), [BOS, NEGATIVE, 5, 16, NEGATIVE, 7, 18, NEGATIVE]);
        let all = [BOS, NEGATIVE, 5, 16, POSITIVE, 6, 17, NEGATIVE, 7, 18, NEUTRAL, 9, 20, NEGATIVE];
        assert_eq!(prompt(Context::All), all);
        assert_eq!(prompt(Context::Positives), [BOS, POSITIVE, 6, 17, NEGATIVE]);
        assert_eq!(prompt(Context::None), [BOS, NEGATIVE]);
    }

    #[test]
    fn a_question_shows_four_cells_after_its_own_token() {
        let ids = ids();
        let ask = |limit, context| {
            PromptBuilder::new(&ids, &frame(), limit).question(&past(), 10 * DAY, context, &[3, 0, 2, 1])
        };
        // 20 codes of two levels lie after the five special tokens: the question's token is 25.
        let question = [25, 9, 20, 5, 16, 7, 18, 6, 17, NEGATIVE];
        assert_eq!(ask(100, Context::None), [&[BOS], &question[..]].concat());
        assert_eq!(ask(15, Context::Negatives), [&[BOS, NEGATIVE, 7, 18], &question[..]].concat());
        assert_eq!(ask(5, Context::All), [&[BOS], &question[..]].concat(), "the question is never cut");
    }

    #[test]
    fn a_pretrained_base_frames_the_events_and_numbers_come_after_its_tokens() {
        let ids = ids();
        let frame = PromptFrame { base_tokens: Some(1000), beginning: vec![7, 8, 9], question: vec![6] };
        let builder = PromptBuilder::new(&ids, &frame, 11);
        assert_eq!(
            builder.prompt(&past(), 10 * DAY, Context::Negatives),
            [7, 8, 9, 1000, 1003, 1014, 1000, 1005, 1016, 6, 1000]
        );
        assert_eq!(PromptBuilder::new(&ids, &frame, 10).prompt(&past(), 10 * DAY, Context::Negatives).len(), 8);
        assert_eq!(builder.sequence(&past()[..1], DAY), [[7, 8, 9, 1000, 1003, 1014]]);
        let v = builder.vocabulary;
        assert_eq!((v.size(), v.own(), v.signs()), (1023, 23, 1000..1003));
        assert_eq!((v.parse(1003), v.parse(1022), v.parse(1023), v.parse(5)), (Some((0, 0)), Some((1, 9)), None, None));
    }

    #[test]
    fn three_days_begin_exactly_three_days_before_t0() {
        let ids = ids();
        let frame = frame();
        let builder = PromptBuilder::new(&ids, &frame, 100);
        let events = [event(0, 99, Sign::Negative), event(1, 100, Sign::Negative)];
        let prompt = builder.prompt(&events, 100 + 3 * DAY, Context::Negatives3d);
        assert_eq!(prompt, [BOS, NEGATIVE, 6, 17, NEGATIVE]);
    }

    #[test]
    fn the_oldest_events_are_left_out_whole() {
        let ids = ids();
        for (limit, expected) in [(8, 2), (7, 1), (5, 1), (4, 0), (0, 0)] {
            let prompt = PromptBuilder::new(&ids, &frame(), limit).prompt(&past(), 10 * DAY, Context::All);
            assert_eq!(prompt.len(), 2 + 3 * expected, "limit {limit}");
            assert_eq!((prompt[0], prompt[prompt.len() - 1]), (BOS, NEGATIVE));
        }
        let prompt = PromptBuilder::new(&ids, &frame(), 7).prompt(&past(), 10 * DAY, Context::All);
        assert_eq!(prompt, [BOS, NEUTRAL, 9, 20, NEGATIVE]);
    }

    #[test]
    fn sequences_hold_every_event_once_and_are_cut_from_the_newest_end() {
        let ids = ids();
        let windows = PromptBuilder::new(&ids, &frame(), 8).sequence(&past(), 10 * DAY);
        assert_eq!(windows, [vec![1, 2, 5, 16, 4, 6, 17], vec![1, 2, 7, 18, 3, 9, 20]]);
        let windows = PromptBuilder::new(&ids, &frame(), 8).sequence(&past(), 9 * DAY);
        assert_eq!(windows, [vec![1, 2, 5, 16], vec![1, 4, 6, 17, 2, 7, 18]]);
        assert!(PromptBuilder::new(&ids, &frame(), 8).sequence(&[event(3, 0, Sign::Negative)], DAY).is_empty());
        assert_eq!(PromptBuilder::new(&ids, &frame(), 0).sequence(&past(), 10 * DAY).len(), 4);
    }

    #[test]
    fn a_completion_is_the_items_codes() {
        assert_eq!(PromptBuilder::new(&ids(), &frame(), 8).completion(2), [7, 18]);
    }

    proptest! {
        /// Events at or after t0 all concern item 4, those before t0 the items 0 to 2: item 4 must never appear.
        #[test]
        fn nothing_at_or_after_t0_ever_appears(
            before in prop::collection::vec((0u32..3, 0i64..1000), 0..20),
            after in prop::collection::vec(1000i64..2000, 1..20),
            limit in 2usize..60,
        ) {
            let ids = ids();
            let mut events: Vec<Event> = before.iter().map(|&(item, t)| event(item, t, Sign::Negative)).collect();
            events.extend(after.iter().map(|&t| event(4, t, Sign::Negative)));
            events.sort_by_key(|e| (e.time, e.item));
            let frame = frame();
        let builder = PromptBuilder::new(&ids, &frame, limit);
            for context in [Context::Negatives3d, Context::Negatives, Context::All] {
                let prompt = builder.prompt(&events, 1000, context);
                prop_assert!(!prompt.contains(&9) && !prompt.contains(&20));
                prop_assert!(prompt.len() <= limit);
            }
            prop_assert!(builder.sequence(&events, 1000).iter().flatten().all(|&t| t != 9 && t != 20));
            prop_assert_eq!(builder.pieces(&events, 1000), builder.sequence(&events, 1000).len());
        }
    }
}
