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
        Self { ranking }
    }

    /// The first `count` cells that hold an item outside `excluded` (sorted items).
    pub fn list(&self, ids: &SemanticIds, excluded: &[u32], count: usize) -> Vec<u32> {
        let open = |cell: &u32| ids.cell_items(*cell).iter().any(|i| excluded.binary_search(i).is_err());
        self.ranking.iter().copied().filter(open).take(count).collect()
    }
}
