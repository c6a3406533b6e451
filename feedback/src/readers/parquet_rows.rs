//! Rows of Parquet files, some thousand at a time; only the wanted columns are decoded.

use super::ReadError;
use super::columns::resolve;
use super::field::Field;
use super::input::GZIP;
use super::layout::Column;
use super::rows::Row;
use crate::held_decoder::held;
use crate::plain_file;
use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType, UInt8Type,
    UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use std::io::{Read, Seek};
use std::path::Path;

/// Rows decoded at a time.
const ROWS_AT_A_TIME: usize = 1 << 14;

/// Gives each row to `take`.
pub(super) fn each_row(path: &Path, wanted: &[&Column], take: &mut dyn FnMut(Row<'_>)) -> Result<(), ReadError> {
    let failed = |source| ReadError::File { path: path.into(), source };
    let mut file = plain_file::open(path).map_err(failed)?;
    let mut first = [0; GZIP.len()];
    if file.read_exact(&mut first).is_ok() && first == GZIP {
        let message = "found gzip, expected Parquet, which compresses itself; unpack the file".to_owned();
        return Err(ReadError::Text { path: path.into(), message });
    }
    file.rewind().map_err(failed)?;
    let damaged = |rows: u64, message: String| ReadError::Damaged { path: path.into(), rows, message };
    // The columns' own types, not those of the program that wrote them: fewer kinds to know.
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let builder = held(|| ParquetRecordBatchReaderBuilder::try_new_with_options(file, options))
        .map_err(|message| damaged(0, message))?;
    let of = u64::try_from(builder.metadata().file_metadata().num_rows()).unwrap_or(0);
    let names: Vec<String> = builder.schema().fields().iter().map(|field| field.name().clone()).collect();
    let places = resolve(path, wanted, &names)?;
    let mask = ProjectionMask::roots(builder.parquet_schema(), places.iter().flatten().copied());
    let mut reader = held(|| builder.with_projection(mask).with_batch_size(ROWS_AT_A_TIME).build())
        .map_err(|message| damaged(0, message))?;
    let mut number = 0;
    while let Some(batch) = held(|| reader.next().transpose()).map_err(|message| damaged(number, message))? {
        let column = |place: &Option<usize>| place.and_then(|place| batch.column_by_name(names.get(place)?));
        let columns: Vec<Option<&ArrayRef>> = places.iter().map(column).collect();
        for row in 0..batch.num_rows() {
            number += 1;
            let fields = columns.iter().map(|column| column.map_or(Ok(Field::Missing), |column| field(column, row)));
            let fields: Result<Vec<Field<'_>>, String> = fields.collect();
            take(Row { number, of: Some(of), fields: fields.as_deref().map_err(Clone::clone) });
        }
    }
    Ok(())
}

fn field(column: &ArrayRef, row: usize) -> Result<Field<'_>, String> {
    if column.is_null(row) {
        return Ok(Field::Missing);
    }
    let column = column.as_ref();
    Ok(match column.data_type() {
        DataType::Boolean => Field::Flag(column.as_boolean().value(row)),
        DataType::Int8 => integer::<Int8Type>(column, row),
        DataType::Int16 => integer::<Int16Type>(column, row),
        DataType::Int32 => integer::<Int32Type>(column, row),
        DataType::Int64 => integer::<Int64Type>(column, row),
        DataType::UInt8 => integer::<UInt8Type>(column, row),
        DataType::UInt16 => integer::<UInt16Type>(column, row),
        DataType::UInt32 => integer::<UInt32Type>(column, row),
        DataType::UInt64 => {
            let value = column.as_primitive::<UInt64Type>().value(row);
            i64::try_from(value).map_or(Field::Large(value), Field::Integer)
        }
        DataType::Float32 => Field::Number(f64::from(column.as_primitive::<Float32Type>().value(row))),
        DataType::Float64 => Field::Number(column.as_primitive::<Float64Type>().value(row)),
        DataType::Utf8 => text(column.as_string::<i32>().value(row)),
        DataType::LargeUtf8 => text(column.as_string::<i64>().value(row)),
        DataType::Binary => {
            let bytes = column.as_binary::<i32>().value(row);
            text(std::str::from_utf8(bytes).map_err(|_| "found bytes that are not UTF-8".to_owned())?)
        }
        DataType::Date32 => Field::Seconds(i64::from(column.as_primitive::<Date32Type>().value(row)) * 86_400),
        DataType::Timestamp(..) => timestamp(column, row)?,
        DataType::List(_) => list(&column.as_list::<i32>().value(row))?,
        other => return Err(format!("found a column of type {other}, expected texts, numbers, flags, times or lists")),
    })
}

fn integer<T: ArrowPrimitiveType>(column: &dyn Array, row: usize) -> Field<'static>
where
    T::Native: Into<i64>,
{
    Field::Integer(column.as_primitive::<T>().value(row).into())
}

fn text(value: &str) -> Field<'_> {
    if value.is_empty() { Field::Missing } else { Field::Text(value) }
}

fn timestamp(column: &dyn Array, row: usize) -> Result<Field<'static>, String> {
    let seconds = if let Some(times) = column.as_primitive_opt::<TimestampSecondType>() {
        times.value(row)
    } else if let Some(times) = column.as_primitive_opt::<TimestampMillisecondType>() {
        times.value(row).div_euclid(1_000)
    } else if let Some(times) = column.as_primitive_opt::<TimestampMicrosecondType>() {
        times.value(row).div_euclid(1_000_000)
    } else if let Some(times) = column.as_primitive_opt::<TimestampNanosecondType>() {
        times.value(row).div_euclid(1_000_000_000)
    } else {
        return Err(format!("found a column of type {}, expected times", column.data_type()));
    };
    Ok(Field::Seconds(seconds))
}

/// A list of texts or whole numbers.
fn list(values: &ArrayRef) -> Result<Field<'static>, String> {
    let mut texts = Vec::with_capacity(values.len());
    let mut written = String::new();
    for place in 0..values.len() {
        match field(values, place)? {
            Field::Missing => {}
            Field::List(inner) => texts.extend(inner),
            other => texts.push(other.key(&mut written).to_owned()),
        }
    }
    Ok(Field::List(texts))
}
