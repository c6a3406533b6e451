//! What turns items into the vectors that a quantizer was fitted on, kept so that items that come later get vectors of the
//! same meaning: text features as they were fitted, or the mean that was taken off. Interactions are not kept: an item that
//! comes later has none that could be compared, so that part of its vector is 0 until the quantizer is fitted anew.

use crate::dataset::Dataset;
use crate::matrix::Matrix;
use crate::tf_idf::TextFeatures;

/// How vectors of items are made.
#[derive(Clone, Debug, PartialEq)]
pub struct Vectorizer {
    /// The first columns.
    pub content: Content,
    /// Columns of interaction features, after those of the content.
    pub interactions: usize,
}

/// How the content of an item becomes a vector of length 1.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// From its text.
    Text(TextFeatures),
    /// The dataset's own vectors, less a mean; empty: as they are.
    Given {
        /// One value a column.
        mean: Vec<f32>,
    },
}

impl Vectorizer {
    /// One row an item; none where the dataset has no vectors, or of another width than the mean.
    pub fn transform(&self, dataset: &Dataset) -> Option<Matrix> {
        let content = match &self.content {
            Content::Text(features) => features.transform(&dataset.items),
            Content::Given { mean } => given(dataset.vectors.as_ref()?, mean)?,
        };
        let mut joined = Matrix::zeros(content.rows, content.cols + self.interactions);
        for item in 0..content.rows {
            joined.row_mut(item)[..content.cols].copy_from_slice(content.row(item));
        }
        Some(joined)
    }
}

fn given(vectors: &Matrix, mean: &[f32]) -> Option<Matrix> {
    let mut vectors = vectors.clone();
    vectors.normalize_rows();
    if mean.is_empty() {
        return Some(vectors);
    }
    if mean.len() != vectors.cols {
        return None;
    }
    for item in 0..vectors.rows {
        vectors.row_mut(item).iter_mut().zip(mean).for_each(|(value, mean)| *value -= mean);
    }
    vectors.normalize_rows();
    Some(vectors)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content_vectors::{centre, content_vectors};
    use crate::dataset::Item;
    use crate::event::{Event, Sign};
    use crate::training_time::TrainingTime;
    use crate::vector_files::mean_of;

    #[test]
    fn given_vectors_lose_the_mean_that_was_kept() {
        let events = (0..3).map(|item| Event { user: 0, item, time: i64::from(item), sign: Sign::Negative }).collect();
        let dataset = Dataset {
            events,
            users: vec!["u".into()],
            items: (0..3).map(|i| Item { key: format!("i{i}"), ..Item::default() }).collect(),
            vectors: Some(Matrix { rows: 3, cols: 2, data: vec![2.0, 0.0, 0.0, 1.0, 1.0, 1.0] }),
            ..Dataset::default()
        };
        let training = TrainingTime::new(&dataset, 2);
        let mut expected = content_vectors(&dataset, &training, 0, 0);
        let mean = mean_of(&expected, &[0, 1]);
        centre(&mut expected, &training);
        let kept = Vectorizer { content: Content::Given { mean }, interactions: 2 };
        let found = kept.transform(&dataset).unwrap();
        assert_eq!(found.cols, 4);
        for item in 0..3 {
            assert_eq!(found.row(item)[..2], *expected.row(item));
            assert_eq!(found.row(item)[2..], [0.0, 0.0]);
        }
        let other = Vectorizer { content: Content::Given { mean: vec![0.0; 3] }, interactions: 0 };
        assert_eq!(other.transform(&dataset), None);
    }
}
