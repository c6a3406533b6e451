//! The only way from records to a [`Dataset`]: every reader pushes what it finds here, in any order.
//!
//! What comes out does not depend on the order of the records. Held meanwhile: each key once, and 24 bytes an event.

use crate::dataset::{Dataset, Dropped, Item};
use crate::event::{Event, Sign};
use crate::key_table::KeyTable;
use crate::malformed::{count, told};
use conrec_domain::spec::DataSpec;
use rayon::prelude::*;

/// How a record says what the user felt.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mark {
    /// A rating, which the config's thresholds turn into a sign.
    Rating(f64),
    /// The source itself says it.
    Sign(Sign),
}

/// One reaction as the source has it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Record<'a> {
    /// The source's own id of the user.
    pub user: &'a str,
    /// The source's own id of the item.
    pub item: &'a str,
    /// Unix time, in seconds.
    pub time: i64,
    /// What the user felt.
    pub mark: Mark,
}

/// Which items of a source's catalogue stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Catalogue {
    /// All: the catalogue is small.
    All,
    /// Those that some event names.
    WithEvents,
}

/// Why the records make no dataset.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum BuildError {
    /// Too many lines cannot be read.
    #[error(
        "{told}; {malformed} of {lines} lines cannot be read, more than data.malformed_share = {share} allows; \
         repair the file or raise data.malformed_share"
    )]
    Malformed {
        /// Lines that cannot be read.
        malformed: u64,
        /// Lines of all files.
        lines: u64,
        /// The share allowed.
        share: f64,
        /// `file:line: reason` of the first; of several kinds each with its number.
        told: String,
    },
    /// Every rating counts as a negative.
    #[error(
        "ratings run from {lowest} to {highest}, and data.negative_at_most = {negative_at_most} makes each of them a \
         negative; of 1 to 5 stars take negative_at_most = 2 and positive_at_least = 4"
    )]
    AllNegative {
        /// Lowest rating found.
        lowest: f64,
        /// Highest rating found.
        highest: f64,
        /// The threshold.
        negative_at_most: f64,
    },
    /// No event is left.
    #[error("{source_name} holds no events of known items; {dropped}")]
    NoEvents {
        /// The files or the folder.
        source_name: String,
        /// What was dropped.
        dropped: Box<Dropped>,
    },
}

/// Collects items and events; [`DatasetBuilder::finish`] cleans, numbers and sorts them.
#[derive(Debug)]
pub struct DatasetBuilder {
    limits: Limits,
    user_keys: KeyTable,
    item_keys: KeyTable,
    /// The catalogue, in its own order.
    listed: Vec<Listed>,
    /// Place of each item key in `listed`; [`NOWHERE`] for those that the catalogue does not have.
    places: Vec<u32>,
    /// Number of the file of items that is being read.
    item_file: u32,
    /// Lowest and highest rating.
    ratings: Option<(f64, f64)>,
    /// Users and items are numbers of keys until the end.
    events: Vec<Event>,
    lines: u64,
    dropped: Dropped,
}

/// An item of the catalogue.
#[derive(Debug)]
struct Listed {
    /// Number of its key.
    number: u32,
    /// The file of items that brought it.
    file: u32,
    item: Item,
}

/// What stands for the place of a key that is not there.
const NOWHERE: u32 = u32::MAX;

/// What the config says of cleaning.
#[derive(Clone, Copy, Debug)]
struct Limits {
    negative_at_most: f64,
    positive_at_least: f64,
    malformed_share: f64,
    max_users: u32,
    keep_unlisted: bool,
    catalogue: Catalogue,
    /// First second that is read, and the first after the last.
    times: (i64, i64),
}

impl DatasetBuilder {
    /// An empty builder with the thresholds and limits of `spec`.
    pub fn new(spec: &DataSpec, catalogue: Catalogue) -> Self {
        let times = spec.times();
        let limits = Limits {
            times: (times.start, times.end),
            negative_at_most: spec.negative_at_most,
            positive_at_least: spec.positive_at_least,
            malformed_share: spec.malformed_share,
            max_users: spec.max_users,
            keep_unlisted: spec.keep_unlisted_items,
            catalogue,
        };
        Self {
            limits,
            user_keys: KeyTable::default(),
            item_keys: KeyTable::default(),
            listed: Vec::new(),
            places: Vec::new(),
            item_file: 0,
            ratings: None,
            events: Vec::new(),
            lines: 0,
            dropped: Dropped::default(),
        }
    }

