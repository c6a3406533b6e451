//! What a source's files are and which of their columns mean what.

use crate::dataset_builder::Catalogue;
use crate::event::Sign;
use conrec_domain::spec::{Encoding, TimeUnit};
use std::path::PathBuf;

/// A dataset's files.
#[derive(Clone, Debug, PartialEq)]
pub struct Layout {
    /// Files of events.
    pub events: Vec<EventFile>,
    /// Files of items; a later one adds to what earlier ones said of an item.
    pub items: Vec<ItemFile>,
    /// Which items stay.
    pub catalogue: Catalogue,
}

/// One file of events.
#[derive(Clone, Debug, PartialEq)]
pub struct EventFile {
    /// The file.
    pub path: PathBuf,
    /// How it is written.
    pub format: Format,
    /// The user's id.
    pub user: Column,
    /// The item's id.
    pub item: Column,
    /// When it was.
    pub time: Time,
    /// What was felt.
    pub feeling: Feeling,
}

/// One file of items.
#[derive(Clone, Debug, PartialEq)]
pub struct ItemFile {
    /// The file.
    pub path: PathBuf,
    /// How it is written.
    pub format: Format,
    /// The item's id.
    pub key: Column,
    /// Its title.
    pub title: Option<Title>,
    /// Its year: a number, or a date that begins with one.
    pub year: Option<Column>,
    /// Its categories, in this order.
    pub categories: Vec<Categories>,
}

/// How a file is written. Any of them may be compressed by gzip: its name then ends in `.gz`.
#[derive(Clone, Debug, PartialEq)]
pub enum Format {
    /// Fields between a delimiter.
    Delimited(Delimited),
    /// Fields between `::`, no header; columns are named 0, 1, …
    DoubleColon {
        /// Number of fields.
        fields: usize,
        /// The field that may hold `::` itself.
        free: Option<usize>,
        /// How characters are written.
        encoding: Encoding,
    },
    /// One JSON object, or Python literal of a dictionary, a line.
    JsonLines {
        /// Each element of this list is a row, which also has the fields of the line.
        list: Option<&'static str>,
    },
    /// Parquet.
    Parquet,
}

/// Fields between a delimiter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delimited {
    /// The delimiter, one byte.
    pub delimiter: u8,
    /// Whether the first line names the columns; else they are named 0, 1, …
    pub header: bool,
    /// Whether fields may stand in quotes.
    pub quotes: bool,
    /// How characters are written.
    pub encoding: Encoding,
}

impl Delimited {
    /// Comma, header, quotes, UTF-8.
    pub const CSV: Self = Self { delimiter: b',', header: true, quotes: true, encoding: Encoding::Utf8 };
}

/// A column by its name, or by any of several names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Names, of which the first that the file has is taken.
    pub names: Vec<String>,
    /// The config key that names it, where there is one.
    pub key: Option<&'static str>,
    /// Whether the file may lack it.
    pub optional: bool,
}

impl Column {
    /// A column of this name that the file must have.
    pub fn named(name: &str) -> Self {
        Self::any(&[name])
    }

    /// A column of one of these names that the file must have.
    pub fn any(names: &[&str]) -> Self {
        Self { names: names.iter().map(|name| (*name).to_owned()).collect(), key: None, optional: false }
    }

    /// The column with this number, counted from 0.
    pub fn at(number: usize) -> Self {
        Self::named(&number.to_string())
    }

    /// The column that a config key names.
    pub fn set_by(key: &'static str, name: &str) -> Self {
        Self { key: Some(key), ..Self::named(name) }
    }

    /// The same, but the file may lack it.
    pub fn optional(self) -> Self {
        Self { optional: true, ..self }
    }
}

/// Where an event's time stands.
#[derive(Clone, Debug, PartialEq)]
pub enum Time {
    /// In a column.
    Column {
        /// Which.
        column: Column,
        /// What it counts.
        unit: Clock,
    },
    /// Nowhere: rows are in order, and are spread evenly over `[from, to)`. Needs a file that knows its number of rows.
    Spread {
        /// Unix seconds.
        from: i64,
        /// Unix seconds.
        to: i64,
    },
}

/// What a column of times counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// As the config says it; a wrong one is told with the key.
    Set(TimeUnit),
    /// As the publisher says it.
    Known(TimeUnit),
    /// `Posted November 5, 2011.`, and the year of those that name none, where it is known.
    Posted(Option<i32>),
}

/// How a row says what was felt.
#[derive(Clone, Debug, PartialEq)]
pub enum Feeling {
    /// A rating.
    Rating(Column),
    /// Flags; a row with both kinds is a negative, one with none neutral.
    Flags {
        /// Each marks a negative.
        negative: Vec<Column>,
        /// Each marks a positive.
        positive: Vec<Column>,
    },
    /// A flag that is true for a positive and false for a negative.
    Recommended(Column),
    /// The name of the kind of event.
    Kind {
        /// Which column.
        column: Column,
        /// Kinds that are negatives.
        negative: Vec<String>,
        /// Kinds that are positives; all others are neutral.
        positive: Vec<String>,
    },
    /// All rows of the file alike.
    Always(Sign),
}

/// A column with titles.
#[derive(Clone, Debug, PartialEq)]
pub struct Title {
    /// Which.
    pub column: Column,
    /// Whether titles end in a year: `Title (1999)`.
    pub with_year: bool,
}

/// A column with categories.
#[derive(Clone, Debug, PartialEq)]
pub struct Categories {
    /// Which.
    pub column: Column,
    /// How to read it.
    pub kind: CategoryKind,
}

/// How a column says categories.
#[derive(Clone, Debug, PartialEq)]
pub enum CategoryKind {
    /// One category, or several between a separator (empty: one); lists as they are.
    Names(String),
    /// The category of this name where the field is true or not 0.
    Flag(&'static str),
    /// A number that means nothing alone: `author 12`.
    Numbered(&'static str),
}
