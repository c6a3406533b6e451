//! The metrics at SID level: an evaluation's targets with cells in place of items.
//!
//! The names begin with `sid_`, so that no SID-level hit can be taken for an item-level one.

use crate::evaluation::{Evaluation, ModelMetrics};
use crate::metrics::Target;
use crate::semantic_id::SemanticIds;

/// Targets as cells. An item without a cell (never seen in training time) stays a target that no list can meet.
#[derive(Clone, Debug)]
pub struct CellEvaluation<'a> {
    evaluation: &'a Evaluation,
    targets: Vec<Target>,
    rare: Vec<bool>,
}

impl<'a> CellEvaluation<'a> {
    /// Maps the targets of an evaluation to cells.
    pub fn new(evaluation: &'a Evaluation, ids: &SemanticIds) -> Self {
        let cells = ids.cells() as u32;
        let cell = |item: u32| ids.cell_of(item).unwrap_or(cells + item);
        let cells_of = |items: &[u32]| {
            let mut mapped: Vec<u32> = items.iter().map(|i| cell(*i)).collect();
            mapped.sort_unstable();
            mapped.dedup();
            mapped
        };
        let mapped = |t: &Target| Target {
            next: cell(t.next),
            gts: cells_of(&t.gts),
            fps: cells_of(&t.fps),
            few_user_negatives: t.few_user_negatives,
        };
        let negatives = evaluation.item_negatives();
        let count = |cell| ids.cell_items(cell).iter().map(|i| negatives[*i as usize]).sum::<u32>();
        let few = evaluation.spec().few_item_negatives;
        let rare = (0..cells).map(|c| count(c) < few).collect();
        Self { evaluation, targets: evaluation.targets().iter().map(mapped).collect(), rare }
    }

    /// The targets as cells, in the order of the instances.
    pub fn targets(&self) -> &[Target] {
        &self.targets
    }

    /// Metrics of ranked lists of cells: `sid_hr@20`, `sid_fhr@20` and so on.
    pub fn measure(&self, lists: &[Vec<u32>]) -> ModelMetrics {
        let ModelMetrics { values, by_instance } = self.evaluation.measure_against(&self.targets, lists, &self.rare);
        let named = |name: String| format!("sid_{name}");
        ModelMetrics {
            values: values.into_iter().map(|(name, v)| (named(name), v)).collect(),
            by_instance: by_instance.into_iter().map(|(name, v)| (named(name), v)).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell_popularity::CellPopularity;
    use crate::dataset::{Dataset, Item};
    use crate::event::{Event, Sign};
    use crate::history::History;
    use crate::split::{DAY, PassWindows, Window};
    use crate::training_time::TrainingTime;
    use conrec_domain::spec::{DataSpec, EvaluationSpec};
    use conrec_domain::work::Pass;

    /// Training time: 0 to 10 days. Items 0 and 1 share a cell, 2 has its own; 3 comes later.
    fn sample() -> Dataset {
        let at = |(day, user, item, sign)| Event { user, item, time: day * DAY, sign };
        let (n, p) = (Sign::Negative, Sign::Positive);
        let list =
            [(1, 0, 0, n), (2, 1, 1, n), (3, 1, 2, n), (3, 2, 2, p), (10, 2, 1, n), (11, 2, 3, n), (12, 2, 2, p)];
        let last = (30, 2, 2, Sign::Neutral);
        Dataset {
            events: list.into_iter().chain([last]).map(at).collect(),
            users: vec![String::new(); 3],
            items: vec![Item::default(); 4],
            ..Dataset::default()
        }
    }

    #[test]
    fn hits_count_by_cell_and_items_without_a_cell_are_out_of_reach() {
        let data = sample();
        let history = History::new(&data.events, 3);
        let windows =
            PassWindows { pass: Pass::Refit, train_end: 10 * DAY, evaluate: Window { from: 10 * DAY, to: 11 * DAY } };
        let settings = EvaluationSpec { bootstrap: 10, few_item_negatives: 2, ..EvaluationSpec::default() };
        let evaluation = Evaluation::new(&data, &history, &windows, &DataSpec::default(), &settings).unwrap();
        let training = TrainingTime::new(&data, windows.train_end);
        let ids = SemanticIds::new(1, 4, vec![0, 0, 1, 1], &training.seen()).unwrap();
        assert_eq!(ids.cells(), 2);

        let cells = CellEvaluation::new(&evaluation, &ids);
        assert_eq!(cells.targets()[0].gts, [0, 2 + 3]);
        let popular = CellPopularity::fit(&training, &ids, 28);
        // Two negatives against one; a user who disliked both items of a cell is not shown it.
        assert_eq!(popular.list(&ids, &[], 20), [0, 1]);
        assert_eq!(popular.list(&ids, &[0, 1], 20), [1]);
        let found = cells.measure(&[vec![0]]).values;
        let value = |name: &str| found[name].value;
        assert_eq!((value("sid_hr@20"), value("sid_fhr@20"), value("sid_frecall@20")), (1.0, 1.0, 0.5));
        // Cell 0 has two training negatives, item 3 none: it is the rare one. The like is of cell 1.
        assert_eq!((value("sid_lif@20"), value("sid_pos_hit@20")), (0.0, 0.0));
    }
}
