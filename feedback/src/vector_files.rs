//! Item vectors that somebody else made: a `.npy` matrix or a Parquet table, matched to the catalogue by item key.

mod npy;
mod table;

use crate::dataset::Item;
use crate::matrix::Matrix;
use crate::plain_file;
use conrec_domain::spec::Missing;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Vectors as a file holds them.
#[derive(Clone, Debug, PartialEq)]
pub struct VectorFile {
    /// Item key of each row; none: the rows are the catalogue's items, in its order.
    pub keys: Option<Vec<String>>,
    /// One row an item, all finite.
    pub vectors: Matrix,
}

/// The items that want vectors.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// The catalogue.
    pub items: &'a [Item],
    /// One flag an item: whether training time knows it. The mean that stands for a vector is taken over these, so that no
    /// later event has a say in it.
    pub known: &'a [bool],
}

/// Vectors of a catalogue.
#[derive(Clone, Debug, PartialEq)]
pub struct ItemVectors {
    /// One row an item of the catalogue.
    pub vectors: Matrix,
    /// Items that the file does not have, ascending; their rows are the mean of those that training time knows.
    pub filled: Vec<u32>,
}

/// Why a file of vectors cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum VectorFileError {
    /// The file cannot be opened or read.
    #[error("{}: {source}", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file is of another form.
    #[error("{}: found {found}, expected {expected}", file.display())]
    Form {
        /// The file.
        file: PathBuf,
        /// What was found.
        found: String,
        /// What was expected.
        expected: String,
    },
    /// A value that is no finite number.
    #[error("{}: found {found} in row {row}, column {column} (from 0), expected finite numbers", file.display())]
    NotFinite {
        /// The file.
        file: PathBuf,
        /// Row, from 0.
        row: usize,
        /// Column, from 0.
        column: usize,
        /// The value.
        found: f32,
    },
    /// Vectors that tell no item from another.
    #[error(
        "{}: found the same vector in all {rows} rows{}, expected vectors that tell items apart", file.display(),
        if *zero { ", zeros only" } else { "" }
    )]
    AllEqual {
        /// The file.
        file: PathBuf,
        /// Rows.
        rows: usize,
        /// Whether all values are 0.
        zero: bool,
    },
    /// Items of the catalogue have no vector.
    #[error(
        "{}: {count} of {items} items have no vector (or one of zeros only), the first is `{first}`; expected one for each \
         item of the catalogue: add them, or set semantic_id.missing = \"accept\" to give them the mean of the others", file.display()
    )]
    Missing {
        /// The file.
        file: PathBuf,
        /// Items without a vector.
        count: usize,
        /// Items of the catalogue.
        items: usize,
        /// Key of the first of them.
        first: String,
    },
}

impl VectorFileError {
    fn form(file: &Path, found: impl Into<String>, expected: impl Into<String>) -> Self {
        Self::Form { file: file.to_owned(), found: found.into(), expected: expected.into() }
    }
}

/// Reads a `.npy` file (versions 1 to 3, f16, f32 or f64, two dimensions) or a `.parquet` file (see [`table`]).
/// `keys` names a text file with the item key of each row of a `.npy`, one a line; none: rows are in catalogue order.
///
/// # Errors
/// Files that cannot be read, are of another form, truncated, or hold a value that is no finite number; and vectors that are
/// all equal.
pub fn read_vectors(file: &Path, keys: Option<&Path>) -> Result<VectorFile, VectorFileError> {
    let read = match file.extension().and_then(|extension| extension.to_str()) {
        Some("npy") => VectorFile { vectors: npy::read(file)?, keys: keys.map(read_keys).transpose()? },
        Some("parquet") => table::read(file)?,
        _ => return Err(VectorFileError::form(file, "a name with another ending", "a .npy or a .parquet file")),
    };
    let Matrix { rows, cols, data } = &read.vectors;
    if let Some(at) = data.iter().position(|value| !value.is_finite()) {
        let (row, column) = (at / cols, at % cols);
        return Err(VectorFileError::NotFinite { file: file.to_owned(), row, column, found: data[at] });
    }
    let first = data.get(..*cols).unwrap_or_default();
    if *rows > 1 && data.chunks_exact(*cols).all(|row| row == first) {
        let zero = first.iter().all(|value| *value == 0.0);
        return Err(VectorFileError::AllEqual { file: file.to_owned(), rows: *rows, zero });
    }
    if let (Some(found), Some(keys)) = (&read.keys, keys)
        && found.len() != *rows
    {
        let expected = format!("{rows}, one for each row of {}", file.display());
        return Err(VectorFileError::form(keys, format!("{} keys", found.len()), expected));
    }
    Ok(read)
}

