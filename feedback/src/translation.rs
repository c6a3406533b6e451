//! Translation between an item's semantic id and its title (method, section 4; LC-Rec, arXiv 2311.09049, section 3.3): a
//! pretrained base learns what its new tokens mean, in words that it knows already.
//!
//! Each item that has a semantic id and a title gives two prompts, one a direction. Which of them an iteration takes is
//! drawn by the schedule, as for every stage.

use crate::dataset::Item;
use crate::event::Event;
use crate::keyed_random::{stream, uniform};
use crate::prompt::Vocabulary;
use crate::semantic_id::SemanticIds;
use serde::{Deserialize, Serialize};

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The title of a semantic id.
    ToTitle,
    /// The semantic id of a title.
    ToItem,
}

/// The words around semantic ids and titles, in tokens of the base.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wording {
    /// Before and after a semantic id whose title is asked for; at least one token before it.
    pub to_title: [Vec<i64>; 2],
    /// Before and after a title whose semantic id is asked for; at least one token before it.
    pub to_item: [Vec<i64>; 2],
    /// The token that ends a title.
    pub end: i64,
}

impl Wording {
    /// Tokens of a title for which a sequence of `most` tokens has room, whichever direction it goes; 0 where it has none.
    pub fn room(&self, levels: usize, most: usize) -> usize {
        let words = |texts: &[Vec<i64>; 2]| texts[0].len() + texts[1].len();
        // A title that is asked for has its end after it.
        most.saturating_sub(words(&self.to_item).max(words(&self.to_title) + levels + 1))
    }
}

/// Titles as a base reads them: tokenised once for all workers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Titles {
    /// What stands around them.
    pub wording: Wording,
    /// Tokens of each item's title; none where it has no title.
    pub of_item: Vec<Vec<i64>>,
}

/// The text of an item's title, with its year where one is known.
pub fn title_text(item: &Item) -> Option<String> {
    let title = item.own_title()?;
    // With a space before it, as a word within a text is tokenised.
    Some(item.year.map_or_else(|| format!(" {title}"), |year| format!(" {title} ({year})")))
}

/// Makes the prompts of one set of semantic ids.
#[derive(Clone, Copy, Debug)]
pub struct Translator<'a> {
    ids: &'a SemanticIds,
    vocabulary: Vocabulary,
    titles: &'a Titles,
    /// Tokens of a title at most.
    most: usize,
    /// What is kept back.
    held_out: HeldOut,
}

/// Which items are kept back from a stage, to be asked for later. Whole cells are: an item whose semantic id was trained on
/// with another title would be held out in name only. The draw is keyed by the codes, and a larger share holds out all that
/// a smaller one does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HeldOut {
    /// Share of the cells.
    pub share: f64,
    /// Seed of the run.
    pub seed: u64,
}

impl HeldOut {
    /// Whether an item with these codes is kept back.
    pub fn holds(&self, codes: &[u16]) -> bool {
        self.share > 0.0 && uniform(&mut stream(self.seed, &format!("held out of translation {codes:?}"))) < self.share
    }
}

/// A prompt and the title that follows it, as one sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TitleSequence {
    /// Prompt and answer.
    pub tokens: Vec<i64>,
    /// Where the answer begins.
    pub answer: usize,
}

