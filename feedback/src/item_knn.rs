//! Item-based nearest neighbours on negatives: cosine of the items' sets of dislikers, shrunk towards 0.
//!
//! `sim(i, j) = |U(i) and U(j)| / (sqrt(|U(i)| |U(j)|) + shrink)`, shrink 5; all neighbours count, unless it is said
//! otherwise ([`ItemKnn::with`]).

use crate::compact_lists::CompactLists;
use crate::event::{Event, Sign};
use crate::instance::Instance;
use crate::item_scores::ItemScores;
use crate::training_time::TrainingTime;

const SHRINK: f64 = 5.0;

/// Negatives by user and by item; similarities are computed when they are asked for.
#[derive(Clone, Debug)]
pub struct ItemKnn {
    of_user: CompactLists,
    of_item: CompactLists,
    shrink: f64,
    neighbours: usize,
}

impl ItemKnn {
    /// Indexes the negatives of training time.
    pub fn fit(training: &TrainingTime) -> Self {
        let of_user = training.disliked_by_user();
        let of_item = of_user.transposed(training.items());
        Self { of_user, of_item, shrink: SHRINK, neighbours: usize::MAX }
    }

    /// The same with another shrinkage, and with the so many nearest items of each disliked item only (ties go to the
    /// lower index).
    pub fn with(&self, shrink: f64, neighbours: usize) -> Self {
        Self { shrink, neighbours, ..self.clone() }
    }
}

/// An item's score is its similarity summed over the user's negatives; an item like none of them is not listed.
impl ItemScores for ItemKnn {
    fn scores(&self, _: &Instance, past: &[Event], items: &[u32]) -> Vec<f64> {
        let mut sums = vec![0.0; self.of_item.len()];
        let mut common = vec![0u32; self.of_item.len()];
        let mut touched = Vec::new();
        for e in past.iter().filter(|e| e.sign == Sign::Negative) {
            let users = self.of_item.of(e.item);
            for other in users.iter().flat_map(|user| self.of_user.of(*user)) {
                if common[*other as usize] == 0 {
                    touched.push(*other);
                }
                common[*other as usize] += 1;
            }
            let similarity = |other: &u32| {
                let norm = (users.len() as f64 * self.of_item.of(*other).len() as f64).sqrt();
                f64::from(common[*other as usize]) / (norm + self.shrink)
            };
            let others = touched.iter().filter(|other| **other != e.item);
            let mut near: Vec<(f64, u32)> = others.map(|other| (similarity(other), *other)).collect();
            if near.len() > self.neighbours {
                near.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
                near.truncate(self.neighbours);
            }
            for (similarity, other) in near {
                sums[other as usize] += similarity;
            }
            for other in touched.drain(..) {
                common[other as usize] = 0;
            }
        }
        items.iter().map(|i| if sums[*i as usize] > 0.0 { sums[*i as usize] } else { f64::NEG_INFINITY }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::{Dataset, Item};

    #[test]
    fn similarity_is_the_shrunk_cosine_summed_over_the_dislikes() {
        let at = |(user, item)| Event { user, item, time: 0, sign: Sign::Negative };
        let events = [(0, 0), (0, 1), (1, 0), (1, 1), (1, 2), (2, 0)].map(at).to_vec();
        let items = vec![Item::default(); 4];
        let dataset = Dataset { events, users: vec![String::new(); 3], items, ..Dataset::default() };
        let model = ItemKnn::fit(&TrainingTime::new(&dataset, 1));
        let instance = Instance { user: 2, t0: 1, next: 1, gts: vec![1], fps: vec![] };
        let scores = model.scores(&instance, &[at((2, 0)), at((2, 2))], &[0, 1, 3]);
        // Items 0, 1, 2 have 3, 2, 1 dislikers; 0 and 1 share two, 0 and 2 one, 1 and 2 one.
        assert!((scores[0] - 1.0 / (3.0f64.sqrt() + 5.0)).abs() < 1e-12);
        assert!((scores[1] - (2.0 / (6.0f64.sqrt() + 5.0) + 1.0 / (2.0f64.sqrt() + 5.0))).abs() < 1e-12);
        assert_eq!(scores[2], f64::NEG_INFINITY);
        // Without shrinkage item 1 is the nearest of both: with one neighbour each, nothing else is listed.
        let nearest = model.with(0.0, 1).scores(&instance, &[at((2, 0)), at((2, 2))], &[0, 1, 3]);
        assert_eq!(nearest[0], f64::NEG_INFINITY);
        assert!((nearest[1] - (2.0 / 6.0f64.sqrt() + 1.0 / 2.0f64.sqrt())).abs() < 1e-12);
    }
}
