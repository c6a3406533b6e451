//! Fields between a delimiter, with or without quotes and header: CSV, TSV and their like.

use super::ReadError;
use super::columns::resolve;
use super::field::Field;
use super::input::{Bounded, damaged, open};
use super::layout::{Column, Delimited};
use super::rows::{Row, text};
use csv::{ByteRecord, ReaderBuilder};
use std::io;
use std::path::Path;

/// Where the wanted columns stand.
struct Places {
    wanted: Vec<Option<usize>>,
    /// Columns of the file.
    columns: usize,
}

/// Gives each row to `take`.
pub(super) fn each_row(
    path: &Path,
    shape: Delimited,
    wanted: &[&Column],
    take: &mut dyn FnMut(Row<'_>),
) -> Result<(), ReadError> {
    let (input, allowance) = Bounded::new(open(path)?);
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(shape.delimiter)
        .quoting(shape.quotes)
        .buffer_capacity(1 << 16)
        .from_reader(input);
    let mut record = ByteRecord::new();
    let (mut rows, mut known) = (0u64, None);
    let mut decoded = vec![String::new(); wanted.len()];
    while reader.read_byte_record(&mut record).map_err(|error| damaged(path, rows, &io_error(error)))? {
        allowance.renew();
        let places = match &known {
            Some(places) => places,
            None => {
                let names = names(path, &record, shape)?;
                let places = Places { wanted: resolve(path, wanted, &names)?, columns: names.len() };
                let places = known.insert(places);
                if shape.header {
                    continue;
                }
                &*places
            }
        };
        rows += 1;
        let number = record.position().map_or(rows, csv::Position::line);
        let fields = fields(&record, places, shape, &mut decoded);
        take(Row { number, of: None, fields: fields.as_deref().map_err(Clone::clone) });
    }
    if known.is_none() && shape.header {
        return Err(ReadError::Text { path: path.into(), message: "found no line, expected one with names".into() });
    }
    Ok(())
}

fn io_error(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    }
}

/// The columns' names: the first line, or numbers.
fn names(path: &Path, record: &ByteRecord, shape: Delimited) -> Result<Vec<String>, ReadError> {
    if !shape.header {
        return Ok((0..record.len()).map(|place| place.to_string()).collect());
    }
    let name = |bytes: &[u8]| {
        let mut decoded = String::new();
        let name = text(bytes, shape.encoding, &mut decoded);
        name.map(|name| name.trim().to_owned())
            .map_err(|reason| ReadError::Text { path: path.into(), message: format!("line 1: {reason}") })
    };
    record.iter().map(name).collect()
}

fn fields<'a>(
    record: &'a ByteRecord,
    places: &Places,
    shape: Delimited,
    decoded: &'a mut [String],
) -> Result<Vec<Field<'a>>, String> {
    if record.len() != places.columns {
        return Err(format!("found {} fields, expected {}", record.len(), places.columns));
    }
    let field = |(place, decoded): (&Option<usize>, &'a mut String)| {
        let bytes = place.and_then(|place| record.get(place)).unwrap_or_default();
        match text(bytes, shape.encoding, decoded)? {
            "" => Ok(Field::Missing),
            text => Ok(Field::Text(text)),
        }
    };
    places.wanted.iter().zip(decoded).map(field).collect()
}