impl<'a> Translator<'a> {
    /// Prompts with titles of at most `title_tokens` tokens, and with their answers no longer than `max_tokens`.
    pub fn new(
        (ids, vocabulary): (&'a SemanticIds, Vocabulary),
        titles: &'a Titles,
        (title_tokens, max_tokens): (usize, usize),
        held_out: HeldOut,
    ) -> Self {
        let most = title_tokens.min(titles.wording.room(vocabulary.levels, max_tokens));
        Self { ids, vocabulary, titles, most, held_out }
    }

    /// Both prompts of each item that is trained on; ascending.
    pub fn prompts(&self, events: &[Event]) -> Vec<(u32, Direction)> {
        let (_, trained) = self.items(events);
        trained.into_iter().flat_map(|item| [(item, Direction::ToTitle), (item, Direction::ToItem)]).collect()
    }

    /// The items that these events name, that have a semantic id, and that have a title; ascending: those that are held out,
    /// and the others.
    pub fn items(&self, events: &[Event]) -> (Vec<u32>, Vec<u32>) {
        let mut items: Vec<u32> = events.iter().map(|event| event.item).collect();
        items.sort_unstable();
        items.dedup();
        items.retain(|item| self.ids.cell_of(*item).is_some() && self.title(*item).is_some());
        items.into_iter().partition(|item| self.held_out.holds(self.ids.item_codes(*item)))
    }

    /// A semantic id and its title. A title that was cut has no end: it does not end there. None for items that give no
    /// prompts.
    pub fn to_title(&self, item: u32) -> Option<TitleSequence> {
        self.title_after(item, item)
    }

    /// The semantic id of one item and the title of another.
    pub fn title_after(&self, item: u32, title_of: u32) -> Option<TitleSequence> {
        let (title, is_whole) = self.title(title_of)?;
        self.ids.cell_of(item)?;
        let Wording { to_title: [before, after], end, .. } = &self.titles.wording;
        let mut tokens = before.clone();
        tokens.extend(self.vocabulary.codes(self.ids.item_codes(item)));
        tokens.extend(after);
        let answer = tokens.len();
        tokens.extend(title);
        tokens.extend(is_whole.then_some(end));
        Some(TitleSequence { tokens, answer })
    }

    /// A prompt with a title, and the cell that is asked for. None for items that give no prompts.
    pub fn to_item(&self, item: u32) -> Option<(Vec<i64>, u32)> {
        let (title, _) = self.title(item)?;
        let cell = self.ids.cell_of(item)?;
        let [before, after] = &self.titles.wording.to_item;
        Some(([before, title, after].concat(), cell))
    }

    /// An item's title, cut, and whether it is whole.
    fn title(&self, item: u32) -> Option<(&'a [i64], bool)> {
        let title = self.titles.of_item.get(item as usize)?;
        let cut = title.get(..title.len().min(self.most)).filter(|cut| !cut.is_empty())?;
        Some((cut, cut.len() == title.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Sign;

    /// Item i has codes (i, i + 1); item 3 is outside the trie.
    fn ids() -> SemanticIds {
        let of_item = (0..6).flat_map(|i| [i, i + 1]).collect();
        SemanticIds::new(2, 10, of_item, &[true, true, true, false, true, true]).unwrap()
    }

    /// Item 4 has no title.
    fn titles() -> Titles {
        let wording = Wording { to_title: [vec![90, 91], vec![92]], to_item: [vec![80], vec![81, 82]], end: 99 };
        let of_item = vec![vec![10], vec![11, 12], vec![13, 14, 15], vec![16], vec![], vec![17]];
        Titles { wording, of_item }
    }

    fn translator<'a>(ids: &'a SemanticIds, titles: &'a Titles, limits: (usize, usize)) -> Translator<'a> {
        Translator::new((ids, Vocabulary::of(ids).after(1000)), titles, limits, HeldOut { share: 0.0, seed: 1 })
    }

    #[test]
    fn items_that_were_seen_with_cell_and_title_give_both_directions() {
        let (ids, titles) = (ids(), titles());
        let seen = [5, 3, 2, 4, 2, 9].map(|item| Event { user: 0, item, time: 0, sign: Sign::Neutral });
        let found = translator(&ids, &titles, (24, 64)).prompts(&seen);
        let both = |item| [(item, Direction::ToTitle), (item, Direction::ToItem)];
        assert_eq!(found, [both(2), both(5)].concat());
        assert!(translator(&ids, &titles, (24, 6)).prompts(&seen).is_empty(), "no room for a token of a title");
    }

    /// 400 cells of three items each.
    #[test]
    fn whole_cells_are_held_out_by_the_seed_and_a_larger_share_holds_out_the_same_and_more() {
        let of_item: Vec<u16> = (0..1200u16).flat_map(|i| [i / 3 % 20, i / 60]).collect();
        let ids = SemanticIds::new(2, 20, of_item, &[true; 1200]).unwrap();
        let titles = Titles { of_item: vec![vec![7]; 1200], ..titles() };
        let seen: Vec<Event> = (0..1200).map(|item| Event { user: 0, item, time: 0, sign: Sign::Neutral }).collect();
        let held_out = |share, seed| {
            let vocabulary = Vocabulary::of(&ids).after(1000);
            let of = Translator::new((&ids, vocabulary), &titles, (24, 64), HeldOut { share, seed });
            let (held_out, trained) = of.items(&seen);
            assert_eq!(held_out.len() + trained.len(), 1200);
            assert!(of.prompts(&seen).iter().all(|(item, _)| trained.contains(item)), "share {share}");
            held_out
        };
        assert!(held_out(0.0, 1).is_empty());
        let (few, more) = (held_out(0.1, 1), held_out(0.3, 1));
        assert!(few.iter().all(|item| more.contains(item)));
        assert!(few.chunks(3).all(|cell| cell[0] / 3 == cell[2] / 3), "an item is not held out without its cell");
        // 0.3 of 400 cells, with four standard deviations.
        assert!((more.len() as f64 / 3.0 - 120.0).abs() < 4.0 * (400.0f64 * 0.3 * 0.7).sqrt(), "{}", more.len());
        assert_ne!(held_out(0.3, 2), more);
    }

    #[test]
    fn prompts_hold_instruction_semantic_id_and_title() {
        let (ids, titles) = (ids(), titles());
        let of = translator(&ids, &titles, (24, 64));
        // Three signs, then ten codes a level.
        let expected = TitleSequence { tokens: vec![90, 91, 1004, 1015, 92, 11, 12, 99], answer: 5 };
        assert_eq!(of.to_title(1), Some(expected));
        assert_eq!(of.to_item(1), Some((vec![80, 11, 12, 81, 82], ids.cell_of(1).unwrap())));
        let of_another = TitleSequence { tokens: vec![90, 91, 1004, 1015, 92, 10, 99], answer: 5 };
        assert_eq!((of.title_after(1, 0), of.title_after(1, 4), of.title_after(3, 0)), (Some(of_another), None, None));
        for item in [3, 4, 6] {
            assert_eq!((of.to_title(item), of.to_item(item)), (None, None), "item {item}");
        }
    }

    #[test]
    fn long_titles_are_cut_and_a_cut_title_has_no_end() {
        let (ids, titles) = (ids(), titles());
        for limits in [(2, 64), (24, 8)] {
            let of = translator(&ids, &titles, limits);
            let expected = TitleSequence { tokens: vec![90, 91, 1005, 1016, 92, 13, 14], answer: 5 };
            assert_eq!(of.to_title(2), Some(expected), "{limits:?}");
            assert_eq!(of.to_item(2).unwrap().0, [80, 13, 14, 81, 82]);
            assert_eq!(of.to_title(1).unwrap().tokens.len(), 8, "a title that fits keeps its end");
        }
        // Two words, two codes, a word, the end; or three words.
        assert_eq!((titles.wording.room(2, 8), titles.wording.room(2, 6), titles.wording.room(2, 3)), (2, 0, 0));
        let long = Wording { to_item: [vec![1; 7], vec![]], ..titles.wording };
        assert_eq!(long.room(2, 8), 1);
    }

    #[test]
    fn a_key_is_no_title() {
        let item = |title: &str, year| Item { key: "i7".into(), title: title.into(), year, ..Item::default() };
        assert_eq!(title_text(&item("Heat", Some(1995))).unwrap(), " Heat (1995)");
        assert_eq!(title_text(&item(" Heat ", None)).unwrap(), " Heat");
        for none in ["", "  ", "i7"] {
            assert_eq!(title_text(&item(none, Some(1995))), None);
        }
    }
}
