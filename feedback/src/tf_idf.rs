//! Text features of items: TF-IDF over the words of the title, the genres, the year and the decade, reduced by a
//! truncated SVD. Fitted on the items of training time only.
//!
//! weight(word, item) = (1 + ln tf) * (ln((1 + n) / (1 + df)) + 1), rows scaled to length 1; words of fewer than
//! 2 fitted items are left out.

use crate::dataset::Item;
use crate::matrix::Matrix;
use crate::sparse_rows::SparseRows;
use crate::truncated_svd::TruncatedSvd;
use std::collections::BTreeMap;

const FEWEST_ITEMS: u32 = 2;

/// Words with their column and their inverse document frequency.
#[derive(Clone, Debug, PartialEq)]
pub struct TfIdf {
    columns: BTreeMap<String, (u32, f64)>,
}

impl TfIdf {
    /// Learns words and their frequencies from the items of `fit_on`.
    pub fn fit(items: &[Item], fit_on: &[u32]) -> Self {
        let mut frequency: BTreeMap<String, u32> = BTreeMap::new();
        for i in fit_on {
            for word in counted(words(&items[*i as usize])).into_keys() {
                *frequency.entry(word).or_default() += 1;
            }
        }
        let n = fit_on.len() as f64;
        let idf = |df: u32| ((1.0 + n) / (1.0 + f64::from(df))).ln() + 1.0;
        let columns = frequency
            .into_iter()
            .filter(|(_, df)| *df >= FEWEST_ITEMS)
            .zip(0..)
            .map(|((word, df), column)| (word, (column, idf(df))))
            .collect();
        Self { columns }
    }

    /// One row an item, each of length 1 (or empty, when no word is known).
    pub fn transform(&self, items: &[Item]) -> SparseRows {
        let rows: Vec<Vec<(u32, f64)>> = items.iter().map(|item| self.row(item)).collect();
        SparseRows::from_rows(&rows, self.columns.len())
    }

    fn row(&self, item: &Item) -> Vec<(u32, f64)> {
        let mut row: Vec<(u32, f64)> = counted(words(item))
            .into_iter()
            .filter_map(|(word, count)| {
                let (column, idf) = self.columns.get(&word)?;
                Some((*column, (1.0 + f64::from(count).ln()) * idf))
            })
            .collect();
        let norm = row.iter().map(|(_, v)| v * v).sum::<f64>().sqrt();
        row.iter_mut().for_each(|(_, v)| *v /= norm);
        row
    }
}

/// Item vectors from text: TF-IDF and SVD fitted on `fit_on`, applied to all items; rows of length 1.
pub fn text_features(items: &[Item], fit_on: &[u32], dimensions: usize, seed: u64) -> Matrix {
    TextFeatures::fit(items, fit_on, dimensions, seed).transform(items)
}

/// TF-IDF and SVD as they were fitted, so that items that come later get vectors of the same meaning.
#[derive(Clone, Debug, PartialEq)]
pub struct TextFeatures {
    words: TfIdf,
    svd: TruncatedSvd,
    dimensions: usize,
}

/// What [`TextFeatures`] is made of, to be kept in a file.
#[derive(Clone, Debug, PartialEq)]
pub struct TextParts {
    /// The words, in the order of their columns.
    pub words: Vec<String>,
    /// Inverse document frequency of each.
    pub idf: Vec<f64>,
    /// The SVD's components, one after the other, each as long as there are words.
    pub components: Vec<f64>,
    /// Columns of the vectors.
    pub dimensions: usize,
}

impl TextFeatures {
    /// Fits both on the items of `fit_on`.
    pub fn fit(items: &[Item], fit_on: &[u32], dimensions: usize, seed: u64) -> Self {
        let words = TfIdf::fit(items, fit_on);
        let known: Vec<Item> = fit_on.iter().map(|item| items[*item as usize].clone()).collect();
        let svd = TruncatedSvd::fit(&words.transform(&known), dimensions, seed);
        Self { words, svd, dimensions }
    }

    /// One row an item, of length 1, or 0 where no word of it is known.
    pub fn transform(&self, items: &[Item]) -> Matrix {
        let mut vectors = self.svd.project(&self.words.transform(items), self.dimensions);
        vectors.normalize_rows();
        vectors
    }

    /// Takes it apart.
    pub fn parts(&self) -> TextParts {
        let mut columns: Vec<(&String, &(u32, f64))> = self.words.columns.iter().collect();
        columns.sort_by_key(|(_, (column, _))| *column);
        TextParts {
            words: columns.iter().map(|(word, _)| (*word).clone()).collect(),
            idf: columns.iter().map(|(_, (_, idf))| *idf).collect(),
            components: self.svd.components().concat(),
            dimensions: self.dimensions,
        }
    }

