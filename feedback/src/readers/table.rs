//! Any table, by the columns of `[data.table]`.

use super::layout::{
    Categories, CategoryKind, Clock, Column, Delimited, EventFile, Feeling, Format, ItemFile, Layout, Time, Title,
};
use super::{ReadError, files};
use crate::dataset_builder::Catalogue;
use conrec_domain::spec::TableSpec;
use std::path::{Path, PathBuf};

/// The files below `folder`.
pub(super) fn layout(table: &TableSpec, folder: &Path) -> Result<Layout, ReadError> {
    let events = found(folder, &table.events)?;
    let items = found(folder, &table.items)?;
    let event = |path: PathBuf| EventFile {
        format: format(table, &path),
        path,
        user: Column::set_by("data.table.user", &table.user),
        item: Column::set_by("data.table.item", &table.item),
        time: Time::Column {
            column: Column::set_by("data.table.time", &table.time),
            unit: Clock::Set(table.time_unit),
        },
        feeling: feeling(table),
    };
    let named = |key, name: &str| (!name.is_empty()).then(|| Column::set_by(key, name));
    let category = |name: &String| Categories {
        column: Column::set_by("data.table.categories", name),
        kind: CategoryKind::Names(table.category_separator.clone()),
    };
    let item = |path: PathBuf| ItemFile {
        format: format(table, &path),
        path,
        key: Column::set_by("data.table.item_key", &table.item_key),
        title: named("data.table.title", &table.title).map(|column| Title { column, with_year: false }),
        year: named("data.table.year", &table.year),
        categories: table.categories.iter().map(category).collect(),
    };
    Ok(Layout {
        events: events.into_iter().map(event).collect(),
        items: items.into_iter().map(item).collect(),
        catalogue: Catalogue::WithEvents,
    })
}

/// The files of all patterns; each pattern must name one.
fn found(folder: &Path, patterns: &[String]) -> Result<Vec<PathBuf>, ReadError> {
    let mut all = Vec::new();
    for pattern in patterns {
        let files = files::matching(folder, pattern)?;
        if files.is_empty() {
            return Err(files::none_of(folder, "data.table", &[pattern]));
        }
        all.extend(files);
    }
    Ok(all)
}

fn feeling(table: &TableSpec) -> Feeling {
    let columns = |key: &'static str, names: &[String]| names.iter().map(|name| Column::set_by(key, name)).collect();
    if !table.rating.is_empty() {
        Feeling::Rating(Column::set_by("data.table.rating", &table.rating))
    } else if !table.event_type.is_empty() {
        Feeling::Kind {
            column: Column::set_by("data.table.event_type", &table.event_type),
            negative: table.negative_events.clone(),
            positive: table.positive_events.clone(),
        }
    } else {
        Feeling::Flags {
            negative: columns("data.table.negative", &table.negative),
            positive: columns("data.table.positive", &table.positive),
        }
    }
}

/// By the end of the name, before a `.gz`.
fn format(table: &TableSpec, path: &Path) -> Format {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    let is = |ending: &str| name.ends_with(ending);
    if is(".parquet") {
        return Format::Parquet;
    }
    if is(".jsonl") || is(".json") || is(".ndjson") {
        return Format::JsonLines { list: None };
    }
    let by_name = if is(".tsv") || is(".inter") || is(".item") { b'\t' } else { b',' };
    let delimiter = table.delimiter.bytes().next().unwrap_or(by_name);
    // Files with tabs are written without quotes as a rule; a quote in a title would take in the rest.
    Format::Delimited(Delimited {
        delimiter,
        header: table.header,
        quotes: delimiter != b'\t',
        encoding: table.encoding,
    })
}
