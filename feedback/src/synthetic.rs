//! The seeded generator: users who dislike a few regions of the catalogue, which drift slowly, and see items every day.
//!
//! * An item lies in a region (or in none: neutral), near the region's centre on the unit sphere.
//! * An exposure is drawn, with probability `personal`, from one of the user's own regions, disliked and liked ones
//!   alike (a recommender that knows the taste but not its sign); otherwise from the whole catalogue. Within either,
//!   by popularity.
//! * A region in which the user has just disliked something is shown less; an item that the user disliked is never
//!   shown to that user again.
//! * In a disliked region an exposure becomes a negative with `dislike_rate`; elsewhere with `noise_rate`, and in a
//!   liked region a positive with `like_rate`. What draws no reaction is a neutral event.
//!
//! Everything is drawn from streams keyed by (seed, purpose, index): a user's events do not depend on other users.

mod catalogue;
mod random;
mod user;

use crate::dataset::{Dataset, DislikedRegion, Dropped, Item, Truth};
use crate::event::Event;
use crate::split::DAY;
use catalogue::Catalogue;
use conrec_domain::spec::SyntheticSpec;
use rayon::prelude::*;
use user::UserStream;

/// Midnight at which every synthetic stream begins: 2024-01-01, Unix time.
pub const START: i64 = 1_704_067_200;

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

/// Makes a dataset with vectors, categories and the truth about its users; the same seed gives the same bytes.
pub fn generate(spec: &SyntheticSpec, seed: u64) -> Result<Dataset, SyntheticError> {
    check(spec)?;
    let catalogue = Catalogue::new(spec, seed);
    // Each user is computed from its own stream and collected in order: threads change nothing.
    let users: Vec<(Vec<Event>, Vec<DislikedRegion>)> =
        (0..spec.users).into_par_iter().map(|user| UserStream::new(spec, &catalogue, seed, user).run()).collect();
    let mut events = Vec::with_capacity(users.iter().map(|(events, _)| events.len()).sum());
    let mut disliked = Vec::new();
    for (user_events, regions) in users {
        events.extend(user_events);
        disliked.extend(regions);
    }
    events.sort_by_key(Event::order);
    let items = (0..spec.items).map(|item| described(item, catalogue.region_of[item as usize])).collect();
    Ok(Dataset {
        events,
        users: (0..spec.users).map(|user| format!("user-{user:06}")).collect(),
        items,
        truth: Some(Truth { region_of_item: catalogue.region_of, disliked }),
        vectors: Some(catalogue.vectors),
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
    Item { key: format!("item-{item:06}"), title: format!("Thing {item}"), year: None, categories: vec![category] }
}

/// First second of a day of the stream.
fn midnight(day: u32) -> i64 {
    START + i64::from(day) * DAY
}

#[cfg(test)]
mod tests;