    /// Puts it together again; none where the parts do not belong together.
    pub fn from_parts(parts: TextParts) -> Option<Self> {
        let TextParts { words, idf, components, dimensions } = parts;
        let width = words.len();
        let count = components.len().checked_div(width).unwrap_or(0);
        let fits = idf.len() == width && count * width == components.len() && count <= dimensions;
        let finite = idf.iter().chain(&components).all(|value| value.is_finite());
        let columns: BTreeMap<String, (u32, f64)> = words.into_iter().zip((0..).zip(idf)).collect();
        if !fits || !finite || columns.len() != width {
            return None;
        }
        let components = components.chunks(width.max(1)).map(<[f64]>::to_vec).collect();
        Some(Self { words: TfIdf { columns }, svd: TruncatedSvd::of(components), dimensions })
    }
}

/// The words of an item, lower case: of the title, `genre_drama`, `year_1999`, `decade_199`. A word is a run of
/// letters, digits and underscores, in any script. An item without a year has `year_0` and `decade_0`.
fn words(item: &Item) -> Vec<String> {
    let mut text = item.title.clone();
    for category in &item.categories {
        text.push_str(" genre_");
        text.extend(category.chars().filter(|c| *c != '-' && *c != ' '));
    }
    let year = item.year.map_or_else(|| "0".into(), |y| format!("{y:04}"));
    let decade = year.get(..3).unwrap_or(&year);
    text.push_str(&format!(" year_{year} decade_{decade}"));
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    text.to_lowercase().split(|c| !is_word(c)).filter(|w| !w.is_empty()).map(str::to_owned).collect()
}

fn counted(words: Vec<String>) -> BTreeMap<String, u32> {
    let mut counts = BTreeMap::new();
    for word in words {
        *counts.entry(word).or_default() += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(title: &str, year: Option<u16>, categories: &[&str]) -> Item {
        let categories = categories.iter().map(|c| (*c).to_owned()).collect();
        Item { key: title.into(), title: title.into(), year, categories }
    }

    #[test]
    fn words_of_title_genres_year_and_decade() {
        let found = words(&item("L'Été, M*A*S*H", Some(1970), &["Sci-Fi", "War"]));
        let expected = ["l", "été", "m", "a", "s", "h", "genre_scifi", "genre_war", "year_1970", "decade_197"];
        assert_eq!(found, expected);
    }

    #[test]
    fn weights_equal_those_computed_by_hand() {
        let items = [
            item("Up up", Some(2001), &["Drama"]),
            item("Up", Some(2002), &["Drama"]),
            item("Down", Some(2013), &["Drama"]),
            item("Up genre_other", Some(2001), &[]),
        ];
        let model = TfIdf::fit(&items, &[0, 1, 2]);
        // Words of at least two of the first three items: decade_200 (2), genre_drama (3), up (2).
        let known: Vec<&str> = model.columns.keys().map(String::as_str).collect();
        assert_eq!(known, ["decade_200", "genre_drama", "up"]);
        let rare = (4.0f64 / 3.0).ln() + 1.0;
        let raw = [rare, 1.0, (1.0 + 2.0f64.ln()) * rare];
        let norm = raw.iter().map(|v| v * v).sum::<f64>().sqrt();
        let rows = model.transform(&items);
        for ((_, found), expected) in rows.row(0).zip(raw) {
            assert!((found - expected / norm).abs() < 1e-12);
        }
        assert!(rows.row(2).eq([(1, 1.0)]));
        assert_eq!(rows.row(3).len(), 2);
    }

    #[test]
    fn items_outside_training_time_do_not_change_the_vectors() {
        let mut items: Vec<Item> =
            (0..12).map(|i| item(&format!("Part {}", i % 3), Some(2000 + i % 4), &["Drama", "War"])).collect();
        let fit_on: Vec<u32> = (0..10).collect();
        let before = text_features(&items, &fit_on, 3, 1);
        items[11] = item("Quite another title", Some(1950), &["Horror"]);
        let after = text_features(&items, &fit_on, 3, 1);
        assert_eq!(before.data[..10 * 3], after.data[..10 * 3]);
    }
    #[test]
    fn kept_features_give_the_same_vectors_and_know_later_items() {
        let mut items: Vec<Item> =
            (0..12).map(|i| item(&format!("Part {}", i % 3), Some(2000 + i % 4), &["Drama", "War"])).collect();
        let fit_on: Vec<u32> = (0..10).collect();
        let fitted = TextFeatures::fit(&items, &fit_on, 3, 1);
        assert_eq!(fitted.transform(&items), text_features(&items, &fit_on, 3, 1));
        let kept = TextFeatures::from_parts(fitted.parts()).unwrap();
        items.push(item("Part 2", Some(2003), &["War"]));
        assert_eq!(kept.transform(&items), fitted.transform(&items));
        let mut parts = fitted.parts();
        parts.idf.pop();
        assert_eq!(TextFeatures::from_parts(parts), None);
    }
}