    /// Counts one line (row) of a source and what became of it; `place` is `file:line`, asked for only where it was
    /// refused.
    pub fn line(&mut self, outcome: Result<(), String>, place: impl FnOnce() -> String) {
        self.lines += 1;
        if let Err(reason) = outcome {
            let dropped = &mut self.dropped;
            dropped.malformed_lines += 1;
            count(&mut dropped.malformed, &reason, place);
            if dropped.first_malformed.is_none() {
                dropped.first_malformed = dropped.malformed.first().map(|kind| kind.first.clone());
            }
        }
    }

    /// The rows of another file of items follow.
    pub fn begin_items(&mut self) {
        self.item_file += 1;
    }

    /// Whether an item of the catalogue stays, as far as is known; where only items with events stay, all events must
    /// have come before.
    pub fn wants(&mut self, key: &str) -> bool {
        let wanted = self.limits.catalogue == Catalogue::All || key.is_empty() || self.item_keys.get(key).is_some();
        if !wanted && self.item_file <= 1 {
            self.dropped.items_without_events += 1;
        }
        wanted
    }

    /// Adds an item of the catalogue. Of two with one key in one file the first stays; what another file says, and what
    /// has no title, is added to what is known.
    ///
    /// # Errors
    /// An empty key, as a sentence part.
    pub fn item(&mut self, item: Item) -> Result<(), String> {
        let number = intern(&mut self.item_keys, &item.key, "item")?;
        self.places.resize(self.places.len().max(self.item_keys.len()), NOWHERE);
        let place = self.places.get(number as usize).copied().unwrap_or(NOWHERE);
        match self.listed.get_mut(place as usize) {
            None => {
                if let Some(place) = self.places.get_mut(number as usize) {
                    *place = self.listed.len() as u32;
                }
                self.listed.push(Listed { number, file: self.item_file, item });
            }
            Some(known) if known.file == self.item_file && !item.title.is_empty() => self.dropped.duplicate_items += 1,
            Some(known) => add(&mut known.item, item),
        }
        Ok(())
    }

    /// Adds an event.
    ///
    /// # Errors
    /// An empty key or a rating that is not a number, as a sentence part.
    pub fn push(&mut self, record: Record<'_>) -> Result<(), String> {
        let sign = match record.mark {
            Mark::Sign(sign) => sign,
            Mark::Rating(value) if value.is_finite() => {
                let (lowest, highest) = self.ratings.unwrap_or((value, value));
                self.ratings = Some((lowest.min(value), highest.max(value)));
                Sign::of_rating(value, self.limits.negative_at_most, self.limits.positive_at_least)
            }
            Mark::Rating(value) => return Err(format!("found rating {value}, expected a number")),
        };
        let (from, until) = self.limits.times;
        if !(from..until).contains(&record.time) {
            self.dropped.events_of_other_days += 1;
            return Ok(());
        }
        let user = intern(&mut self.user_keys, record.user, "user")?;
        let item = intern(&mut self.item_keys, record.item, "item")?;
        self.events.push(Event { user, item, time: record.time, sign });
        Ok(())
    }

