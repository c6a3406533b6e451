//! Yambda (Yandex Music), flat files: each row of `dislikes.parquet` is an explicit dislike of a track, of
//! `likes.parquet` a like, of `listens.parquet` a track that was played. Times count seconds from the first event.

use super::layout::{Categories, CategoryKind, Clock, Column, EventFile, Feeling, Format, ItemFile, Layout, Time};
use super::{ReadError, files};
use crate::dataset_builder::Catalogue;
use crate::event::Sign;
use conrec_domain::spec::TimeUnit;
use std::path::Path;

/// The files in `folder` (`flat/50m` and its like); likes, listens and the artists are read where they are.
pub(super) fn layout(folder: &Path) -> Result<Layout, ReadError> {
    let mut events = Vec::new();
    for (name, sign) in
        [("dislikes.parquet", Sign::Negative), ("likes.parquet", Sign::Positive), ("listens.parquet", Sign::Neutral)]
    {
        events.extend(files::matching(folder, name)?.into_iter().map(|path| EventFile {
            path,
            format: Format::Parquet,
            user: Column::named("uid"),
            item: Column::named("item_id"),
            time: Time::Column { column: Column::named("timestamp"), unit: Clock::Known(TimeUnit::Seconds) },
            feeling: Feeling::Always(sign),
        }));
        if events.is_empty() {
            return Err(files::none_of(folder, "Yambda", &["dislikes.parquet"]));
        }
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
