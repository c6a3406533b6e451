//! What the quantizer sees of an item: content vectors joined with interaction features fitted on training time. Content is
//! text features fitted on training time, or what a sentence encoder, a pretrained base or a file says, which no event can
//! reach.

use crate::error::WorkerError;
use conrec_domain::spec::{Missing, RunSpec, SemanticIdSpec, VectorSource};
use conrec_feedback::content_vectors::{centre, content_vectors};
use conrec_feedback::dataset::{Dataset, Item};
use conrec_feedback::interaction_features::interaction_features;
use conrec_feedback::matrix::Matrix;
use conrec_feedback::split::passes;
use conrec_feedback::tf_idf::TextFeatures;
use conrec_feedback::training_time::TrainingTime;
use conrec_feedback::vector_files::{Wanted, mean_of, read_vectors};
use conrec_feedback::vectorizer::{Content, Vectorizer};
use conrec_policy::base_model::BaseModel;
use conrec_policy::base_vectors::{TextVectors, text_vectors};
use conrec_policy::sentence_encoder::SentenceEncoder;
use std::path::Path;

/// Texts between two lines of the log.
const TEXTS_BETWEEN_WORDS: usize = 2048;

/// Takes content vectors from where the config says into the dataset, where baselines find them too; gives a sentence
/// about it. With `vectors = "text"` the dataset stays as it is. `base` may be none unless the config asks for its vectors.
///
/// # Errors
/// An encoder, a base or a file that is missing, damaged or does not fit the catalogue.
pub fn take_vectors(
    dataset: &mut Dataset,
    spec: &RunSpec,
    base: Option<&BaseModel>,
) -> Result<Option<String>, WorkerError> {
    let (vectors, sentence) = match spec.semantic_id.vectors {
        VectorSource::Text => return Ok(None),
        VectorSource::Encoder => of_encoder(&dataset.items, Path::new(&spec.semantic_id.vectors_path))?,
        VectorSource::BaseModel => {
            let base = base.ok_or_else(|| WorkerError::Protocol("item vectors of a base that is not open".into()))?;
            of_base(Wanted { items: &dataset.items, known: &known(dataset, spec)? }, spec, base)?
        }
        VectorSource::File => {
            of_file(Wanted { items: &dataset.items, known: &known(dataset, spec)? }, &spec.semantic_id)?
        }
    };
    dataset.vectors = Some(vectors);
    Ok(Some(sentence))
}

/// One flag an item: whether the training time of the first pass, and so that of every pass, knows it.
fn known(dataset: &Dataset, spec: &RunSpec) -> Result<Vec<bool>, WorkerError> {
    let (first, last) = (dataset.first_time().unwrap_or_default(), dataset.last_time().unwrap_or_default());
    let passes = passes(&spec.data, spec.evaluation.statistics, first, last)?;
    let end = passes.iter().map(|windows| windows.train_end).min().unwrap_or(first);
    Ok(TrainingTime::new(dataset, end).seen())
}

fn of_encoder(items: &[Item], path: &Path) -> Result<(Matrix, String), WorkerError> {
    let encoder = SentenceEncoder::open(path).map_err(WorkerError::Encoder)?;
    // An encoder has a vector for any text: where nothing else is known it reads the id.
    let text = |item: &Item| Some(text_of(item)).filter(|text| !text.is_empty()).unwrap_or_else(|| item.title.clone());
    let texts: Vec<String> = items.iter().map(text).collect();
    let vectors = encoder.encode(&texts, &mut tell(texts.len())).map_err(WorkerError::Encoder)?;
    let sentence = format!("Item vectors of {} dimensions from {}.", vectors.cols, path.display());
    Ok((vectors, sentence))
}

fn of_base(wanted: Wanted<'_>, spec: &RunSpec, base: &BaseModel) -> Result<(Matrix, String), WorkerError> {
    let texts: Vec<String> = wanted.items.iter().map(text_of).collect();
    let longest = spec.model.max_prompt_tokens as usize;
    let TextVectors { mut vectors, empty } = text_vectors(base, &texts, longest, &mut tell(texts.len()))?;
    fill(&mut vectors, wanted, &empty, spec.semantic_id.missing)?;
    let mut sentence = format!("Item vectors of {} dimensions from the base {}", vectors.cols, spec.model.base);
    if !empty.is_empty() {
        sentence += &format!("; {} items without a text have the mean", empty.len());
    }
    Ok((vectors, sentence + "."))
}

fn of_file(wanted: Wanted<'_>, spec: &SemanticIdSpec) -> Result<(Matrix, String), WorkerError> {
    let path = Path::new(&spec.vectors_path);
    let keys = (!spec.vectors_keys.is_empty()).then(|| Path::new(&spec.vectors_keys));
    let found = read_vectors(path, keys)?.of_items(wanted, spec.missing, path)?;
    let mut sentence = format!("Item vectors of {} dimensions from {}", found.vectors.cols, path.display());
    if let Some(first) = found.filled.first() {
        let key = &wanted.items[*first as usize].key;
        sentence += &format!("; {} items without one have the mean, the first is `{key}`", found.filled.len());
    }
    Ok((found.vectors, sentence + "."))
}

/// A line of the log now and then; is told how many of `all` texts are done.
fn tell(all: usize) -> impl FnMut(usize) {
    let mut told = 0;
    move |done| {
        if done >= told + TEXTS_BETWEEN_WORDS || done == all {
            tracing::info!(done, of = all, "texts encoded");
            told = done;
        }
    }
}

