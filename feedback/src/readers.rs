//! Datasets of others: a folder of files becomes a [`Dataset`].
//!
//! Each publisher's reader only says which of its files hold what (a [`layout::Layout`]); one mapping turns rows into
//! records, whatever the file's format. Everything streams: a line, or some thousand rows of Parquet at a time.

pub mod layout;

mod columns;
mod delimited;
mod double_colon;
mod field;
mod files;
mod input;
mod json_lines;
mod mapping;
mod parquet_rows;
mod python_literal;
mod rows;
mod time;

// One file a publisher.
mod amazon;
mod kuairand;
mod movielens;
mod movietweetings;
mod recbole;
mod steam;
mod table;
mod vk_lsvd;
mod yambda;

mod negatives;

pub use negatives::{NegativeKind, Negatives};
pub use table::missing_days;

use crate::dataset::Dataset;
use crate::dataset_builder::{BuildError, DatasetBuilder};
use conrec_domain::spec::{DataSpec, Source};
use layout::Layout;
use std::io;
use std::path::{Path, PathBuf};

/// Why a dataset cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// A file cannot be read to its end.
    #[error("cannot read {}: {source}; set data.path to the folder of the dataset's files{}", path.display(), begins(path))]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file ends in its middle or was changed on its way.
    #[error(
        "{} is damaged after {rows} rows: {message}; compare its size and checksum with the publisher's, and get it \
         again", path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Rows that could be read.
        rows: u64,
        /// What the decoder says.
        message: String,
    },
    /// No file of the names that this source has.
    #[error(
        "{} holds none of {wanted}; it holds {found}; set data.path to the folder of {source_name}'s files, or \
         data.source to what they are", folder.display()
    )]
    NoFiles {
        /// The folder.
        folder: PathBuf,
        /// The source.
        source_name: &'static str,
        /// Names looked for.
        wanted: String,
        /// Some names found.
        found: String,
    },
    /// A file lacks a column that is needed.
    #[error("{}: there is no column {wanted}; found are {found}{nearest}", path.display())]
    MissingColumn {
        /// The file.
        path: PathBuf,
        /// The column, with the key that names it.
        wanted: String,
        /// The columns found.
        found: String,
        /// The nearest name, as a sentence part; may be empty.
        nearest: String,
    },
    /// Not a text file, or none in the encoding that was said.
    #[error("{}: {message}", path.display())]
    Text {
        /// The file.
        path: PathBuf,
        /// What was found and what to do.
        message: String,
    },
    /// Times that are counted in a unit too fine.
    #[error("{}: {message}", path.display())]
    Times {
        /// The file.
        path: PathBuf,
        /// What was found and what to set.
        message: String,
    },
    /// The synthetic source has no files.
    #[error("data.source = \"synthetic\": its data is made, not read")]
    Synthetic,
    /// The records make no dataset.
    #[error("{0}")]
    Build(#[from] BuildError),
}

/// Where a relative path begins, as a sentence part.
fn begins(path: &Path) -> String {
    match std::env::current_dir() {
        Ok(here) if path.is_relative() => {
            format!(": a relative one begins where the command runs, here in {}", here.display())
        }
        _ => String::new(),
    }
}

/// Reads and cleans the dataset that `spec` names. `now` is the present, Unix seconds: what lies after it is refused.
///
/// # Errors
/// Files that are missing, damaged or not what the source has, too many lines that cannot be read, no event left.
pub fn read(spec: &DataSpec, now: i64) -> Result<Dataset, ReadError> {
    let folder = Path::new(&spec.path);
    let layout = layout_of(spec, folder)?;
    let mut builder = DatasetBuilder::new(spec, layout.catalogue);
    let events = |builder: &mut DatasetBuilder| {
        layout.events.iter().try_for_each(|file| mapping::read_events(file, now, builder))
    };
    let items =
        |builder: &mut DatasetBuilder| layout.items.iter().try_for_each(|file| mapping::read_items(file, builder));
    // Where only items with events stay, the events come first: a catalogue of millions is never held.
    events(&mut builder)?;
    items(&mut builder)?;
    Ok(builder.finish(&folder.display().to_string())?)
}

/// What people call a source.
pub fn title(source: Source) -> &'static str {
    match source {
        Source::MovieTweetings => "MovieTweetings",
        Source::MovieLens => "MovieLens",
        Source::RecBole => "RecBole's files",
        Source::Amazon2014 => "Amazon reviews of 2014",
        Source::Amazon2018 => "Amazon reviews of 2018",
        Source::Amazon2023 => "Amazon reviews of 2023",
        Source::KuaiRand => "KuaiRand",
        Source::Yambda => "Yambda",
        Source::VkLsvd => "VK-LSVD",
        Source::Steam => "Steam",
        Source::Table => "table",
        Source::Synthetic => "synthetic generator",
    }
}

fn layout_of(spec: &DataSpec, folder: &Path) -> Result<Layout, ReadError> {
    match spec.source {
        Source::MovieTweetings => movietweetings::layout(folder),
        Source::MovieLens => movielens::layout(folder),
        Source::RecBole => recbole::layout(folder),
        Source::Amazon2014 => amazon::layout_2014(folder),
        Source::Amazon2018 => amazon::layout_2018(folder),
        Source::Amazon2023 => amazon::layout_2023(folder),
        Source::KuaiRand => kuairand::layout(folder),
        Source::Yambda => yambda::layout(folder),
        Source::VkLsvd => vk_lsvd::layout(folder),
        Source::Steam => steam::layout(folder),
        Source::Table => table::layout(spec, folder),
        Source::Synthetic => Err(ReadError::Synthetic),
    }
}

#[cfg(test)]
mod tests;
