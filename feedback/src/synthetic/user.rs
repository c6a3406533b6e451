//! One user of the generator, day by day: drift, exposures, reactions, and the filter after a dislike.

use super::random::{Parked, Purpose, Stream};
use super::{Generator, midnight};
use crate::dataset::DislikedRegion;
use crate::event::{Event, Sign};
use crate::split::DAY;
use std::ops::Range;

/// Draws for one exposure before it is given up: the filter may leave a small catalogue with nothing to show.
const MOST_DRAWS: usize = 30;

/// A user between two days. There may be millions of them: its random stream is kept as a position only.
#[derive(Debug)]
pub(super) struct User {
    user: u32,
    stream: Parked,
    regions: OwnRegions,
    /// Regions that are shown less, with the time until which they are; each at most once.
    filtered: Vec<(u32, i64)>,
    /// Sorted.
    disliked_items: Vec<u32>,
}

/// The regions that a user has an opinion on; distinct.
#[derive(Debug)]
struct OwnRegions {
    /// Disliked ones first; with the time since when they are.
    regions: Box<[(u32, i64)]>,
    disliked: u32,
}

impl OwnRegions {
    fn disliked(&self) -> &[(u32, i64)] {
        &self.regions[..self.disliked as usize]
    }

    fn liked(&self) -> &[(u32, i64)] {
        &self.regions[self.disliked as usize..]
    }

    fn holds(regions: &[(u32, i64)], region: u32) -> bool {
        regions.iter().any(|&(own, _)| own == region)
    }
}

impl User {
    /// A user on the first day, with regions drawn.
    pub(super) fn new(world: &Generator, user: u32) -> Self {
        let spec = &world.spec;
        let mut stream = Stream::new(world.seed, Purpose::User, user);
        let mut owned: Vec<(u32, i64)> = Vec::new();
        while owned.len() < (spec.disliked_regions + spec.liked_regions) as usize {
            let region = stream.below(spec.regions as usize) as u32;
            if !OwnRegions::holds(&owned, region) {
                owned.push((region, midnight(0)));
            }
        }
        Self {
            user,
            stream: stream.parked(),
            regions: OwnRegions { regions: owned.into(), disliked: spec.disliked_regions },
            filtered: Vec::new(),
            disliked_items: Vec::new(),
        }
    }

    /// Lives some days, which must follow those lived before: appends events in order of time, and stretches of dislike
    /// that ended.
    pub(super) fn live(
        &mut self,
        world: &Generator,
        days: Range<u32>,
        events: &mut Vec<Event>,
        ended: &mut Vec<DislikedRegion>,
    ) {
        let mut stream = Stream::resumed(world.seed, Purpose::User, self.user, self.stream);
        for day in days {
            if day > 0 && stream.chance(world.spec.drift_rate) {
                ended.extend(self.drift(world, &mut stream, midnight(day)));
            }
            self.filtered.retain(|&(_, until)| until > midnight(day));
            let exposures = stream.poisson(world.spec.exposures_per_day);
            let mut times: Vec<i64> =
                (0..exposures).map(|_| midnight(day) + stream.below(DAY as usize) as i64).collect();
            times.sort_unstable();
            for time in times {
                if let Some(item) = self.exposed(world, &mut stream, time) {
                    let sign = self.react(world, &mut stream, item, time);
                    if sign != Sign::Neutral || world.spec.neutral_events {
                        events.push(Event { user: self.user, item, time, sign });
                    }
                }
            }
        }
        self.stream = stream.parked();
    }

    /// The stretches of dislike that last until the end of all days.
    pub(super) fn end(self, world: &Generator, ended: &mut Vec<DislikedRegion>) {
        let (user, to) = (self.user, midnight(world.spec.days));
        ended.extend(self.regions.disliked().iter().map(|&(region, from)| DislikedRegion { user, region, from, to }));
    }

    /// One disliked region moves to a region that the user neither dislikes nor likes; gives the stretch that ends.
    fn drift(&mut self, world: &Generator, stream: &mut Stream, now: i64) -> Option<DislikedRegion> {
        let own = &self.regions.regions;
        if self.regions.disliked == 0 {
            return None;
        }
        let moves = stream.below(self.regions.disliked as usize);
        let free: Vec<u32> = (0..world.spec.regions).filter(|&region| !OwnRegions::holds(own, region)).collect();
        let target = free[stream.below(free.len())];
        let (region, from) = std::mem::replace(&mut self.regions.regions[moves], (target, now));
        Some(DislikedRegion { user: self.user, region, from, to: now })
    }

    /// The item shown at a time; none if the filter leaves nothing after many draws.
    fn exposed(&self, world: &Generator, stream: &mut Stream, time: i64) -> Option<u32> {
        for _ in 0..MOST_DRAWS {
            let Some(item) = self.drawn(world, stream) else { continue };
            if self.disliked_items.binary_search(&item).is_ok() {
                continue;
            }
            let region = world.catalogue.region_of[item as usize];
            let is_filtered = |r| self.filtered.iter().any(|&(region, until)| region == r && time < until);
            if !region.is_some_and(is_filtered) || stream.chance(world.spec.filtered_rate) {
                return Some(item);
            }
        }
        None
    }

    /// An item before the filter: from one of the user's own regions, or from the whole catalogue.
    fn drawn(&self, world: &Generator, stream: &mut Stream) -> Option<u32> {
        let own = &self.regions.regions;
        if own.is_empty() || !stream.chance(world.spec.personal) {
            return world.catalogue.all.draw(stream);
        }
        let (region, _) = own[stream.below(own.len())];
        world.catalogue.by_region[region as usize].draw(stream)
    }

    fn react(&mut self, world: &Generator, stream: &mut Stream, item: u32, time: i64) -> Sign {
        let (spec, region) = (&world.spec, world.catalogue.region_of[item as usize]);
        let is_in = |regions: &[(u32, i64)]| region.is_some_and(|r| OwnRegions::holds(regions, r));
        let negative = if is_in(self.regions.disliked()) { spec.dislike_rate } else { spec.noise_rate };
        let positive = if is_in(self.regions.liked()) { spec.like_rate } else { 0.0 };
        let drawn = stream.uniform();
        if drawn < negative {
            self.dislike(item, region, time + i64::from(spec.filter_days) * DAY);
            Sign::Negative
        } else if drawn < negative + positive {
            Sign::Positive
        } else {
            Sign::Neutral
        }
    }

    fn dislike(&mut self, item: u32, region: Option<u32>, until: i64) {
        if let Err(place) = self.disliked_items.binary_search(&item) {
            self.disliked_items.insert(place, item);
        }
        let Some(region) = region else { return };
        match self.filtered.iter_mut().find(|(filtered, _)| *filtered == region) {
            Some((_, end)) => *end = until,
            None => self.filtered.push((region, until)),
        }
    }
}
