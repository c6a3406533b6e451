//! Finds columns by their names; says what is near where one is missing.

use super::ReadError;
use super::layout::Column;
use std::path::Path;

/// Most names that a message lists.
const NAMES_SHOWN: usize = 40;

/// Place of each wanted column among those of the file; none for an optional one that it lacks.
pub(super) fn resolve(path: &Path, wanted: &[&Column], found: &[String]) -> Result<Vec<Option<usize>>, ReadError> {
    let place_of = |column: &&Column| {
        let place = column.names.iter().find_map(|name| found.iter().position(|other| other == name));
        match place {
            None if !column.optional => Err(missing(path, column, found)),
            place => Ok(place),
        }
    };
    wanted.iter().map(place_of).collect()
}

fn missing(path: &Path, column: &Column, found: &[String]) -> ReadError {
    let names = column.names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" or ");
    let wanted = column.key.map_or_else(|| names.clone(), |key| format!("{names}, which {key} names"));
    let distance = |other: &String| {
        let near = |name: &String| strsim::damerau_levenshtein(&name.to_lowercase(), &other.to_lowercase());
        column.names.iter().map(near).min().unwrap_or(usize::MAX)
    };
    let close =
        found.iter().min_by_key(|other| distance(other)).filter(|other| distance(other) <= other.len().max(2) / 2);
    let nearest = match (close, column.key) {
        (Some(name), Some(key)) => format!("; did you mean {key} = {name:?}?"),
        (Some(name), None) => format!("; the nearest is `{name}`"),
        (None, Some(key)) => format!("; set {key} to one of them"),
        (None, None) => String::new(),
    };
    let mut shown = found.iter().take(NAMES_SHOWN).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    if found.len() > NAMES_SHOWN {
        shown += ", …";
    }
    ReadError::MissingColumn { path: path.into(), wanted, found: shown, nearest }
}
