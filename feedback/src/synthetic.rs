//! The seeded generator: users who dislike a few regions of the catalogue, which drift slowly, and see items every day.
//!
//! * An item lies in a region (or in none: neutral), near the region's centre on the unit sphere.
//! * An exposure is drawn, with probability `personal`, from one of the user's own regions, disliked and liked ones
//!   alike (a recommender that knows the taste but not its sign); otherwise from the whole catalogue. Within either,
//!   by popularity.
//! * A region in which the user has just disliked something is shown less (`filtered_rate`); an item that the user
//!   disliked is never shown to that user again.
//! * In a disliked region an exposure becomes a negative with `dislike_rate`; elsewhere with `noise_rate`, and in a
//!   liked region a positive with `like_rate`. What draws no reaction is a neutral event, unless `neutral_events` is off.
//!
//! Everything is drawn from streams keyed by (seed, purpose, index): a user's events do not depend on other users. So a
//! stream of any length is made in bounded memory: user by user, or stretch by stretch of time.

mod catalogue;
mod in_time_order;
mod random;
mod user;

pub use in_time_order::InTimeOrder;

use crate::dataset::{Dataset, DislikedRegion, Dropped, Item, Truth};
use crate::event::Event;
use crate::matrix::Matrix;
use crate::split::DAY;
use catalogue::Catalogue;
use conrec_domain::spec::SyntheticSpec;
use rayon::prelude::*;
use user::User;

/// Midnight at which every synthetic stream begins: 2024-01-01, Unix time.
pub const START: i64 = 1_704_067_200;

/// Users made at a time when events come user by user.
const USERS_AT_A_TIME: u32 = 4096;

/// Why the generator cannot make what is asked for.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SyntheticError {
    /// Something of which at least one is needed is missing.
    #[error("data.synthetic.{0} = 0: expected at least 1")]
    Empty(&'static str),
    /// A user's regions are distinct.
    #[error(
        "data.synthetic.regions = {regions}: expected more than disliked_regions + liked_regions = {owned}, \
         so that a disliked region can move"
    )]
    Regions {
        /// Regions of the catalogue.
        regions: u32,
        /// Disliked and liked regions of a user.
        owned: u64,
    },
}

/// The events of some users, user by user and each in time order, with what these users disliked in truth.
pub type UserEvents = (Vec<Event>, Vec<DislikedRegion>);

/// A catalogue and the rules by which users meet it; gives events in either order, again and again the same.
#[derive(Debug)]
pub struct Generator {
    spec: SyntheticSpec,
    seed: u64,
    catalogue: Catalogue,
}

impl Generator {
    /// Draws the catalogue.
    pub fn new(spec: &SyntheticSpec, seed: u64) -> Result<Self, SyntheticError> {
        check(spec)?;
        Ok(Self { spec: spec.clone(), seed, catalogue: Catalogue::new(spec, seed) })
    }

    /// The items, with made-up titles; an item's category is its region.
    pub fn items(&self) -> impl Iterator<Item = Item> + '_ {
        self.catalogue.region_of.iter().enumerate().map(|(item, region)| described(item as u32, *region))
    }

    /// The source's id of each user.
    pub fn users(&self) -> impl Iterator<Item = String> {
        (0..self.spec.users).map(user_key)
    }

    /// The item vectors: items x dimensions, rows of unit length.
    pub fn vectors(&self) -> &Matrix {
        &self.catalogue.vectors
    }

    /// Region of each item; `None` for neutral items.
    pub fn region_of_item(&self) -> &[Option<u32>] {
        &self.catalogue.region_of
    }

    /// All events sorted by (time, user, item), in blocks of whole days. Holds all users (some 300 bytes each), and
    /// one block.
    pub fn in_time_order(&self) -> InTimeOrder<'_> {
        InTimeOrder::new(self)
    }

    /// All events user by user, some thousands of users at a time: memory does not depend on the number of users.
    pub fn by_user(&self) -> impl Iterator<Item = UserEvents> + '_ {
        (0..self.spec.users).step_by(USERS_AT_A_TIME as usize).map(|first| {
            let last = first.saturating_add(USERS_AT_A_TIME).min(self.spec.users);
            // Each user is computed from its own stream and collected in order: threads change nothing.
            let made: Vec<UserEvents> = (first..last).into_par_iter().map(|user| self.whole_user(user)).collect();
            let (events, disliked): (Vec<_>, Vec<_>) = made.into_iter().unzip();
            (events.concat(), disliked.concat())
        })
    }

    fn whole_user(&self, user: u32) -> UserEvents {
        let mut user = User::new(self, user);
        let (mut events, mut disliked) = (Vec::new(), Vec::new());
        user.live(self, 0..self.spec.days, &mut events, &mut disliked);
        user.end(self, &mut disliked);
        disliked.sort_by_key(DislikedRegion::order);
        (events, disliked)
    }
}

/// Makes a dataset with vectors, categories and the truth about its users; the same seed gives the same bytes.
pub fn generate(spec: &SyntheticSpec, seed: u64) -> Result<Dataset, SyntheticError> {
    let generator = Generator::new(spec, seed)?;
    let mut events = Vec::with_capacity(generator.events_expected());
    let mut stream = generator.in_time_order();
    for block in &mut stream {
        events.extend(block);
    }
    let disliked = stream.disliked();
    Ok(Dataset {
        events,
        users: generator.users().collect(),
        items: generator.items().collect(),
        truth: Some(Truth { region_of_item: generator.catalogue.region_of, disliked }),
        vectors: Some(generator.catalogue.vectors),
        dropped: Dropped::default(),
    })
}

fn check(spec: &SyntheticSpec) -> Result<(), SyntheticError> {
    for (key, value) in [("users", spec.users), ("items", spec.items), ("days", spec.days)] {
        if value == 0 {
            return Err(SyntheticError::Empty(key));
        }
    }
    if spec.dimensions == 0 {
        return Err(SyntheticError::Empty("dimensions"));
    }
    let owned = u64::from(spec.disliked_regions) + u64::from(spec.liked_regions);
    if u64::from(spec.regions) <= owned {
        return Err(SyntheticError::Regions { regions: spec.regions, owned });
    }
    Ok(())
}

/// An item with a made-up title; its category is its region.
fn described(item: u32, region: Option<u32>) -> Item {
    let category = region.map_or_else(|| "neutral".to_owned(), |region| format!("region-{region:03}"));
    Item { key: item_key(item), title: format!("Thing {item}"), year: None, categories: vec![category] }
}

/// The source's id of a user.
pub(crate) fn user_key(user: u32) -> String {
    format!("user-{user:06}")
}

/// The source's id of an item.
pub(crate) fn item_key(item: u32) -> String {
    format!("item-{item:06}")
}

/// First second of a day of the stream.
fn midnight(day: u32) -> i64 {
    START + i64::from(day) * DAY
}

#[cfg(test)]
mod tests;
