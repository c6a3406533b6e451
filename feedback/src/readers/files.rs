//! Finds a source's files in its folder.

use super::ReadError;
use std::io;
use std::path::{Path, PathBuf};

/// Most names that a message lists.
const NAMES_SHOWN: usize = 12;

/// The files below `folder` that a pattern names (`*`: any characters of a name), sorted; where there is none, those with
/// `.gz` behind it. A folder that does not exist is an error, an empty list is none.
pub(super) fn matching(folder: &Path, pattern: &str) -> Result<Vec<PathBuf>, ReadError> {
    let plain = matching_only(folder, pattern)?;
    // Parquet compresses itself, and cannot be read from its beginning.
    if !plain.is_empty() || pattern.ends_with(".gz") || pattern.ends_with(".parquet") {
        return Ok(plain);
    }
    matching_only(folder, &format!("{pattern}.gz"))
}

fn matching_only(folder: &Path, pattern: &str) -> Result<Vec<PathBuf>, ReadError> {
    let failed = |source: io::Error| ReadError::File { path: folder.join(pattern), source };
    std::fs::read_dir(folder).map_err(failed)?;
    let base = glob::Pattern::escape(&folder.display().to_string());
    let paths = glob::glob(&format!("{base}/{pattern}"))
        .map_err(|error| failed(io::Error::new(io::ErrorKind::InvalidInput, error.to_string())))?;
    let mut files = Vec::new();
    for path in paths {
        let path = path.map_err(|error| failed(error.into()))?;
        if path.is_file() {
            files.push(path);
        }
    }
    Ok(files)
}

/// The file of this name in `folder`, or where there is none the one with `.gz` behind it, if that is there.
pub(super) fn plain_or_packed(folder: &Path, name: &str) -> PathBuf {
    let (plain, packed) = (folder.join(name), folder.join(format!("{name}.gz")));
    if !plain.is_file() && packed.is_file() { packed } else { plain }
}

/// The files of the first pattern that names any.
pub(super) fn first_matching(folder: &Path, patterns: &[&str]) -> Result<Vec<PathBuf>, ReadError> {
    for pattern in patterns {
        let files = matching(folder, pattern)?;
        if !files.is_empty() {
            return Ok(files);
        }
    }
    Ok(Vec::new())
}

/// The error for a folder without any of `wanted`; says what it holds.
pub(super) fn none_of(folder: &Path, source_name: &'static str, wanted: &[&str]) -> ReadError {
    let entries = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let mut names: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort_unstable();
    let more = names.len() > NAMES_SHOWN;
    names.truncate(NAMES_SHOWN);
    let mut found = if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
    if more {
        found += ", …";
    }
    ReadError::NoFiles { folder: folder.into(), source_name, wanted: wanted.join(", "), found }
}
