//! What each model scored on each instance of a window: the Parquet file by which several runs are compared.
//!
//! Columns: `user`, `t0` (Unix seconds), `next` (key of the next negative), then one `model/metric` a model and metric,
//! empty where the metric does not apply to the instance.

use arrow_array::{Array, ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use bytes::Bytes;
use conrec_domain::ids::Digest;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What names an instance in every run on the same data.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct InstanceKey {
    /// The source's own id of the user.
    pub user: String,
    /// Unix time, in seconds.
    pub t0: i64,
    /// The source's own id of the next negative.
    pub next: String,
}

/// The instances of a window and each model's metrics on them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcomes {
    /// In order of time.
    pub instances: Vec<InstanceKey>,
    /// Model to metric to one value an instance.
    pub models: BTreeMap<String, BTreeMap<String, Vec<Option<f64>>>>,
}

/// Why a file of outcomes cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum OutcomesError {
    /// It is not the file that the report names.
    #[error("found a file with digest {found:.12}, expected {expected:.12}")]
    Damaged {
        /// Digest of what is there.
        found: String,
        /// Digest of what was written.
        expected: String,
    },
    /// It is no Parquet.
    #[error("{0}")]
    Parquet(#[from] ParquetError),
    /// It lacks a column, or a column has another type.
    #[error("found {found}, expected a column `{column}` of {expected}")]
    Column {
        /// Its name.
        column: String,
        /// What is there.
        found: String,
        /// The type.
        expected: &'static str,
    },
}

impl Outcomes {
    /// The bytes of the file; the same content gives the same bytes.
    ///
    /// # Errors
    /// Columns of unequal length.
    pub fn encode(&self) -> Result<Vec<u8>, OutcomesError> {
        let of = &self.instances;
        let mut columns: Vec<(String, ArrayRef)> = vec![
            ("user".into(), Arc::new(StringArray::from_iter_values(of.iter().map(|key| &key.user)))),
            ("t0".into(), Arc::new(Int64Array::from_iter_values(of.iter().map(|key| key.t0)))),
            ("next".into(), Arc::new(StringArray::from_iter_values(of.iter().map(|key| &key.next)))),
        ];
        for (model, metrics) in &self.models {
            for (metric, values) in metrics {
                let column: Float64Array = values.iter().copied().collect();
                columns.push((format!("{model}/{metric}"), Arc::new(column)));
            }
        }
        let rows = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| {
            let measured = name.contains('/');
            (name, column, measured)
        }))
        .map_err(|e| ParquetError::ArrowError(e.to_string()))?;
        let properties =
            WriterProperties::builder().set_created_by("conrec".into()).set_compression(Compression::SNAPPY).build();
        let mut writer = ArrowWriter::try_new(Vec::new(), rows.schema(), Some(properties))?;
        writer.write(&rows)?;
        Ok(writer.into_inner()?)
    }

    /// Reads what [`Self::encode`] wrote; `digest` is that of the bytes then. They are compared first: the reader of
    /// Parquet trusts what a file says of itself.
    ///
    /// # Errors
    /// Another file, or a damaged one.
    pub fn decode(bytes: Bytes, digest: &Digest) -> Result<Self, OutcomesError> {
        let found = Digest::of(&bytes);
        if found != *digest {
            return Err(OutcomesError::Damaged { found: found.to_string(), expected: digest.to_string() });
        }
        let mut outcomes = Self::default();
        for batch in ParquetRecordBatchReaderBuilder::try_new(bytes)?.build()? {
            outcomes.extend(&batch.map_err(|e| ParquetError::ArrowError(e.to_string()))?)?;
        }
        Ok(outcomes)
    }

    fn extend(&mut self, batch: &RecordBatch) -> Result<(), OutcomesError> {
        let users: &StringArray = column(batch, "user", "text")?;
        let times: &Int64Array = column(batch, "t0", "64-bit integers")?;
        let next: &StringArray = column(batch, "next", "text")?;
        self.instances.extend((0..batch.num_rows()).map(|row| InstanceKey {
            user: users.value(row).to_owned(),
            t0: times.value(row),
            next: next.value(row).to_owned(),
        }));
        for field in batch.schema().fields() {
            let Some((model, metric)) = field.name().split_once('/') else { continue };
            let values: &Float64Array = column(batch, field.name(), "64-bit floats")?;
            let metrics = self.models.entry(model.to_owned()).or_default();
            metrics.entry(metric.to_owned()).or_default().extend(values.iter());
        }
        Ok(())
    }
}

fn column<'a, A: Array + 'static>(
    batch: &'a RecordBatch,
    name: &str,
    expected: &'static str,
) -> Result<&'a A, OutcomesError> {
    let wrong = |found: String| OutcomesError::Column { column: name.to_owned(), found, expected };
    let column = batch.column_by_name(name).ok_or_else(|| wrong("none".into()))?;
    let typed = column.as_any().downcast_ref::<A>();
    typed.ok_or_else(|| wrong(format!("one of {}", column.data_type())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn outcomes(rows: &[(u8, Option<f64>)]) -> Outcomes {
        let key = |(i, (user, _)): (usize, &(u8, Option<f64>))| InstanceKey {
            user: format!("u{user}"),
            t0: i as i64 - 3,
            next: "ü".into(),
        };
        let values = |sign: f64| rows.iter().map(|(_, value)| value.map(|v| v * sign)).collect::<Vec<_>>();
        let metrics =
            |sign: f64| BTreeMap::from([("fhr@20".to_owned(), values(sign)), ("luf@20".to_owned(), values(2.0))]);
        Outcomes {
            instances: rows.iter().enumerate().map(key).collect(),
            models: BTreeMap::from([("grpo".to_owned(), metrics(1.0)), ("sft".to_owned(), metrics(-1.0))]),
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(rows in prop::collection::vec((any::<u8>(), prop::option::of(-1.0f64..1.0)), 1..40)) {
            let outcomes = outcomes(&rows);
            let bytes = outcomes.encode().unwrap();
            prop_assert_eq!(&bytes, &outcomes.encode().unwrap());
            let digest = Digest::of(&bytes);
            prop_assert_eq!(Outcomes::decode(Bytes::from(bytes), &digest).unwrap(), outcomes);
        }

        #[test]
        fn every_damaged_bit_is_seen(at in any::<prop::sample::Index>(), bit in 0u8..8) {
            let mut bytes = outcomes(&[(1, Some(0.5)), (2, None)]).encode().unwrap();
            let digest = Digest::of(&bytes);
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            let error = Outcomes::decode(Bytes::from(bytes), &digest).unwrap_err();
            prop_assert!(matches!(error, OutcomesError::Damaged { .. }), "{}", error);
        }
    }

    #[test]
    fn another_file_is_refused_with_the_column_it_lacks() {
        let rows = RecordBatch::try_from_iter([("t0", Arc::new(Int64Array::from(vec![1])) as ArrayRef)]).unwrap();
        let mut writer = ArrowWriter::try_new(Vec::new(), rows.schema(), None).unwrap();
        writer.write(&rows).unwrap();
        let bytes = writer.into_inner().unwrap();
        let digest = Digest::of(&bytes);
        let error = Outcomes::decode(Bytes::from(bytes), &digest).unwrap_err();
        assert_eq!(error.to_string(), "found none, expected a column `user` of text");
        assert!(Outcomes::decode(Bytes::from_static(b"{}"), &Digest::of(b"{}")).is_err());
    }
}
