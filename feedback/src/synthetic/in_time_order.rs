//! The generator's events in time order: all users live the same few days at once, and these days are sorted.

use super::Generator;
use super::user::User;
use crate::dataset::DislikedRegion;
use crate::event::Event;
use rayon::prelude::*;

/// Events that a block should hold: few enough to be small beside the users, many enough that taking up the users'
/// streams again does not cost more than what is drawn from them.
const EVENTS_A_BLOCK: f64 = 1_000_000.0;

/// Users that one thread takes at a time.
const USERS_A_TASK: usize = 1024;

/// Most exposures for which room is made before they are drawn.
const ROOM_AT_MOST: f64 = 2e9;

/// Blocks of events; sorted by (time, user, item) within a block and from block to block.
#[derive(Debug)]
pub struct InTimeOrder<'a> {
    generator: &'a Generator,
    users: Vec<User>,
    /// Stretches of dislike that have ended.
    disliked: Vec<DislikedRegion>,
    next_day: u32,
    /// How long a block is changes nothing but memory.
    pub(super) days_a_block: u32,
}

impl Generator {
    /// About how many exposures there will be.
    pub(super) fn events_expected(&self) -> usize {
        let spec = &self.spec;
        let mean = f64::from(spec.users) * f64::from(spec.days) * spec.exposures_per_day;
        if spec.neutral_events { mean.min(ROOM_AT_MOST) as usize } else { 0 }
    }
}

impl<'a> InTimeOrder<'a> {
    /// All users on the first day.
    pub(super) fn new(generator: &'a Generator) -> Self {
        let spec = &generator.spec;
        let users = (0..spec.users).into_par_iter().map(|user| User::new(generator, user)).collect();
        let a_day = f64::from(spec.users) * spec.exposures_per_day.max(f64::MIN_POSITIVE);
        let days_a_block = ((EVENTS_A_BLOCK / a_day) as u32).clamp(1, spec.days);
        Self { generator, users, disliked: Vec::new(), next_day: 0, days_a_block }
    }

    /// What the users disliked in truth, by user and then in order of time; complete once all blocks were taken.
    pub fn disliked(self) -> Vec<DislikedRegion> {
        let Self { generator, users, mut disliked, .. } = self;
        for user in users {
            user.end(generator, &mut disliked);
        }
        disliked.sort_by_key(|stretch| (stretch.user, stretch.order()));
        disliked
    }
}

impl Iterator for InTimeOrder<'_> {
    type Item = Vec<Event>;

    fn next(&mut self) -> Option<Vec<Event>> {
        let Self { generator, users, disliked, next_day, days_a_block } = self;
        let first = *next_day;
        if first >= generator.spec.days {
            return None;
        }
        *next_day = first.saturating_add(*days_a_block).min(generator.spec.days);
        let days = first..*next_day;
        // Users are computed from their own streams and collected in order: threads change nothing.
        let made: Vec<(Vec<Event>, Vec<DislikedRegion>)> = users
            .par_chunks_mut(USERS_A_TASK)
            .map(|some| {
                let (mut events, mut ended) = (Vec::new(), Vec::new());
                for user in some {
                    user.live(generator, days.clone(), &mut events, &mut ended);
                }
                (events, ended)
            })
            .collect();
        let mut block = Vec::with_capacity(made.iter().map(|(events, _)| events.len()).sum());
        for (events, ended) in made {
            block.extend(events);
            disliked.extend(ended);
        }
        // Stable: what ties stays in the order in which it was drawn.
        block.par_sort_by_key(Event::order);
        Some(block)
    }
}
