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
//!
//! Work: the sum over users of (their negatives)^2 to count users in common, and over pairs of items of (their dislikers
//! in common, in the sample)^2 for the weights. Memory: 8 bytes a negative, and 20 bytes an item for each thread.

use crate::compact_lists::CompactLists;
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
    of_user: CompactLists,
    /// Users with one negative only are left out: they say nothing of pairs.
    of_item: CompactLists,
    weights: Vec<f64>,
    /// N_j: negatives of each item, whoever gave them.
    counts: Vec<u32>,
}

/// Working memory of one thread, reset after each item. The first five have one entry an item of the catalogue, the
/// others one a user of the sample, by place in it.
struct Scratch {
    sums: Vec<f64>,
    common_users: Vec<u32>,
    /// Where the item's list of dislikers begins in `dislikers`; moves past each user that is done.
    begins: Vec<u32>,
    ends: Vec<u32>,
    touched: Vec<u32>,
    /// Places of the sample's users, item by item, ascending.
    dislikers: Vec<u32>,
    /// Items that a user shares with the one at hand, besides the item at hand.
    shared: Vec<u32>,
    values: Vec<f64>,
    partners: Vec<u32>,
}

impl Swing {
    /// Computes the `spec.neighbours` nearest neighbours of each item from the negatives of training time.
    pub fn fit(training: &TrainingTime, spec: &SwingSpec) -> Self {
        let of_user = training.disliked_by_user();
        let of_item = of_user.transposed_of(training.items(), |items| items.len() > 1);
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

    /// The neighbours of all items, as [`Self::neighbours`] gives them.
    pub fn into_lists(self) -> Vec<Vec<(u32, f64)>> {
        self.neighbours
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
            sums: vec![0.0; items],
            common_users: vec![0; items],
            begins: vec![0; items],
            ends: vec![0; items],
            touched: Vec::new(),
            dislikers: Vec::new(),
            shared: Vec::new(),
            values: Vec::new(),
            partners: Vec::new(),
        }
    }
}

