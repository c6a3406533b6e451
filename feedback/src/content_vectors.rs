//! The content vectors of a catalogue: those that came with the data, or text features.

use crate::dataset::Dataset;
use crate::matrix::Matrix;
use crate::tf_idf::text_features;
use crate::training_time::TrainingTime;

/// One row an item, of length 1: the dataset's own vectors where it has them, else TF-IDF and SVD fitted on the
/// items of training time.
pub fn content_vectors(dataset: &Dataset, training: &TrainingTime, dimensions: usize, seed: u64) -> Matrix {
    match &dataset.vectors {
        Some(vectors) => {
            let mut vectors = vectors.clone();
            vectors.normalize_rows();
            vectors
        }
        None => text_features(&dataset.items, &training.catalogue(), dimensions, seed),
    }
}
