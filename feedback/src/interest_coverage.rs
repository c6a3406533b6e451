//! How much of a user's negative interest a training target covers: the question behind the paper's targets (method,
//! section 5). The next negative alone is one item of an interest that is broader; the negatives of the next days cover
//! more of it, with their Swing neighbours more again. A larger set covers more of anything, though: so each set is
//! held against another user's set of the same kind and as nearly as possible of the same size.
//!
//! The interest is what the set cannot hold by its making: the user's negatives outside of the longest horizon, before
//! and after it. Instances have to lie after the time that Swing was fitted on, or Swing would know the answer.

use crate::bootstrap::{MetricValue, Resampling, interval, paired_difference};
use crate::event::Sign;
use crate::history::History;
use crate::instance::{Instance, evenly, future};
use crate::reward::{RewardModel, Targets};
use crate::semantic_id::SemanticIds;
use crate::split::days;
use rayon::prelude::*;

/// Of an interest with more cells than this, so many are taken evenly: bounds the work for users with thousands.
const MOST_CELLS: usize = 200;

/// A way to make targets from what follows an instance's moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TargetSet {
    /// The negatives of so many days; none: the next negative only.
    pub days: Option<u32>,
    /// Whether their Swing neighbours are in it.
    pub swing: bool,
}

/// How much of the interest a kind of set covers, over all instances.
#[derive(Clone, Debug, PartialEq)]
pub struct Coverage {
    /// The kind of set.
    pub set: TargetSet,
    /// Mean number of cells of a set.
    pub cells: f64,
    /// Mean over the interest's cells of the largest cosine to a cell of the set.
    pub nearness: Compared,
    /// Share of the interest's cells that have a cell of the set at `near` or nearer.
    pub covered: Compared,
}

/// A value of users' own sets beside that of others' sets, all with intervals over users.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Compared {
    /// By the user's own set.
    pub own: MetricValue,
    /// By another user's set of about the same size: what any such set covers.
    pub other: MetricValue,
    /// Own less other, paired.
    pub difference: MetricValue,
}

/// What is measured on.
pub struct Interests<'a> {
    instances: Vec<&'a Instance>,
    /// Cells of each instance's interest, sorted; never empty.
    interests: Vec<Vec<u32>>,
    history: &'a History,
    swing: &'a [Vec<(u32, f64)>],
    ids: &'a SemanticIds,
    reward: &'a RewardModel,
    near: f64,
}

/// Tables that the measurement reads.
#[derive(Clone, Copy)]
pub struct Tables<'a> {
    /// All events by user.
    pub history: &'a History,
    /// Swing neighbours of each item.
    pub swing: &'a [Vec<(u32, f64)>],
    /// Items' cells.
    pub ids: &'a SemanticIds,
    /// The similarity of cells.
    pub reward: &'a RewardModel,
}

impl<'a> Interests<'a> {
    /// Takes the instances whose user disliked something outside of `[t0, t0 + longest_days)`; `near`: the cosine at
    /// which a cell counts as covered.
    pub fn new(instances: &'a [Instance], tables: Tables<'a>, longest_days: u32, near: f64) -> Self {
        let Tables { history, swing, ids, reward } = tables;
        let (mut kept, mut interests) = (Vec::new(), Vec::new());
        for instance in instances {
            let interest = interest(instance, history, ids, longest_days);
            if !interest.is_empty() {
                kept.push(instance);
                interests.push(interest);
            }
        }
        Self { instances: kept, interests, history, swing, ids, reward, near }
    }

    /// Instances with an interest, which are those that are measured.
    pub fn len(&self) -> usize {
        self.instances.len()
    }

    /// Whether there is nothing to measure.
    pub fn is_empty(&self) -> bool {
        self.instances.is_empty()
    }

    /// Mean number of cells of an interest; 0 where there is none.
    pub fn cells(&self) -> f64 {
        mean(self.interests.iter().map(Vec::len))
    }

