//! MovieTweetings: `ratings.dat` (`user::movie::rating::unix time`) and `movies.dat` (`id::Title (Year)::Genre|Genre`),
//! both UTF-8. Ratings are 0 to 10.

use super::layout::{
    Categories, CategoryKind, Clock, Column, EventFile, Feeling, Format, ItemFile, Layout, Time, Title,
};
use super::{ReadError, files};
use crate::dataset_builder::Catalogue;
use conrec_domain::spec::{Encoding, TimeUnit};
use std::path::Path;

/// The files in `folder`.
pub(super) fn layout(folder: &Path) -> Result<Layout, ReadError> {
    // Looked for here, so that a folder that is not there is named before anything is read.
    if files::matching(folder, "ratings.dat")?.is_empty() {
        return Err(files::none_of(folder, "MovieTweetings", &["ratings.dat", "movies.dat"]));
    }
    Ok(double_colon(folder, Encoding::Utf8))
}

/// The layout that the older MovieLens have too.
pub(super) fn double_colon(folder: &Path, encoding: Encoding) -> Layout {
    let separator = CategoryKind::Names("|".into());
    Layout {
        events: vec![EventFile {
            path: files::plain_or_packed(folder, "ratings.dat"),
            format: Format::DoubleColon { fields: 4, free: None, encoding },
            user: Column::at(0),
            item: Column::at(1),
            time: Time::Column { column: Column::at(3), unit: Clock::Known(TimeUnit::Seconds) },
            feeling: Feeling::Rating(Column::at(2)),
        }],
        items: vec![ItemFile {
            path: files::plain_or_packed(folder, "movies.dat"),
            format: Format::DoubleColon { fields: 3, free: Some(1), encoding },
            key: Column::at(0),
            title: Some(Title { column: Column::at(1), with_year: true }),
            year: None,
            categories: vec![Categories { column: Column::at(2), kind: separator }],
        }],
        catalogue: Catalogue::All,
    }
}
