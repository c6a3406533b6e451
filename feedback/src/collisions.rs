//! Items that share all their codes: told apart by one more code, or spread over the last level's free codes.
//!
//! The spreading follows LC-Rec (Zheng et al., 2024, "uniform semantic mapping"): an entropic optimal transport (Sinkhorn;
//! Cuturi, 2013) of the colliding items' last residuals onto the last level's codewords. Where LC-Rec asks that all
//! codewords be used alike, which pushes a few items onto far codewords, here each free codeword takes at most its share
//! and may stay empty; and codes are given out from the plan so that no two items get one as long as there are enough.

use crate::matrix::Matrix;
use crate::semantic_id::SemanticIds;
use std::collections::{BTreeMap, BTreeSet};

/// Rounds of row and column scaling.
const ROUNDS: usize = 100;

/// A cell with more items than a suffix has codes.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "semantic_id.collisions = suffix: {items} items share the codes {cell}, expected at most semantic_id.codes = {codes}; \
     raise codes or levels, or take \"sinkhorn\""
)]
pub struct SuffixError {
    /// The shared codes, as text.
    pub cell: String,
    /// Items that share them.
    pub items: usize,
    /// K.
    pub codes: usize,
}

/// Codes with one more level, which numbers the candidates of a cell by their index; other items get 0.
///
/// # Errors
/// A cell with more than `codes` candidates.
pub fn with_suffix(of_item: &[u16], levels: usize, codes: usize, candidates: &[u32]) -> Result<Vec<u16>, SuffixError> {
    let items = of_item.len() / levels.max(1);
    let mut suffix = vec![0u16; items];
    let mut seen: BTreeMap<&[u16], usize> = BTreeMap::new();
    let row = |item: usize| &of_item[item * levels..(item + 1) * levels];
    for item in candidates {
        let count = seen.entry(row(*item as usize)).or_default();
        // Below K, which is at most 65536, or refused below.
        suffix[*item as usize] = *count as u16;
        *count += 1;
    }
    if let Some((cell, items)) = seen.into_iter().find(|(_, count)| *count > codes) {
        return Err(SuffixError { cell: SemanticIds::text(cell), items, codes });
    }
    Ok((0..items).flat_map(|item| row(item).iter().copied().chain([suffix[item]])).collect())
}

/// What the last level quantised, and with what.
#[derive(Clone, Copy, Debug)]
pub struct LastLevel<'a> {
    /// R_D of every item: what was left when the last level chose; items x latent.
    pub residuals: &'a Matrix,
    /// The last level's codewords, K x latent.
    pub codebook: &'a Matrix,
    /// epsilon of the transport, over distances scaled to -1 to 1.
    pub epsilon: f64,
}

/// Gives candidates that share all their codes other last codes, free under their prefix. Items that share with nobody
/// keep theirs. A prefix with more items than codes keeps collisions, as even as they can be.
pub fn spread(of_item: &mut [u16], levels: usize, candidates: &[u32], last: LastLevel<'_>) {
    let mut by_prefix: BTreeMap<Vec<u16>, Vec<u32>> = BTreeMap::new();
    for item in candidates {
        let from = *item as usize * levels;
        by_prefix.entry(of_item[from..from + levels - 1].to_vec()).or_default().push(*item);
    }
    for items in by_prefix.values() {
        let code = |item: u32| of_item[item as usize * levels + levels - 1];
        let mut users: BTreeMap<u16, usize> = BTreeMap::new();
        for item in items {
            *users.entry(code(*item)).or_default() += 1;
        }
        let colliding: Vec<u32> = items.iter().copied().filter(|item| users[&code(*item)] > 1).collect();
        if colliding.is_empty() {
            continue;
        }
        let taken: BTreeSet<u16> = users.iter().filter(|(_, count)| **count == 1).map(|(code, _)| *code).collect();
        // K is at most 65536.
        let free: Vec<u16> = (0..last.codebook.rows).map(|c| c as u16).filter(|c| !taken.contains(c)).collect();
        for (item, at) in colliding.iter().zip(assign(&colliding, &free, last)) {
            of_item[*item as usize * levels + levels - 1] = free[at];
        }
    }
}