    /// What a kind of set covers.
    pub fn measure(&self, set: TargetSet, resampling: Resampling) -> Coverage {
        let sets: Vec<Vec<u32>> = self.instances.par_iter().map(|instance| self.targets(instance, set)).collect();
        let others = partners(&self.instances, &sets);
        let of = |at: usize, set: &[u32]| (!set.is_empty()).then(|| self.covers(&self.interests[at], set));
        let own: Vec<Option<(f64, f64)>> = (0..sets.len()).into_par_iter().map(|at| of(at, &sets[at])).collect();
        let other: Vec<Option<(f64, f64)>> =
            (0..sets.len()).into_par_iter().map(|at| others[at].and_then(|partner| of(at, &sets[partner]))).collect();
        let users: Vec<u32> = self.instances.iter().map(|instance| instance.user).collect();
        let compared = |pick: fn((f64, f64)) -> f64| {
            let (own, other): (Vec<_>, Vec<_>) =
                own.iter().zip(&other).map(|(a, b)| (a.map(pick), b.map(pick))).unzip();
            Compared {
                own: interval(&users, &own, resampling),
                other: interval(&users, &other, resampling),
                difference: paired_difference(&users, &own, &other, resampling),
            }
        };
        let cells = mean(sets.iter().filter(|set| !set.is_empty()).map(Vec::len));
        Coverage { set, cells, nearness: compared(|value| value.0), covered: compared(|value| value.1) }
    }

    fn targets(&self, instance: &Instance, set: TargetSet) -> Vec<u32> {
        let (gts, fps) = match set.days {
            None => (vec![instance.next], Vec::new()),
            Some(horizon) => future(self.history, instance.user, instance.t0, instance.t0 + days(horizon)),
        };
        let neighbours = |item: u32| match set.swing {
            true => self.swing.get(item as usize).map_or(&[][..], Vec::as_slice),
            false => &[],
        };
        Targets::new(self.ids, &gts, &fps, neighbours).negatives
    }

    /// Mean nearness of the set to the interest, and the share that it covers.
    fn covers(&self, interest: &[u32], set: &[u32]) -> (f64, f64) {
        let nearest = |&cell: &u32| set.iter().map(|&of| self.reward.similarity(cell, of)).fold(-1.0, f64::max);
        let near: Vec<f64> = interest.iter().map(nearest).collect();
        let n = near.len() as f64;
        (near.iter().sum::<f64>() / n, near.iter().filter(|&&value| value >= self.near).count() as f64 / n)
    }
}

/// Cells of what the user disliked outside of the longest horizon, sorted, at most [`MOST_CELLS`].
fn interest(instance: &Instance, history: &History, ids: &SemanticIds, longest_days: u32) -> Vec<u32> {
    let until = instance.t0 + days(longest_days);
    let outside = |time: i64| time < instance.t0 || time >= until;
    let disliked = history.of(instance.user).into_iter().filter(|e| e.sign == Sign::Negative && outside(e.time));
    let mut cells: Vec<u32> = disliked.filter_map(|e| ids.cell_of(e.item)).collect();
    cells.sort_unstable();
    cells.dedup();
    evenly(cells.len(), MOST_CELLS).into_iter().map(|at| cells[at]).collect()
}

/// For each instance the one of another user whose set is nearest in size, of those the nearest in the order of
/// (size, moment, user); none where its set is empty or there is no other user.
fn partners(instances: &[&Instance], sets: &[Vec<u32>]) -> Vec<Option<usize>> {
    let mut order: Vec<usize> = (0..sets.len()).filter(|&at| !sets[at].is_empty()).collect();
    order.sort_by_key(|&at| (sets[at].len(), instances[at].t0, instances[at].user, at));
    let mut partners = vec![None; sets.len()];
    for (place, &at) in order.iter().enumerate() {
        let is_other = |candidate: &&usize| instances[**candidate].user != instances[at].user;
        let after = order[place + 1..].iter().find(is_other);
        let before = order[..place].iter().rev().find(is_other);
        let distance = |candidate: &usize| sets[*candidate].len().abs_diff(sets[at].len());
        partners[at] = after.into_iter().chain(before).min_by_key(|candidate| distance(candidate)).copied();
    }
    partners
}

