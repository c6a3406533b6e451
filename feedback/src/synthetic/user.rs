//! One user of the generator, day by day: drift, exposures, reactions, and the filter after a dislike.

use super::catalogue::Catalogue;
use super::midnight;
use super::random::{Purpose, Stream};
use crate::dataset::DislikedRegion;
use crate::event::{Event, Sign};
use crate::split::DAY;
use conrec_domain::spec::SyntheticSpec;
use std::collections::BTreeSet;

/// Probability that an item of a filtered region is shown all the same.
const SHOWN_IN_FILTERED_REGION: f64 = 0.1;

/// Draws for one exposure before it is given up: the filter may leave a small catalogue with nothing to show.
const MOST_DRAWS: usize = 30;

/// A user's state while its events are made.
pub(super) struct UserStream<'a> {
    spec: &'a SyntheticSpec,
    catalogue: &'a Catalogue,
    stream: Stream,
    user: u32,
    /// Regions disliked now, with the time since when.
    disliked: Vec<(u32, i64)>,
    liked: Vec<u32>,
    /// Time until which each region is filtered.
    filtered_until: Vec<i64>,
    disliked_items: BTreeSet<u32>,
    events: Vec<Event>,
    truth: Vec<DislikedRegion>,
}

impl<'a> UserStream<'a> {
    /// A user on the first day, with regions drawn.
    pub(super) fn new(spec: &'a SyntheticSpec, catalogue: &'a Catalogue, seed: u64, user: u32) -> Self {
        let mut stream = Stream::new(seed, Purpose::User, user);
        let mut owned: Vec<u32> = Vec::new();
        while owned.len() < (spec.disliked_regions + spec.liked_regions) as usize {
            let region = stream.below(spec.regions as usize) as u32;
            if !owned.contains(&region) {
                owned.push(region);
            }
        }
        let liked = owned.split_off(spec.disliked_regions as usize);
        Self {
            spec,
            catalogue,
            stream,
            user,
            disliked: owned.into_iter().map(|region| (region, midnight(0))).collect(),
            liked,
            filtered_until: vec![i64::MIN; spec.regions as usize],
            disliked_items: BTreeSet::new(),
            events: Vec::new(),
            truth: Vec::new(),
        }
    }

    /// All events of the user and the stretches in which it disliked each region, both in order of time.
    pub(super) fn run(mut self) -> (Vec<Event>, Vec<DislikedRegion>) {
        for day in 0..self.spec.days {
            if day > 0 && self.stream.chance(self.spec.drift_rate) {
                self.drift(midnight(day));
            }
            let exposures = self.stream.poisson(self.spec.exposures_per_day);
            let mut times: Vec<i64> =
                (0..exposures).map(|_| midnight(day) + self.stream.below(DAY as usize) as i64).collect();
            times.sort_unstable();
            for time in times {
                if let Some(item) = self.exposed(time) {
                    self.react(item, time);
                }
            }
        }
        let end = midnight(self.spec.days);
        for (region, from) in std::mem::take(&mut self.disliked) {
            self.truth.push(DislikedRegion { user: self.user, region, from, to: end });
        }
        self.truth.sort_by_key(|stretch| (stretch.from, stretch.region));
        (self.events, self.truth)
    }

    /// One disliked region moves to a region that the user neither dislikes nor likes.
    fn drift(&mut self, now: i64) {
        if self.disliked.is_empty() {
            return;
        }
        let moves = self.stream.below(self.disliked.len());
        let owned = |r: &u32| self.liked.contains(r) || self.disliked.iter().any(|(region, _)| region == r);
        let free: Vec<u32> = (0..self.spec.regions).filter(|r| !owned(r)).collect();
        let target = free[self.stream.below(free.len())];
        let (region, from) = std::mem::replace(&mut self.disliked[moves], (target, now));
        self.truth.push(DislikedRegion { user: self.user, region, from, to: now });
    }

    /// The item shown at a time; none if the filter leaves nothing after many draws.
    fn exposed(&mut self, time: i64) -> Option<u32> {
        for _ in 0..MOST_DRAWS {
            let Some(item) = self.drawn() else { continue };
            if self.disliked_items.contains(&item) {
                continue;
            }
            let region = self.catalogue.region_of[item as usize];
            let filtered = region.is_some_and(|r| time < self.filtered_until[r as usize]);
            if !filtered || self.stream.chance(SHOWN_IN_FILTERED_REGION) {
                return Some(item);
            }
        }
        None
    }

    /// An item before the filter: from one of the user's own regions, or from the whole catalogue.
    fn drawn(&mut self) -> Option<u32> {
        let own = self.disliked.len() + self.liked.len();
        if own == 0 || !self.stream.chance(self.spec.personal) {
            return self.catalogue.all.draw(&mut self.stream);
        }
        let at = self.stream.below(own);
        let region = match self.disliked.get(at) {
            Some(&(region, _)) => region,
            None => self.liked[at - self.disliked.len()],
        };
        self.catalogue.by_region[region as usize].draw(&mut self.stream)
    }

    fn react(&mut self, item: u32, time: i64) {
        let region = self.catalogue.region_of[item as usize];
        let is_disliked = region.is_some_and(|r| self.disliked.iter().any(|&(d, _)| d == r));
        let is_liked = region.is_some_and(|r| self.liked.contains(&r));
        let negative = if is_disliked { self.spec.dislike_rate } else { self.spec.noise_rate };
        let positive = if is_liked { self.spec.like_rate } else { 0.0 };
        let drawn = self.stream.uniform();
        let sign = if drawn < negative {
            Sign::Negative
        } else if drawn < negative + positive {
            Sign::Positive
        } else {
            Sign::Neutral
        };
        if sign == Sign::Negative {
            self.disliked_items.insert(item);
            if let Some(region) = region {
                self.filtered_until[region as usize] = time + i64::from(self.spec.filter_days) * DAY;
            }
        }
        self.events.push(Event { user: self.user, item, time, sign });
    }
}
