//! Whether semantic ids mean anything: what a prefix says of an item, beside what it would say by chance.
//!
//! Every figure stands beside its value for prefixes of the same sizes with items dealt out at random, since fine
//! partitions look good on most measures for no reason. All of it is over the candidates of training time.

mod neighbours;
mod partition;
mod purity;
mod stability;
mod taste;
mod variance;

pub use neighbours::{Neighbours, nearest_neighbours};
pub use partition::{adjusted_mutual_information, adjusted_rand_index};
pub use stability::{DepthStability, same_prefix, stability};

use crate::dataset::Item;
use crate::matrix::Matrix;
use crate::prefix_trie::PrefixTrie;
use crate::semantic_id::{SemanticIds, SidUsage};
use crate::training_time::TrainingTime;
use serde::{Deserialize, Serialize};

/// What semantic ids are measured against; the same for all ids that are compared.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    /// The catalogue.
    pub items: &'a [Item],
    /// Item vectors, one row an item.
    pub vectors: &'a Matrix,
    /// Neighbours of some candidates by these vectors.
    pub neighbours: &'a Neighbours,
    /// Who disliked what.
    pub training: TrainingTime<'a>,
    /// Seeds the permutations of the categories.
    pub seed: u64,
}

/// A share and what chance would give.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Agreement {
    /// The share, 0 to 1.
    pub share: f64,
    /// The same share by chance.
    pub by_chance: f64,
    /// How many cases it was taken over.
    pub cases: usize,
}

/// How many codes may follow a prefix.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FanOut {
    /// Mean over the prefixes.
    pub mean: f64,
    /// Most.
    pub most: usize,
    /// Share of the prefixes that only one code may follow: nothing is decided there.
    pub forced: f64,
}

/// What the first `depth` codes say.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct DepthQuality {
    /// Number of leading codes.
    pub depth: usize,
    /// Distinct prefixes.
    pub prefixes: usize,
    /// Codes that may follow the prefixes of one code less.
    pub fan_out: FanOut,
    /// Share of the item vectors' variance that is left within prefixes. Chance: `(n - prefixes) / (n - 1)`.
    pub variance_left: Agreement,
    /// Share of an item's nearest neighbours by vector that have its prefix.
    pub neighbours: Agreement,
    /// Share of the items that have the commonest category of their prefix, over prefixes of 2 items and more; none where
    /// the data has no categories.
    pub purity: Option<Agreement>,
    /// Share of a user's successive dislikes (of different items) that have the same prefix; chance: dislikes of others.
    pub taste: Option<Agreement>,
}

/// Everything about one set of semantic ids.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SidQuality {
    /// Cells, collisions, codes used.
    pub usage: SidUsage,
    /// Share of an item's nearest neighbours by vector that are among as many nearest by semantic id (longest common
    /// prefix; ties count in part).
    pub overlap: Agreement,
    /// One entry a depth, from 1.
    pub depths: Vec<DepthQuality>,
}

impl SidQuality {
    /// Measures semantic ids.
    pub fn of(ids: &SemanticIds, evidence: &Evidence<'_>) -> Self {
        let candidates: Vec<u32> = (0..ids.cells() as u32).flat_map(|cell| ids.cell_items(cell)).copied().collect();
        let trie = PrefixTrie::new(ids);
        let pairs = taste::pairs(evidence.training, ids);
        let mut depths = Vec::new();
        for depth in 1..=ids.levels {
            let groups = Groups::of(ids, &candidates, depth);
            depths.push(DepthQuality {
                depth,
                prefixes: groups.members.len(),
                fan_out: fan_out(&trie, depth),
                variance_left: variance::left(evidence.vectors, &groups),
                neighbours: evidence.neighbours.sharing_a_group(&groups),
                purity: purity::of(evidence.items, &groups, evidence.seed),
                taste: taste::of(&pairs, &groups),
            });
        }
        Self { usage: ids.usage(), overlap: evidence.neighbours.overlap(ids), depths }
    }
}

/// The candidates by their first codes.
struct Groups {
    /// Items of each prefix.
    members: Vec<Vec<u32>>,
    /// Group of each item of the catalogue; none for other items.
    of_item: Vec<Option<u32>>,
    candidates: usize,
}

impl Groups {
    fn of(ids: &SemanticIds, candidates: &[u32], depth: usize) -> Self {
        let mut order = candidates.to_vec();
        let prefix = |item: u32| &ids.item_codes(item)[..depth];
        order.sort_by(|a, b| prefix(*a).cmp(prefix(*b)).then(a.cmp(b)));
        let members: Vec<Vec<u32>> = order.chunk_by(|a, b| prefix(*a) == prefix(*b)).map(<[u32]>::to_vec).collect();
        let mut of_item = vec![None; ids.items()];
        for (group, items) in members.iter().enumerate() {
            for item in items {
                of_item[*item as usize] = Some(group as u32);
            }
        }
        Self { members, of_item, candidates: candidates.len() }
    }

    fn group(&self, item: u32) -> Option<u32> {
        self.of_item.get(item as usize).copied().flatten()
    }
}

fn fan_out(trie: &PrefixTrie, depth: usize) -> FanOut {
    let nodes = trie.level_nodes(depth - 1);
    let children: Vec<usize> = nodes.map(|node| trie.children(node).len()).collect();
    let count = children.len().max(1) as f64;
    FanOut {
        mean: children.iter().sum::<usize>() as f64 / count,
        most: children.iter().copied().max().unwrap_or(0),
        forced: children.iter().filter(|n| **n == 1).count() as f64 / count,
    }
}

#[cfg(test)]
mod tests;
