//! RecBole's atomic files: `NAME.inter` and `NAME.item`, fields between tabs, and names with types in the first line
//! (`user_id:token`, `rating:float`, `class:token_seq`); the parts of a sequence stand between spaces.

use super::layout::{
    Categories, CategoryKind, Clock, Column, Delimited, EventFile, Feeling, Format, ItemFile, Layout, Time, Title,
};
use super::{ReadError, files};
use crate::dataset_builder::Catalogue;
use conrec_domain::spec::{Encoding, TimeUnit};
use std::path::Path;

const SHAPE: Delimited = Delimited { delimiter: b'\t', header: true, quotes: false, encoding: Encoding::Utf8 };

/// The files in `folder`.
pub(super) fn layout(folder: &Path) -> Result<Layout, ReadError> {
    let events = files::matching(folder, "*.inter")?;
    if events.is_empty() {
        return Err(files::none_of(folder, "RecBole", &["*.inter"]));
    }
    let event = |path| EventFile {
        path,
        format: Format::Delimited(SHAPE),
        user: Column::named("user_id:token"),
        item: Column::named("item_id:token"),
        time: Time::Column { column: Column::named("timestamp:float"), unit: Clock::Known(TimeUnit::Seconds) },
        feeling: Feeling::Rating(Column::any(&["rating:float", "label:float"])),
    };
    let titles = ["movie_title", "title", "name", "app_name", "product_name", "book_title", "game_name"];
    let years = ["release_year:token", "year:token", "release_date:token", "release_year:float"];
    let classes = ["class", "genre", "genres", "categories", "category", "tags"];
    let typed = |names: &[&str]| -> Vec<String> {
        names.iter().flat_map(|name| [format!("{name}:token_seq"), format!("{name}:token")]).collect()
    };
    let any = |names: Vec<String>| Column { names, key: None, optional: true };
    let item = |path| ItemFile {
        path,
        format: Format::Delimited(SHAPE),
        key: Column::named("item_id:token"),
        title: Some(Title { column: any(typed(&titles)), with_year: false }),
        year: Some(Column::any(&years).optional()),
        categories: vec![Categories { column: any(typed(&classes)), kind: CategoryKind::Names(" ".into()) }],
    };
    Ok(Layout {
        events: events.into_iter().map(event).collect(),
        items: files::matching(folder, "*.item")?.into_iter().map(item).collect(),
        catalogue: Catalogue::WithEvents,
    })
}
