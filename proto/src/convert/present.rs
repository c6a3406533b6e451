//! The checks that every field goes through: presence, length, range.

use super::ConvertError;
use super::limits::{MAX_COUNT, MAX_HELD_BYTES, MAX_NAME_BYTES};
use conrec_domain::ids::Digest;

/// A field that has to be there.
pub(super) fn present<T>(field: &'static str, value: Option<T>) -> Result<T, ConvertError> {
    value.ok_or_else(|| ConvertError::new(field, "nothing", "a value"))
}

/// A text of at most so many bytes.
pub(super) fn text(field: &'static str, value: String, max_bytes: usize) -> Result<String, ConvertError> {
    if value.len() > max_bytes {
        return Err(ConvertError::new(field, format!("{} bytes", value.len()), format!("at most {max_bytes} bytes")));
    }
    Ok(value)
}

/// A name or an address: short, and nothing in it moves a terminal's cursor or breaks a line of a log.
pub(super) fn name(field: &'static str, value: String) -> Result<String, ConvertError> {
    let value = text(field, value, MAX_NAME_BYTES)?;
    match value.chars().find(|character| character.is_control()) {
        Some(found) => Err(ConvertError::new(field, format!("the character {found:?}"), "no control characters")),
        None => Ok(value),
    }
}

/// A key in the run's folder: names between single `/`, none of which leads upwards or elsewhere.
pub(super) fn key(field: &'static str, value: String) -> Result<String, ConvertError> {
    let value = text(field, value, MAX_NAME_BYTES)?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let step = |step: &str| !step.is_empty() && !step.starts_with('.') && step.chars().all(plain);
    if value.split('/').all(step) {
        return Ok(value);
    }
    let found = value.chars().take(64).collect::<String>();
    Err(ConvertError::new(field, format!("`{}`", found.escape_debug()), "a-z A-Z 0-9 - _ . and / between them"))
}

/// A number that memory is taken by.
pub(super) fn count(field: &'static str, value: u32) -> Result<u32, ConvertError> {
    let wrong = || ConvertError::new(field, value.to_string(), format!("at most {MAX_COUNT}"));
    (value <= MAX_COUNT).then_some(value).ok_or_else(wrong)
}

/// A list of at most so many entries, each converted.
pub(super) fn list<T, U>(
    field: &'static str,
    values: Vec<T>,
    max: usize,
    each: impl Fn(T) -> Result<U, ConvertError>,
) -> Result<Vec<U>, ConvertError> {
    if values.len() > max {
        return Err(ConvertError::new(field, format!("{} entries", values.len()), format!("at most {max} entries")));
    }
    values.into_iter().map(each).collect()
}

/// A list of plain numbers of at most so many entries.
pub(super) fn numbers(field: &'static str, values: Vec<u32>, max: usize) -> Result<Vec<u32>, ConvertError> {
    list(field, values, max, Ok)
}

/// A SHA-256 digest.
pub(super) fn digest(field: &'static str, bytes: Vec<u8>) -> Result<Digest, ConvertError> {
    let found = bytes.len();
    let bytes =
        <[u8; 32]>::try_from(bytes).map_err(|_| ConvertError::new(field, format!("{found} bytes"), "32 bytes"))?;
    Ok(Digest(bytes))
}

/// A value as JSON.
pub(super) fn json<T: serde::de::DeserializeOwned>(field: &'static str, bytes: &[u8]) -> Result<T, ConvertError> {
    if bytes.len() > MAX_HELD_BYTES {
        let expected = format!("at most {MAX_HELD_BYTES} bytes");
        return Err(ConvertError::new(field, format!("{} bytes", bytes.len()), expected));
    }
    serde_json::from_slice(bytes).map_err(|error| ConvertError::new(field, error.to_string(), "JSON of this version"))
}
