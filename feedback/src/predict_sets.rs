//! Predict sets as Parquet (method, section 6): one row for each (user, rank). The same rows and words give the same bytes.
//!
//! | column | type | what |
//! |---|---|---|
//! | `user` | string | the source's own id of the user |
//! | `rank` | uint32 | 1 is most probable |
//! | `sid` | string | the semantic id, `<a_12><b_3><c_45>` |
//! | `items` | list of strings | the source's ids of that cell's items that may be listed for the user, most disliked first; may be empty |
//! | `score` | double | log-probability of the semantic id; of a fallback, log of its smoothed share of the recent negatives |
//! | `source` | string | `policy`, or `fallback`: popularity stands in, as the user has no negatives |

use crate::held_decoder::held;
use crate::plain_file;
use arrow_array::builder::{ListBuilder, StringBuilder};
use arrow_array::{Array, ArrayRef, Float64Array, ListArray, RecordBatch, StringArray, UInt32Array};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Under this name the file's own words stand in its metadata: what it was made from.
const MADE_FROM: &str = "conrec.predict";

/// Under this name it says how many users got what.
const COUNTS: &str = "conrec.predict.counts";

/// How many users got what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PredictCounts {
    /// Users that were asked about.
    pub users: u64,
    /// Those with a predict set of the policy.
    pub policy: u64,
    /// Those without negatives who got the fallback.
    pub fallback: u64,
    /// Those without a row.
    pub skipped: u64,
    /// Rows of all of them.
    pub rows: u64,
}

impl PredictCounts {
    /// Counts the users of a part's rows; all rows of a user stand together.
    fn add(&mut self, rows: &[PredictRow]) {
        self.rows += rows.len() as u64;
        for of_user in rows.chunk_by(|a, b| a.user == b.user) {
            match of_user.first().map(|row| row.source) {
                Some(RowSource::Policy) => self.policy += 1,
                Some(RowSource::Fallback) => self.fallback += 1,
                None => {}
            }
        }
    }
}

/// Where a row comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowSource {
    /// Beam search of the policy.
    Policy,
    /// Recent popularity among all users' negatives.
    Fallback,
}

impl RowSource {
    /// As the column has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Policy => "policy",
            Self::Fallback => "fallback",
        }
    }
}

/// One predicted semantic id of a user.
#[derive(Clone, Debug, PartialEq)]
pub struct PredictRow {
    /// The source's own id of the user.
    pub user: String,
    /// 1 is most probable.
    pub rank: u32,
    /// The semantic id as text.
    pub sid: String,
    /// Ids of the cell's items that may be listed for the user.
    pub items: Vec<String>,
    /// Log-probability, or log-share of a fallback.
    pub score: f64,
    /// Who says so.
    pub source: RowSource,
}

/// Why predict sets cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum PredictSetsError {
    /// A file cannot be opened or written.
    #[error("{}: {source}", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A file is no Parquet.
    #[error("{}: {source}; remove it and run the same command again", file.display())]
    Parquet {
        /// The file.
        file: PathBuf,
        /// What the reader or writer says.
        source: ParquetError,
    },
    /// A file has other columns.
    #[error("{}: column `{column}`: found {found}, expected predict sets of `conrec predict`", file.display())]
    Column {
        /// The file.
        file: PathBuf,
        /// Its name.
        column: &'static str,
        /// What is there.
        found: String,
    },
}

/// The rows as the bytes of a Parquet file that says what it was made from; `file` is for the error.
///
/// # Errors
/// When the rows cannot be encoded.
pub fn encode(rows: &[PredictRow], made_from: &str, file: &Path) -> Result<Vec<u8>, PredictSetsError> {
    let failed = |source| PredictSetsError::Parquet { file: file.to_owned(), source };
    let batch = batch(rows).map_err(failed)?;
    let bytes = || -> Result<Vec<u8>, ParquetError> {
        let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties(made_from)))?;
        writer.write(&batch)?;
        writer.into_inner()
    };
    bytes().map_err(failed)
}

