//! Reviews on Steam (Australian users): each line of `australian_user_reviews.json.gz` is what Python printed of a user
//! with a list of reviews; `recommend: False` is an explicit negative. Games: `steam_games.json.gz`.

use super::layout::{
    Categories, CategoryKind, Clock, Column, EventFile, Feeling, Format, ItemFile, Layout, Time, Title,
};
use super::{ReadError, files};
use crate::dataset_builder::Catalogue;
use std::path::Path;

/// The files in `folder`. Reviews of the year in which the pages were read name no year: it is the one after the last that
/// is named.
pub(super) fn layout(folder: &Path) -> Result<Layout, ReadError> {
    let reviews = ["australian_user_reviews.json.gz", "australian_user_reviews.json"];
    let found = files::first_matching(folder, &reviews)?;
    if found.is_empty() {
        return Err(files::none_of(folder, "Steam", &reviews));
    }
    let event = |path| EventFile {
        path,
        format: Format::JsonLines { list: Some("reviews") },
        user: Column::named("user_id"),
        item: Column::named("item_id"),
        time: Time::Column { column: Column::named("posted"), unit: Clock::Posted(None) },
        feeling: Feeling::Recommended(Column::named("recommend")),
    };
    let games = ["steam_games.json.gz", "steam_games.json", "output_steam_games.json.gz", "output_steam_games.json"];
    let names = |column| Categories { column: Column::named(column), kind: CategoryKind::Names(String::new()) };
    let item = |path| ItemFile {
        path,
        format: Format::JsonLines { list: None },
        key: Column::named("id"),
        title: Some(Title { column: Column::any(&["app_name", "title"]), with_year: false }),
        year: Some(Column::named("release_date")),
        categories: ["genres", "tags"].map(names).into(),
    };
    Ok(Layout {
        events: found.into_iter().map(event).collect(),
        items: files::first_matching(folder, &games)?.into_iter().map(item).collect(),
        catalogue: Catalogue::WithEvents,
    })
}
