//! Vectors in Parquet: a column `key` (text or integers), and either one column of lists of floats or one column of
//! floats for each dimension, in the table's order.

use super::{VectorFile, VectorFileError};
use crate::held_decoder::held;
use crate::matrix::Matrix;
use crate::plain_file;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float16Type, Float32Type, Float64Type, Int32Type, Int64Type, UInt32Type, UInt64Type};
use arrow_array::{Array, ArrayRef, RecordBatch};
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use std::path::Path;

const KEY: &str = "key";
const ROWS_AT_A_TIME: usize = 1 << 14;

/// Reads the table batch by batch.
pub(super) fn read(file: &Path) -> Result<VectorFile, VectorFileError> {
    let damaged = |e: String| VectorFileError::form(file, format!("what cannot be read ({e})"), "a Parquet table");
    let opened = plain_file::open(file).map_err(|source| VectorFileError::File { file: file.to_owned(), source })?;
    // The columns' own types: a dictionary or a view is text like any other, whatever the program that wrote it says.
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let open = || {
        let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(opened, options)?;
        builder.with_batch_size(ROWS_AT_A_TIME).build()
    };
    let mut reader = held(open).map_err(damaged)?;
    let (mut keys, mut data, mut cols) = (Vec::new(), Vec::new(), None);
    while let Some(batch) = held(|| reader.next().transpose()).map_err(damaged)? {
        let form = |(found, expected): (String, String)| VectorFileError::form(file, found, expected);
        let key = batch.column_by_name(KEY).ok_or_else(|| form(no_key(&batch)))?;
        add_keys(key, &mut keys).map_err(form)?;
        let before = keys.len() - batch.num_rows();
        add_rows(&batch, before, &mut cols, &mut data).map_err(form)?;
    }
    let cols = cols.filter(|cols| *cols > 0).ok_or_else(|| VectorFileError::form(file, "no row", "vectors"))?;
    Ok(VectorFile { vectors: Matrix { rows: keys.len(), cols, data }, keys: Some(keys) })
}

/// What was found and what was expected.
type Wrong = (String, String);

fn no_key(batch: &RecordBatch) -> Wrong {
    let names: Vec<String> = batch.schema().fields().iter().map(|field| format!("`{}`", field.name())).collect();
    (format!("the columns {}", names.join(", ")), format!("a column `{KEY}` with the items' keys"))
}

fn add_keys(column: &ArrayRef, keys: &mut Vec<String>) -> Result<(), Wrong> {
    if column.null_count() > 0 {
        return Err((format!("missing values in the column `{KEY}`"), "a key in every row".into()));
    }
    if let Some(bytes) = column.as_binary_opt::<i32>() {
        // What some programs call text they do not mark as such.
        for key in bytes.iter().flatten() {
            let key = std::str::from_utf8(key);
            keys.push(key.map_err(|_| (format!("bytes in the column `{KEY}`"), "text or integers".into()))?.to_owned());
        }
    } else if let Some(texts) = column.as_string_opt::<i32>() {
        keys.extend(texts.iter().flatten().map(str::to_owned));
    } else if let Some(texts) = column.as_string_opt::<i64>() {
        keys.extend(texts.iter().flatten().map(str::to_owned));
    } else if let Some(numbers) = column.as_primitive_opt::<Int64Type>() {
        keys.extend(numbers.values().iter().map(ToString::to_string));
    } else if let Some(numbers) = column.as_primitive_opt::<Int32Type>() {
        keys.extend(numbers.values().iter().map(ToString::to_string));
    } else if let Some(numbers) = column.as_primitive_opt::<UInt64Type>() {
        keys.extend(numbers.values().iter().map(ToString::to_string));
    } else if let Some(numbers) = column.as_primitive_opt::<UInt32Type>() {
        keys.extend(numbers.values().iter().map(ToString::to_string));
    } else {
        return Err((format!("the column `{KEY}` of type {}", column.data_type()), "text or integers".into()));
    }
    Ok(())
}

/// The rows of a batch; `before` rows came before, all must have `cols` values.
fn add_rows(batch: &RecordBatch, before: usize, cols: &mut Option<usize>, data: &mut Vec<f32>) -> Result<(), Wrong> {
    let schema = batch.schema();
    let others: Vec<(&str, &ArrayRef)> = schema
        .fields()
        .iter()
        .zip(batch.columns())
        .filter(|(field, _)| field.name() != KEY)
        .map(|(field, column)| (field.name().as_str(), column))
        .collect();
    let mut add = |row: usize, values: Vec<f32>| match *cols {
        Some(cols) if cols != values.len() => {
            Err((format!("{} values in row {}", values.len(), before + row), format!("{cols}, as in the first row")))
        }
        _ => {
            *cols = Some(values.len());
            data.extend(values);
            Ok(())
        }
    };
    if let [(name, lists)] = others.as_slice()
        && floats(lists).is_none()
    {
        for row in 0..batch.num_rows() {
            let values = list(lists, row).ok_or_else(|| {
                (format!("the column `{name}` of type {}, row {}", lists.data_type(), before + row), FLOATS.to_owned())
            })?;
            add(row, values)?;
        }
        return Ok(());
    }
    let columns: Vec<Vec<f32>> = others
        .iter()
        .map(|(name, column)| {
            let wrong = || (format!("the column `{name}` of type {}", column.data_type()), FLOATS.to_owned());
            floats(column).ok_or_else(wrong)
        })
        .collect::<Result<_, Wrong>>()?;
    for row in 0..batch.num_rows() {
        add(row, columns.iter().map(|column| column[row]).collect())?;
    }
    Ok(())
}

const FLOATS: &str =
    "beside `key` either one column of lists of floats or a column of floats for each dimension, none missing";

/// A column of floats without gaps.
fn floats(column: &ArrayRef) -> Option<Vec<f32>> {
    if column.null_count() > 0 {
        return None;
    }
    let single = column.as_primitive_opt::<Float32Type>().map(|values| values.values().to_vec());
    let double = || column.as_primitive_opt::<Float64Type>();
    let half = || column.as_primitive_opt::<Float16Type>();
    single
        .or_else(|| Some(double()?.values().iter().map(|value| *value as f32).collect()))
        .or_else(|| Some(half()?.values().iter().map(|value| value.to_f32()).collect()))
}

/// A row of a column of lists.
fn list(column: &ArrayRef, row: usize) -> Option<Vec<f32>> {
    if column.is_null(row) {
        return None;
    }
    let values = column
        .as_list_opt::<i32>()
        .map(|lists| lists.value(row))
        .or_else(|| column.as_list_opt::<i64>().map(|lists| lists.value(row)))
        .or_else(|| column.as_fixed_size_list_opt().map(|lists| lists.value(row)))?;
    floats(&values)
}