/// Joins the files of parts, in their order, into one; says of the `users` that were asked about how many got what, in the
/// file's metadata too. One part is in memory at a time.
///
/// # Errors
/// A part that cannot be read, and what cannot be written.
pub fn join<W: Write + Send>(
    parts: &[PathBuf],
    (made_from, users): (&str, u64),
    (into, file): (W, &Path),
) -> Result<PredictCounts, PredictSetsError> {
    let failed = |source| PredictSetsError::Parquet { file: file.to_owned(), source };
    let schema = batch(&[]).map_err(failed)?.schema();
    let mut writer = ArrowWriter::try_new(into, schema, Some(properties(made_from))).map_err(failed)?;
    let mut counts = PredictCounts { users, ..PredictCounts::default() };
    for part in parts {
        let rows = read(part)?;
        counts.add(&rows);
        // One row group a part: what is held in memory does not grow with the number of users.
        batch(&rows).and_then(|rows| writer.write(&rows)).and_then(|()| writer.flush()).map_err(failed)?;
    }
    counts.skipped = users.saturating_sub(counts.policy + counts.fallback);
    let said = serde_json::to_string(&counts).map_err(|e| failed(ParquetError::General(e.to_string())))?;
    writer.append_key_value_metadata(KeyValue::new(COUNTS.into(), said));
    writer.into_inner().map_err(failed)?;
    Ok(counts)
}

/// How many users got what, as a whole file says it; none where it says nothing.
///
/// # Errors
/// A file that is not there, or is no whole Parquet file.
pub fn counts(file: &Path) -> Result<Option<PredictCounts>, PredictSetsError> {
    Ok(metadata(file, COUNTS)?.and_then(|text| serde_json::from_str(&text).ok()))
}

/// All rows of a file, in order.
///
/// # Errors
/// A file that is not there, is damaged, or has other columns.
pub fn read(file: &Path) -> Result<Vec<PredictRow>, PredictSetsError> {
    let failed = |said| PredictSetsError::Parquet { file: file.to_owned(), source: ParquetError::General(said) };
    let builder = open(file)?;
    let mut reader = held(|| builder.build()).map_err(failed)?;
    let mut rows = Vec::new();
    while let Some(batch) = held(|| reader.next().transpose()).map_err(failed)? {
        extend(&mut rows, &batch, file)?;
    }
    Ok(rows)
}

/// What a whole file says it was made from; none where it says nothing.
///
/// # Errors
/// A file that is not there, or is no whole Parquet file.
pub fn made_from(file: &Path) -> Result<Option<String>, PredictSetsError> {
    metadata(file, MADE_FROM)
}

fn metadata(file: &Path, key: &str) -> Result<Option<String>, PredictSetsError> {
    let opened = open(file)?;
    let pairs = opened.metadata().file_metadata().key_value_metadata();
    Ok(pairs.into_iter().flatten().find(|pair| pair.key == key).and_then(|pair| pair.value.clone()))
}

fn open(file: &Path) -> Result<ParquetRecordBatchReaderBuilder<File>, PredictSetsError> {
    let opened = plain_file::open(file).map_err(|source| PredictSetsError::File { file: file.to_owned(), source })?;
    held(|| ParquetRecordBatchReaderBuilder::try_new(opened))
        .map_err(|said| PredictSetsError::Parquet { file: file.to_owned(), source: ParquetError::General(said) })
}

fn properties(made_from: &str) -> WriterProperties {
    WriterProperties::builder()
        .set_created_by("conrec".into())
        .set_compression(Compression::SNAPPY)
        .set_key_value_metadata(Some(vec![KeyValue::new(MADE_FROM.into(), made_from.to_owned())]))
        .build()
}

fn batch(rows: &[PredictRow]) -> Result<RecordBatch, ParquetError> {
    let mut items = ListBuilder::new(StringBuilder::new());
    for row in rows {
        row.items.iter().for_each(|item| items.values().append_value(item));
        items.append(true);
    }
    let columns: [(&str, ArrayRef); 6] = [
        ("user", Arc::new(StringArray::from_iter_values(rows.iter().map(|r| r.user.as_str())))),
        ("rank", Arc::new(UInt32Array::from_iter_values(rows.iter().map(|r| r.rank)))),
        ("sid", Arc::new(StringArray::from_iter_values(rows.iter().map(|r| r.sid.as_str())))),
        ("items", Arc::new(items.finish())),
        ("score", Arc::new(Float64Array::from_iter_values(rows.iter().map(|r| r.score)))),
        ("source", Arc::new(StringArray::from_iter_values(rows.iter().map(|r| r.source.name())))),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, false)))
        .map_err(|e| ParquetError::ArrowError(e.to_string()))
}

