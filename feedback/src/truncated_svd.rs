//! Truncated SVD of a sparse matrix by a randomised range finder with power iterations
//! (Halko, Martinsson and Tropp, 2011, algorithms 4.4 and 5.1). Deterministic: seeded draws, fixed signs and
//! fixed orders of addition.

use crate::matrix::Matrix;
use crate::sparse_rows::SparseRows;
use nalgebra::DMatrix;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

/// Directions drawn beyond the ones kept. Text features have a flat spectrum: with 10 of them and 7 iterations the
/// 64th component is still off; with these the kept subspace is that of the exact SVD to about 1e-6.
const OVERSAMPLES: usize = 32;
/// Passes over the matrix and back that sharpen the range.
const POWER_ITERATIONS: usize = 12;
/// Entries of a column that one thread updates at a time.
const CHUNK: usize = 2048;
/// Random vectors held at a time, each as long as the matrix is wide.
const DRAWS_AT_A_TIME: usize = 8;

/// The right singular vectors of a matrix: rows of the same width are projected on them.
#[derive(Clone, Debug, PartialEq)]
pub struct TruncatedSvd {
    /// One vector a component, each as long as the matrix is wide; largest singular value first.
    components: Vec<Vec<f64>>,
    singular_values: Vec<f64>,
}

impl TruncatedSvd {
    /// The `dimensions` leading components of `matrix`; fewer when its rank is lower.
    pub fn fit(matrix: &SparseRows, dimensions: usize, seed: u64) -> Self {
        let transposed = matrix.transpose();
        let width = (dimensions + OVERSAMPLES).min(matrix.rows()).min(matrix.cols());
        let mut range = orthonormal(first_range(matrix, width, seed));
        for _ in 0..POWER_ITERATIONS {
            // Column by column there and back: all columns of the wider side at once would not fit for many users.
            range = orthonormal(range.par_iter().map(|x| matrix.times_one(&transposed.times_one(x))).collect());
        }
        // projected = (range' * matrix)' : its columns span the right singular vectors.
        let mut projected = transposed.times(&range);
        drop((transposed, range));
        let eigen = gram(&projected).symmetric_eigen();
        let mut order: Vec<usize> = (0..projected.len()).collect();
        order.sort_by(|a, b| eigen.eigenvalues[*b].total_cmp(&eigen.eigenvalues[*a]).then(a.cmp(b)));
        let largest = order.first().map_or(0.0, |i| eigen.eigenvalues[*i].max(0.0));
        order.truncate(dimensions);
        order.retain(|i| eigen.eigenvalues[*i] > 1e-12 * largest);
        let weights = |i: &usize| {
            let sigma = eigen.eigenvalues[*i].sqrt();
            eigen.eigenvectors.column(*i).iter().map(|w| w / sigma).collect()
        };
        combine(&mut projected, &order.iter().map(weights).collect::<Vec<_>>());
        let components = projected.into_par_iter().map(signed).collect();
        Self { components, singular_values: order.iter().map(|i| eigen.eigenvalues[*i].sqrt()).collect() }
    }

    /// The components, largest singular value first.
    pub fn components(&self) -> &[Vec<f64>] {
        &self.components
    }

    /// Components that were found before, without their singular values.
    pub fn of(components: Vec<Vec<f64>>) -> Self {
        Self { components, singular_values: Vec::new() }
    }

    /// The singular values found, largest first.
    pub fn singular_values(&self) -> &[f64] {
        &self.singular_values
    }

    /// Rows of `matrix` in the components' coordinates: rows x `dimensions`; components beyond the rank are 0.
    pub fn project(&self, matrix: &SparseRows, dimensions: usize) -> Matrix {
        let columns = matrix.times(&self.components);
        let mut out = Matrix::zeros(matrix.rows(), dimensions);
        for (k, column) in columns.iter().enumerate().take(dimensions) {
            for (i, value) in column.iter().enumerate() {
                out.data[i * dimensions + k] = *value as f32;
            }
        }
        out
    }
}

/// The matrix times `width` random vectors, a few of them at a time.
fn first_range(matrix: &SparseRows, width: usize, seed: u64) -> Vec<Vec<f64>> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut range = Vec::with_capacity(width);
    while range.len() < width {
        let some = (width - range.len()).min(DRAWS_AT_A_TIME);
        let draws: Vec<Vec<f64>> =
            (0..some).map(|_| (0..matrix.cols()).map(|_| gaussian(&mut random)).collect()).collect();
        range.extend(matrix.times(&draws));
    }
    range
}

/// The products of all pairs of columns.
fn gram(columns: &[Vec<f64>]) -> DMatrix<f64> {
    let row = |i: usize| (0..=i).map(|j| dot(&columns[i], &columns[j])).collect();
    let lower: Vec<Vec<f64>> = (0..columns.len()).into_par_iter().map(row).collect();
    DMatrix::from_fn(columns.len(), columns.len(), |i, j| lower[i.max(j)][i.min(j)])
}

