//! Swing on negatives (Yang et al., 2020): items that the same pairs of users disliked. Neighbours for the
//! reward's ground-truth set, and a baseline.
//!
//! `swing(i, j) = sum over pairs u, v in U(i) and U(j) of w(u) w(v) / (|I(u) and I(v)| + alpha2) / sqrt(N_j)` with
//! `w(u) = (|I(u)| + alpha1)^-theta`, and 0 unless MORE than `min_common` users disliked both (method, section 5).
//!
//! Pairs grow with the square of an item's users. Where more than `max_users` disliked an item, the sum runs over the
//! pairs of an even sample of so many of them: its weights are then smaller than the full sum's, which leaves the order of
//! one item's neighbours about as it is. That is a deviation from the formula; `max_users = 0` has none. How many users
//! two items have in common is counted over all users either way.

use crate::event::{Event, Sign};
use crate::instance::{Instance, evenly};
use crate::item_scores::ItemScores;
use crate::training_time::TrainingTime;
use conrec_domain::spec::SwingSpec;
use rayon::prelude::*;

/// The nearest neighbours of each item.
#[derive(Clone, Debug, PartialEq)]
pub struct Swing {
    /// By item: (neighbour, weight), heaviest first, ties by lower index.
    neighbours: Vec<Vec<(u32, f64)>>,
}

/// Negatives by user and by item, and the users' weights.
struct Dislikes {
    of_user: Vec<Vec<u32>>,
    of_item: Vec<Vec<u32>>,
    weights: Vec<f64>,
    /// N_j: negatives of each item, whoever gave them.
    counts: Vec<u32>,
}

/// Working memory of one thread; reset after each item.
struct Scratch {
    marked: Vec<bool>,
    sums: Vec<f64>,
    common_users: Vec<u32>,
    touched: Vec<u32>,
    shared: Vec<u32>,
}

impl Swing {
    /// Computes the `spec.neighbours` nearest neighbours of each item from the negatives of training time.
    pub fn fit(training: &TrainingTime, spec: &SwingSpec) -> Self {
        let of_user = training.disliked_by_user();
        let mut of_item = vec![Vec::new(); training.items()];
        for (user, items) in of_user.iter().enumerate().filter(|(_, items)| items.len() > 1) {
            for item in items {
                of_item[*item as usize].push(user as u32);
            }
        }
        let weights = of_user.iter().map(|items| (items.len() as f64 + spec.alpha1).powf(-spec.theta)).collect();
        let counts = training.item_counts(|sign| sign == Sign::Negative);
        let dislikes = Dislikes { of_user, of_item, weights, counts };
        let items = training.items();
        let neighbours = (0..items)
            .into_par_iter()
            .map_init(|| Scratch::new(items), |scratch, item| dislikes.neighbours(item as u32, spec, scratch))
            .collect();
        Self { neighbours }
    }

    /// The neighbours of an item with their weights, heaviest first; empty when it has none.
    pub fn neighbours(&self, item: u32) -> &[(u32, f64)] {
        self.neighbours.get(item as usize).map_or(&[], Vec::as_slice)
    }

    /// Items that have neighbours, and pairs (item, neighbour) kept.
    pub fn sizes(&self) -> (usize, usize) {
        let with = self.neighbours.iter().filter(|n| !n.is_empty()).count();
        (with, self.neighbours.iter().map(Vec::len).sum())
    }
}

impl Scratch {
    fn new(items: usize) -> Self {
        Self {
            marked: vec![false; items],
            sums: vec![0.0; items],
            common_users: vec![0; items],
            touched: Vec::new(),
            shared: Vec::new(),
        }
    }
}

