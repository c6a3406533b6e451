//! Parquet tables of plain columns: built from iterators, read back into vectors.

use super::PreparedError;
use arrow_array::types::{Float32Type, UInt32Type};
use arrow_array::{
    Array, ArrayRef, BooleanArray, Float32Array, Float64Array, Int64Array, ListArray, RecordBatch, StringArray,
    UInt8Array, UInt16Array, UInt32Array,
};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Rows decoded at a time.
const ROWS_AT_A_TIME: usize = 1 << 16;

/// A table that is being built, column by column.
#[derive(Default)]
pub(super) struct Table {
    columns: Vec<(String, ArrayRef)>,
}

impl Table {
    fn with(mut self, name: &str, column: impl Array + 'static) -> Self {
        self.columns.push((name.to_owned(), Arc::new(column)));
        self
    }

    pub(super) fn bools(self, name: &str, values: impl Iterator<Item = bool>) -> Self {
        self.with(name, BooleanArray::from(values.collect::<Vec<bool>>()))
    }

    pub(super) fn u8s(self, name: &str, values: impl Iterator<Item = u8>) -> Self {
        self.with(name, UInt8Array::from_iter_values(values))
    }

    pub(super) fn u16s(self, name: &str, values: impl Iterator<Item = u16>) -> Self {
        self.with(name, UInt16Array::from_iter_values(values))
    }

    pub(super) fn u32s(self, name: &str, values: impl Iterator<Item = u32>) -> Self {
        self.with(name, UInt32Array::from_iter_values(values))
    }

    pub(super) fn i64s(self, name: &str, values: impl Iterator<Item = i64>) -> Self {
        self.with(name, Int64Array::from_iter_values(values))
    }

    pub(super) fn f64s(self, name: &str, values: impl Iterator<Item = f64>) -> Self {
        self.with(name, Float64Array::from_iter_values(values))
    }

    pub(super) fn texts<'a>(self, name: &str, values: impl Iterator<Item = &'a str>) -> Self {
        self.with(name, StringArray::from_iter_values(values))
    }

    pub(super) fn u32_lists<'a>(self, name: &str, values: impl Iterator<Item = &'a [u32]>) -> Self {
        let rows = values.map(|row| Some(row.iter().map(|&value| Some(value))));
        self.with(name, ListArray::from_iter_primitive::<UInt32Type, _, _>(rows))
    }

    pub(super) fn f32_lists<'a>(self, name: &str, values: impl Iterator<Item = &'a [f32]>) -> Self {
        let rows = values.map(|row| Some(row.iter().map(|&value| Some(value))));
        self.with(name, ListArray::from_iter_primitive::<Float32Type, _, _>(rows))
    }

    /// The table as the bytes of a Parquet file; `file` is for the error.
    pub(super) fn encode(self, file: &Path) -> Result<Vec<u8>, PreparedError> {
        self.bytes().map_err(|source| PreparedError::Parquet { file: file.to_owned(), source })
    }

    fn bytes(self) -> Result<Vec<u8>, ParquetError> {
        let rows = RecordBatch::try_from_iter(self.columns).map_err(|e| ParquetError::ArrowError(e.to_string()))?;
        let properties =
            WriterProperties::builder().set_created_by("conrec".into()).set_compression(Compression::SNAPPY).build();
        let mut writer = ArrowWriter::try_new(Vec::new(), rows.schema(), Some(properties))?;
        writer.write(&rows)?;
        writer.into_inner()
    }
}

/// A table that was read.
pub(super) struct Columns {
    file: PathBuf,
    batches: Vec<RecordBatch>,
}

impl Columns {
    /// Reads all rows of a Parquet file.
    pub(super) fn read(file: &Path) -> Result<Self, PreparedError> {
        let opened = File::open(file).map_err(|source| PreparedError::File { file: file.to_owned(), source })?;
        let parquet_error = |source| PreparedError::Parquet { file: file.to_owned(), source };
        let reader = ParquetRecordBatchReaderBuilder::try_new(opened)
            .and_then(|builder| builder.with_batch_size(ROWS_AT_A_TIME).build())
            .map_err(parquet_error)?;
        let mut batches = Vec::new();
        for batch in reader {
            batches.push(batch.map_err(|e| parquet_error(ParquetError::ArrowError(e.to_string())))?);
        }
        Ok(Self { file: file.to_owned(), batches })
    }

    /// The file, for errors about its content.
    pub(super) fn damaged(&self, found: impl Into<String>, expected: impl Into<String>) -> PreparedError {
        PreparedError::Damaged { file: self.file.clone(), found: found.into(), expected: expected.into() }
    }

