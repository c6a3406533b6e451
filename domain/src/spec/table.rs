//! `[data.table]`: which columns of any table are user, item, time and reaction.

use serde::{Deserialize, Serialize};

/// How the general reader finds its way in files of any layout; used only with `source = "table"`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TableSpec {
    /// Files of events below `data.path`, read one after another: names, `*` stands for any characters.
    pub events: Vec<String>,
    /// The character between fields of text files; empty: a tab in .tsv and .inter, else a comma.
    pub delimiter: String,
    /// Whether the first line names the columns; else they are named "0", "1", and so on.
    pub header: bool,
    /// How text files write characters.
    pub encoding: Encoding,
    /// Column of the user's id.
    pub user: String,
    /// Column of the item's id.
    pub item: String,
    /// Column of the time.
    pub time: String,
    /// What the time counts.
    pub time_unit: TimeUnit,
    /// Column of a rating, to which the thresholds of `[data]` apply; empty: there is none.
    pub rating: String,
    /// Columns of which each marks a negative where it is true or not 0.
    pub negative: Vec<String>,
    /// Columns of which each marks a positive.
    pub positive: Vec<String>,
    /// Column that names the kind of event; empty: there is none.
    pub event_type: String,
    /// The kinds that are negatives.
    pub negative_events: Vec<String>,
    /// The kinds that are positives; what is in neither list is neutral.
    pub positive_events: Vec<String>,
    /// Whether people said themselves what they dislike; else reports say "proxy".
    pub explicit: bool,
    /// Files of items below `data.path`; empty: there are none, and an item's id is its title.
    pub items: Vec<String>,
    /// Column of the item's id in those files.
    pub item_key: String,
    /// Column of the title; empty: there is none.
    pub title: String,
    /// Columns of categories.
    pub categories: Vec<String>,
    /// What stands between the categories of one field; empty: a field is one category.
    pub category_separator: String,
    /// Column of the year; empty: there is none.
    pub year: String,
}

impl Default for TableSpec {
    fn default() -> Self {
        Self {
            events: vec!["events.csv".into()],
            delimiter: String::new(),
            header: true,
            encoding: Encoding::Utf8,
            user: "user".into(),
            item: "item".into(),
            time: "time".into(),
            time_unit: TimeUnit::Seconds,
            rating: "rating".into(),
            negative: Vec::new(),
            positive: Vec::new(),
            event_type: String::new(),
            negative_events: Vec::new(),
            positive_events: Vec::new(),
            explicit: false,
            items: Vec::new(),
            item_key: "item".into(),
            title: "title".into(),
            categories: Vec::new(),
            category_separator: "|".into(),
            year: String::new(),
        }
    }
}

/// How a text file writes characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Encoding {
    /// UTF-8; a byte order mark at the start is skipped.
    #[serde(rename = "utf-8")]
    Utf8,
    /// ISO 8859-1: each byte is a character.
    #[serde(rename = "latin-1")]
    Latin1,
}

/// What a column of times counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeUnit {
    /// Seconds since 1970.
    Seconds,
    /// Thousandths of them.
    Milliseconds,
    /// Millionths of them.
    Microseconds,
    /// Thousandths of those.
    Nanoseconds,
    /// Dates, with or without a time of day: 2014-03-21, 2014-03-21 17:05:00, 2014-03-21T17:05:00Z; without a zone they
    /// are UTC.
    Iso,
}
