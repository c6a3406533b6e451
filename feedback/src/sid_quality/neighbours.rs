//! Nearest neighbours by item vector, and how many of them semantic ids keep together.

use super::{Agreement, Groups};
use crate::matrix::Matrix;
use crate::semantic_id::SemanticIds;
use rayon::prelude::*;

/// The nearest candidates of some candidates, by cosine of vectors centred over the candidates.
#[derive(Clone, Debug, PartialEq)]
pub struct Neighbours {
    /// Query and its neighbours, nearest first; all queries have as many.
    lists: Vec<(u32, Vec<u32>)>,
    /// Candidates in all.
    candidates: usize,
}

/// The `count` nearest neighbours of at most `queries` candidates, taken evenly over the candidates. A query is no
/// neighbour of itself; equal cosines go to the lower index.
pub fn nearest_neighbours(vectors: &Matrix, candidates: &[u32], queries: usize, count: usize) -> Neighbours {
    let mut rows = Matrix::zeros(candidates.len(), vectors.cols);
    for (row, item) in candidates.iter().enumerate() {
        rows.row_mut(row).copy_from_slice(vectors.row(*item as usize));
    }
    centre(&mut rows);
    rows.normalize_rows();
    let queries = queries.min(candidates.len());
    let nearest = |query: usize| {
        let at = query * candidates.len() / queries;
        let of = rows.row(at);
        let mut near: Vec<(f32, usize)> = (0..rows.rows)
            .filter(|other| *other != at)
            .map(|other| (of.iter().zip(rows.row(other)).map(|(a, b)| a * b).sum(), other))
            .collect();
        let order = |a: &(f32, usize), b: &(f32, usize)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
        if near.len() > count {
            near.select_nth_unstable_by(count, order);
            near.truncate(count);
        }
        near.sort_unstable_by(order);
        (candidates[at], near.into_iter().map(|(_, other)| candidates[other]).collect())
    };
    Neighbours { lists: (0..queries).into_par_iter().map(nearest).collect(), candidates: candidates.len() }
}

fn centre(rows: &mut Matrix) {
    let mut mean = vec![0f64; rows.cols];
    for row in 0..rows.rows {
        for (sum, value) in mean.iter_mut().zip(rows.row(row)) {
            *sum += f64::from(*value);
        }
    }
    let count = rows.rows.max(1) as f64;
    for row in 0..rows.rows {
        for (value, sum) in rows.row_mut(row).iter_mut().zip(&mean) {
            *value = (f64::from(*value) - sum / count) as f32;
        }
    }
}

impl Neighbours {
    /// Share of the neighbours in their query's group. Chance: the other members' share of all other candidates.
    pub(super) fn sharing_a_group(&self, groups: &Groups) -> Agreement {
        let (mut same, mut all, mut chance) = (0usize, 0usize, 0f64);
        for (query, near) in &self.lists {
            let group = groups.group(*query);
            same += near.iter().filter(|item| group.is_some() && groups.group(**item) == group).count();
            all += near.len();
            let size = group.map_or(0, |group| groups.members[group as usize].len() - 1);
            chance += size as f64 / (self.candidates - 1).max(1) as f64;
        }
        Agreement {
            share: same as f64 / all.max(1) as f64,
            by_chance: chance / self.lists.len().max(1) as f64,
            cases: self.lists.len(),
        }
    }

    /// Share of a query's k neighbours among the k candidates with the longest common prefix. Where more candidates tie
    /// for the last places than there are, each of them counts with the share that fits. Chance: `k / (n - 1)`.
    pub(super) fn overlap(&self, ids: &SemanticIds) -> Agreement {
        let (mut found, mut all) = (0f64, 0usize);
        for (query, near) in &self.lists {
            let common = |item: u32| {
                let pairs = ids.item_codes(*query).iter().zip(ids.item_codes(item));
                pairs.take_while(|(a, b)| a == b).count()
            };
            // Candidates and neighbours by length of the common prefix.
            let (mut sizes, mut hits) = (vec![0usize; ids.levels + 1], vec![0usize; ids.levels + 1]);
            for cell in 0..ids.cells() as u32 {
                let items = ids.cell_items(cell);
                sizes[common(items[0])] += items.len();
            }
            sizes[ids.levels] -= 1;
            near.iter().for_each(|item| hits[common(*item)] += 1);
            let mut places = near.len() as f64;
            for (size, hits) in sizes.into_iter().zip(hits).rev().filter(|(size, _)| *size > 0) {
                let share = (places / size as f64).min(1.0);
                found += hits as f64 * share;
                places -= size as f64 * share;
            }
            all += near.len();
        }
        let queries = self.lists.len().max(1) as f64;
        Agreement {
            share: found / all.max(1) as f64,
            by_chance: all as f64 / queries / (self.candidates - 1).max(1) as f64,
            cases: self.lists.len(),
        }
    }
}
