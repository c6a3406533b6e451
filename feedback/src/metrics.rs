//! The metrics of a ranked list T of the first 20 (method, section 7), at item level and, with cells in place of
//! items, at SID level.

use serde::{Deserialize, Serialize};

/// A metric as tables show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// The beginning of its name in reports; `@20` or another length may follow.
    pub base: &'static str,
    /// Its heading.
    pub heading: &'static str,
    /// What it says.
    pub says: &'static str,
    /// Whether more of it is better.
    pub more_is_better: bool,
}

const fn column(base: &'static str, heading: &'static str, says: &'static str) -> Column {
    Column { base, heading, says, more_is_better: true }
}

const CANDIDATES: &str = "the true negative scores highest among it and the drawn candidates; chance is 0.05 with 19 of them (evaluation.candidates)";

/// The metrics at item level, in the order of the method.
pub const COLUMNS: [Column; 11] = [
    column("fhr", "FHR", "share of instances whose list meets a negative of the horizon"),
    column("hr", "HR", "the next negative is in the list"),
    column("frecall", "FRecall", "share of the horizon's negatives found"),
    column("luf", "LUF", "FHR over users with few training negatives"),
    column("lif", "LIF", "FHR restricted to items with few training negatives"),
    column("cand_acc", "CandAcc", CANDIDATES),
    column(
        "reward",
        "reward",
        "mean reward of sampled completions by the config's variant and shape: what GRPO raises",
    ),
    column("paper_reward", "paper's reward", "the same completions by the paper's formula, variant c alone"),
    column(
        "true_region",
        "TrueRegion",
        "share of the list's places with an item of a region that the user truly dislikes",
    ),
    column("true_region_recall", "RegionRecall", "share of these regions that the list meets"),
    Column {
        more_is_better: false,
        ..column("pos_hit", "PosHit", "the list meets a future positive: harm, less is better")
    },
];

/// Metrics that do not depend on the config's horizon: the next negative, fixed horizons, candidates.
pub const CURVE_COLUMNS: [Column; 6] = [
    column("hr", "HR", "the next negative is in the list"),
    column("fhr_1d", "FHR, 1 day", "share of instances whose list meets a negative of the next day"),
    column("fhr_3d", "3 days", "of the next 3 days"),
    column("fhr_7d", "7 days", "of the next 7 days"),
    column("fhr_14d", "14 days", "of the next 14 days; instances whose 14 days leave the data are left out"),
    column("cand_acc", "CandAcc", CANDIDATES),
];

/// What a list is held against. Ids are items, or cells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// The next negative.
    pub next: u32,
    /// Negatives of the horizon, sorted, distinct, not empty.
    pub gts: Vec<u32>,
    /// Positives of the horizon, sorted and distinct.
    pub fps: Vec<u32>,
    /// Whether the user has few training negatives: the instance counts for LUF.
    pub few_user_negatives: bool,
}

/// The metrics of one instance; `None` where a metric does not apply to it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// HR: 1 when the next negative is listed.
    pub hr: f64,
    /// FHR: 1 when any negative of the horizon is listed.
    pub fhr: f64,
    /// FRecall: share of the horizon's negatives listed.
    pub frecall: f64,
    /// LUF: FHR, for users with few training negatives only.
    pub luf: Option<f64>,
    /// LIF: 1 when one of the horizon's rare negatives is listed; only where there is one.
    pub lif: Option<f64>,
    /// PosHit: 1 when a positive of the horizon is listed (harm); only where there is one.
    pub pos_hit: Option<f64>,
}

/// Measures one list; `rare[id]` says that an item (or cell) has few training negatives. Ids beyond it are rare.
pub fn outcome(target: &Target, list: &[u32], rare: &[bool]) -> Outcome {
    let hits = target.gts.iter().filter(|id| list.contains(id)).count();
    let fhr = flag(hits > 0);
    let mut rare_targets = target.gts.iter().filter(|id| rare.get(**id as usize).copied().unwrap_or(true)).peekable();
    let has_rare = rare_targets.peek().is_some();
    Outcome {
        hr: flag(list.contains(&target.next)),
        fhr,
        frecall: hits as f64 / target.gts.len().max(1) as f64,
        luf: target.few_user_negatives.then_some(fhr),
        lif: has_rare.then(|| flag(rare_targets.any(|id| list.contains(id)))),
        pos_hit: (!target.fps.is_empty()).then(|| flag(target.fps.iter().any(|id| list.contains(id)))),
    }
}

/// CandAcc of one instance: `scores[0]` is the true item's. 1 when it is the highest, `1 / n` when it shares the
/// first place with `n - 1` others, else 0. NaN counts as lowest.
pub fn candidate_accuracy(scores: &[f64]) -> f64 {
    let comparable = |s: &f64| if s.is_nan() { f64::NEG_INFINITY } else { *s };
    let Some(own) = scores.first().map(comparable) else { return 0.0 };
    if scores.iter().map(comparable).any(|s| s > own) {
        return 0.0;
    }
    1.0 / scores.iter().map(comparable).filter(|s| *s == own).count() as f64
}

/// FHR over another horizon: 1 when any of `gts` is listed; `None` when the horizon has no negative.
pub fn horizon_hit(gts: &[u32], list: &[u32]) -> Option<f64> {
    (!gts.is_empty()).then(|| flag(gts.iter().any(|id| list.contains(id))))
}

fn flag(yes: bool) -> f64 {
    if yes { 1.0 } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_of_a_list_by_hand() {
        let target = Target { next: 4, gts: vec![1, 4, 7, 9], fps: vec![2], few_user_negatives: true };
        let mut rare = vec![false; 10];
        rare[7] = true;
        let found = outcome(&target, &[9, 1, 3], &rare);
        let expected = Outcome { hr: 0.0, fhr: 1.0, frecall: 0.5, luf: Some(1.0), lif: Some(0.0), pos_hit: Some(0.0) };
        assert_eq!(found, expected);
        let found = outcome(&target, &[4, 7, 2], &rare);
        let expected = Outcome { hr: 1.0, fhr: 1.0, frecall: 0.5, luf: Some(1.0), lif: Some(1.0), pos_hit: Some(1.0) };
        assert_eq!(found, expected);
    }

    #[test]
    fn metrics_that_do_not_apply_are_undefined_not_zero() {
        let target = Target { next: 4, gts: vec![4], fps: vec![], few_user_negatives: false };
        let found = outcome(&target, &[], &[false; 5]);
        assert_eq!((found.hr, found.fhr, found.frecall), (0.0, 0.0, 0.0));
        assert_eq!((found.luf, found.lif, found.pos_hit), (None, None, None));
        assert_eq!(horizon_hit(&[], &[1]), None);
        assert_eq!(horizon_hit(&[1], &[1]), Some(1.0));
    }

    #[test]
    fn candidate_accuracy_shares_ties() {
        assert_eq!(candidate_accuracy(&[2.0, 1.0, 0.0]), 1.0);
        assert_eq!(candidate_accuracy(&[2.0, 2.0, 0.0, 2.0]), 1.0 / 3.0);
        assert_eq!(candidate_accuracy(&[1.0, 2.0]), 0.0);
        assert_eq!(candidate_accuracy(&[f64::NEG_INFINITY; 4]), 0.25);
        assert_eq!(candidate_accuracy(&[f64::NAN, 0.0]), 0.0);
        assert_eq!(candidate_accuracy(&[0.0, f64::NAN]), 1.0);
    }
}
