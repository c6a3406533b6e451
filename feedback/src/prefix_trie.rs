//! The prefix trie of all cells: which codes may follow which prefix.
//!
//! Nodes are numbered breadth first from the root, 0, so a level's nodes are a range and the nodes of the last
//! level are the cells in their order.

use crate::semantic_id::SemanticIds;
use std::ops::Range;

/// A legal next code and the node that it leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Child {
    /// The code.
    pub code: u16,
    /// The node after it.
    pub node: u32,
}

/// All prefixes of the cells' codes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrefixTrie {
    /// Node n (n > 0) is `children[n - 1].node`: breadth-first numbering makes the list complete and in order.
    children: Vec<Child>,
    /// Children of node n lie at `first_child[n] .. first_child[n + 1]`; the last level's ranges are empty.
    first_child: Vec<u32>,
    /// First node of each depth 0..=D, and one past the last node.
    level_start: Vec<u32>,
    /// Cells x D: the nodes at depths 1..=D on the way to each cell.
    paths: Vec<u32>,
}

impl PrefixTrie {
    /// Builds the trie of all cells; without cells it is the root alone.
    pub fn new(ids: &SemanticIds) -> Self {
        let (levels, cells) = (ids.levels, ids.cells());
        let mut children = Vec::new();
        let mut first_child = Vec::new();
        let mut level_start = vec![0, 1];
        let mut paths = vec![0u32; cells * levels];
        for depth in 1..=levels {
            let mut previous: Option<&[u16]> = None;
            let mut parent = None;
            for cell in 0..cells {
                let prefix = &ids.cell_codes(cell as u32)[..depth];
                if previous != Some(prefix) {
                    let above = if depth == 1 { 0 } else { paths[cell * levels + depth - 2] };
                    if parent != Some(above) {
                        first_child.push(children.len() as u32);
                        parent = Some(above);
                    }
                    children.push(Child { code: prefix[depth - 1], node: children.len() as u32 + 1 });
                    previous = Some(prefix);
                }
                paths[cell * levels + depth - 1] = children.len() as u32;
            }
            level_start.push(children.len() as u32 + 1);
        }
        // The cells have no children: their ranges, and the one that closes the list, are empty.
        first_child.resize(children.len() + 2, children.len() as u32);
        Self { children, first_child, level_start, paths }
    }

    /// D: the depth of the cells.
    pub fn levels(&self) -> usize {
        self.level_start.len() - 2
    }

    /// Number of nodes, the root included.
    pub fn nodes(&self) -> usize {
        self.children.len() + 1
    }

    /// Number of cells.
    pub fn cells(&self) -> usize {
        self.level_nodes(self.levels()).len()
    }

    /// Legal next codes at a node, sorted by code; empty at a cell and outside the trie.
    pub fn children(&self, node: u32) -> &[Child] {
        let bounds = self.first_child.get(node as usize..(node as usize).saturating_add(2));
        bounds.map_or(&[], |b| &self.children[b[0] as usize..b[1] as usize])
    }

    /// Depth of a node: 0 for the root, D for a cell (and for nodes outside the trie).
    pub fn depth(&self, node: u32) -> usize {
        self.level_start.partition_point(|&first| first <= node).saturating_sub(1).min(self.levels())
    }

    /// The nodes at a depth; empty below the cells.
    pub fn level_nodes(&self, depth: usize) -> Range<u32> {
        self.level_start.get(depth..depth.saturating_add(2)).map_or(0..0, |b| b[0]..b[1])
    }

    /// The cell of a node at depth D; none for other nodes.
    pub fn cell(&self, node: u32) -> Option<u32> {
        let leaves = self.level_nodes(self.levels());
        leaves.contains(&node).then(|| node - leaves.start)
    }

    /// Nodes at depths 1..=D on the way to a cell; empty for an index outside the cells.
    pub fn path(&self, cell: u32) -> &[u32] {
        let from = cell as usize * self.levels();
        self.paths.get(from..from + self.levels()).unwrap_or(&[])
    }

    /// The child of a node for a code.
    pub fn child(&self, node: u32, code: u16) -> Option<Child> {
        let children = self.children(node);
        children.binary_search_by_key(&code, |child| child.code).ok().map(|at| children[at])
    }

    /// The node after these codes from the root; none if they are no legal prefix.
    pub fn walk(&self, codes: &[u16]) -> Option<u32> {
        codes.iter().try_fold(0, |node, &code| self.child(node, code).map(|child| child.node))
    }

    /// The code that leads to a node; none for the root.
    pub fn code(&self, node: u32) -> Option<u16> {
        let at = (node as usize).checked_sub(1)?;
        self.children.get(at).map(|child| child.code)
    }

