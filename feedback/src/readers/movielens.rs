//! MovieLens, as the files in the folder say: 100k (`u.data`, `u.item`), 1M and 10M (`ratings.dat`, `movies.dat`), 20M,
//! 25M, 32M and latest (`ratings.csv`, `movies.csv`). 100k and 1M are Latin-1. Ratings are 0.5 to 5.

use super::layout::{
    Categories, CategoryKind, Clock, Column, Delimited, EventFile, Feeling, Format, ItemFile, Layout, Time, Title,
};
use super::{ReadError, files, movietweetings};
use crate::dataset_builder::Catalogue;
use conrec_domain::spec::{Encoding, TimeUnit};
use std::path::Path;

/// The genres of `u.item`'s last 19 columns, in their order; the first means that none is known.
const GENRES: [&str; 18] = [
    "Action",
    "Adventure",
    "Animation",
    "Children's",
    "Comedy",
    "Crime",
    "Documentary",
    "Drama",
    "Fantasy",
    "Film-Noir",
    "Horror",
    "Musical",
    "Mystery",
    "Romance",
    "Sci-Fi",
    "Thriller",
    "War",
    "Western",
];
/// Column of the first of them in `u.item`.
const FIRST_GENRE: usize = 6;

/// The files in `folder`.
pub(super) fn layout(folder: &Path) -> Result<Layout, ReadError> {
    let has = |name: &str| Ok::<bool, ReadError>(!files::matching(folder, name)?.is_empty());
    if has("ratings.csv")? {
        Ok(csv(folder))
    } else if has("ratings.dat")? {
        // 10M is UTF-8 and has tags; 1M is Latin-1 and has users.
        let encoding = if has("users.dat")? { Encoding::Latin1 } else { Encoding::Utf8 };
        Ok(movietweetings::double_colon(folder, encoding))
    } else if has("u.data")? {
        Ok(hundred_thousand(folder))
    } else {
        Err(files::none_of(folder, "MovieLens", &["ratings.csv", "ratings.dat", "u.data"]))
    }
}

fn csv(folder: &Path) -> Layout {
    Layout {
        events: vec![EventFile {
            path: files::plain_or_packed(folder, "ratings.csv"),
            format: Format::Delimited(Delimited::CSV),
            user: Column::named("userId"),
            item: Column::named("movieId"),
            time: Time::Column { column: Column::named("timestamp"), unit: Clock::Known(TimeUnit::Seconds) },
            feeling: Feeling::Rating(Column::named("rating")),
        }],
        items: vec![ItemFile {
            path: files::plain_or_packed(folder, "movies.csv"),
            format: Format::Delimited(Delimited::CSV),
            key: Column::named("movieId"),
            title: Some(Title { column: Column::named("title"), with_year: true }),
            year: None,
            categories: vec![Categories { column: Column::named("genres"), kind: CategoryKind::Names("|".into()) }],
        }],
        catalogue: Catalogue::WithEvents,
    }
}

fn hundred_thousand(folder: &Path) -> Layout {
    let plain = |delimiter| {
        Format::Delimited(Delimited { delimiter, header: false, quotes: false, encoding: Encoding::Latin1 })
    };
    let genre = |(place, name): (usize, &&'static str)| Categories {
        column: Column::at(FIRST_GENRE + place),
        kind: CategoryKind::Flag(name),
    };
    Layout {
        events: vec![EventFile {
            path: files::plain_or_packed(folder, "u.data"),
            format: plain(b'\t'),
            user: Column::at(0),
            item: Column::at(1),
            time: Time::Column { column: Column::at(3), unit: Clock::Known(TimeUnit::Seconds) },
            feeling: Feeling::Rating(Column::at(2)),
        }],
        items: vec![ItemFile {
            path: files::plain_or_packed(folder, "u.item"),
            format: plain(b'|'),
            key: Column::at(0),
            title: Some(Title { column: Column::at(1), with_year: true }),
            year: None,
            categories: GENRES.iter().enumerate().map(genre).collect(),
        }],
        catalogue: Catalogue::WithEvents,
    }
}
