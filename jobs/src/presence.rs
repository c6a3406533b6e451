//! Whether processes of a job live on this machine: a lock on a file, which the system frees with the last process that
//! holds it. It is handed on to whoever is started, so that there is no moment without it.

use crate::JobError;
use conrec_domain::ids::RunId;
use conrec_domain::job::Writer;
use std::fs::{File, TryLockError};
use std::io::ErrorKind;
use std::path::Path;

/// The lock of a job's processes on this machine, held.
#[derive(Debug)]
pub struct Lock(File);

impl Lock {
    /// Takes the lock of the job whose local files lie in `folder`; none where another process holds it.
    ///
    /// # Errors
    /// The file cannot be made or locked.
    pub fn take(folder: &Path) -> Result<Option<Self>, JobError> {
        let folder = folder.join("job");
        let path = folder.join("processes.lock");
        let io = |action| {
            let path = path.clone();
            move |source| JobError::Io { action, path, source }
        };
        std::fs::create_dir_all(&folder).map_err(io("make the folder of"))?;
        let file = File::options().create(true).append(true).open(&path).map_err(io("open"))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            // Some network file systems have no locks; the coordinator's own claim still keeps two apart.
            Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => Ok(Some(Self(file))),
            Err(TryLockError::Error(error)) => Err(io("lock")(error)),
        }
    }

    /// The open file: whoever inherits it holds the lock.
    pub fn into_file(self) -> File {
        self.0
    }
}

/// Whether the coordinator that last wrote a job's state lives on this machine: it may have been started by others, without
/// the lock.
pub fn serves(writer: &Writer, run_id: &RunId) -> bool {
    if writer.host != host() {
        return false;
    }
    // Another process may have its number by now.
    let line = std::fs::read(format!("/proc/{}/cmdline", writer.process)).unwrap_or_default();
    let words: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
    words.windows(2).any(|pair| pair[0] == b"--job" && pair[1] == run_id.as_str().as_bytes())
}

/// This machine since it was started, for records: its name and what its system says of this start.
pub fn host() -> String {
    let read = |path: &str| std::fs::read_to_string(path).map(|text| text.trim().to_owned()).ok();
    let name = read("/proc/sys/kernel/hostname").or_else(|| std::env::var("HOSTNAME").ok());
    let start: String = read("/proc/sys/kernel/random/boot_id").unwrap_or_default().chars().take(8).collect();
    format!("{}/{start}", name.unwrap_or_else(|| "unknown".into())).trim_end_matches('/').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_coordinator_is_known_by_its_command_line() {
        // A shell that waits for a line, without a process of its own.
        let script = ["-c", "read line; :", "sh", "--job", "k"];
        let mut command = std::process::Command::new("sh");
        let mut process = command.args(script).stdin(std::process::Stdio::piped()).spawn().unwrap();
        let writer = Writer { host: host(), process: process.id() };
        let (own, other): (RunId, RunId) = ("k".parse().unwrap(), "kk".parse().unwrap());
        // The system shows no command line until the program is in its place.
        let shown =
            || std::fs::read(format!("/proc/{}/cmdline", writer.process)).is_ok_and(|line| line.contains(&b'k'));
        (0..1_000).take_while(|_| !shown()).for_each(|_| std::thread::sleep(std::time::Duration::from_millis(10)));
        assert!(serves(&writer, &own) && !serves(&writer, &other));
        assert!(!serves(&Writer { host: "elsewhere".into(), ..writer }, &own));
        process.kill().unwrap();
        process.wait().unwrap();
        assert!(!serves(&writer, &own));
    }

    #[test]
    fn a_lock_is_held_once_and_by_whoever_inherits_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let lock = Lock::take(folder.path()).unwrap().unwrap();
        assert!(Lock::take(folder.path()).unwrap().is_none());
        let mut command = std::process::Command::new("sleep");
        let mut heir = command.arg("60").stdin(lock.into_file()).spawn().unwrap();
        // The command itself holds a copy of the file.
        drop(command);
        assert!(Lock::take(folder.path()).unwrap().is_none(), "the heir holds it");
        heir.kill().unwrap();
        heir.wait().unwrap();
        assert!(Lock::take(folder.path()).unwrap().is_some());
    }
}
