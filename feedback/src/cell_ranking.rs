//! From cells to items: P(item) = P(cell) x the item's share of its cell's recent negatives (method, section 10).
//!
//! The share is smoothed: (n + s) / (N + s * m), with n negatives of the item and N of all m items of its cell in the
//! last days of training time, and s of the config. An item without recent negatives so keeps a tiny share, and in a
//! cell without any all items share alike.

use crate::event::{Event, Sign};
use crate::semantic_id::SemanticIds;
use crate::split::days;
use conrec_domain::spec::EvaluationSpec;

/// Score of an item outside the trie: below every log-probability, and finite so that it can be written as JSON.
pub const OUTSIDE: f64 = -1e9;

/// Log-share of each item within its cell.
#[derive(Clone, Debug, PartialEq)]
pub struct CellShares {
    /// One an item; `OUTSIDE` without a cell.
    log_share: Vec<f64>,
}

impl CellShares {
    /// Counts the negatives of the last `spec.share_days` days before `train_end`; later events are not looked at.
    pub fn new(ids: &SemanticIds, events: &[Event], train_end: i64, spec: &EvaluationSpec) -> Self {
        let from = train_end.saturating_sub(days(spec.share_days));
        let mut counts = vec![0u32; ids.items()];
        for event in events {
            let recent = event.time >= from && event.time < train_end && event.sign == Sign::Negative;
            if let (true, Some(count)) = (recent, counts.get_mut(event.item as usize)) {
                *count += 1;
            }
        }
        let mut log_share = vec![OUTSIDE; ids.items()];
        for cell in 0..ids.cells() as u32 {
            let members = ids.cell_items(cell);
            let smoothed = |item: &u32| f64::from(counts[*item as usize]) + spec.share_smoothing;
            let whole: f64 = members.iter().map(smoothed).sum();
            for item in members {
                log_share[*item as usize] = (smoothed(item) / whole).ln();
            }
        }
        Self { log_share }
    }

    /// Log of an item's share of its cell; `OUTSIDE` if it has no cell.
    pub fn log_share(&self, item: u32) -> f64 {
        self.log_share.get(item as usize).copied().unwrap_or(OUTSIDE)
    }

    /// The `top` best items of the found cells, best first; ties go to the smaller index.
    ///
    /// `beams` are distinct cells with their log-probabilities; `excluded` are item indices, sorted.
    pub fn rank(&self, ids: &SemanticIds, beams: &[(u32, f64)], excluded: &[u32], top: usize) -> Vec<u32> {
        let mut scored = self.scored(ids, beams, excluded);
        scored.truncate(top);
        scored.into_iter().map(|(_, item)| item).collect()
    }

    /// (log P, item) of all items of the found cells that may be listed, best first; ties go to the smaller index.
    pub fn scored(&self, ids: &SemanticIds, beams: &[(u32, f64)], excluded: &[u32]) -> Vec<(f64, u32)> {
        let mut scored: Vec<(f64, u32)> = Vec::new();
        for &(cell, log_probability) in beams {
            let allowed = ids.cell_items(cell).iter().filter(|item| excluded.binary_search(item).is_err());
            scored.extend(allowed.map(|&item| (log_probability + self.log_share(item), item)));
        }
        scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        scored
    }