fn extend(rows: &mut Vec<PredictRow>, batch: &RecordBatch, file: &Path) -> Result<(), PredictSetsError> {
    let users: &StringArray = column(batch, "user", file)?;
    let ranks: &UInt32Array = column(batch, "rank", file)?;
    let sids: &StringArray = column(batch, "sid", file)?;
    let items: &ListArray = column(batch, "items", file)?;
    let scores: &Float64Array = column(batch, "score", file)?;
    let sources: &StringArray = column(batch, "source", file)?;
    let other = |column, found: &str| PredictSetsError::Column { file: file.to_owned(), column, found: found.into() };
    for i in 0..batch.num_rows() {
        let keys = items.value(i);
        let keys =
            keys.as_any().downcast_ref::<StringArray>().ok_or_else(|| other("items", "lists of another type"))?;
        rows.push(PredictRow {
            user: users.value(i).to_owned(),
            rank: ranks.value(i),
            sid: sids.value(i).to_owned(),
            items: keys.iter().flatten().map(str::to_owned).collect(),
            score: scores.value(i),
            source: match sources.value(i) {
                "policy" => RowSource::Policy,
                "fallback" => RowSource::Fallback,
                found => return Err(other("source", &format!("`{found}`"))),
            },
        });
    }
    Ok(())
}

fn column<'a, T: Array + 'static>(
    batch: &'a RecordBatch,
    name: &'static str,
    file: &Path,
) -> Result<&'a T, PredictSetsError> {
    let other = |found| PredictSetsError::Column { file: file.to_owned(), column: name, found };
    let found = batch.column_by_name(name).ok_or_else(|| other("none".to_owned()))?;
    let typed = found.as_any().downcast_ref::<T>().ok_or_else(|| other(found.data_type().to_string()))?;
    if typed.null_count() > 0 { Err(other("empty cells".to_owned())) } else { Ok(typed) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(user: u32, rank: u32) -> PredictRow {
        let items = (0..rank % 3).map(|i| format!("item {i}")).collect();
        let (user, sid) = (format!("user {user}"), "<a_1><b_2>".to_owned());
        let source = if rank == 2 { RowSource::Fallback } else { RowSource::Policy };
        PredictRow { user, rank, sid, items, score: -0.5 * f64::from(rank), source }
    }

    #[test]
    fn joined_parts_hold_all_rows_in_order_and_the_same_rows_give_the_same_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let rows: Vec<Vec<PredictRow>> = (0..3).map(|u| (1..=4).map(|rank| row(u, rank)).collect()).collect();
        let parts: Vec<PathBuf> = (0..3).map(|i| folder.path().join(format!("{i}.parquet"))).collect();
        for (part, rows) in parts.iter().zip(&rows) {
            assert_eq!(encode(rows, "it", part).unwrap(), encode(rows, "it", part).unwrap());
            std::fs::write(part, encode(rows, "it", part).unwrap()).unwrap();
        }
        let whole = folder.path().join("whole.parquet");
        let found = join(&parts, ("it", 5), (File::create(&whole).unwrap(), &whole)).unwrap();
        assert_eq!(found, PredictCounts { users: 5, policy: 3, fallback: 0, skipped: 2, rows: 12 });
        assert_eq!(counts(&whole).unwrap(), Some(found));
        assert_eq!(counts(&parts[0]).unwrap(), None);
        assert_eq!(read(&whole).unwrap(), rows.concat());
        assert_eq!(made_from(&whole).unwrap().as_deref(), Some("it"));
    }

    #[test]
    fn a_part_that_is_no_parquet_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let part = folder.path().join("part.parquet");
        let whole = encode(&[row(1, 1)], "it", &part).unwrap();
        for bytes in [&whole[..whole.len() - 9], b"half", b""] {
            std::fs::write(&part, bytes).unwrap();
            let parts = std::slice::from_ref(&part);
            let error = join(parts, ("it", 1), (Vec::new(), Path::new("out"))).unwrap_err().to_string();
            assert!(error.contains("part.parquet") && error.contains("remove it"), "{error}");
            assert!(made_from(&part).is_err());
        }
    }

    #[test]
    fn other_tables_are_refused_with_the_column() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("other.parquet");
        let users: ArrayRef = Arc::new(UInt32Array::from(vec![1]));
        let other = RecordBatch::try_from_iter([("user", users)]).unwrap();
        let mut writer = ArrowWriter::try_new(File::create(&file).unwrap(), other.schema(), None).unwrap();
        writer.write(&other).unwrap();
        writer.close().unwrap();
        let error = read(&file).unwrap_err().to_string();
        assert!(error.contains("`user`: found UInt32"), "{error}");
        assert_eq!(made_from(&file).unwrap(), None);
    }
}
