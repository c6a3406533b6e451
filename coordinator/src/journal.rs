//! `metrics.jsonl` and `ledger.jsonl`: one line a committed iteration, cut back on resume to what the checkpoint holds.

use crate::store::StoreError;
use conrec_domain::ids::Iteration;
use conrec_domain::ledger::LedgerEntry;
use conrec_domain::metrics_line::MetricsLine;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Both files, open at their ends.
pub(crate) struct Journal {
    metrics: Lines,
    ledger: Lines,
}

impl Journal {
    /// Opens both files in the run's folder and drops every line after `committed` iterations. `held`: the checkpoint
    /// holds the last one's metrics, which wait for the scores of its validation.
    pub(crate) fn open(folder: &Path, committed: Iteration, held: bool) -> Result<Self, StoreError> {
        let measured = Iteration(committed.0.saturating_sub(u64::from(held)));
        Ok(Self {
            metrics: Lines::open(folder.join("metrics.jsonl"), measured)?,
            ledger: Lines::open(folder.join("ledger.jsonl"), committed)?,
        })
    }

    /// Drops every line after `committed` iterations, as [`Journal::open`] does.
    pub(crate) fn cut(&mut self, committed: Iteration, held: bool) -> Result<(), StoreError> {
        let measured = Iteration(committed.0.saturating_sub(u64::from(held)));
        self.metrics.cut(measured)?;
        self.ledger.cut(committed)
    }

    /// Appends to `metrics.jsonl`.
    pub(crate) fn append_metrics(&mut self, line: &MetricsLine) -> Result<(), StoreError> {
        self.metrics.append(line)
    }

    /// Appends to `ledger.jsonl`.
    pub(crate) fn append_ledger(&mut self, entry: &LedgerEntry) -> Result<(), StoreError> {
        self.ledger.append(entry)
    }

    /// Brings both files, as they are now, to the disk; done before a manifest is published, so that a checkpoint never
    /// runs ahead. What is given waits for the disk, and may do so beside further lines.
    pub(crate) fn sync(
        &mut self,
    ) -> Result<impl Future<Output = Result<(), StoreError>> + Send + 'static + use<>, StoreError> {
        let (metrics, ledger) = (self.metrics.sync()?, self.ledger.sync()?);
        Ok(async move {
            metrics.await?;
            ledger.await
        })
    }
}

/// A file of JSON lines that only grows.
struct Lines {
    path: PathBuf,
    file: File,
    /// Where the lines in the file end.
    end: u64,
    /// Lines that the disk had no room for; a full disk costs the next checkpoint, not the run.
    waiting: Vec<u8>,
}

/// The field that every line of both files has.
#[derive(Deserialize)]
struct Numbered {
    iteration: Iteration,
}

impl Lines {
    fn open(path: PathBuf, committed: Iteration) -> Result<Self, StoreError> {
        let open = File::options().create(true).truncate(false).read(true).write(true).open(&path);
        let file = open.map_err(StoreError::io("open", &path))?;
        let mut lines = Self { path, file, end: 0, waiting: Vec::new() };
        lines.cut(committed)?;
        Ok(lines)
    }

    fn cut(&mut self, committed: Iteration) -> Result<(), StoreError> {
        self.file.seek(SeekFrom::Start(0)).map_err(StoreError::io("read", &self.path))?;
        let end = self.end_of(committed)?;
        self.file.set_len(end).map_err(StoreError::io("cut", &self.path))?;
        self.file.seek(SeekFrom::Start(end)).map_err(StoreError::io("append to", &self.path))?;
        self.end = end;
        self.waiting.clear();
        Ok(())
    }