    /// Score of each candidate of CandAcc: log P(cell) + log share; `OUTSIDE` for items without a cell.
    ///
    /// `log_probability` is asked for the cells of candidates only.
    pub fn candidate_scores(
        &self,
        ids: &SemanticIds,
        candidates: &[u32],
        log_probability: impl Fn(u32) -> f64,
    ) -> Vec<f64> {
        let score = |&item: &u32| match ids.cell_of(item) {
            Some(cell) => (log_probability(cell) + self.log_share(item)).max(OUTSIDE),
            None => OUTSIDE,
        };
        candidates.iter().map(score).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::split::DAY;

    /// Cell 0: items 0, 1, 2; cell 1: items 3, 4; item 5 is no candidate.
    fn ids() -> SemanticIds {
        SemanticIds::new(1, 2, vec![0, 0, 0, 1, 1, 1], &[true, true, true, true, true, false]).unwrap()
    }

    fn spec(share_smoothing: f64) -> EvaluationSpec {
        EvaluationSpec { share_days: 28, share_smoothing, ..EvaluationSpec::default() }
    }

    fn shares(ids: &SemanticIds) -> CellShares {
        let event = |item, day, sign| Event { user: 0, item, time: day * DAY, sign };
        let events = [
            event(1, 10, Sign::Negative),
            event(0, 71, Sign::Negative),
            event(0, 72, Sign::Negative),
            event(1, 72, Sign::Negative),
            event(2, 80, Sign::Positive),
            event(4, 99, Sign::Negative),
            event(3, 100, Sign::Negative),
            event(5, 99, Sign::Negative),
        ];
        CellShares::new(ids, &events, 100 * DAY, &spec(0.01))
    }

    #[test]
    fn shares_count_smoothed_negatives_of_the_last_days_before_training_ends() {
        let ids = ids();
        let shares = shares(&ids);
        // In [72, 100): items 0 and 1 one negative each, item 2 none, item 4 one, item 3 none (day 100 is too late).
        let expected = [1.01 / 2.03, 1.01 / 2.03, 0.01 / 2.03, 0.01 / 1.02, 1.01 / 1.02];
        for (item, share) in expected.into_iter().enumerate() {
            assert!((shares.log_share(item as u32).exp() - share).abs() < 1e-12, "item {item}");
        }
        assert_eq!((shares.log_share(5), shares.log_share(99)), (OUTSIDE, OUTSIDE));
    }

    #[test]
    fn more_smoothing_makes_shares_more_alike() {
        let ids = ids();
        let disliked = Event { user: 0, item: 4, time: 0, sign: Sign::Negative };
        let shares = CellShares::new(&ids, &[disliked], DAY, &spec(0.5));
        // Cell 1: (0 + .5) and (1 + .5) of 2.
        assert!((shares.log_share(3).exp() - 0.25).abs() < 1e-12);
        assert!((shares.log_share(4).exp() - 0.75).abs() < 1e-12);
    }

    #[test]
    fn a_cell_without_recent_negatives_is_shared_evenly() {
        let ids = ids();
        let shares = CellShares::new(&ids, &[], 0, &spec(0.01));
        assert!((shares.log_share(2).exp() - 1.0 / 3.0).abs() < 1e-12);
    }

    #[test]
    fn items_are_ranked_by_cell_probability_times_share() {
        let ids = ids();
        let shares = shares(&ids);
        let beams = [(0, 0.6f64.ln()), (1, 0.4f64.ln())];
        // .4 * .99 = .396; .6 * .4975 = .2985 twice (the smaller index first); .0039; .003.
        assert_eq!(shares.rank(&ids, &beams, &[], 20), [4, 0, 1, 3, 2]);
        assert_eq!(shares.rank(&ids, &beams, &[], 2), [4, 0]);
    }

    #[test]
    fn excluded_items_are_never_listed() {
        let ids = ids();
        let beams = [(0, -0.5), (1, -0.9)];
        assert_eq!(shares(&ids).rank(&ids, &beams, &[0, 4], 20), [1, 3, 2]);
        assert!(shares(&ids).rank(&ids, &[], &[], 20).is_empty());
    }

    #[test]
    fn candidates_are_scored_by_cell_and_share() {
        let ids = ids();
        let log_probability = |cell| if cell == 0 { -1.0 } else { f64::NEG_INFINITY };
        let scores = shares(&ids).candidate_scores(&ids, &[0, 5, 4], log_probability);
        assert!((scores[0] - (-1.0 + (1.01f64 / 2.03).ln())).abs() < 1e-12);
        assert_eq!(scores[1..], [OUTSIDE, OUTSIDE]);
    }
}