impl Dislikes {
    fn neighbours(&self, item: u32, spec: &SwingSpec, scratch: &mut Scratch) -> Vec<(u32, f64)> {
        let all = &self.of_item[item as usize];
        for user in all {
            for other in &self.of_user[*user as usize] {
                if scratch.common_users[*other as usize] == 0 {
                    scratch.touched.push(*other);
                }
                scratch.common_users[*other as usize] += 1;
            }
        }
        let users = thinned(all, spec.max_users as usize);
        for (place, user) in users.iter().enumerate() {
            let mine = &self.of_user[*user as usize];
            mine.iter().for_each(|i| scratch.marked[*i as usize] = true);
            for other in &users[place + 1..] {
                self.add_pair(item, (*user, *other), spec.alpha2, scratch);
            }
            mine.iter().for_each(|i| scratch.marked[*i as usize] = false);
        }
        let mut found = Vec::new();
        for other in scratch.touched.drain(..) {
            let o = other as usize;
            if other != item && scratch.common_users[o] > spec.min_common && scratch.sums[o] > 0.0 {
                found.push((other, scratch.sums[o] / f64::from(self.counts[o]).sqrt()));
            }
            scratch.sums[o] = 0.0;
            scratch.common_users[o] = 0;
        }
        found.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        found.truncate(spec.neighbours as usize);
        found
    }

    /// Adds what the pair (u, v) of dislikers of `item` says of the other items both disliked; u's items are marked.
    fn add_pair(&self, item: u32, (u, v): (u32, u32), alpha2: f64, scratch: &mut Scratch) {
        let Scratch { marked, shared, sums, .. } = scratch;
        shared.clear();
        shared.extend(self.of_user[v as usize].iter().copied().filter(|i| marked[*i as usize]));
        let value = self.weights[u as usize] * self.weights[v as usize] / (shared.len() as f64 + alpha2);
        for other in shared.iter().filter(|i| **i != item) {
            sums[*other as usize] += value;
        }
    }
}

/// All users, or `limit` of them (0: all) at even distances.
fn thinned(users: &[u32], limit: usize) -> Vec<u32> {
    evenly(users.len(), limit).into_iter().map(|i| users[i]).collect()
}

