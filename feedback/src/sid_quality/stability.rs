//! How alike two sets of semantic ids group the same items.

use super::partition::{adjusted_mutual_information, adjusted_rand_index};
use crate::semantic_id::SemanticIds;
use serde::{Deserialize, Serialize};

/// How alike the partitions by the first `depth` codes are; what the codes are called does not matter.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct DepthStability {
    /// Number of leading codes.
    pub depth: usize,
    /// Adjusted mutual information: 1 for equal partitions, 0 for chance.
    pub adjusted_mutual_information: f64,
    /// Adjusted Rand index: the same, by pairs of items.
    pub adjusted_rand_index: f64,
}

/// Compares two sets of ids over some items, at every depth that both have.
pub fn stability(first: &SemanticIds, second: &SemanticIds, items: &[u32]) -> Vec<DepthStability> {
    let prefixes = |ids: &SemanticIds, depth: usize| -> Vec<Vec<u16>> {
        items.iter().map(|item| ids.item_codes(*item)[..depth].to_vec()).collect()
    };
    (1..=first.levels.min(second.levels))
        .map(|depth| {
            let (a, b) = (prefixes(first, depth), prefixes(second, depth));
            DepthStability {
                depth,
                adjusted_mutual_information: adjusted_mutual_information(&a, &b),
                adjusted_rand_index: adjusted_rand_index(&a, &b),
            }
        })
        .collect()
}

/// Share of the items whose first `depth` codes are the same in both, for every depth: what noise leaves alone.
pub fn same_prefix(first: &SemanticIds, second: &SemanticIds, items: &[u32]) -> Vec<f64> {
    let same = |depth: usize| {
        let equal = |item: &&u32| first.item_codes(**item)[..depth] == second.item_codes(**item)[..depth];
        items.iter().filter(equal).count() as f64 / items.len().max(1) as f64
    };
    (1..=first.levels.min(second.levels)).map(same).collect()
}
