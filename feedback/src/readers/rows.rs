//! Rows of a file of any format.

use super::field::Field;
use super::layout::{Column, Format};
use super::{ReadError, delimited, double_colon, json_lines, parquet_rows};
use std::path::Path;

/// What a file gives, one at a time.
pub(super) struct Row<'a> {
    /// The line, or the number of the row, from 1.
    pub(super) number: u64,
    /// How many rows the file has, where it says so.
    pub(super) of: Option<u64>,
    /// The wanted fields in their order, or why the line gives none.
    pub(super) fields: Result<&'a [Field<'a>], String>,
}

/// Gives each row of the file to `take`, with the wanted columns only.
///
/// # Errors
/// A file that cannot be read, is damaged, or lacks a column.
pub(super) fn each_row(
    path: &Path,
    format: &Format,
    wanted: &[&Column],
    take: &mut dyn FnMut(Row<'_>),
) -> Result<(), ReadError> {
    match format {
        Format::Delimited(delimited) => delimited::each_row(path, *delimited, wanted, take),
        Format::DoubleColon { fields, free, encoding } => {
            let shape = double_colon::Shape { fields: *fields, free: *free, encoding: *encoding };
            double_colon::each_row(path, shape, wanted, take)
        }
        Format::JsonLines { list } => json_lines::each_row(path, *list, wanted, take),
        Format::Parquet => parquet_rows::each_row(path, wanted, take),
    }
}

/// Text of bytes in an encoding; `decoded` is where Latin-1 is written to.
///
/// # Errors
/// Bytes that are not UTF-8, with what to do.
pub(super) fn text<'a>(
    bytes: &'a [u8],
    encoding: conrec_domain::spec::Encoding,
    decoded: &'a mut String,
) -> Result<&'a str, String> {
    match encoding {
        conrec_domain::spec::Encoding::Utf8 => std::str::from_utf8(bytes).map_err(|error| {
            format!(
                "found byte {:#04x}, which is not UTF-8; convert the file, or with data.source = \"table\" set \
                 data.table.encoding = \"latin-1\"",
                bytes.get(error.valid_up_to()).copied().unwrap_or_default()
            )
        }),
        conrec_domain::spec::Encoding::Latin1 => {
            decoded.clear();
            decoded.extend(bytes.iter().map(|&byte| char::from(byte)));
            Ok(decoded)
        }
    }
}