    /// The largest number of children of a node at each depth 0..D.
    pub fn fan_out(&self) -> Vec<usize> {
        let widest = |depth| self.level_nodes(depth).map(|node| self.children(node).len()).max().unwrap_or(0);
        (0..self.levels()).map(widest).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn trie_of(rows: &[[u16; 3]]) -> (SemanticIds, PrefixTrie) {
        let of_item = rows.iter().flatten().copied().collect();
        let ids = SemanticIds::new(3, 8, of_item, &vec![true; rows.len()]).unwrap();
        let trie = PrefixTrie::new(&ids);
        (ids, trie)
    }

    #[test]
    fn a_small_trie_is_numbered_breadth_first() {
        let (_, trie) = trie_of(&[[2, 1, 1], [0, 5, 7], [0, 5, 6], [0, 4, 0]]);
        let c = |code, node| Child { code, node };
        assert_eq!(trie.children(0), [c(0, 1), c(2, 2)]);
        assert_eq!(trie.children(1), [c(4, 3), c(5, 4)]);
        assert_eq!(trie.children(2), [c(1, 5)]);
        assert_eq!(trie.children(4), [c(6, 7), c(7, 8)]);
        assert_eq!((trie.level_nodes(1), trie.level_nodes(2), trie.level_nodes(3)), (1..3, 3..6, 6..10));
        assert_eq!(trie.path(2), [1, 4, 8]);
        assert_eq!((trie.cell(8), trie.cell(5), trie.cell(10)), (Some(2), None, None));
        assert_eq!([0, 2, 5, 9].map(|node| trie.depth(node)), [0, 1, 2, 3]);
        assert_eq!(trie.fan_out(), [2, 2, 2]);
        assert_eq!((trie.code(0), trie.code(7)), (None, Some(6)));
    }

    #[test]
    fn without_cells_the_root_is_alone() {
        let ids = SemanticIds::new(3, 8, vec![1, 2, 3], &[false]).unwrap();
        let trie = PrefixTrie::new(&ids);
        assert_eq!((trie.nodes(), trie.cells()), (1, 0));
        assert!(trie.children(0).is_empty() && trie.path(0).is_empty() && trie.cell(0).is_none());
    }

    #[test]
    fn nodes_outside_the_trie_have_nothing() {
        let (_, trie) = trie_of(&[[1, 2, 3]]);
        assert!(trie.children(99).is_empty() && trie.children(u32::MAX).is_empty());
        assert!(trie.level_nodes(4).is_empty() && trie.level_nodes(usize::MAX).is_empty());
        assert_eq!(trie.walk(&[1, 2, 3, 0]), None);
    }

    /// All (codes, node) pairs that lead from the root to depth D.
    fn all_paths(trie: &PrefixTrie) -> Vec<(Vec<u16>, u32)> {
        let mut found = vec![(Vec::new(), 0)];
        for _ in 0..trie.levels() {
            let grow = |(codes, node): &(Vec<u16>, u32)| {
                let codes = codes.clone();
                trie.children(*node).iter().map(move |c| ([codes.as_slice(), &[c.code]].concat(), c.node))
            };
            found = found.iter().flat_map(grow).collect();
        }
        found
    }

    proptest! {
        #[test]
        fn every_cell_is_reached_once_and_nothing_else(
            rows in prop::collection::vec([0u16..5, 0u16..5, 0u16..5], 1..60)
        ) {
            let (ids, trie) = trie_of(&rows);
            let found = all_paths(&trie);
            prop_assert_eq!(found.len(), ids.cells());
            for (cell, (codes, node)) in found.iter().enumerate() {
                prop_assert_eq!(codes.as_slice(), ids.cell_codes(cell as u32));
                prop_assert_eq!(trie.cell(*node), Some(cell as u32));
                prop_assert_eq!(trie.walk(codes), Some(*node));
                let by_prefix: Vec<u32> = (1..=3).map(|d| trie.walk(&codes[..d]).unwrap()).collect();
                prop_assert_eq!(trie.path(cell as u32), by_prefix.as_slice());
            }
        }

        #[test]
        fn children_are_sorted_and_one_level_down(
            rows in prop::collection::vec([0u16..5, 0u16..5, 0u16..5], 1..60)
        ) {
            let (_, trie) = trie_of(&rows);
            for node in 0..trie.nodes() as u32 {
                let children = trie.children(node);
                prop_assert!(children.windows(2).all(|w| w[0].code < w[1].code && w[0].node + 1 == w[1].node));
                prop_assert!(children.iter().all(|c| trie.depth(c.node) == trie.depth(node) + 1));
                prop_assert!(children.iter().all(|c| trie.code(c.node) == Some(c.code)));
                prop_assert_eq!(children.is_empty(), trie.depth(node) == 3);
            }
        }
    }
}
