//! What the RQ-VAE sees of an item: text features joined with interaction features, both fitted on training time.

use conrec_domain::spec::SemanticIdSpec;
use conrec_feedback::content_vectors::content_vectors;
use conrec_feedback::dataset::Dataset;
use conrec_feedback::interaction_features::interaction_features;
use conrec_feedback::matrix::Matrix;
use conrec_feedback::training_time::TrainingTime;

/// One row an item: unit text features, then unit interaction features times their weight. Items that training time
/// does not know have zeros in the second part.
pub fn item_vectors(dataset: &Dataset, training: &TrainingTime, spec: &SemanticIdSpec, seed: u64) -> Matrix {
    let text = content_vectors(dataset, training, spec.text_dimensions as usize, seed);
    if spec.interaction_dimensions == 0 {
        return text;
    }
    let interactions = interaction_features(training, spec.interaction_dimensions as usize, seed);
    let mut joined = Matrix::zeros(text.rows, text.cols + interactions.cols);
    for item in 0..text.rows {
        let (left, right) = joined.row_mut(item).split_at_mut(text.cols);
        left.copy_from_slice(text.row(item));
        for (to, from) in right.iter_mut().zip(interactions.row(item)) {
            *to = (f64::from(*from) * spec.interaction_weight) as f32;
        }
    }
    joined
}