    /// The dataset: events sorted by (time, user, item, sign), each once; users numbered in the order of their keys,
    /// items in the catalogue's order and after them, in the order of their keys, those that the catalogue lacks.
    ///
    /// # Errors
    /// Too many malformed lines, or no event left; `source_name` is for the error.
    pub fn finish(mut self, source_name: &str) -> Result<Dataset, BuildError> {
        self.check()?;
        let (events, dropped) = (&mut self.events, &mut self.dropped);
        let places = &self.places;
        let is_listed = |item: u32| places.get(item as usize).is_some_and(|place| *place != NOWHERE);
        if !self.limits.keep_unlisted {
            dropped.unknown_item_ratings = retain(events, |e| is_listed(e.item));
        }
        let users = Numbering::of_users(&self.user_keys, events, self.limits.max_users, dropped);
        dropped.ratings_over_limit = retain(events, |e| users.of_key(e.user).is_some());
        let mut named = vec![false; self.item_keys.len()];
        events.iter().for_each(|e| named[e.item as usize] = true);
        let (mut order, mut items) = (Vec::new(), Vec::new());
        let all = self.listed.len();
        let stays = |listed: &Listed| self.limits.catalogue == Catalogue::All || named[listed.number as usize];
        for mut listed in self.listed.into_iter().filter(stays) {
            if listed.item.title.is_empty() {
                listed.item.title.clone_from(&listed.item.key);
            }
            order.push(listed.number);
            items.push(listed.item);
        }
        dropped.items_without_events += (all - items.len()) as u64;
        for number in self.item_keys.sorted().into_iter().filter(|&item| named[item as usize] && !is_listed(item)) {
            let key = self.item_keys.key(number).to_owned();
            items.push(Item { title: key.clone(), key, ..Item::default() });
            order.push(number);
            dropped.unlisted_items += 1;
        }
        let new_items = Numbering::new(&order, self.item_keys.len());
        for event in events.iter_mut() {
            event.user = users.of_key(event.user).unwrap_or_default();
            event.item = new_items.of_key(event.item).unwrap_or_default();
        }
        events.par_sort_unstable_by_key(|e| (e.order(), e.sign));
        let all = events.len();
        events.dedup();
        dropped.duplicate_ratings = (all - events.len()) as u64;
        let (events, dropped) = (self.events, self.dropped);
        if events.is_empty() {
            return Err(BuildError::NoEvents { source_name: source_name.to_owned(), dropped: Box::new(dropped) });
        }
        let users = users.order.iter().map(|&number| self.user_keys.key(number).to_owned()).collect();
        Ok(Dataset { events, users, items, dropped, ..Dataset::default() })
    }

    /// Too many malformed lines, and thresholds that do not fit the ratings.
    fn check(&mut self) -> Result<(), BuildError> {
        let (malformed, share) = (self.dropped.malformed_lines, self.limits.malformed_share);
        if malformed as f64 > share * self.lines as f64 {
            let told = told(&self.dropped.malformed);
            return Err(BuildError::Malformed { malformed, lines: self.lines, share, told });
        }
        match self.ratings {
            Some((lowest, highest)) if lowest < highest && highest <= self.limits.negative_at_most => {
                let negative_at_most = self.limits.negative_at_most;
                Err(BuildError::AllNegative { lowest, highest, negative_at_most })
            }
            _ => Ok(()),
        }
    }
}

/// Adds what `more` says of an item to what is known of it.
fn add(known: &mut Item, more: Item) {
    if known.title.is_empty() {
        known.title = more.title;
    }
    known.year = known.year.or(more.year);
    for category in more.categories {
        if !known.categories.contains(&category) {
            known.categories.push(category);
        }
    }
}

fn intern(table: &mut KeyTable, key: &str, what: &str) -> Result<u32, String> {
    if key.is_empty() {
        return Err(format!("found an empty {what} id"));
    }
    table.intern(key).ok_or_else(|| format!("found more than 4294967295 different {what} ids"))
}

/// Keeps what `keep` says; gives how many went.
fn retain(events: &mut Vec<Event>, keep: impl Fn(&Event) -> bool) -> u64 {
    let before = events.len();
    events.retain(keep);
    (before - events.len()) as u64
}

/// New, dense numbers for the numbers of keys.
struct Numbering {
    /// Numbers of keys in their new order.
    order: Vec<u32>,
    /// New number of each key; `u32::MAX` for those that are left out.
    new: Vec<u32>,
}

impl Numbering {
    fn new(order: &[u32], keys: usize) -> Self {
        let mut new = vec![u32::MAX; keys];
        for (place, &number) in order.iter().enumerate() {
            new[number as usize] = place as u32;
        }
        Self { order: order.to_vec(), new }
    }

    /// Users with an event, by key; those after the first `limit` (0: no limit) are left out and counted.
    fn of_users(keys: &KeyTable, events: &[Event], limit: u32, dropped: &mut Dropped) -> Self {
        let mut has_event = vec![false; keys.len()];
        events.iter().for_each(|e| has_event[e.user as usize] = true);
        let mut order: Vec<u32> = keys.sorted().into_iter().filter(|&user| has_event[user as usize]).collect();
        if limit > 0 && order.len() > limit as usize {
            dropped.users_over_limit = (order.len() - limit as usize) as u64;
            order.truncate(limit as usize);
        }
        Self::new(&order, keys.len())
    }