/// As a baseline: an item's score is the sum of its weights as neighbour of the user's negatives; without any it is
/// not listed.
impl ItemScores for Swing {
    fn scores(&self, _: &Instance, past: &[Event], items: &[u32]) -> Vec<f64> {
        let mut sums = vec![0.0; self.neighbours.len()];
        for e in past.iter().filter(|e| e.sign == Sign::Negative) {
            for (neighbour, weight) in self.neighbours(e.item) {
                sums[*neighbour as usize] += weight;
            }
        }
        items.iter().map(|i| if sums[*i as usize] > 0.0 { sums[*i as usize] } else { f64::NEG_INFINITY }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::{Dataset, Item};

    /// Three users: 0 dislikes items 0, 1, 2; 1 dislikes 0, 1; 2 dislikes 0, 2, 3 (and likes 1).
    fn sample() -> Dataset {
        let at = |(user, item, sign)| Event { user, item, time: 0, sign };
        let n = Sign::Negative;
        let list = [
            (0, 0, n),
            (0, 1, n),
            (0, 2, n),
            (1, 0, n),
            (1, 1, n),
            (2, 0, n),
            (2, 1, Sign::Positive),
            (2, 2, n),
            (2, 3, n),
        ];
        Dataset {
            events: list.map(at).to_vec(),
            users: vec![String::new(); 3],
            items: vec![Item::default(); 4],
            ..Dataset::default()
        }
    }

    fn weight(n: f64) -> f64 {
        (n + 5.0).powf(-0.35)
    }

    #[test]
    fn weights_equal_those_computed_by_hand() {
        let data = sample();
        let swing = Swing::fit(&TrainingTime::new(&data, 1), &SwingSpec::default());
        // Pair (0, 1) shares items 0 and 1; pair (0, 2) shares 0 and 2; pair (1, 2) shares only 0.
        let pair01 = weight(3.0) * weight(2.0) / 3.0;
        let pair02 = weight(3.0) * weight(3.0) / 3.0;
        let expected = [(1, pair01 / 2.0f64.sqrt()), (2, pair02 / 2.0f64.sqrt())];
        assert_eq!(swing.neighbours(0).len(), 2);
        for ((item, found), (other, value)) in swing.neighbours(0).iter().zip(expected) {
            assert_eq!(*item, other);
            assert!((found - value).abs() < 1e-12);
        }
        // Item 0 has three negatives.
        assert!((swing.neighbours(1)[0].1 - pair01 / 3.0f64.sqrt()).abs() < 1e-12);
        assert!(swing.neighbours(3).is_empty());
    }

    #[test]
    fn pairs_need_more_common_users_than_the_minimum_and_lists_are_cut() {
        let data = sample();
        let training = TrainingTime::new(&data, 1);
        let strict = Swing::fit(&training, &SwingSpec { min_common: 2, ..SwingSpec::default() });
        assert_eq!(strict.sizes(), (0, 0));
        let one = Swing::fit(&training, &SwingSpec { neighbours: 1, ..SwingSpec::default() });
        assert_eq!(one.neighbours(0).len(), 1);
        assert_eq!(one.neighbours(0)[0].0, 1);
    }

    #[test]
    fn items_without_a_neighbour_among_the_dislikes_are_not_listed() {
        let data = sample();
        let swing = Swing::fit(&TrainingTime::new(&data, 1), &SwingSpec::default());
        let past = [Event { user: 1, item: 1, time: 0, sign: Sign::Negative }];
        let instance = Instance { user: 1, t0: 1, next: 0, gts: vec![0], fps: vec![] };
        let scores = swing.scores(&instance, &past, &[0, 1, 2]);
        assert!(scores[0] > 0.0);
        assert_eq!(scores[1..], [f64::NEG_INFINITY, f64::NEG_INFINITY]);
    }

    #[test]
    fn long_lists_are_thinned_evenly() {
        let users: Vec<u32> = (0..5000).collect();
        let kept = thinned(&users, 2000);
        assert_eq!((kept.len(), kept[0], kept[1], kept[1999]), (2000, 0, 2, 4997));
        assert_eq!(thinned(&users, 0), users);
        assert_eq!(thinned(&users, 5000), users);
    }

    /// Users who all dislike items 0 and 1, and each an item of their own.
    fn alike(users: u32) -> Dataset {
        let dislike = |user, item| Event { user, item, time: 0, sign: Sign::Negative };
        let events = (0..users).flat_map(|u| [dislike(u, 0), dislike(u, 1), dislike(u, 2 + u)]).collect();
        Dataset {
            events,
            users: vec![String::new(); users as usize],
            items: vec![Item::default(); users as usize + 2],
            ..Dataset::default()
        }
    }

    #[test]
    fn the_sum_runs_over_the_pairs_of_the_sample() {
        let data = alike(6);
        let training = TrainingTime::new(&data, 1);
        let heaviest = |max_users| {
            let spec = SwingSpec { max_users, ..SwingSpec::default() };
            Swing::fit(&training, &spec).neighbours(0)[0]
        };
        // Every pair shares items 0 and 1; item 1 has six negatives.
        let pair = weight(3.0) * weight(3.0) / 3.0 / 6.0f64.sqrt();
        for (max_users, pairs) in [(0, 15.0), (6, 15.0), (2000, 15.0), (4, 6.0), (2, 1.0)] {
            let (item, found) = heaviest(max_users);
            assert!(item == 1 && (found - pairs * pair).abs() < 1e-12, "{max_users}: {found}");
        }
    }

    #[test]
    fn users_in_common_are_counted_over_all_users_and_not_over_the_sample() {
        let data = alike(6);
        let training = TrainingTime::new(&data, 1);
        let sizes = |min_common| {
            let spec = SwingSpec { max_users: 2, min_common, ..SwingSpec::default() };
            Swing::fit(&training, &spec).sizes()
        };
        assert_eq!(sizes(5), (2, 2), "six users in common are more than five, though the sample holds two");
        assert_eq!(sizes(6), (0, 0));
    }
}
