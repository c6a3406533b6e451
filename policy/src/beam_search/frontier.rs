//! The trie nodes that are being decoded: some a prompt, padded to one width, with log-probabilities of their children.

use crate::error::PolicyError;
use crate::legal::{Legal, LevelAt};
use crate::shared_prefix::{Branches, Prefix};
use tch::{Device, Kind, Tensor};

/// A node to decode next, below row `parent` of the frontier before it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    pub parent: usize,
    pub node: u32,
}

/// Rows are prompt-major, `width` a prompt.
pub(super) struct Frontier<'a> {
    prefix: &'a Prefix<'a>,
    legal: Legal<'a>,
    branches: Branches<'a>,
    width: usize,
    temperature: f64,
    /// log pi of all codes of the level, `rows * codes`.
    log_probabilities: Vec<f64>,
}

impl<'a> Frontier<'a> {
    /// One row a prompt: the root.
    pub fn new(prefix: &'a Prefix<'a>, legal: Legal<'a>, temperature: f64) -> Result<Self, PolicyError> {
        let branches = prefix.branches(1);
        let mut frontier = Self { prefix, legal, branches, width: 1, temperature, log_probabilities: Vec::new() };
        let roots = vec![0; prefix.prompts()];
        frontier.log_probabilities = frontier.children_of(prefix.hidden(), &roots, 0)?;
        Ok(frontier)
    }

    /// log pi of a code after row `row` of prompt `prompt`.
    pub fn log_probability(&self, (prompt, row): (usize, usize), code: u16) -> f64 {
        let at = (prompt * self.width + row) * self.legal.vocabulary.codes + usize::from(code);
        self.log_probabilities[at]
    }

    /// Decodes the codes that lead to these nodes of depth `depth`, one list a prompt. Without any node nothing is
    /// computed, and no row may be asked for afterwards.
    pub fn descend(&mut self, rows: &[Vec<Row>], depth: usize) -> Result<(), PolicyError> {
        let width = rows.iter().map(Vec::len).max().unwrap_or(0);
        let Some(filler) = rows.iter().flatten().next() else { return Ok(()) };
        let mut parents = Vec::with_capacity(rows.len() * width);
        let mut nodes = Vec::with_capacity(rows.len() * width);
        for list in rows {
            // A filler row is computed and never read. Its parent is a row that every prompt has.
            let padded = list.iter().copied().chain(std::iter::repeat(Row { parent: 0, node: filler.node }));
            for row in padded.take(width) {
                parents.push(row.parent as i64);
                nodes.push(row.node);
            }
        }
        let code = |node: &u32| self.legal.vocabulary.code(depth - 1, self.legal.trie.code(*node).unwrap_or(0));
        let tokens: Vec<i64> = nodes.iter().map(code).collect();
        self.branches.select(&parents, width)?;
        let hidden = self.branches.advance(&tokens)?;
        self.width = width;
        self.log_probabilities = self.children_of(&hidden, &nodes, depth)?;
        Ok(())
    }

    fn children_of(&self, hidden: &Tensor, nodes: &[u32], level: usize) -> Result<Vec<f64>, PolicyError> {
        let place = LevelAt { level, temperature: self.temperature };
        let log_probabilities = self.legal.log_softmax(self.prefix.policy(), hidden, nodes, place)?;
        let flat = log_probabilities.f_reshape([-1])?.f_to_device(Device::Cpu)?.f_to_kind(Kind::Double)?;
        Ok(Vec::<f64>::try_from(&flat)?)
    }
}
