//! The policy over legal codes: the softmax over the children of a trie node, and nothing else. Only the logits of
//! a level's own block of codes are computed; what is illegal is masked before normalising (method, section 5).

use crate::error::PolicyError;
use crate::transformer::Policy;
use conrec_feedback::prefix_trie::PrefixTrie;
use conrec_feedback::prompt::Vocabulary;
use tch::{Kind, Tensor};

/// Added to the logit of an illegal code. Its probability is exactly 0, and (unlike with minus infinity) products of
/// a zero probability with its log-probability are 0 instead of undefined, forward and backward.
pub const ILLEGAL: f32 = -1e30;

/// The trie as the policy sees it.
#[derive(Clone, Copy, Debug)]
pub struct Legal<'a> {
    /// Which codes may follow which prefix.
    pub trie: &'a PrefixTrie,
    /// The codes' tokens.
    pub vocabulary: Vocabulary,
}

impl Legal<'_> {
    /// Additive mask of trie nodes of one depth: `[nodes, codes]`, 0 for children, [`ILLEGAL`] otherwise.
    pub fn mask(&self, nodes: &[u32], kind: Kind) -> Tensor {
        let codes = self.vocabulary.codes;
        let mut rows = vec![ILLEGAL; nodes.len() * codes];
        for (row, node) in rows.chunks_mut(codes.max(1)).zip(nodes) {
            for child in self.trie.children(*node) {
                if let Some(value) = row.get_mut(usize::from(child.code)) {
                    *value = 0.0;
                }
            }
        }
        Tensor::from_slice(&rows).to_kind(kind).view([nodes.len() as i64, codes as i64])
    }

    /// log pi of a level's codes: log softmax of (hidden x head rows)/T over the children of each row's node.
    /// `hidden` is `[nodes, hidden]`, the result `[nodes, codes]`; illegal codes have about [`ILLEGAL`], forced
    /// codes exactly 0.
    ///
    /// # Errors
    /// When a node has no child, or the number of rows differs.
    pub fn log_softmax(
        &self,
        policy: &Policy,
        hidden: &Tensor,
        nodes: &[u32],
        place: LevelAt,
    ) -> Result<Tensor, PolicyError> {
        if hidden.size()[0] != nodes.len() as i64 {
            let expected = format!("{} rows, one a trie node", nodes.len());
            return Err(PolicyError::Input { what: "hidden", found: format!("shape {:?}", hidden.size()), expected });
        }
        if let Some(node) = nodes.iter().find(|n| self.trie.children(**n).is_empty()) {
            let found = format!("node {node} without children");
            return Err(PolicyError::Input { what: "trie", found, expected: "a node above the cells".into() });
        }
        let (first, codes) = (self.vocabulary.code(place.level, 0), self.vocabulary.codes as i64);
        let mut logits = policy.logits(hidden, first, codes);
        if place.temperature != 1.0 {
            logits /= place.temperature;
        }
        let mask = self.mask(nodes, policy.kind()).to_device(hidden.device());
        Ok((logits + mask).log_softmax(-1, None))
    }

    /// Whether only one code may follow a node: such a code is forced, has log-probability 0 and is not counted.
    pub fn is_forced(&self, node: u32) -> bool {
        self.trie.children(node).len() == 1
    }

    /// |y|: codes on the way to a cell that are not forced.
    pub fn free_codes(&self, cell: u32) -> u32 {
        let path = self.trie.path(cell);
        let parents = std::iter::once(0).chain(path.iter().copied()).take(path.len());
        parents.filter(|node| !self.is_forced(*node)).count() as u32
    }
}

/// Where in a semantic id, and how hot.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LevelAt {
    /// Level of the next code, from 0.
    pub level: usize,
    /// T: logits are divided by it.
    pub temperature: f64,
}