    fn of_key(&self, number: u32) -> Option<u32> {
        self.new.get(number as usize).copied().filter(|&new| new != u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rated<'a>(user: &'a str, item: &'a str, time: i64, rating: f64) -> Record<'a> {
        Record { user, item, time, mark: Mark::Rating(rating) }
    }

    fn named(key: &str) -> Item {
        Item { key: key.into(), title: format!("The {key}"), ..Item::default() }
    }

    fn built(spec: &DataSpec, catalogue: Catalogue, items: &[&str], records: &[Record<'_>]) -> Dataset {
        let mut builder = DatasetBuilder::new(spec, catalogue);
        records.iter().for_each(|record| builder.push(*record).unwrap());
        items.iter().for_each(|key| builder.item(named(key)).unwrap());
        builder.finish("here").unwrap()
    }

    #[test]
    fn items_that_the_catalogue_lacks_follow_it_and_have_their_key_for_a_title() {
        let records = [rated("10", "x", 5, 1.0), rated("9", "b", 3, 9.0), rated("9", "a", 3, 6.0)];
        let data = built(&DataSpec::default(), Catalogue::All, &["b", "c", "b"], &records);
        assert_eq!(data.users, ["9", "10"]);
        let titles: Vec<&str> = data.items.iter().map(|item| item.title.as_str()).collect();
        assert_eq!(titles, ["The b", "The c", "a", "x"]);
        let events: Vec<_> = data.events.iter().map(|e| (e.time, e.user, e.item, e.sign)).collect();
        assert_eq!(events, [(3, 0, 0, Sign::Positive), (3, 0, 2, Sign::Neutral), (5, 1, 3, Sign::Negative)]);
        assert_eq!(
            data.dropped.to_string(),
            "dropped 1 duplicate items; kept 2 items that the catalogue lacks, with their ids as titles"
        );
    }

    #[test]
    fn only_items_with_events_stay_where_that_is_asked_for() {
        let records = [rated("1", "c", 5, 1.0), rated("1", "x", 5, 1.0)];
        let spec = DataSpec { keep_unlisted_items: false, ..DataSpec::default() };
        let data = built(&spec, Catalogue::WithEvents, &["b", "c"], &records);
        assert_eq!(data.items, [named("c")]);
        assert_eq!((data.dropped.items_without_events, data.dropped.unknown_item_ratings), (1, 1));
    }

    #[test]
    fn what_cannot_be_an_event_is_refused_with_its_reason() {
        let mut builder = DatasetBuilder::new(&DataSpec::default(), Catalogue::All);
        assert_eq!(builder.push(rated("", "x", 5, 1.0)), Err("found an empty user id".into()));
        assert_eq!(builder.push(rated("1", "", 5, 1.0)), Err("found an empty item id".into()));
        assert!(builder.push(rated("1", "x", 5, f64::NAN)).is_err());
        let error = builder.finish("here").unwrap_err();
        assert_eq!(error.to_string(), "here holds no events of known items; nothing dropped");
    }

    proptest! {
        /// Sorting and numbering leave nothing of the order in which files and lines came.
        #[test]
        fn the_order_of_the_records_does_not_matter(
            (sorted, shuffled) in prop::collection::vec((0u8..6, 0u8..8, 0i64..4, 0u8..3), 1..60)
                .prop_flat_map(|rows| (Just(rows.clone()), Just(rows).prop_shuffle())),
            max_users in 0u32..4,
        ) {
            let of = |rows: &[(u8, u8, i64, u8)]| {
                let spec = DataSpec { max_users, ..DataSpec::default() };
                let mut builder = DatasetBuilder::new(&spec, Catalogue::WithEvents);
                for key in ["3", "1", "q"] {
                    builder.item(named(key)).unwrap();
                }
                for (user, item, time, rating) in rows {
                    let (user, item) = (user.to_string(), item.to_string());
                    builder.push(rated(&user, &item, *time, f64::from(*rating) * 4.0)).unwrap();
                }
                // Ratings that are all negatives would be refused.
                builder.push(rated("0", "0", 0, 8.0)).unwrap();
                builder.finish("here").unwrap()
            };
            let (a, b) = (of(&sorted), of(&shuffled));
            prop_assert!(a.events.windows(2).all(|w| (w[0].order(), w[0].sign) < (w[1].order(), w[1].sign)));
            prop_assert_eq!(a, b);
        }
    }
}
