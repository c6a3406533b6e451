//! A sparse matrix by rows (CSR): what TF-IDF and the truncated SVD work on.

use crate::compact_lists::CompactLists;
use rayon::prelude::*;

/// Compressed sparse rows; the columns of a row ascend.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SparseRows {
    cols: usize,
    /// The columns of each row that have an entry.
    columns: CompactLists,
    /// One for each of the lists' values.
    values: Vec<f64>,
}

impl SparseRows {
    /// A matrix of `cols` columns from its rows; each row's columns must ascend.
    pub fn from_rows(rows: &[Vec<(u32, f64)>], cols: usize) -> Self {
        let pairs = (0..).zip(rows).flat_map(|(i, row)| row.iter().map(move |(column, _)| (i, *column)));
        let columns = CompactLists::from_pairs(rows.len(), pairs);
        Self { cols, columns, values: rows.iter().flatten().map(|(_, value)| *value).collect() }
    }

    /// A matrix of `cols` columns in which the entries of a column have one value; the lists, which are the columns of
    /// each row, must ascend.
    pub fn from_lists(columns: CompactLists, cols: usize, value_of: impl Fn(u32) -> f64) -> Self {
        let values = columns.values().iter().map(|column| value_of(*column)).collect();
        Self { cols, columns, values }
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.columns.len()
    }

    /// Number of columns.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Row `i`: (column, value), columns ascending.
    pub fn row(&self, i: usize) -> impl ExactSizeIterator<Item = (u32, f64)> {
        let place = self.columns.starts()[i]..self.columns.starts()[i + 1];
        self.columns.values()[place.clone()].iter().copied().zip(self.values[place].iter().copied())
    }

    /// Only the rows of `keep`, in that order.
    pub fn select(&self, keep: &[u32]) -> Self {
        let rows: Vec<Vec<_>> = keep.iter().map(|i| self.row(*i as usize).collect()).collect();
        Self::from_rows(&rows, self.cols)
    }

    /// The transpose.
    pub fn transpose(&self) -> Self {
        let columns = self.columns.transposed(self.cols);
        let mut next = columns.starts().to_vec();
        let mut values = vec![0.0; self.values.len()];
        for (column, value) in self.columns.values().iter().zip(&self.values) {
            values[next[*column as usize]] = *value;
            next[*column as usize] += 1;
        }
        Self { cols: self.rows(), columns, values }
    }

    /// The product with a vector of length `cols`: one of length `rows`, each entry summed in the order of its row.
    pub fn times_one(&self, x: &[f64]) -> Vec<f64> {
        (0..self.rows()).map(|i| self.row(i).map(|(column, value)| value * x[column as usize]).sum()).collect()
    }

    /// The product with a dense matrix given by its columns (each of length `cols`); returns columns of length `rows`.
    /// Every column is computed by one thread in a fixed order, so the bits do not depend on the number of threads.
    pub fn times(&self, columns: &[Vec<f64>]) -> Vec<Vec<f64>> {
        columns.par_iter().map(|x| self.times_one(x)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transposes_selects_and_multiplies() {
        let m = SparseRows::from_rows(&[vec![(0, 1.0), (2, 2.0)], vec![], vec![(1, 3.0)]], 3);
        assert_eq!(m.times(&[vec![1.0, 10.0, 100.0]]), [vec![201.0, 0.0, 30.0]]);
        assert_eq!(m.transpose().times(&[vec![1.0, 10.0, 100.0]]), [vec![1.0, 300.0, 2.0]]);
        assert_eq!(m.transpose().transpose(), m);
        let lists = CompactLists::from_pairs(2, [(0, 1), (1, 0), (1, 2)].into_iter());
        let same = SparseRows::from_rows(&[vec![(1, 1.5)], vec![(0, 0.5), (2, 2.5)]], 3);
        assert_eq!(SparseRows::from_lists(lists, 3, |column| f64::from(column) + 0.5), same);
        assert!(m.select(&[2, 0]).row(0).eq([(1, 3.0)]));
    }
}