    pub(super) fn bools(&self, name: &str) -> Result<Vec<bool>, PreparedError> {
        self.gather(name, |column: &BooleanArray, into| into.extend(column.values().iter()))
    }

    pub(super) fn u8s(&self, name: &str) -> Result<Vec<u8>, PreparedError> {
        self.gather(name, |column: &UInt8Array, into| into.extend_from_slice(column.values()))
    }

    pub(super) fn u16s(&self, name: &str) -> Result<Vec<u16>, PreparedError> {
        self.gather(name, |column: &UInt16Array, into| into.extend_from_slice(column.values()))
    }

    pub(super) fn u32s(&self, name: &str) -> Result<Vec<u32>, PreparedError> {
        self.gather(name, |column: &UInt32Array, into| into.extend_from_slice(column.values()))
    }

    /// Numbers of which each must be an index below `limit`.
    pub(super) fn indices(&self, name: &str, limit: usize) -> Result<Vec<u32>, PreparedError> {
        let values = self.u32s(name)?;
        self.all_below(name, limit, values.iter().copied())?;
        Ok(values)
    }

    pub(super) fn i64s(&self, name: &str) -> Result<Vec<i64>, PreparedError> {
        self.gather(name, |column: &Int64Array, into| into.extend_from_slice(column.values()))
    }

    pub(super) fn f64s(&self, name: &str) -> Result<Vec<f64>, PreparedError> {
        self.gather(name, |column: &Float64Array, into| into.extend_from_slice(column.values()))
    }

    pub(super) fn texts(&self, name: &str) -> Result<Vec<String>, PreparedError> {
        self.gather(name, |column: &StringArray, into| {
            into.extend((0..column.len()).map(|row| column.value(row).to_owned()));
        })
    }

    /// Lists of numbers of which each must be an index below `limit`.
    pub(super) fn index_lists(&self, name: &str, limit: usize) -> Result<Vec<Vec<u32>>, PreparedError> {
        let lists = self.lists(name, |values: &UInt32Array| values.values())?;
        self.all_below(name, limit, lists.iter().flatten().copied())?;
        Ok(lists)
    }

    pub(super) fn f32_lists(&self, name: &str) -> Result<Vec<Vec<f32>>, PreparedError> {
        self.lists(name, |values: &Float32Array| values.values())
    }

    fn lists<A: Array + 'static, T: Copy>(
        &self,
        name: &str,
        values_of: impl Fn(&A) -> &[T],
    ) -> Result<Vec<Vec<T>>, PreparedError> {
        let mut rows = Vec::new();
        for list in self.typed::<ListArray>(name)? {
            let values = list.values().as_any().downcast_ref::<A>();
            let values = values_of(values.ok_or_else(|| self.wrong_type(name, list.values().as_ref()))?);
            let bounds = list.value_offsets().windows(2);
            rows.extend(bounds.map(|b| values[b[0] as usize..b[1] as usize].to_vec()));
        }
        Ok(rows)
    }

    fn gather<A: Array + 'static, T>(
        &self,
        name: &str,
        extend: impl Fn(&A, &mut Vec<T>),
    ) -> Result<Vec<T>, PreparedError> {
        let mut result = Vec::with_capacity(self.batches.iter().map(RecordBatch::num_rows).sum());
        for column in self.typed::<A>(name)? {
            extend(column, &mut result);
        }
        Ok(result)
    }

    /// The column in every batch, which must have this type and no missing value.
    fn typed<A: Array + 'static>(&self, name: &str) -> Result<Vec<&A>, PreparedError> {
        let mut columns = Vec::with_capacity(self.batches.len());
        for batch in &self.batches {
            let column = batch
                .column_by_name(name)
                .ok_or_else(|| self.damaged("no such column", format!("a column `{name}`")))?;
            if column.null_count() > 0 {
                return Err(self.damaged(format!("missing values in column `{name}`"), "none"));
            }
            let typed = column.as_any().downcast_ref::<A>();
            columns.push(typed.ok_or_else(|| self.wrong_type(name, column.as_ref()))?);
        }
        Ok(columns)
    }

    fn wrong_type(&self, name: &str, column: &dyn Array) -> PreparedError {
        self.damaged(format!("column `{name}` of type {}", column.data_type()), "the type that was written")
    }

    fn all_below(&self, name: &str, limit: usize, mut values: impl Iterator<Item = u32>) -> Result<(), PreparedError> {
        match values.find(|&value| value as usize >= limit) {
            None => Ok(()),
            Some(value) => Err(self.damaged(format!("{value} in column `{name}`"), format!("an index below {limit}"))),
        }
    }
}
