//! Parquet tables of plain columns: built from iterators, read back into vectors.

use super::PreparedError;
use super::parts::{Part, PartWriter};
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

/// Rows that are compressed together. It is part of a file's bytes, and so of the data's digest.
const ROWS_A_GROUP: usize = 1 << 20;

/// A table that is being built, column by column.
#[derive(Default)]
pub(crate) struct Table {
    columns: Vec<(String, ArrayRef)>,
}

impl Table {
    fn with(mut self, name: &str, column: impl Array + 'static) -> Self {
        self.columns.push((name.to_owned(), Arc::new(column)));
        self
    }

    pub(crate) fn bools(self, name: &str, values: impl Iterator<Item = bool>) -> Self {
        self.with(name, BooleanArray::from(values.collect::<Vec<bool>>()))
    }

    pub(crate) fn u8s(self, name: &str, values: impl Iterator<Item = u8>) -> Self {
        self.with(name, UInt8Array::from_iter_values(values))
    }

    pub(crate) fn u16s(self, name: &str, values: impl Iterator<Item = u16>) -> Self {
        self.with(name, UInt16Array::from_iter_values(values))
    }

    pub(crate) fn u32s(self, name: &str, values: impl Iterator<Item = u32>) -> Self {
        self.with(name, UInt32Array::from_iter_values(values))
    }

    pub(crate) fn i64s(self, name: &str, values: impl Iterator<Item = i64>) -> Self {
        self.with(name, Int64Array::from_iter_values(values))
    }

    pub(crate) fn f64s(self, name: &str, values: impl Iterator<Item = f64>) -> Self {
        self.with(name, Float64Array::from_iter_values(values))
    }

    pub(crate) fn texts<'a>(self, name: &str, values: impl Iterator<Item = &'a str>) -> Self {
        self.with(name, StringArray::from_iter_values(values))
    }

    pub(crate) fn u32_lists<'a>(self, name: &str, values: impl Iterator<Item = &'a [u32]>) -> Self {
        let rows = values.map(|row| Some(row.iter().map(|&value| Some(value))));
        self.with(name, ListArray::from_iter_primitive::<UInt32Type, _, _>(rows))
    }

    pub(crate) fn f32_lists<'a>(self, name: &str, values: impl Iterator<Item = &'a [f32]>) -> Self {
        let rows = values.map(|row| Some(row.iter().map(|&value| Some(value))));
        self.with(name, ListArray::from_iter_primitive::<Float32Type, _, _>(rows))
    }

    fn into_batch(self) -> Result<RecordBatch, ParquetError> {
        RecordBatch::try_from_iter(self.columns).map_err(|e| ParquetError::ArrowError(e.to_string()))
    }
}

/// A Parquet file that is written table by table; all tables have the same columns.
pub(crate) struct TableWriter {
    file: PathBuf,
    writer: ArrowWriter<PartWriter>,
}

impl TableWriter {
    /// Begins a file in a folder, with its first rows.
    pub(crate) fn create(folder: &Path, name: &str, first: Table) -> Result<Self, PreparedError> {
        let part = PartWriter::create(folder, name)?;
        let file = part.file().to_owned();
        let created = first.into_batch().and_then(|rows| {
            let properties = WriterProperties::builder()
                .set_created_by("conrec".into())
                .set_compression(Compression::SNAPPY)
                .set_max_row_group_row_count(Some(ROWS_A_GROUP))
                .build();
            let mut writer = ArrowWriter::try_new(part, rows.schema(), Some(properties))?;
            writer.write(&rows)?;
            Ok(writer)
        });
        match created {
            Ok(writer) => Ok(Self { file, writer }),
            Err(source) => Err(write_error(file, source)),
        }
    }

    /// Appends rows.
    pub(crate) fn write(&mut self, table: Table) -> Result<(), PreparedError> {
        let written = table.into_batch().and_then(|rows| self.writer.write(&rows));
        written.map_err(|source| write_error(self.file.clone(), source))
    }

    /// Ends the file and gives it its name.
    pub(crate) fn finish(self) -> Result<Part, PreparedError> {
        let Self { file, writer } = self;
        writer.into_inner().map_err(|source| write_error(file, source))?.finish()
    }
}

/// A full disk is no fault of the data, though it comes as an error of the format.
fn write_error(file: PathBuf, source: ParquetError) -> PreparedError {
    match source {
        ParquetError::External(error) => match error.downcast::<std::io::Error>() {
            Ok(source) => PreparedError::Write { file, source: *source },
            Err(error) => PreparedError::Parquet { file, source: ParquetError::External(error) },
        },
        source => PreparedError::Parquet { file, source },
    }
}