/// The lines of a file, without the empty ones at its end.
fn read_keys(file: &Path) -> Result<Vec<String>, VectorFileError> {
    let text = plain_file::read_text(file).map_err(|source| VectorFileError::File { file: file.to_owned(), source })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    Ok(text.trim_end().lines().map(|line| line.trim_end_matches('\r').to_owned()).collect())
}

impl VectorFile {
    /// One row for each item of the catalogue; `file` is for errors. Rows of items that the catalogue does not have are
    /// left out.
    ///
    /// # Errors
    /// A key that comes twice, another number of rows where there are no keys, and items without a vector where
    /// `missing` refuses them or all of training time are without.
    pub fn of_items(self, wanted: Wanted<'_>, missing: Missing, file: &Path) -> Result<ItemVectors, VectorFileError> {
        let items = wanted.items;
        let rows = self.row_of_each(items, file)?;
        let absent: Vec<usize> = (0..items.len()).filter(|item| rows[*item].is_none()).collect();
        let known = rows.iter().zip(wanted.known).filter(|(_, known)| **known);
        let present: Vec<usize> = known.filter_map(|(row, _)| *row).collect();
        if let Some(first) = absent.first()
            && (missing == Missing::Refuse || present.is_empty())
        {
            return Err(VectorFileError::Missing {
                file: file.to_owned(),
                count: absent.len(),
                items: items.len(),
                first: items[*first].key.clone(),
            });
        }
        let mean = mean_of(&self.vectors, &present);
        let mut vectors = Matrix::zeros(items.len(), self.vectors.cols);
        for (item, row) in rows.iter().enumerate() {
            vectors.row_mut(item).copy_from_slice(row.map_or(mean.as_slice(), |row| self.vectors.row(row)));
        }
        Ok(ItemVectors { vectors, filled: absent.into_iter().map(|item| item as u32).collect() })
    }

    /// The row of each item. A row of zeros, which has no direction, is none.
    fn row_of_each(&self, items: &[Item], file: &Path) -> Result<Vec<Option<usize>>, VectorFileError> {
        let says = |row: &usize| self.vectors.row(*row).iter().any(|value| *value != 0.0);
        let Some(keys) = &self.keys else {
            if self.vectors.rows == items.len() {
                return Ok((0..items.len()).map(|row| Some(row).filter(says)).collect());
            }
            let found = format!("{} rows", self.vectors.rows);
            let expected = format!(
                "{}, one for each item of the catalogue; or name a file with the rows' keys in semantic_id.vectors_keys",
                items.len()
            );
            return Err(VectorFileError::form(file, found, expected));
        };
        let mut row_of: BTreeMap<&str, usize> = BTreeMap::new();
        for (row, key) in keys.iter().enumerate() {
            if row_of.insert(key, row).is_some() {
                return Err(VectorFileError::form(file, format!("two rows with the key `{key}`"), "one"));
            }
        }
        Ok(items.iter().map(|item| row_of.get(item.key.as_str()).copied().filter(says)).collect())
    }
}

/// Mean of some rows, summed in 64-bit floats.
pub fn mean_of(vectors: &Matrix, rows: &[usize]) -> Vec<f32> {
    let mut sums = vec![0f64; vectors.cols];
    for row in rows {
        for (sum, value) in sums.iter_mut().zip(vectors.row(*row)) {
            *sum += f64::from(*value);
        }
    }
    sums.into_iter().map(|sum| (sum / rows.len().max(1) as f64) as f32).collect()
}

#[cfg(test)]
mod tests;
