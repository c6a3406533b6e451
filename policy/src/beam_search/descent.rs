//! The way down the trie that beam search and draws without replacement share: at every level the best prefixes of each
//! prompt are kept, exactly; ties go to the lower code path.

use super::frontier::{Frontier, Row};
use crate::error::PolicyError;
use crate::legal::Legal;
use crate::shared_prefix::Prefix;
use std::cmp::Ordering;

/// A legal prefix of one prompt.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Prefixed {
    pub(crate) node: u32,
    pub(crate) log_probability: f64,
    /// What the best are chosen by.
    pub(crate) score: f64,
    /// Its row of the frontier; none when only one cell is left below it.
    row: Option<usize>,
}

#[cfg(test)]
impl Prefixed {
    pub(crate) fn at(node: u32, log_probability: f64, score: f64) -> Self {
        Self { node, log_probability, score, row: None }
    }
}

/// By what prefixes are chosen: their log-probability, or what this makes of (prompt, parent, its children's
/// log-probabilities): one score a child, none above the parent's.
pub(crate) type Rule<'r> = dyn Fn(usize, &Prefixed, &[f64]) -> Vec<f64> + 'r;

/// How wide, and how hot.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Descent<'a> {
    pub(crate) legal: Legal<'a>,
    pub(crate) beams: usize,
    /// T: logits are divided by it.
    pub(crate) temperature: f64,
}

impl Descent<'_> {
    /// The best cells of each prompt with their scores, best first; `roots` are the prompts' scores at the root. As many
    /// as there are beams, or all cells where these are fewer: every prefix leads to a cell.
    ///
    /// # Errors
    /// What the forward pass refuses.
    pub(crate) fn run(
        &self,
        prefix: &Prefix<'_>,
        roots: &[f64],
        rule: Option<&Rule<'_>>,
    ) -> Result<Vec<Vec<Prefixed>>, PolicyError> {
        let trie = self.legal.trie;
        let mut frontier = Frontier::new(prefix, self.legal, self.temperature)?;
        let root = |score: &f64| vec![Prefixed { node: 0, log_probability: 0.0, score: *score, row: Some(0) }];
        let mut kept: Vec<Vec<Prefixed>> = roots.iter().map(root).collect();
        for depth in 1..=trie.levels() {
            for (prompt, beams) in kept.iter_mut().enumerate() {
                let log_probability = |row, code| frontier.log_probability((prompt, row), code);
                *beams = self.extend((prompt, beams), log_probability, rule);
            }
            if depth < trie.levels() {
                let rows: Vec<Vec<Row>> = kept.iter_mut().map(|beams| self.open(beams)).collect();
                frontier.descend(&rows, depth)?;
            }
        }
        Ok(kept)
    }

    /// The best legal continuations by one code of one prompt's prefixes; `row` stays the parent's.
    fn extend(
        &self,
        (prompt, beams): (usize, &[Prefixed]),
        log_probability: impl Fn(usize, u16) -> f64,
        rule: Option<&Rule<'_>>,
    ) -> Vec<Prefixed> {
        let mut next = Vec::new();
        for beam in beams {
            let first = next.len();
            for child in self.legal.trie.children(beam.node) {
                let more = beam.row.map_or(0.0, |row| log_probability(row, child.code));
                let log_probability = beam.log_probability + more;
                next.push(Prefixed { node: child.node, log_probability, score: log_probability, row: beam.row });
            }
            if let Some(rule) = rule {
                let all: Vec<f64> = next[first..].iter().map(|p| p.log_probability).collect();
                for (child, score) in next[first..].iter_mut().zip(rule(prompt, beam, &all)) {
                    child.score = score;
                }
            }
        }
        if next.len() > self.beams {
            next.select_nth_unstable_by(self.beams - 1, best_first);
            next.truncate(self.beams);
        }
        next.sort_unstable_by(best_first);
        next
    }

    /// Gives each prefix that still has a choice below it a row of the next frontier.
    fn open(&self, beams: &mut [Prefixed]) -> Vec<Row> {
        let mut rows = Vec::new();
        for beam in beams {
            beam.row = beam.row.filter(|_| has_choice(&self.legal, beam.node)).map(|parent| {
                rows.push(Row { parent, node: beam.node });
                rows.len() - 1
            });
        }
        rows
    }
}

/// Whether more than one cell lies below a node. Where not, all further codes are forced and have log-probability 0.
pub(super) fn has_choice(legal: &Legal<'_>, node: u32) -> bool {
    let mut at = node;
    loop {
        match legal.trie.children(at) {
            [] => return false,
            [only] => at = only.node,
            _ => return true,
        }
    }
}

/// Higher score first; nodes of one level are numbered in the order of their code paths.
fn best_first(a: &Prefixed, b: &Prefixed) -> Ordering {
    b.score.total_cmp(&a.score).then(a.node.cmp(&b.node))
}
