//! Any table, by the columns of `[data.table]`.

use super::layout::{
    Categories, CategoryKind, Clock, Column, Delimited, EventFile, Feeling, Format, ItemFile, Layout, Time, Title,
};
use super::{ReadError, files};
use crate::dataset_builder::Catalogue;
use conrec_domain::day::Day;
use conrec_domain::spec::{DATE, DataSpec, TableSpec};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The files below `folder`.
pub(super) fn layout(spec: &DataSpec, folder: &Path) -> Result<Layout, ReadError> {
    let table = &spec.table;
    let events = if spec.is_daily() { of_days(spec, folder)? } else { found(folder, &table.events)? };
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

/// The files of a window of days. A day without files is one without events; not so all of them.
fn of_days(spec: &DataSpec, folder: &Path) -> Result<Vec<PathBuf>, ReadError> {
    let mut all = Vec::new();
    for pattern in spec.event_files() {
        all.extend(files::matching(folder, &pattern)?);
    }
    if all.is_empty() {
        let (from, until) = (&spec.from, &spec.until);
        let wanted: Vec<String> =
            spec.table.events.iter().map(|name| format!("{name} with a day from {from} to {until}")).collect();
        let wanted: Vec<&str> = wanted.iter().map(String::as_str).collect();
        return Err(files::none_of(folder, "data.table", &wanted));
    }
    Ok(all)
}

/// Days of the window that lack one of their files, each with the first name that is missing. None where files have no day
/// in their names.
///
/// # Errors
/// The folder cannot be read.
pub fn missing_days(spec: &DataSpec) -> Result<BTreeMap<Day, String>, ReadError> {
    let mut missing = BTreeMap::new();
    let (Some(from), Some(until), true) = (spec.days().0, spec.days().1, spec.is_daily()) else { return Ok(missing) };
    for day in from.through(until) {
        for name in spec.table.events.iter().filter(|name| name.contains(DATE)) {
            let name = name.replace(DATE, &day.to_string());
            if files::matching(Path::new(&spec.path), &name)?.is_empty() {
                missing.entry(day).or_insert(name);
            }
        }
    }
    Ok(missing)
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