impl Dislikes {
    fn neighbours(&self, item: u32, spec: &SwingSpec, scratch: &mut Scratch) -> Vec<(u32, f64)> {
        let all = self.of_item.of(item);
        for user in all {
            for other in self.of_user.of(*user) {
                if scratch.common_users[*other as usize] == 0 {
                    scratch.touched.push(*other);
                }
                scratch.common_users[*other as usize] += 1;
            }
        }
        let users = thinned(all, spec.max_users as usize);
        self.list_dislikers(item, &users, scratch);
        for place in 0..users.len() {
            self.add_pairs(item, place, (&users, spec), scratch);
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

    /// For each touched item but the one at hand: the places of the sample's users that disliked it.
    fn list_dislikers(&self, item: u32, users: &[u32], scratch: &mut Scratch) {
        let Scratch { begins, ends, touched, dislikers, shared, values, .. } = scratch;
        touched.iter().for_each(|other| ends[*other as usize] = 0);
        for user in users {
            self.of_user.of(*user).iter().for_each(|other| ends[*other as usize] += 1);
        }
        let mut room = 0;
        for other in touched.iter().filter(|other| **other != item) {
            let count = ends[*other as usize];
            (begins[*other as usize], ends[*other as usize]) = (room, room);
            room += count;
        }
        dislikers.clear();
        dislikers.resize(room as usize, 0);
        for (place, user) in (0..).zip(users) {
            for other in self.of_user.of(*user).iter().filter(|other| **other != item) {
                dislikers[ends[*other as usize] as usize] = place;
                ends[*other as usize] += 1;
            }
        }
        shared.clear();
        shared.resize(users.len(), 0);
        values.clear();
        values.resize(users.len(), 0.0);
    }

    /// Adds what the pairs of one user with all later ones say of the other items that both disliked.
    ///
    /// Only users that share something are met: the work is that of what they share, not that of all pairs. An item's sum
    /// grows in the order of the pairs.
    fn add_pairs(&self, item: u32, place: usize, (users, spec): (&[u32], &SwingSpec), scratch: &mut Scratch) {
        let Scratch { sums, common_users, begins, ends, dislikers, shared, values, partners, .. } = scratch;
        let others =
            || self.of_user.of(users[place]).iter().filter(|other| **other != item).map(|other| *other as usize);
        for other in others() {
            // The first of the list is this user.
            begins[other] += 1;
            for partner in &dislikers[begins[other] as usize..ends[other] as usize] {
                if shared[*partner as usize] == 0 {
                    partners.push(*partner);
                }
                shared[*partner as usize] += 1;
            }
        }
        let own = self.weights[users[place] as usize];
        for partner in partners.drain(..).map(|partner| partner as usize) {
            // Both disliked the item at hand, too.
            let in_common = f64::from(shared[partner] + 1);
            values[partner] = own * self.weights[users[partner] as usize] / (in_common + spec.alpha2);
            shared[partner] = 0;
        }
        for other in others().filter(|other| common_users[*other] > spec.min_common) {
            for partner in &dislikers[begins[other] as usize..ends[other] as usize] {
                sums[other] += values[*partner as usize];
            }
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
    use proptest::prelude::*;

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

    /// The definition, pair by pair and item by item, with the sums in the same order.
    fn by_definition(training: &TrainingTime, spec: &SwingSpec) -> Vec<Vec<(u32, f64)>> {
        let of_user = training.disliked_by_user();
        let counts = training.item_counts(|sign| sign == Sign::Negative);
        let weight = |user: u32| (of_user.of(user).len() as f64 + spec.alpha1).powf(-spec.theta);
        let users_of = |item: u32| -> Vec<u32> {
            let holds = |u: &u32| of_user.of(*u).len() > 1 && of_user.of(*u).contains(&item);
            (0..training.users() as u32).filter(holds).collect()
        };
        let of_pair = |item: u32, other: u32, users: &[u32]| {
            let mut sum = 0.0;
            for (place, u) in users.iter().enumerate() {
                for v in &users[place + 1..] {
                    let both: Vec<&u32> = of_user.of(*u).iter().filter(|i| of_user.of(*v).contains(i)).collect();
                    if both.contains(&&other) {
                        sum += weight(*u) * weight(*v) / (both.len() as f64 + spec.alpha2);
                    }
                }
            }
            let common = users_of(item).iter().filter(|u| of_user.of(**u).contains(&other)).count();
            (common > spec.min_common as usize && sum > 0.0).then(|| sum / f64::from(counts[other as usize]).sqrt())
        };
        let neighbours = |item: u32| {
            let users = thinned(&users_of(item), spec.max_users as usize);
            let others = (0..training.items() as u32).filter(|other| *other != item);
            let mut found: Vec<(u32, f64)> = others.filter_map(|o| Some((o, of_pair(item, o, &users)?))).collect();
            found.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
            found.truncate(spec.neighbours as usize);
            found
        };
        (0..training.items() as u32).map(neighbours).collect()
    }

    proptest! {
        /// To the last bit, with and without a sample, on one thread and on three.
        #[test]
        fn neighbours_are_those_of_the_definition(
            dislikes in prop::collection::vec((0u32..12, 0u32..9), 0..80),
            max_users in prop::sample::select(vec![0u32, 2, 3, 2000]),
            min_common in 0u32..3,
        ) {
            let event = |(user, item): &(u32, u32)| Event { user: *user, item: *item, time: 0, sign: Sign::Negative };
            let data = Dataset {
                events: dislikes.iter().map(event).collect(),
                users: vec![String::new(); 12],
                items: vec![Item::default(); 9],
                ..Dataset::default()
            };
            let training = TrainingTime::new(&data, 1);
            let spec = SwingSpec { max_users, min_common, neighbours: 5, ..SwingSpec::default() };
            let expected = by_definition(&training, &spec);
            for threads in [1, 3] {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                let found = pool.install(|| Swing::fit(&training, &spec));
                prop_assert_eq!(&found.neighbours, &expected);
            }
        }
    }
}