/// Puts the sums of `columns[k] * weights[_][k]` in the columns' place, one for each of the weights; no more of these
/// than columns. Rows are taken in chunks, so that there is never a second matrix.
fn combine(columns: &mut Vec<Vec<f64>>, weights: &[Vec<f64>]) {
    let rows = columns.first().map_or(0, Vec::len);
    for first in (0..rows).step_by(CHUNK) {
        let place = first..(first + CHUNK).min(rows);
        let sums: Vec<Vec<f64>> = weights
            .par_iter()
            .map(|weights| {
                let mut sum = vec![0.0; place.len()];
                for (column, weight) in columns.iter().zip(weights) {
                    sum.iter_mut().zip(&column[place.clone()]).for_each(|(s, c)| *s += c * weight);
                }
                sum
            })
            .collect();
        columns.iter_mut().zip(sums).for_each(|(column, sum)| column[place.clone()].copy_from_slice(&sum));
    }
    columns.truncate(weights.len());
}

/// Turns a vector so that its largest entry by size (the first of equals) is positive.
fn signed(mut vector: Vec<f64>) -> Vec<f64> {
    let largest = vector.iter().copied().fold(0.0f64, |m, v| if v.abs() > m.abs() { v } else { m });
    if largest < 0.0 {
        vector.iter_mut().for_each(|v| *v = -*v);
    }
    vector
}

/// Gram-Schmidt, twice for stability; a column that depends on earlier ones becomes zero.
fn orthonormal(mut columns: Vec<Vec<f64>>) -> Vec<Vec<f64>> {
    for k in 0..columns.len() {
        let (done, rest) = columns.split_at_mut(k);
        let Some(current) = rest.first_mut() else { break };
        let before = dot(current, current).sqrt();
        for _ in 0..2 {
            let shares: Vec<f64> = done.par_iter().map(|d| dot(d, current)).collect();
            current.par_chunks_mut(CHUNK).enumerate().for_each(|(chunk, part)| {
                for (d, share) in done.iter().zip(&shares) {
                    part.iter_mut().zip(&d[chunk * CHUNK..]).for_each(|(c, v)| *c -= share * v);
                }
            });
        }
        let norm = dot(current, current).sqrt();
        let scale = if norm > 1e-10 * before { 1.0 / norm } else { 0.0 };
        current.iter_mut().for_each(|c| *c *= scale);
    }
    columns
}

/// Dot product in four running sums: a fixed order of additions.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0f64; 4];
    let (a4, b4) = (a.chunks_exact(4), b.chunks_exact(4));
    let rest: f64 = a4.remainder().iter().zip(b4.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in a4.zip(b4) {
        for k in 0..4 {
            sums[k] += x[k] * y[k];
        }
    }
    sums.iter().sum::<f64>() + rest
}

/// A standard normal number (Box and Muller).
fn gaussian(random: &mut ChaCha8Rng) -> f64 {
    let mut unit = || (random.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
    let (u, v) = (1.0 - unit(), unit());
    (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2 e1 f1' + 1 e2 f2' with f1 = (1, 1) / sqrt 2 and f2 = (1, -1) / sqrt 2.
    fn rank_two() -> SparseRows {
        let (a, b) = (2.0f64.sqrt(), 0.5f64.sqrt());
        SparseRows::from_rows(&[vec![(0, a), (1, a)], vec![(0, b), (1, -b)], vec![]], 3)
    }

    #[test]
    fn finds_singular_values_and_signed_vectors() {
        let svd = TruncatedSvd::fit(&rank_two(), 2, 1);
        assert!((svd.singular_values()[0] - 2.0).abs() < 1e-9);
        assert!((svd.singular_values()[1] - 1.0).abs() < 1e-9);
        let h = 0.5f64.sqrt();
        for (found, expected) in svd.components[0].iter().zip([h, h, 0.0]) {
            assert!((found - expected).abs() < 1e-9);
        }
        assert!((svd.components[1][0] * svd.components[1][1] + 0.5).abs() < 1e-9);
    }

    #[test]
    fn components_beyond_the_rank_are_zero_columns() {
        let m = rank_two();
        let svd = TruncatedSvd::fit(&m, 5, 1);
        assert_eq!(svd.singular_values().len(), 2);
        let projected = svd.project(&m, 5);
        assert_eq!((projected.rows, projected.cols), (3, 5));
        assert!((projected.row(0)[0] - 2.0).abs() < 1e-6);
        assert_eq!(projected.row(0)[2..], [0.0, 0.0, 0.0]);
        assert_eq!(projected.row(2), [0.0; 5]);
    }

    #[test]
    fn the_same_seed_gives_the_same_bits() {
        assert_eq!(TruncatedSvd::fit(&rank_two(), 2, 9), TruncatedSvd::fit(&rank_two(), 2, 9));
    }

    #[test]
    fn an_empty_matrix_has_no_components() {
        let svd = TruncatedSvd::fit(&SparseRows::from_rows(&[vec![], vec![]], 4), 2, 0);
        assert!(svd.singular_values().is_empty());
    }
}
