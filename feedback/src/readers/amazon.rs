//! Reviews on Amazon in their three editions. Ratings are 1 to 5, times of day resolution until 2018.

use super::layout::{
    Categories, CategoryKind, Clock, Column, Delimited, EventFile, Feeling, Format, ItemFile, Layout, Time, Title,
};
use super::{ReadError, files};
use crate::dataset_builder::Catalogue;
use conrec_domain::spec::TimeUnit;
use std::path::{Path, PathBuf};

const JSON: Format = Format::JsonLines { list: None };

/// 2014: `ratings_*.csv` (user, item, rating, time; no header) or `reviews_*.json.gz`; `meta_*.json.gz`.
pub(super) fn layout_2014(folder: &Path) -> Result<Layout, ReadError> {
    let ratings = files::first_matching(folder, &["ratings_*.csv", "ratings_*.csv.gz"])?;
    let reviews = files::first_matching(folder, &["reviews_*.json.gz", "reviews_*.json"])?;
    let events: Vec<EventFile> = match ratings.is_empty() {
        true => reviews.into_iter().map(reviews_of_old).collect(),
        false => ratings.into_iter().map(|path| numbered(path, [0, 1, 2, 3])).collect(),
    };
    let meta = files::first_matching(folder, &["meta_*.json.gz", "meta_*.json"])?;
    whole(
        folder,
        events,
        meta.into_iter().map(|path| meta_of(path, "asin")).collect(),
        &["ratings_*.csv", "reviews_*.json.gz"],
    )
}

/// 2018: `NAME.csv` (item, user, rating, time; no header) or `NAME.json.gz`, `NAME_5.json.gz`; `meta_NAME.json.gz`.
pub(super) fn layout_2018(folder: &Path) -> Result<Layout, ReadError> {
    let ratings = files::first_matching(folder, &["*.csv", "*.csv.gz"])?;
    let reviews = without_meta(files::first_matching(folder, &["[!m]*.json.gz", "[!m]*.json", "*.json.gz", "*.json"])?);
    let events: Vec<EventFile> = match ratings.is_empty() {
        true => reviews.into_iter().map(reviews_of_old).collect(),
        false => ratings.into_iter().map(|path| numbered(path, [1, 0, 2, 3])).collect(),
    };
    let meta = files::first_matching(folder, &["meta_*.json.gz", "meta_*.json"])?;
    whole(folder, events, meta.into_iter().map(|path| meta_of(path, "asin")).collect(), &["*.csv", "*.json.gz"])
}

/// 2023: `NAME.csv(.gz)` (header, milliseconds) or `NAME.jsonl.gz`; `meta_NAME.jsonl.gz`. Items are parents of variants.
pub(super) fn layout_2023(folder: &Path) -> Result<Layout, ReadError> {
    let ratings = files::first_matching(folder, &["*.csv.gz", "*.csv"])?;
    let reviews =
        without_meta(files::first_matching(folder, &["[!m]*.jsonl.gz", "[!m]*.jsonl", "*.jsonl.gz", "*.jsonl"])?);
    let (paths, format) = match ratings.is_empty() {
        true => (reviews, JSON),
        false => (ratings, Format::Delimited(Delimited::CSV)),
    };
    let event = |path| EventFile {
        path,
        format: format.clone(),
        user: Column::named("user_id"),
        item: Column::named("parent_asin"),
        time: Time::Column { column: Column::named("timestamp"), unit: Clock::Known(TimeUnit::Milliseconds) },
        feeling: Feeling::Rating(Column::named("rating")),
    };
    let events = paths.into_iter().map(event).collect();
    let meta = files::first_matching(folder, &["meta_*.jsonl.gz", "meta_*.jsonl"])?;
    let meta = meta.into_iter().map(|path| meta_of(path, "parent_asin")).collect();
    whole(folder, events, meta, &["*.csv.gz", "*.jsonl.gz"])
}

fn whole(folder: &Path, events: Vec<EventFile>, items: Vec<ItemFile>, wanted: &[&str]) -> Result<Layout, ReadError> {
    if events.is_empty() {
        return Err(files::none_of(folder, "Amazon reviews", wanted));
    }
    Ok(Layout { events, items, catalogue: Catalogue::WithEvents })
}

/// Reviews of one category may lie beside the descriptions of its items.
fn without_meta(paths: Vec<PathBuf>) -> Vec<PathBuf> {
    let is_meta = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("meta_"));
    paths.into_iter().filter(|path| !is_meta(path)).collect()
}

/// A table without a header; the places of user, item, rating and time.
fn numbered(path: PathBuf, [user, item, rating, time]: [usize; 4]) -> EventFile {
    EventFile {
        path,
        format: Format::Delimited(Delimited { header: false, ..Delimited::CSV }),
        user: Column::at(user),
        item: Column::at(item),
        time: Time::Column { column: Column::at(time), unit: Clock::Known(TimeUnit::Seconds) },
        feeling: Feeling::Rating(Column::at(rating)),
    }
}

fn reviews_of_old(path: PathBuf) -> EventFile {
    EventFile {
        path,
        format: JSON,
        user: Column::named("reviewerID"),
        item: Column::named("asin"),
        time: Time::Column { column: Column::named("unixReviewTime"), unit: Clock::Known(TimeUnit::Seconds) },
        feeling: Feeling::Rating(Column::named("overall")),
    }
}

fn meta_of(path: PathBuf, key: &str) -> ItemFile {
    let names = |column: &str| Categories {
        column: Column::named(column).optional(),
        kind: CategoryKind::Names(String::new()),
    };
    ItemFile {
        path,
        format: JSON,
        key: Column::named(key),
        title: Some(Title { column: Column::named("title").optional(), with_year: false }),
        year: None,
        // 2014 and 2023 say `categories`, 2018 `category`.
        categories: ["categories", "category", "main_category"].map(names).into(),
    }
}
