//! Yambda (Yandex Music), flat files: each row of `dislikes.parquet` is an explicit dislike of a track, of
//! `likes.parquet` a like, of `listens.parquet` a track that was played. Or all of them in `multi_event.parquet`, with the
//! kind in a column. Times count seconds from the first event.
//!
//! What takes back a dislike or a like (`undislikes.parquet`, `unlikes.parquet`) is a neutral event at its own time: the
//! earlier one stays, for that was said then, and to forget it because of what came later would be to look ahead.

use super::layout::{Categories, CategoryKind, Clock, Column, EventFile, Feeling, Format, ItemFile, Layout, Time};
use super::{ReadError, files};
use crate::dataset_builder::Catalogue;
use crate::event::Sign;
use conrec_domain::spec::TimeUnit;
use std::path::{Path, PathBuf};

/// A file of each kind of event, or one of all.
const FILES: [(&str, Sign); 5] = [
    ("dislikes.parquet", Sign::Negative),
    ("likes.parquet", Sign::Positive),
    ("listens.parquet", Sign::Neutral),
    ("unlikes.parquet", Sign::Neutral),
    ("undislikes.parquet", Sign::Neutral),
];
const ALL_KINDS: &str = "multi_event.parquet";

/// The files in `folder` (`flat/50m` and its like); all but dislikes, and the artists, are read where they are.
pub(super) fn layout(folder: &Path) -> Result<Layout, ReadError> {
    let mut events = Vec::new();
    for (name, sign) in FILES {
        let of_kind = files::matching(folder, name)?.into_iter();
        events.extend(of_kind.map(|path| event_file(path, Feeling::Always(sign))));
        if events.is_empty() {
            break;
        }
    }
    if events.is_empty() {
        let kinds = || Feeling::Kind {
            column: Column::named("event_type"),
            negative: vec!["dislike".into()],
            positive: vec!["like".into()],
        };
        events.extend(files::matching(folder, ALL_KINDS)?.into_iter().map(|path| event_file(path, kinds())));
    }
    if events.is_empty() {
        return Err(files::none_of(folder, "Yambda", &["dislikes.parquet", ALL_KINDS]));
    }
    let mut items = Vec::new();
    for (name, column, what) in
        [("artist_item_mapping.parquet", "artist_id", "artist"), ("album_item_mapping.parquet", "album_id", "album")]
    {
        let found = files::first_matching(folder, &[name, &format!("../{name}"), &format!("../../{name}")])?;
        items.extend(found.into_iter().map(|path| ItemFile {
            path,
            format: Format::Parquet,
            key: Column::named("item_id"),
            title: None,
            year: None,
            categories: vec![Categories { column: Column::named(column), kind: CategoryKind::Numbered(what) }],
        }));
    }
    Ok(Layout { events, items, catalogue: Catalogue::WithEvents })
}

fn event_file(path: PathBuf, feeling: Feeling) -> EventFile {
    EventFile {
        path,
        format: Format::Parquet,
        user: Column::named("uid"),
        item: Column::named("item_id"),
        time: Time::Column { column: Column::named("timestamp"), unit: Clock::Known(TimeUnit::Seconds) },
        feeling,
    }
}