/// Writes one table as a Parquet file.
pub(super) fn write_table(folder: &Path, name: &str, table: Table) -> Result<Part, PreparedError> {
    TableWriter::create(folder, name, table)?.finish()
}

/// Writes rows as a Parquet file, a row group at a time: the bytes are those of one large table, the memory is not.
pub(crate) fn write_tables<T>(
    folder: &Path,
    name: &str,
    rows: &[T],
    table_of: impl Fn(&[T]) -> Table,
) -> Result<Part, PreparedError> {
    let mut groups = rows.chunks(ROWS_A_GROUP);
    let mut writer = TableWriter::create(folder, name, table_of(groups.next().unwrap_or_default()))?;
    for group in groups {
        writer.write(table_of(group))?;
    }
    writer.finish()
}

/// A table that was read.
pub(crate) struct Columns {
    file: PathBuf,
    batches: Vec<RecordBatch>,
}

impl Columns {
    /// Reads all rows of a Parquet file.
    pub(crate) fn read(file: &Path) -> Result<Self, PreparedError> {
        let mut batches = Vec::new();
        Self::each_batch(file, |batch| {
            batches.push(batch);
            Ok(())
        })?;
        Ok(Self { file: file.to_owned(), batches })
    }

    /// Reads a Parquet file some rows at a time, in order.
    pub(crate) fn each(
        file: &Path,
        mut take: impl FnMut(&Self) -> Result<(), PreparedError>,
    ) -> Result<(), PreparedError> {
        Self::each_batch(file, |batch| take(&Self { file: file.to_owned(), batches: vec![batch] }))
    }

    fn each_batch(
        file: &Path,
        mut take: impl FnMut(RecordBatch) -> Result<(), PreparedError>,
    ) -> Result<(), PreparedError> {
        let opened = File::open(file).map_err(|source| PreparedError::File { file: file.to_owned(), source })?;
        let parquet_error = |source| PreparedError::Parquet { file: file.to_owned(), source };
        let reader = ParquetRecordBatchReaderBuilder::try_new(opened)
            .and_then(|builder| builder.with_batch_size(ROWS_AT_A_TIME).build())
            .map_err(parquet_error)?;
        for batch in reader {
            take(batch.map_err(|e| parquet_error(ParquetError::ArrowError(e.to_string())))?)?;
        }
        Ok(())
    }

    /// The file, for errors about its content.
    pub(crate) fn damaged(&self, found: impl Into<String>, expected: impl Into<String>) -> PreparedError {
        PreparedError::Damaged { file: self.file.clone(), found: found.into(), expected: expected.into() }
    }

    pub(crate) fn bools(&self, name: &str) -> Result<Vec<bool>, PreparedError> {
        self.gather(name, |column: &BooleanArray, into| into.extend(column.values().iter()))
    }

    pub(crate) fn u8s(&self, name: &str) -> Result<Vec<u8>, PreparedError> {
        self.gather(name, |column: &UInt8Array, into| into.extend_from_slice(column.values()))
    }

    pub(crate) fn u16s(&self, name: &str) -> Result<Vec<u16>, PreparedError> {
        self.gather(name, |column: &UInt16Array, into| into.extend_from_slice(column.values()))
    }

    pub(crate) fn u32s(&self, name: &str) -> Result<Vec<u32>, PreparedError> {
        self.gather(name, |column: &UInt32Array, into| into.extend_from_slice(column.values()))
    }

    /// Numbers of which each must be an index below `limit`.
    pub(crate) fn indices(&self, name: &str, limit: usize) -> Result<Vec<u32>, PreparedError> {
        let values = self.u32s(name)?;
        self.all_below(name, limit, values.iter().copied())?;
        Ok(values)
    }

    pub(crate) fn i64s(&self, name: &str) -> Result<Vec<i64>, PreparedError> {
        self.gather(name, |column: &Int64Array, into| into.extend_from_slice(column.values()))
    }

    pub(crate) fn f64s(&self, name: &str) -> Result<Vec<f64>, PreparedError> {
        self.gather(name, |column: &Float64Array, into| into.extend_from_slice(column.values()))
    }

    pub(crate) fn texts(&self, name: &str) -> Result<Vec<String>, PreparedError> {
        self.gather(name, |column: &StringArray, into| {
            into.extend((0..column.len()).map(|row| column.value(row).to_owned()));
        })
    }

    /// Lists of numbers of which each must be an index below `limit`.
    pub(crate) fn index_lists(&self, name: &str, limit: usize) -> Result<Vec<Vec<u32>>, PreparedError> {
        let lists = self.lists(name, |values: &UInt32Array| values.values())?;
        self.all_below(name, limit, lists.iter().flatten().copied())?;
        Ok(lists)
    }

    pub(crate) fn f32_lists(&self, name: &str) -> Result<Vec<Vec<f32>>, PreparedError> {
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