    /// Where the lines of the first `committed` iterations end, in bytes; a torn or foreign line ends them too.
    fn end_of(&mut self, committed: Iteration) -> Result<u64, StoreError> {
        let mut reader = BufReader::new(&self.file);
        let (mut end, mut last, mut line) = (0, 0, Vec::new());
        loop {
            line.clear();
            let read = reader.read_until(b'\n', &mut line).map_err(StoreError::io("read", &self.path))?;
            let number = serde_json::from_slice::<Numbered>(&line).map(|numbered| numbered.iteration.0);
            match number {
                Ok(number) if line.ends_with(b"\n") && number <= committed.0 && number > last => {
                    end += read as u64;
                    last = number;
                }
                Ok(_) | Err(_) => break,
            }
        }
        if last < committed.0 {
            tracing::warn!(
                file = %self.path.display(),
                lines_to = last,
                committed = committed.0,
                "the file lacks lines of committed iterations; it was changed by hand or the disk lost them"
            );
        }
        Ok(end)
    }

    fn append(&mut self, value: &impl Serialize) -> Result<(), StoreError> {
        let mut line =
            serde_json::to_vec(value).map_err(|error| StoreError::io("append to", &self.path)(error.into()))?;
        line.push(b'\n');
        self.waiting.append(&mut line);
        match self.write_waiting() {
            Err(error) if matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) => {
                tracing::warn!(file = %self.path.display(), "no space is left; the line is kept until there is");
                Ok(())
            }
            written => written.map_err(|error| StoreError::io("append to", &self.path)(error)),
        }
    }

    /// Writes what waits, or leaves the file as it was: half a line would end it.
    fn write_waiting(&mut self) -> std::io::Result<()> {
        let written = self.file.write_all(&self.waiting);
        if written.is_err() {
            self.file.set_len(self.end)?;
            self.file.seek(SeekFrom::Start(self.end))?;
            return written;
        }
        self.end += self.waiting.len() as u64;
        self.waiting.clear();
        Ok(())
    }

    fn sync(&mut self) -> Result<impl Future<Output = Result<(), StoreError>> + Send + 'static + use<>, StoreError> {
        self.write_waiting().map_err(StoreError::io("append to", &self.path))?;
        let path = self.path.clone();
        let file = self.file.try_clone().map_err(StoreError::io("sync", &path))?;
        Ok(async move {
            let synced = tokio::task::spawn_blocking(move || file.sync_data()).await;
            synced.unwrap_or_else(|error| Err(std::io::Error::other(error))).map_err(StoreError::io("sync", &path))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(content: &str, committed: u64) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.jsonl");
        std::fs::write(&path, content).unwrap();
        drop(Lines::open(path.clone(), Iteration(committed)).unwrap());
        std::fs::read_to_string(path).unwrap()
    }

    const THREE: &str = "{\"iteration\":1}\n{\"iteration\":2}\n{\"iteration\":3}\n";

    #[test]
    fn lines_after_the_checkpoint_are_dropped() {
        assert_eq!(cut(THREE, 2), "{\"iteration\":1}\n{\"iteration\":2}\n");
        assert_eq!(cut(THREE, 3), THREE);
        assert_eq!(cut(THREE, 0), "");
    }

    #[test]
    fn a_torn_last_line_is_dropped() {
        assert_eq!(cut("{\"iteration\":1}\n{\"iteration\":2}", 2), "{\"iteration\":1}\n");
        assert_eq!(cut("{\"iteration\":1}\n{\"iterat", 2), "{\"iteration\":1}\n");
    }

    #[test]
    fn a_repeated_iteration_ends_the_file() {
        assert_eq!(cut("{\"iteration\":1}\n{\"iteration\":1}\n", 2), "{\"iteration\":1}\n");
    }

    #[test]
    fn new_lines_follow_the_kept_ones() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.jsonl");
        std::fs::write(&path, THREE).unwrap();
        let mut lines = Lines::open(path.clone(), Iteration(1)).unwrap();
        lines.append(&serde_json::json!({"iteration": 2})).unwrap();
        assert_eq!(std::fs::read_to_string(path).unwrap(), "{\"iteration\":1}\n{\"iteration\":2}\n");
    }
}
