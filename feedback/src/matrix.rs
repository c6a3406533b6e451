//! A dense matrix of 32-bit floats, row by row: item vectors and the like.

use serde::{Deserialize, Serialize};

/// A dense row-major matrix; row `i` is `data[i * cols .. (i + 1) * cols]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Matrix {
    /// Number of rows.
    pub rows: usize,
    /// Number of columns.
    pub cols: usize,
    /// All values, row by row; `rows * cols` of them.
    pub data: Vec<f32>,
}

impl Matrix {
    /// A matrix of zeros.
    pub fn zeros(rows: usize, cols: usize) -> Self {
        Self { rows, cols, data: vec![0.0; rows * cols] }
    }

    /// Row `i`, of length `cols`.
    pub fn row(&self, i: usize) -> &[f32] {
        &self.data[i * self.cols..(i + 1) * self.cols]
    }

    /// Row `i`, to be written.
    pub fn row_mut(&mut self, i: usize) -> &mut [f32] {
        &mut self.data[i * self.cols..(i + 1) * self.cols]
    }

    /// Scales every row to length 1; a row shorter than 1e-9 becomes (almost) zero instead of noise.
    pub fn normalize_rows(&mut self) {
        if self.cols == 0 {
            return;
        }
        for row in self.data.chunks_exact_mut(self.cols) {
            let norm = row.iter().map(|v| f64::from(*v) * f64::from(*v)).sum::<f64>().sqrt().max(1e-9);
            for v in row {
                *v = (f64::from(*v) / norm) as f32;
            }
        }
    }
}