/// For each item an index into `free`, which holds at least the code that the items share.
fn assign(items: &[u32], free: &[u16], last: LastLevel<'_>) -> Vec<usize> {
    let mut cost: Vec<f64> = Vec::with_capacity(items.len() * free.len());
    for item in items {
        let residual = last.residuals.row(*item as usize);
        cost.extend(free.iter().map(|code| {
            let codeword = last.codebook.row(usize::from(*code));
            residual.iter().zip(codeword).map(|(r, z)| (f64::from(*r) - f64::from(*z)).powi(2)).sum::<f64>()
        }));
    }
    let least = cost.iter().copied().fold(f64::INFINITY, f64::min);
    let most = cost.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let half = ((most - least) / 2.0).max(f64::MIN_POSITIVE);
    cost.iter_mut().for_each(|d| *d = (*d - least) / half - 1.0);
    let score = plan(&cost, free.len(), last.epsilon);
    let mut order: Vec<usize> = (0..score.len()).collect();
    // Best entry first; equal ones by item and code, as a sort that keeps the order leaves them.
    order.sort_by(|a, b| score[*b].total_cmp(&score[*a]));
    let room = items.len().div_ceil(free.len());
    let (mut chosen, mut used, mut left) = (vec![None; items.len()], vec![0usize; free.len()], items.len());
    for entry in order {
        let (row, column) = (entry / free.len(), entry % free.len());
        if left > 0 && chosen[row].is_none() && used[column] < room {
            chosen[row] = Some(column);
            used[column] += 1;
            left -= 1;
        }
    }
    // There is room for all: `room * free.len()` is at least the number of items.
    chosen.into_iter().map(Option::unwrap_or_default).collect()
}

/// Logarithms of the transport plan, rows x columns: every row sends 1, every column takes at most
/// `max(1, rows / columns)`. What columns do not take is sent by a further row whose cost is 0 everywhere.
fn plan(cost: &[f64], columns: usize, epsilon: f64) -> Vec<f64> {
    let rows = cost.len() / columns;
    let capacity = (rows as f64 / columns as f64).max(1.0).ln();
    let slack = columns as f64 - rows as f64;
    let score = |row: usize, column: usize| -cost[row * columns + column] / epsilon;
    let (mut of_row, mut of_column) = (vec![0f64; rows + 1], vec![0f64; columns]);
    if slack <= 0.0 {
        of_row[rows] = f64::NEG_INFINITY;
    }
    for _ in 0..ROUNDS {
        for (row, value) in of_row[..rows].iter_mut().enumerate() {
            *value = -log_sum((0..columns).map(|column| score(row, column) + of_column[column]));
        }
        if slack > 0.0 {
            of_row[rows] = slack.ln() - log_sum(of_column.iter().copied());
        }
        for (column, value) in of_column.iter_mut().enumerate() {
            let rows_of_items = (0..rows).map(|row| score(row, column) + of_row[row]);
            *value = capacity - log_sum(rows_of_items.chain([of_row[rows]]));
        }
    }
    (0..cost.len())
        .map(|at| score(at / columns, at % columns) + of_row[at / columns] + of_column[at % columns])
        .collect()
}

