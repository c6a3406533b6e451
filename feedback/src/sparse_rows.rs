//! A sparse matrix by rows (CSR): what TF-IDF and the truncated SVD work on.

use rayon::prelude::*;

/// Compressed sparse rows; the columns of a row ascend.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SparseRows {
    cols: usize,
    /// Row `i` is `entries[starts[i]..starts[i + 1]]`.
    starts: Vec<usize>,
    /// (column, value)
    entries: Vec<(u32, f64)>,
}

impl SparseRows {
    /// A matrix of `cols` columns from its rows; each row's columns must ascend.
    pub fn from_rows(rows: &[Vec<(u32, f64)>], cols: usize) -> Self {
        let mut starts = Vec::with_capacity(rows.len() + 1);
        starts.push(0);
        let mut entries = Vec::with_capacity(rows.iter().map(Vec::len).sum());
        for row in rows {
            entries.extend_from_slice(row);
            starts.push(entries.len());
        }
        Self { cols, starts, entries }
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    /// Number of columns.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Row `i`: (column, value), columns ascending.
    pub fn row(&self, i: usize) -> &[(u32, f64)] {
        &self.entries[self.starts[i]..self.starts[i + 1]]
    }

    /// Only the rows of `keep`, in that order.
    pub fn select(&self, keep: &[u32]) -> Self {
        let rows: Vec<_> = keep.iter().map(|i| self.row(*i as usize).to_vec()).collect();
        Self::from_rows(&rows, self.cols)
    }

    /// The transpose.
    pub fn transpose(&self) -> Self {
        let mut starts = vec![0usize; self.cols + 1];
        for (col, _) in &self.entries {
            starts[*col as usize + 1] += 1;
        }
        for c in 0..self.cols {
            starts[c + 1] += starts[c];
        }
        let mut next = starts.clone();
        let mut entries = vec![(0, 0.0); self.entries.len()];
        for row in 0..self.rows() {
            for (col, value) in self.row(row) {
                entries[next[*col as usize]] = (row as u32, *value);
                next[*col as usize] += 1;
            }
        }
        Self { cols: self.rows(), starts, entries }
    }

    /// The product with a dense matrix given by its columns (each of length `cols`); returns columns of length `rows`.
    /// Every column is computed by one thread in a fixed order, so the bits do not depend on the number of threads.
    pub fn times(&self, columns: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let column = |x: &Vec<f64>| {
            (0..self.rows()).map(|i| self.row(i).iter().map(|(c, v)| v * x[*c as usize]).sum()).collect()
        };
        columns.par_iter().map(column).collect()
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
        assert_eq!(m.select(&[2, 0]).row(0), [(1, 3.0)]);
    }
}
