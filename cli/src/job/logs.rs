//! `conrec logs`: what a job's processes have logged, each line with its process's name. Where the store is a bucket the
//! logs lie on the machine of the processes, and in the bucket once they have ended.

use super::{between_looks, named, now};
use crate::args::LogsArgs;
use crate::failure::Failure;
use crate::train::local_folder;
use conrec_coordinator::exit_code::ExitCode;
use conrec_coordinator::store::RunObjects;
use conrec_domain::job::StateName;
use conrec_process::{is_heard, result};
use conrec_store::Store;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use tokio::time::sleep;

/// Bytes that are read at a time.
const PIECE: u64 = 1024 * 1024;

/// Prints them.
///
/// # Errors
/// There is no such job or process, or the logs cannot be read.
pub fn run(args: &LogsArgs) -> Result<u8, Failure> {
    crate::stored_run::wait(logs(args))
}

async fn logs(args: &LogsArgs) -> Result<u8, Failure> {
    let (store, job) = named(&args.job)?;
    job.request().await?;
    let run_id = job.run_id();
    let local = local_folder(&store, run_id, args.scratch.as_deref()).join("logs");
    let run = RunObjects::of(&store, run_id);
    // Kept for as long as its files are read.
    let fetched = if local.is_dir() { None } else { Some(run.fetch("logs").await?) };
    let folder = fetched.as_ref().map_or(local.as_path(), |fetched| fetched.path());
    let mut reader = Reader { folder: folder.to_owned(), only: args.process.clone(), places: BTreeMap::new() };
    if let Some(lines) = args.tail {
        reader.skip_to_last(lines)?;
    }
    let names = reader.names();
    if names.is_empty() && !args.follow {
        return Err(none(args, folder));
    }
    loop {
        // Looked at first, so that nothing is missed that was logged before the end.
        let rests = !matches!(job.view(now).await?.state, StateName::Running | StateName::Queued);
        reader.print_new(rests || !args.follow)?;
        if rests || !args.follow || !is_heard() {
            return Ok(ExitCode::Done.code());
        }
        pause(&store).await;
    }
}

async fn pause(store: &Store) {
    sleep(between_looks(store)).await;
}

fn none(args: &LogsArgs, folder: &Path) -> Failure {
    let all = Reader { folder: folder.to_owned(), only: None, places: BTreeMap::new() }.names();
    let there = if all.is_empty() { "there are none".into() } else { format!("there are {}", all.join(", ")) };
    let what = args.process.as_ref().map(|name| format!("of `{name}` ")).unwrap_or_default();
    Failure::new(ExitCode::Usage, format!("no logs {what}in {}: {there}", folder.display()))
}

/// Reads files on, each from where it stopped.
struct Reader {
    folder: PathBuf,
    only: Option<String>,
    /// By process: how many bytes were printed.
    places: BTreeMap<String, u64>,
}

impl Reader {
    /// The processes that have logged, the first to start first.
    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().to_str()?.strip_suffix(".log").map(str::to_owned));
        let mut names: Vec<String> = names.filter(|name| self.only.as_ref().is_none_or(|only| only == name)).collect();
        let order = |name: &str| match name {
            "job" => (0, 0),
            "coordinator" => (1, 0),
            other => (2, other.rsplit('-').next().and_then(|number| number.parse().ok()).unwrap_or(0)),
        };
        names.sort_by_key(|name| (order(name), name.clone()));
        names
    }

    /// Prints what is new; half a line only where nothing more will come.
    fn print_new(&mut self, last: bool) -> Result<(), Failure> {
        for name in self.names() {
            let alone = self.only.is_some();
            while let Some(text) = self.next_of(&name, last)? {
                if alone {
                    result(format_args!("{text}"));
                } else {
                    text.lines().for_each(|line| result(format_args!("{name} | {line}\n")));
                }
            }
        }
        Ok(())
    }

    /// The next whole lines of a process's log.
    fn next_of(&mut self, name: &str, last: bool) -> Result<Option<String>, Failure> {
        let path = self.folder.join(format!("{name}.log"));
        let place = self.places.entry(name.to_owned()).or_default();
        let mut read = || -> std::io::Result<Vec<u8>> {
            let mut file = File::open(&path)?;
            if file.metadata()?.len() < *place {
                // Another file of the same name.
                *place = 0;
            }
            file.seek(SeekFrom::Start(*place))?;
            let mut bytes = Vec::new();
            file.take(PIECE).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        let mut bytes = read().map_err(Failure::io("read", &path))?;
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        if whole > 0 || (!last && (bytes.len() as u64) < PIECE) {
            bytes.truncate(whole);
        }
        *place += bytes.len() as u64;
        Ok((!bytes.is_empty()).then(|| String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// Passes over all but the last lines of each process.
    fn skip_to_last(&mut self, lines: usize) -> Result<(), Failure> {
        for name in self.names() {
            let path = self.folder.join(format!("{name}.log"));
            let bytes = std::fs::read(&path).map_err(Failure::io("read", &path))?;
            let body = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
            let ends = body.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n');
            let place = match lines {
                0 => bytes.len(),
                _ => ends.map(|(at, _)| at + 1).nth(lines - 1).unwrap_or(0),
            };
            self.places.insert(name, place as u64);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(folder: &Path) -> Reader {
        Reader { folder: folder.to_owned(), only: None, places: BTreeMap::new() }
    }

    #[test]
    fn lines_are_read_on_and_halves_of_them_wait() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("coordinator.log");
        std::fs::write(&path, "one\ntw").unwrap();
        let mut reader = reader(folder.path());
        assert_eq!(reader.next_of("coordinator", false).unwrap().as_deref(), Some("one\n"));
        assert_eq!(reader.next_of("coordinator", false).unwrap(), None);
        std::fs::write(&path, "one\ntwo\nthr").unwrap();
        assert_eq!(reader.next_of("coordinator", false).unwrap().as_deref(), Some("two\n"));
        assert_eq!(reader.next_of("coordinator", true).unwrap().as_deref(), Some("thr"));
    }

    #[test]
    fn processes_stand_in_the_order_of_their_start() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["worker-10.log", "coordinator.log", "worker-2.log", "job.log", "coordinator.address"] {
            std::fs::write(folder.path().join(name), "a\nb\nc\n").unwrap();
        }
        let mut reader = reader(folder.path());
        assert_eq!(reader.names(), ["job", "coordinator", "worker-2", "worker-10"]);
        reader.skip_to_last(2).unwrap();
        assert_eq!(reader.next_of("job", false).unwrap().as_deref(), Some("b\nc\n"));
        reader.skip_to_last(0).unwrap();
        assert_eq!(reader.next_of("job", true).unwrap(), None);
    }
}
