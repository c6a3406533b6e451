//! The processes that `conrec train` starts: each in its own process group with its own log, and none outlives us.

use crate::args::ENVIRONMENT;
use crate::failure::Failure;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::process::{Child as Process, Command};
use tokio::time::{Instant, timeout_at};

/// Log lines shown when a process fails.
const TAIL: usize = 12;

/// Bytes of a log that are looked at, from its end.
const LOOK_BACK: u64 = 64 * 1024;

/// A process that this one started.
pub struct Child {
    /// For people: `coordinator`, `worker 1`.
    pub name: String,
    /// Its log: stdout and stderr, appended over all starts of a run.
    pub log: PathBuf,
    /// Where this start's lines begin in the log, in bytes.
    begins: u64,
    process: Process,
    ended: Option<ExitStatus>,
}

impl Child {
    /// Starts a process whose output goes to `<logs>/<name>.log`.
    ///
    /// A terminal's Ctrl-C reaches this process only, which then decides. When this process dies, however it dies, the
    /// system sends SIGTERM to the child. Call it from the main thread: the system watches the THREAD that started it.
    ///
    /// # Errors
    /// The log cannot be written or the program cannot be started.
    pub fn start(name: &str, mut command: Command, logs: &Path) -> Result<Self, Failure> {
        let log = logs.join(format!("{}.log", name.replace(' ', "-")));
        let file = File::options().create(true).append(true).open(&log).map_err(Failure::io("open", &log))?;
        let begins = file.metadata().map_err(Failure::io("look at", &log))?.len();
        let second = file.try_clone().map_err(Failure::io("open", &log))?;
        command.stdin(Stdio::null()).stdout(file).stderr(second).process_group(0).kill_on_drop(true);
        end_with_parent(&mut command);
        // These processes meet on this machine, in plain text: what belongs to a coordinator of the network is not theirs.
        for name in ENVIRONMENT {
            command.env_remove(name);
        }
        let program = PathBuf::from(command.as_std().get_program());
        let process = command.spawn().map_err(Failure::io("start", &program))?;
        Ok(Self { name: name.into(), log, begins, process, ended: None })
    }

    /// Waits for its end. May be dropped and called again.
    pub async fn wait(&mut self) -> std::io::Result<ExitStatus> {
        let status = self.process.wait().await?;
        self.ended = Some(status);
        Ok(status)
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.process.try_wait().ok().flatten();
        }
        self.ended
    }

    /// Sends a signal, unless it has ended.
    pub fn signal(&self, signal: Signal) {
        // The number is taken from the process, not stored: once it has been waited for there is none.
        if let Some(id) = self.process.id().and_then(|id| i32::try_from(id).ok()) {
            // It may end between the two lines; then nobody hears the signal, which is what it asked for.
            let _ = kill(Pid::from_raw(id), signal);
        }
    }

    /// What follows its last `error: ` at the start of a line, to the log's end.
    pub fn error_message(&self) -> Option<String> {
        let text = self.recent();
        let at = text.rmatch_indices("error: ").find(|(at, _)| *at == 0 || text[..*at].ends_with('\n'))?.0;
        Some(text[at + "error: ".len()..].trim_end().to_owned())
    }

    /// The last lines of this start, with the log's name above them.
    pub fn tail(&self) -> String {
        let text = self.recent();
        let lines: Vec<&str> = text.lines().collect();
        let last = lines[lines.len().saturating_sub(TAIL)..].join("\n  ");
        if last.is_empty() {
            return format!("{} is empty", self.log.display());
        }
        format!("last lines of {}:\n  {last}", self.log.display())
    }

    /// The end of this start's part of the log.
    fn recent(&self) -> String {
        let read = || -> std::io::Result<String> {
            let mut file = File::open(&self.log)?;
            let length = file.metadata()?.len();
            file.seek(SeekFrom::Start(self.begins.max(length.saturating_sub(LOOK_BACK))))?;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        };
        read().unwrap_or_default()
    }
}

/// Ends all these processes, all at the same time: they have the first time to end by themselves, then they are asked
/// to and have the second, then they are made to.
pub async fn wind_down(children: &mut [Child], patience: [Duration; 2]) {
    for (patience, signal) in patience.into_iter().zip([Signal::SIGTERM, Signal::SIGKILL]) {
        let deadline = Instant::now() + patience;
        for child in &mut *children {
            if timeout_at(deadline, child.wait()).await.is_err() {
                child.signal(signal);
            }
        }
    }
    for child in children {
        // After SIGKILL the system ends it in any case.
        let _ = child.wait().await;
    }
}

/// Asks the system to end the child when the thread that starts it ends.
#[cfg(target_os = "linux")]
fn end_with_parent(command: &mut Command) {
    let parent = nix::unistd::getpid();
    let die_too = move || {
        nix::sys::prctl::set_pdeathsig(Signal::SIGTERM)?;
        // The parent may have died before the line above; then nobody would ever send the signal.
        if nix::unistd::getppid() != parent {
            return Err(nix::errno::Errno::ESRCH.into());
        }
        Ok(())
    };
    // SAFETY: between fork and exec only async-signal-safe calls are allowed. The closure makes two system calls (prctl,
    // getppid), allocates nothing, takes no lock, and captures a number.
    unsafe {
        command.pre_exec(die_too);
    }
}

/// Elsewhere a worker ends when its coordinator's connection does.
#[cfg(not(target_os = "linux"))]
fn end_with_parent(_command: &mut Command) {}

#[cfg(test)]
mod tests {
    use super::*;

    async fn shell(logs: &Path, script: &str) -> Child {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        let mut child = Child::start("worker 1", command, logs).unwrap();
        child.wait().await.unwrap();
        child
    }

    #[tokio::test]
    async fn the_last_error_of_this_start_is_found_with_all_its_lines() {
        let logs = tempfile::tempdir().unwrap();
        shell(logs.path(), "echo 'error: of an earlier start'").await;
        let child =
            shell(logs.path(), "echo begin; echo 'no error: here'; echo 'error: a = 1: allowed is 2'; echo b").await;
        assert_eq!(child.error_message().unwrap(), "a = 1: allowed is 2\nb");
        let quiet = shell(logs.path(), "echo fine").await;
        assert_eq!(quiet.error_message(), None);
        assert!(quiet.tail().ends_with("worker-1.log:\n  fine"), "{}", quiet.tail());
    }

    #[tokio::test]
    async fn the_tail_is_short() {
        let logs = tempfile::tempdir().unwrap();
        let child = shell(logs.path(), "i=0; while [ $i -lt 50 ]; do echo line $i; i=$((i+1)); done").await;
        let tail = child.tail();
        assert_eq!(tail.lines().count(), 1 + TAIL);
        assert!(tail.contains("line 38") && !tail.contains("line 37") && tail.ends_with("line 49"));
    }

    #[tokio::test]
    async fn deaf_processes_are_killed_and_none_waits_for_another() {
        let logs = tempfile::tempdir().unwrap();
        let mut children: Vec<_> = (0..5)
            .map(|number| {
                let mut command = Command::new("sh");
                command.args(["-c", "trap '' TERM; while :; do sleep 0.05; done"]);
                Child::start(&format!("worker {number}"), command, logs.path()).unwrap()
            })
            .collect();
        assert!(children.iter_mut().all(|child| child.ended().is_none()));
        let started = Instant::now();
        wind_down(&mut children, [Duration::from_millis(300); 2]).await;
        assert!(children.iter_mut().all(|child| !child.ended().unwrap().success()));
        assert!(started.elapsed() < Duration::from_millis(1500), "{:?}", started.elapsed());
    }
}
