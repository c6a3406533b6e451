//! Fields between `::`, as MovieTweetings and the older MovieLens have them.

use super::ReadError;
use super::columns::resolve;
use super::field::Field;
use super::input::each_line;
use super::layout::Column;
use super::rows::{Row, text};
use conrec_domain::spec::Encoding;
use std::path::Path;

const SEPARATOR: &str = "::";

/// The shape of a line.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    /// Number of fields.
    pub(super) fields: usize,
    /// The field that may hold the separator itself.
    pub(super) free: Option<usize>,
    /// How characters are written.
    pub(super) encoding: Encoding,
}

/// Gives each line that is not blank to `take`.
pub(super) fn each_row(
    path: &Path,
    shape: Shape,
    wanted: &[&Column],
    take: &mut dyn FnMut(Row<'_>),
) -> Result<(), ReadError> {
    let names: Vec<String> = (0..shape.fields).map(|place| place.to_string()).collect();
    let places = resolve(path, wanted, &names)?;
    let mut decoded = String::new();
    each_line(path, |number, bytes| {
        if bytes.trim_ascii().is_empty() {
            return Ok(());
        }
        let fields = text(bytes, shape.encoding, &mut decoded).and_then(|line| {
            let parts = split(line, shape)?;
            let field = |place: &Option<usize>| match place.and_then(|place| parts.get(place)) {
                Some(part) if !part.is_empty() => Field::Text(part),
                _ => Field::Missing,
            };
            Ok(places.iter().map(field).collect::<Vec<_>>())
        });
        take(Row { number, of: None, fields: fields.as_deref().map_err(Clone::clone) });
        Ok(())
    })
}

/// The parts of a line; separators beyond the expected ones belong to the free field.
fn split(line: &str, shape: Shape) -> Result<Vec<&str>, String> {
    let mut parts: Vec<&str> = line.split(SEPARATOR).collect();
    if let (Some(free), true) = (shape.free, parts.len() > shape.fields) {
        let surplus = parts.len() - shape.fields;
        let start = parts[..free].iter().map(|part| part.len() + SEPARATOR.len()).sum::<usize>();
        let length =
            parts[free..=free + surplus].iter().map(|part| part.len()).sum::<usize>() + surplus * SEPARATOR.len();
        parts.splice(free..=free + surplus, [&line[start..start + length]]);
    }
    if parts.len() != shape.fields {
        return Err(format!("found {} fields, expected {} between `{SEPARATOR}`", parts.len(), shape.fields));
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators_in_the_free_field_are_part_of_it() {
        let shape = Shape { fields: 3, free: Some(1), encoding: Encoding::Utf8 };
        assert_eq!(split("1::A::B::C (1999)::x|y", shape).unwrap(), ["1", "A::B::C (1999)", "x|y"]);
        assert_eq!(split("1::A::", shape).unwrap(), ["1", "A", ""]);
        assert!(split("1::A", shape).is_err());
        assert!(split("1::A::b::c", Shape { free: None, ..shape }).is_err());
    }
}