fn mean(sizes: impl Iterator<Item = usize>) -> f64 {
    let (sum, n) = sizes.fold((0, 0_usize), |(sum, n), size| (sum + size, n + 1));
    if n == 0 { 0.0 } else { sum as f64 / n as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Event;
    use crate::matrix::Matrix;
    use conrec_domain::spec::RewardSpec;

    const DAY: i64 = 86_400;
    const RESAMPLING: Resampling = Resampling { times: 20, seed: 0 };

    /// Four items, each a cell of its own, as unit vectors of a square around the centre: 0 and 1 on one axis, 2 and 3
    /// on the other.
    fn ids() -> SemanticIds {
        SemanticIds::new(1, 4, vec![0, 1, 2, 3], &[true; 4]).unwrap()
    }

    fn vectors(ids: &SemanticIds) -> RewardModel {
        let data = vec![1.0, 0.0, -1.0, 0.0, 0.0, 1.0, 0.0, -1.0];
        RewardModel::new(&RewardSpec::default(), &Matrix { rows: 4, cols: 2, data }, ids).unwrap()
    }

    fn event(user: u32, item: u32, day: i64, sign: Sign) -> Event {
        Event { user, item, time: day * DAY, sign }
    }

    fn instance(user: u32, day: i64, next: u32) -> Instance {
        Instance { user, t0: day * DAY, next, gts: vec![next], fps: Vec::new() }
    }

    /// User 0 dislikes 0 again and again, user 1 dislikes 2; what each will dislike next they disliked before.
    fn events() -> Vec<Event> {
        let mut events = Vec::new();
        for day in [0, 10, 11] {
            events.push(event(0, 0, day, Sign::Negative));
            events.push(event(1, 2, day, Sign::Negative));
        }
        events.sort_by_key(|e| (e.time, e.user, e.item));
        events
    }

    #[test]
    fn ones_own_set_covers_ones_interest_and_anothers_does_not() {
        let (ids, history) = (ids(), History::new(&events(), 2));
        let reward = vectors(&ids);
        let tables = Tables { history: &history, swing: &[], ids: &ids, reward: &reward };
        let instances = [instance(0, 10, 0), instance(1, 10, 2)];
        let interests = Interests::new(&instances, tables, 7, 0.6);
        assert_eq!((interests.len(), interests.cells()), (2, 1.0));
        let found = interests.measure(TargetSet { days: Some(7), swing: false }, RESAMPLING);
        assert_eq!(found.cells, 1.0);
        assert_eq!((found.nearness.own.value, found.covered.own.value), (1.0, 1.0));
        assert_eq!((found.nearness.other.value, found.covered.other.value), (0.0, 0.0));
        assert_eq!((found.covered.difference.value, found.covered.difference.n), (1.0, 2));
    }

    #[test]
    fn the_horizon_itself_is_no_interest() {
        let (ids, history) = (ids(), History::new(&events(), 2));
        let reward = vectors(&ids);
        let tables = Tables { history: &history, swing: &[], ids: &ids, reward: &reward };
        // Days 0, 10 and 11 lie within 12 days of day 0: nothing is left.
        assert!(Interests::new(&[instance(0, 0, 0)], tables, 12, 0.6).is_empty());
        // Day 11 lies after 11 days.
        assert_eq!(Interests::new(&[instance(0, 0, 0)], tables, 11, 0.6).len(), 1);
    }

    #[test]
    fn swing_neighbours_widen_the_set_and_liked_ones_do_not_enter() {
        let (ids, mut events) = (ids(), events());
        events.push(event(0, 3, 12, Sign::Positive));
        let history = History::new(&events, 2);
        let reward = vectors(&ids);
        let swing = vec![vec![(1, 0.5), (3, 0.4)], Vec::new(), Vec::new(), Vec::new()];
        let tables = Tables { history: &history, swing: &swing, ids: &ids, reward: &reward };
        let instances = [instance(0, 10, 0)];
        let interests = Interests::new(&instances, tables, 7, 0.6);
        let cells = |days, swing| interests.measure(TargetSet { days, swing }, RESAMPLING).cells;
        assert_eq!([cells(Some(7), false), cells(Some(7), true), cells(None, true)], [1.0, 2.0, 3.0]);
    }

    #[test]
    fn the_control_is_another_user_with_a_set_as_large_as_can_be_found() {
        let instances = [instance(0, 1, 0), instance(0, 2, 0), instance(1, 3, 0), instance(2, 4, 0)];
        let instances: Vec<&Instance> = instances.iter().collect();
        let sets = [vec![0], vec![0, 1, 2], vec![1, 2, 3], vec![3]];
        assert_eq!(partners(&instances, &sets), [Some(3), Some(2), Some(1), Some(0)]);
        assert_eq!(partners(&instances[..2], &sets[..2]), [None, None]);
        let sets = [vec![], vec![0, 1, 2], vec![1, 2, 3], vec![3]];
        assert_eq!(partners(&instances, &sets), [None, Some(2), Some(1), Some(1)]);
    }
}
