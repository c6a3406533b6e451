//! What the quantizer sees of an item: content vectors joined with interaction features fitted on training time. Content is
//! text features fitted on training time, or what a sentence encoder or a file says, which no event can reach.

use crate::error::WorkerError;
use conrec_domain::spec::{SemanticIdSpec, VectorSource};
use conrec_feedback::content_vectors::content_vectors;
use conrec_feedback::dataset::{Dataset, Item};
use conrec_feedback::interaction_features::interaction_features;
use conrec_feedback::matrix::Matrix;
use conrec_feedback::training_time::TrainingTime;
use conrec_feedback::vector_files::read_vectors;
use conrec_policy::sentence_encoder::SentenceEncoder;
use std::path::Path;

/// Texts between two lines of the log.
const TEXTS_BETWEEN_WORDS: usize = 2048;

/// Takes content vectors from where the config says into the dataset, where baselines find them too; gives a sentence
/// about it. With `vectors = "text"` the dataset stays as it is.
///
/// # Errors
/// An encoder or a file that is missing, damaged or does not fit the catalogue.
pub fn take_vectors(dataset: &mut Dataset, spec: &SemanticIdSpec) -> Result<Option<String>, WorkerError> {
    let path = Path::new(&spec.vectors_path);
    match spec.vectors {
        VectorSource::Text => Ok(None),
        VectorSource::Encoder => {
            let encoder = SentenceEncoder::open(path).map_err(WorkerError::Encoder)?;
            let texts: Vec<String> = dataset.items.iter().map(text_of).collect();
            let mut told = 0;
            let vectors = encoder.encode(&texts, &mut |done| {
                if done >= told + TEXTS_BETWEEN_WORDS || done == texts.len() {
                    tracing::info!(done, of = texts.len(), "texts encoded");
                    told = done;
                }
            });
            let vectors = vectors.map_err(WorkerError::Encoder)?;
            let sentence = format!("Item vectors of {} dimensions from {}.", vectors.cols, path.display());
            dataset.vectors = Some(vectors);
            Ok(Some(sentence))
        }
        VectorSource::File => {
            let keys = (!spec.vectors_keys.is_empty()).then(|| Path::new(&spec.vectors_keys));
            let read = read_vectors(path, keys)?;
            let found = read.of_items(&dataset.items, spec.missing, path)?;
            let sentence = format!(
                "Item vectors of {} dimensions from {}; {} items without one have the mean.",
                found.vectors.cols,
                path.display(),
                found.filled
            );
            dataset.vectors = Some(found.vectors);
            Ok(Some(sentence))
        }
    }
}

/// What a sentence encoder reads of an item: `The Godfather (1972). Crime, Drama`.
fn text_of(item: &Item) -> String {
    let year = item.year.map(|year| format!(" ({year})")).unwrap_or_default();
    let categories =
        if item.categories.is_empty() { String::new() } else { format!(". {}", item.categories.join(", ")) };
    format!("{}{year}{categories}", item.title)
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_items_text_says_what_there_is() {
        let mut item = Item { title: "The Godfather".into(), ..Item::default() };
        assert_eq!(text_of(&item), "The Godfather");
        item.year = Some(1972);
        item.categories = vec!["Crime".into(), "Drama".into()];
        assert_eq!(text_of(&item), "The Godfather (1972). Crime, Drama");
    }
}