/// ln of the sum of exponentials.
fn log_sum(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let most = values.clone().fold(f64::NEG_INFINITY, f64::max);
    if most == f64::NEG_INFINITY { most } else { most + values.map(|value| (value - most).exp()).sum::<f64>().ln() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_suffix_numbers_the_items_of_a_cell() {
        let codes = [1, 2, 3, 3, 1, 2, 1, 2, 1, 2];
        // Item 3 is no candidate.
        let found = with_suffix(&codes, 2, 8, &[0, 1, 2, 4]).unwrap();
        assert_eq!(found, [1, 2, 0, 3, 3, 0, 1, 2, 1, 1, 2, 0, 1, 2, 2]);
        let error = with_suffix(&codes, 2, 2, &[0, 1, 2, 4]).unwrap_err();
        assert_eq!((error.cell.as_str(), error.items, error.codes), ("<a_1><b_2>", 3, 2));
    }

    fn line(values: &[f32]) -> Matrix {
        Matrix { rows: values.len(), cols: 1, data: values.to_vec() }
    }

    #[test]
    fn colliding_items_move_to_the_nearest_free_codes() {
        // Codewords 0, 1, 2, 10 on a line. Items 0 and 1 share code 0; item 2 holds code 1 alone.
        let codebook = line(&[0.0, 1.0, 2.0, 10.0]);
        let residuals = line(&[0.1, 0.3, 1.0]);
        let mut codes = [5, 0, 5, 0, 5, 1];
        let last = LastLevel { residuals: &residuals, codebook: &codebook, epsilon: 0.003 };
        spread(&mut codes, 2, &[0, 1, 2], last);
        // The best pairs of items and the codes 0, 2, 10: 0.1 to 0 and 0.3 to 2 cost 0.01 + 2.89, crossed 3.61 + 0.09.
        assert_eq!(codes, [5, 0, 5, 2, 5, 1]);
    }

    #[test]
    fn equal_items_are_told_apart_too() {
        let codebook = line(&[0.0, 1.0, 2.0, 3.0]);
        let residuals = line(&[0.0; 4]);
        let mut codes = [0, 0, 0, 0];
        spread(&mut codes, 1, &[0, 1, 2, 3], LastLevel { residuals: &residuals, codebook: &codebook, epsilon: 0.01 });
        codes.sort_unstable();
        assert_eq!(codes, [0, 1, 2, 3]);
    }

    /// The cheapest assignment of rows to distinct columns, by trying all.
    fn cheapest(cost: &[Vec<f64>], row: usize, used: &mut Vec<usize>) -> f64 {
        if row == cost.len() {
            return 0.0;
        }
        let mut best = f64::INFINITY;
        for column in 0..cost[row].len() {
            if !used.contains(&column) {
                used.push(column);
                best = best.min(cost[row][column] + cheapest(cost, row + 1, used));
                used.pop();
            }
        }
        best
    }

    proptest! {
        #[test]
        fn with_enough_codes_nobody_collides_and_lone_items_stay(
            values in prop::collection::vec((-1f32..1.0, 0u16..2, any::<bool>()), 1..12),
        ) {
            let residuals = line(&values.iter().map(|v| v.0).collect::<Vec<_>>());
            let codebook = line(&(0..12).map(|c| c as f32 / 6.0 - 1.0).collect::<Vec<_>>());
            let before: Vec<u16> = values.iter().flat_map(|v| [v.1, u16::from(v.2)]).collect();
            let candidates: Vec<u32> = (0..values.len() as u32).collect();
            let mut after = before.clone();
            spread(&mut after, 2, &candidates, LastLevel { residuals: &residuals, codebook: &codebook, epsilon: 0.003 });
            let rows: Vec<&[u16]> = after.chunks(2).collect();
            let distinct: BTreeSet<&[u16]> = rows.iter().copied().collect();
            prop_assert_eq!(distinct.len(), rows.len());
            for (old, new) in before.chunks(2).zip(&rows) {
                prop_assert_eq!(old[0], new[0]);
                if before.chunks(2).filter(|row| *row == old).count() == 1 {
                    prop_assert_eq!(old, *new);
                }
            }
        }

        /// Rounding the plan is a heuristic; it is held to the exact optimum within a small factor of the spread of costs.
        #[test]
        fn the_assignment_is_near_the_cheapest(values in prop::collection::vec(-1f32..1.0, 2..5)) {
            let residuals = line(&values);
            let codebook = line(&[-0.9, -0.4, 0.0, 0.5, 0.8]);
            let items: Vec<u32> = (0..values.len() as u32).collect();
            let free: Vec<u16> = (0..5).collect();
            let found = assign(&items, &free, LastLevel { residuals: &residuals, codebook: &codebook, epsilon: 0.01 });
            let cost: Vec<Vec<f64>> =
                values.iter().map(|v| codebook.data.iter().map(|c| f64::from(v - c).powi(2)).collect()).collect();
            let paid: f64 = found.iter().enumerate().map(|(row, column)| cost[row][*column]).sum();
            let best = cheapest(&cost, 0, &mut Vec::new());
            prop_assert!(paid <= best + 0.35, "paid {} instead of {}", paid, best);
        }
    }
}
