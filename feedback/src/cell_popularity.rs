//! Cell popularity: the cells with most negatives in the last days of training time. The baseline of every
//! SID-level metric, which mostly measures how large cells are.

use crate::event::Sign;
use crate::semantic_id::SemanticIds;
use crate::split::days;
use crate::training_time::TrainingTime;

/// Cells by their number of recent negatives; the same for every user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CellPopularity {
    /// Most negatives first, ties by lower cell.
    ranking: Vec<u32>,
    /// Recent negatives of each cell.
    counts: Vec<u32>,
}

impl CellPopularity {
    /// Counts the negatives of the last `window_days` of training time by cell.
    pub fn fit(training: &TrainingTime, ids: &SemanticIds, window_days: u32) -> Self {
        let mut counts = vec![0u32; ids.cells()];
        let recent = training.last(Some(days(window_days))).iter().filter(|e| e.sign == Sign::Negative);
        for cell in recent.filter_map(|e| ids.cell_of(e.item)) {
            counts[cell as usize] += 1;
        }
        let mut ranking: Vec<u32> = (0..ids.cells() as u32).collect();
        ranking.sort_by_key(|cell| (std::cmp::Reverse(counts[*cell as usize]), *cell));
        Self { ranking, counts }
    }

    /// The first `count` cells that hold an item outside `excluded` (sorted items).
    pub fn list(&self, ids: &SemanticIds, excluded: &[u32], count: usize) -> Vec<u32> {
        let open = |cell: &u32| ids.cell_items(*cell).iter().any(|i| excluded.binary_search(i).is_err());
        self.ranking.iter().copied().filter(open).take(count).collect()
    }

    /// ln of a cell's share of the recent negatives, smoothed: (n + s) / (N + s * cells).
    pub fn log_share(&self, cell: u32, smoothing: f64) -> f64 {
        let count = |n: &u32| f64::from(*n) + smoothing;
        let own = self.counts.get(cell as usize).map_or(smoothing, count);
        (own / self.counts.iter().map(count).sum::<f64>()).ln()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::{Dataset, Item};
    use crate::event::Event;
    use crate::split::DAY;

    #[test]
    fn shares_are_of_the_recent_negatives_and_add_up_to_one() {
        let ids = SemanticIds::new(1, 4, vec![0, 1, 1, 2], &[true; 4]).unwrap();
        let negative = |(item, day)| Event { user: 0, item, time: day * DAY, sign: Sign::Negative };
        let events = [(3, 1), (1, 30), (2, 31), (0, 32)].map(negative).to_vec();
        let dataset =
            Dataset { events, users: vec![String::new()], items: vec![Item::default(); 4], ..Dataset::default() };
        let popular = CellPopularity::fit(&TrainingTime::new(&dataset, 40 * DAY), &ids, 28);
        assert_eq!(popular.list(&ids, &[], 3), [1, 0, 2]);
        for (cell, share) in [(1, 2.5 / 4.5), (0, 1.5 / 4.5), (2, 0.5 / 4.5)] {
            assert!((popular.log_share(cell, 0.5).exp() - share).abs() < 1e-12, "cell {cell}");
        }
    }
}