/// Gives items without a text the mean of the others that training time knows, or refuses them.
fn fill(vectors: &mut Matrix, wanted: Wanted<'_>, empty: &[usize], missing: Missing) -> Result<(), WorkerError> {
    let (items, known) = (wanted.items, wanted.known);
    let Some(first) = empty.first() else { return Ok(()) };
    let has_text = |item: &usize| known[*item] && empty.binary_search(item).is_err();
    let present: Vec<usize> = (0..items.len()).filter(has_text).collect();
    if missing == Missing::Refuse || present.is_empty() {
        return Err(WorkerError::Config {
            key: "semantic_id.vectors",
            found: format!(
                "\"base_model\", but {} of {} items have no text, the first is `{}`",
                empty.len(),
                items.len(),
                items[*first].key
            ),
            allowed:
                "that where items have titles or categories; semantic_id.missing = \"accept\" gives those without \
                      the mean of the others"
                    .to_owned(),
        });
    }
    let mean = mean_of(vectors, &present);
    for item in empty {
        vectors.row_mut(*item).copy_from_slice(&mean);
    }
    Ok(())
}

/// What an encoder or a base reads of an item: `The Godfather (1972). Crime, Drama`.
fn text_of(item: &Item) -> String {
    let year = item.year.map(|year| format!(" ({year})")).unwrap_or_default();
    let named = item.own_title().map(|title| format!("{title}{year}"));
    let categories = (!item.categories.is_empty()).then(|| item.categories.join(", "));
    named.into_iter().chain(categories).collect::<Vec<String>>().join(". ")
}

/// The content of each item: one row of length 1, fitted on training time where anything is fitted.
pub fn content(
    dataset: &Dataset,
    training: &TrainingTime,
    (spec, dimensions): (&SemanticIdSpec, u32),
    seed: u64,
) -> Matrix {
    let mut vectors = content_vectors(dataset, training, dimensions as usize, seed);
    if spec.vectors == VectorSource::BaseModel {
        centre(&mut vectors, training);
    }
    vectors
}

/// One row an item: unit text features, then unit interaction features times their weight. Items that training time
/// does not know have zeros in the second part.
pub fn item_vectors(dataset: &Dataset, training: &TrainingTime, spec: &SemanticIdSpec, seed: u64) -> Matrix {
    fitted_vectors(dataset, training, spec, seed).0
}

/// The same, with what makes such vectors of items that come later.
pub fn fitted_vectors(
    dataset: &Dataset,
    training: &TrainingTime,
    spec: &SemanticIdSpec,
    seed: u64,
) -> (Matrix, Vectorizer) {
    let (text, content) = fitted_content(dataset, training, spec, seed);
    let interactions = spec.interaction_dimensions as usize;
    (joined(text, training, spec, seed), Vectorizer { content, interactions })
}

fn fitted_content(dataset: &Dataset, training: &TrainingTime, spec: &SemanticIdSpec, seed: u64) -> (Matrix, Content) {
    if dataset.vectors.is_none() {
        let (known, dimensions) = (training.catalogue(), spec.text_dimensions as usize);
        let features = TextFeatures::fit(&dataset.items, &known, dimensions, seed);
        return (features.transform(&dataset.items), Content::Text(features));
    }
    let plain = content_vectors(dataset, training, spec.text_dimensions as usize, seed);
    if spec.vectors != VectorSource::BaseModel {
        return (plain, Content::Given { mean: Vec::new() });
    }
    let known: Vec<usize> = training.catalogue().into_iter().map(|item| item as usize).collect();
    let mean = mean_of(&plain, &known);
    (content(dataset, training, (spec, spec.text_dimensions), seed), Content::Given { mean })
}

/// Adds the interaction features, where there are to be any.
fn joined(text: Matrix, training: &TrainingTime, spec: &SemanticIdSpec, seed: u64) -> Matrix {
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
        // Readers put the id in the place of a missing title.
        (item.key, item.title) = ("B0017".into(), "B0017".into());
        assert_eq!(text_of(&item), "Crime, Drama");
        item.categories.clear();
        assert_eq!(text_of(&item), "");
    }

    #[test]
    fn items_without_a_text_are_counted_or_have_the_mean() {
        let items: Vec<Item> = (0..3).map(|i| Item { key: format!("item-{i}"), ..Item::default() }).collect();
        let of = |data: &[f32]| Matrix { rows: 3, cols: 2, data: data.to_vec() };
        let before = of(&[1.0, 0.0, 0.0, 0.0, 0.0, 0.5]);
        let filled_of = |known: [bool; 3], empty: &[usize], missing| {
            let mut vectors = before.clone();
            let wanted = Wanted { items: &items, known: &known };
            fill(&mut vectors, wanted, empty, missing).map(|()| vectors).map_err(|e| e.to_string())
        };
        let filled = |empty: &[usize], missing| filled_of([true; 3], empty, missing);
        assert_eq!(filled(&[], Missing::Refuse).unwrap(), before);
        assert_eq!(filled(&[1], Missing::Accept).unwrap(), of(&[1.0, 0.0, 0.5, 0.25, 0.0, 0.5]));
        let refused = filled(&[1], Missing::Refuse).unwrap_err();
        assert!(refused.contains("1 of 3 items have no text, the first is `item-1`"), "{refused}");
        assert!(filled(&[0, 1, 2], Missing::Accept).is_err(), "there is no mean of nothing");
        // The last item comes after training time: it has no say.
        let early = [true, true, false];
        assert_eq!(filled_of(early, &[1], Missing::Accept).unwrap(), of(&[1.0, 0.0, 1.0, 0.0, 0.0, 0.5]));
        assert!(filled_of(early, &[0, 1], Missing::Accept).is_err());
    }
}
