//! Log-probabilities of given cells: CandAcc asks which of twenty the policy finds most probable (method.md, section 7).

use super::BeamSearchError;
use super::descent::has_choice;
use super::frontier::{Frontier, Row};
use crate::legal::Legal;
use crate::shared_prefix::Prefix;
use crate::transformer::Policy;

/// log pi of each prompt's cells at temperature 1, in the order given; minus infinity where there is no cell.
/// Each code prefix is computed once a prompt, however many of its cells share it.
///
/// # Errors
/// For prompts that the policy cannot read, a number of lists other than that of prompts, and unknown cells.
pub fn score_cells(
    policy: &Policy,
    legal: Legal<'_>,
    prompts: &[&[i64]],
    cells: &[Vec<Option<u32>>],
) -> Result<Vec<Vec<f64>>, BeamSearchError> {
    check(&legal, prompts.len(), cells)?;
    if cells.iter().flatten().all(Option::is_none) {
        return Ok(without_scores(cells));
    }
    let _no_grad = tch::no_grad_guard();
    score(&Prefix::compute(policy, prompts)?, legal, cells)
}

/// Refuses a number of lists other than that of prompts, and unknown cells.
pub(super) fn check(legal: &Legal<'_>, prompts: usize, cells: &[Vec<Option<u32>>]) -> Result<(), BeamSearchError> {
    if cells.len() != prompts {
        let (found, expected) = (format!("{} lists", cells.len()), format!("one for each of {prompts} prompts"));
        return Err(BeamSearchError::Cells { found, expected });
    }
    let known = legal.trie.cells();
    match cells.iter().flatten().flatten().find(|cell| **cell as usize >= known) {
        Some(cell) => {
            Err(BeamSearchError::Cells { found: format!("cell {cell}"), expected: format!("one below {known}") })
        }
        None => Ok(()),
    }
}

/// 0 for each cell, minus infinity for none.
fn without_scores(cells: &[Vec<Option<u32>>]) -> Vec<Vec<f64>> {
    let start = |cell: &Option<u32>| if cell.is_some() { 0.0 } else { f64::NEG_INFINITY };
    cells.iter().map(|list| list.iter().map(start).collect()).collect()
}

/// The scores, from computed prompts; `cells` are checked.
pub(super) fn score(
    prefix: &Prefix<'_>,
    legal: Legal<'_>,
    cells: &[Vec<Option<u32>>],
) -> Result<Vec<Vec<f64>>, BeamSearchError> {
    let trie = legal.trie;
    let mut out = without_scores(cells);
    let mut frontier = Frontier::new(prefix, legal, 1.0)?;
    let mut open: Vec<Vec<u32>> = vec![vec![0]; cells.len()];
    for depth in 1..=trie.levels() {
        for (prompt, list) in cells.iter().enumerate() {
            for (value, cell) in out[prompt].iter_mut().zip(list) {
                let Some(path) = cell.map(|cell| trie.path(cell)) else { continue };
                let above = if depth == 1 { 0 } else { path[depth - 2] };
                // A node that is not open has one cell below it: the code is forced.
                if let (Ok(row), Some(code)) = (open[prompt].binary_search(&above), trie.code(path[depth - 1])) {
                    *value += frontier.log_probability((prompt, row), code);
                }
            }
        }
        if depth < trie.levels() {
            let rows: Vec<Vec<Row>> =
                cells.iter().zip(&open).map(|(list, above)| rows_below(&legal, list, (above, depth))).collect();
            frontier.descend(&rows, depth)?;
            open = rows.iter().map(|list| list.iter().map(|row| row.node).collect()).collect();
        }
    }
    Ok(out)
}

/// The distinct nodes of a depth on the way to these cells that still leave a choice, ascending.
fn rows_below(legal: &Legal<'_>, cells: &[Option<u32>], (above, depth): (&[u32], usize)) -> Vec<Row> {
    let paths = cells.iter().flatten().map(|cell| legal.trie.path(*cell));
    let mut nodes: Vec<(u32, u32)> =
        paths.map(|path| (path[depth - 1], if depth == 1 { 0 } else { path[depth - 2] })).collect();
    nodes.sort_unstable();
    nodes.dedup();
    let row = |(node, parent): (u32, u32)| above.binary_search(&parent).ok().map(|parent| Row { parent, node });
    nodes.into_iter().filter(|(node, _)| has_choice(legal, *node)).filter_map(row).collect()
}
