//! Item vectors from who rated what in training time: items rated by the same users lie close together.
//!
//! A truncated SVD of the item x user matrix with one entry for each (item, user) that met, weighted
//! `1 / sqrt(ln(e - 1 + n_u))` with n_u the user's distinct items: who rates everything says less. The sign is left out, so
//! that the vectors tell what is seen together, and dislikes stay the model's task.

use crate::matrix::Matrix;
use crate::sparse_rows::SparseRows;
use crate::training_time::TrainingTime;
use crate::truncated_svd::TruncatedSvd;

/// One row an item, of length 1; items without an event in training time have a zero row.
pub fn interaction_features(training: &TrainingTime, dimensions: usize, seed: u64) -> Matrix {
    let of_user = training.met_by_user();
    let weight = |items: &[u32]| 1.0 / (std::f64::consts::E - 1.0 + items.len() as f64).ln().sqrt();
    let weights: Vec<f64> = of_user.iter().map(weight).collect();
    let of_item = of_user.transposed(training.items());
    drop(of_user);
    let matrix = SparseRows::from_lists(of_item, training.users(), |user| weights[user as usize]);
    let mut vectors = TruncatedSvd::fit(&matrix, dimensions, seed).project(&matrix, dimensions);
    vectors.normalize_rows();
    vectors
}
