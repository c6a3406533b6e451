//! The content vectors of a catalogue: those that came with the data, or text features.

use crate::dataset::Dataset;
use crate::matrix::Matrix;
use crate::tf_idf::text_features;
use crate::training_time::TrainingTime;
use crate::vector_files::mean_of;

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

/// Takes the mean of the items of training time off all items and scales to length 1 again. The states of a decoder lie in a
/// narrow cone: what they share would be most of each vector, and a quantizer would learn that first.
pub fn centre(vectors: &mut Matrix, training: &TrainingTime) {
    let known: Vec<usize> = training.catalogue().into_iter().map(|item| item as usize).collect();
    let mean = mean_of(vectors, &known);
    for item in 0..vectors.rows {
        vectors.row_mut(item).iter_mut().zip(&mean).for_each(|(value, mean)| *value -= mean);
    }
    vectors.normalize_rows();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::Item;
    use crate::event::{Event, Sign};

    #[test]
    fn what_the_items_of_training_time_share_is_taken_off() {
        // Items 0 to 2 in a narrow cone around (10, 0); item 3 comes after training time and decides nothing.
        let event = |item, time| Event { user: 0, item, time, sign: Sign::Negative };
        let dataset = Dataset {
            events: vec![event(0, 1), event(1, 2), event(2, 3), event(3, 10)],
            users: vec!["u".into()],
            items: vec![Item::default(); 4],
            ..Dataset::default()
        };
        let mut vectors = Matrix { rows: 4, cols: 2, data: vec![10.0, 1.0, 10.0, -1.0, 10.0, 0.0, 13.0, 4.0] };
        centre(&mut vectors, &TrainingTime::new(&dataset, 10));
        assert_eq!(vectors.data, [0.0, 1.0, 0.0, -1.0, 0.0, 0.0, 0.6, 0.8]);
    }
}
