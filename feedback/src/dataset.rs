//! A dataset as every part of the program sees it: dense indices, events in time order.

use crate::event::Event;
use crate::malformed::{MalformedKind, told};
use crate::matrix::Matrix;
use conrec_domain::day::Day;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

/// One item of the catalogue.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// The source's own id of the item.
    pub key: String,
    /// Title without the year.
    pub title: String,
    /// Year of release, where the source has one.
    pub year: Option<u16>,
    /// Categories (genres), in the source's order.
    pub categories: Vec<String>,
}

impl Item {
    /// The title; none where there is none, or only the item's key, which readers put in its place.
    pub fn own_title(&self) -> Option<&str> {
        let title = self.title.trim();
        (!title.is_empty() && title != self.key.trim()).then_some(title)
    }
}

/// Everything read from a source, cleaned.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Dataset {
    /// All events, sorted by (time, user, item).
    pub events: Vec<Event>,
    /// The source's own id of each user; the index is the dense id.
    pub users: Vec<String>,
    /// The catalogue; the index is the dense id.
    pub items: Vec<Item>,
    /// Item vectors that came with the source: one row an item.
    pub vectors: Option<Matrix>,
    /// What cleaning took away.
    pub dropped: Dropped,
    /// What the generator knows about its users; only the synthetic source has it.
    pub truth: Option<Truth>,
}

impl Dataset {
    /// Time of the first event, or `None` when there is none.
    pub fn first_time(&self) -> Option<i64> {
        self.events.first().map(|e| e.time)
    }

    /// Time of the last event, or `None` when there is none.
    pub fn last_time(&self) -> Option<i64> {
        self.events.last().map(|e| e.time)
    }

    /// Leaves out events at other times, and counts them.
    pub fn keep(&mut self, times: &Range<i64>) {
        let before = self.events.len();
        self.events.retain(|event| times.contains(&event.time));
        self.dropped.events_of_other_days += (before - self.events.len()) as u64;
    }

    /// Events of each day that has any, oldest first.
    pub fn days(&self) -> BTreeMap<Day, u64> {
        let mut days = BTreeMap::new();
        for event in &self.events {
            *days.entry(Day::of(event.time)).or_default() += 1;
        }
        days
    }

    /// The events with `from <= time < to`.
    pub fn between(&self, from: i64, to: i64) -> &[Event] {
        let a = self.events.partition_point(|e| e.time < from);
        let b = self.events.partition_point(|e| e.time < to);
        &self.events[a..b.max(a)]
    }

    /// The events with `time < end`.
    pub fn before(&self, end: i64) -> &[Event] {
        &self.events[..self.events.partition_point(|e| e.time < end)]
    }
}

/// What the generator of synthetic data knows, and a reader of real data never does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Truth {
    /// Region of each item; `None` for neutral items, which belong to no region.
    pub region_of_item: Vec<Option<u32>>,
    /// Which user disliked which region, and from when to when.
    pub disliked: Vec<DislikedRegion>,
}

/// A stretch of time in which a user dislikes one region of the catalogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DislikedRegion {
    /// Dense index of the user.
    pub user: u32,
    /// The region.
    pub region: u32,
    /// First second, Unix time.
    pub from: i64,
    /// First second after it, Unix time.
    pub to: i64,
}

impl DislikedRegion {
    /// The order of one user's stretches: by begin, then region.
    pub fn order(&self) -> (i64, u32) {
        (self.from, self.region)
    }

    /// Whether the region was disliked at a time.
    pub fn holds(&self, time: i64) -> bool {
        self.from <= time && time < self.to
    }
}

/// What cleaning took away, for people and for the report.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Dropped {
    /// Lines that could not be read.
    pub malformed_lines: u64,
    /// `file:line: reason` of the first such line.
    pub first_malformed: Option<String>,
    /// The same lines by what is wrong with them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub malformed: Vec<MalformedKind>,
    /// Items whose id had come before; the first was kept.
    pub duplicate_items: u64,
    /// Ratings of items that the catalogue does not have.
    pub unknown_item_ratings: u64,
    /// Ratings equal in user, item, sign and time to one before.
    pub duplicate_ratings: u64,
    /// Users left out by `data.max_users`.
    pub users_over_limit: u64,
    /// Ratings of those users.
    pub ratings_over_limit: u64,
    /// Items of the catalogue that no event names, left out.
    pub items_without_events: u64,
    /// Items that the catalogue does not have and that were kept, with their ids as titles.
    pub unlisted_items: u64,
    /// Events before `data.from` or after `data.until`; left out of what is written where there are none.
    #[serde(skip_serializing_if = "is_zero")]
    pub events_of_other_days: u64,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl fmt::Display for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        let mut note = |count: u64, what: &str| {
            if count > 0 {
                parts.push(format!("{count} {what}"));
            }
        };
        note(self.duplicate_items, "duplicate items");
        note(self.unknown_item_ratings, "ratings of unknown items");
        note(self.duplicate_ratings, "duplicate ratings");
        note(self.users_over_limit, "users over the limit");
        note(self.ratings_over_limit, "ratings of users over the limit");
        note(self.items_without_events, "items without events");
        note(self.malformed_lines, "malformed lines");
        note(self.events_of_other_days, "events of other days");
        match parts.is_empty() {
            true => f.write_str("nothing dropped")?,
            false => write!(f, "dropped {}", parts.join(", "))?,
        }
        match (self.malformed.as_slice(), &self.first_malformed) {
            ([], None) => {}
            ([] | [_], Some(first)) => write!(f, " (the first: {first})")?,
            (kinds, _) => write!(f, " ({})", told(kinds))?,
        }
        if self.unlisted_items > 0 {
            write!(f, "; kept {} items that the catalogue lacks, with their ids as titles", self.unlisted_items)?;
        }
        Ok(())
    }
}
