//! A run that is measured: `conrec train` as a child process, its ledger and its log as they grow, its own children.

use super::checkpoint_times::CheckpointTimes;
use super::rounds::{self, Round};
use crate::failure::Failure;
use conrec_coordinator::exit_code::ExitCode;
use nix::unistd::Pid;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The run's name in each store.
const RUN: &str = "bench";
/// Nothing that is waited for takes so long unless something is broken.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often the ledger is looked at: the finest time that is told apart.
const LOOK: Duration = Duration::from_micros(500);
/// A ledger line is shorter.
const TAIL: u64 = 8 * 1024;

/// A run under way; killed when it is dropped.
pub struct Subject {
    process: Child,
    store: PathBuf,
    workers: usize,
}

impl Subject {
    /// Starts a run of the config with these overrides in a store of its own.
    pub fn start(folder: &Path, name: &str, workers: u32, overrides: &[String]) -> Result<Self, Failure> {
        let store = folder.join(name);
        fs::create_dir_all(&store).map_err(Failure::io("make the folder", &store))?;
        let config = folder.join("faults.toml");
        fs::write(&config, include_str!("faults.toml")).map_err(Failure::io("write", &config))?;
        let errors = store.join("progress.txt");
        let progress = File::create(&errors).map_err(Failure::io("create", &errors))?;
        let mut command = own("train")?;
        command.arg(&config).arg("--store").arg(&store).args(["--run-id", RUN, "--workers", &workers.to_string()]);
        for set in overrides {
            command.args(["--set", set]);
        }
        command.env("CONREC_LOG", "warn,conrec_coordinator::round=debug,conrec_worker::checkpoint=info");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(progress);
        let process = command.spawn().map_err(Failure::io("start", Path::new("conrec train")))?;
        Ok(Self { process, store, workers: workers as usize })
    }

    /// The last iteration of the ledger; 0 before the first.
    pub fn committed(&self) -> u64 {
        self.last_line().unwrap_or(0)
    }

    fn last_line(&self) -> Option<u64> {
        let mut file = File::open(self.store.join(RUN).join("ledger.jsonl")).ok()?;
        let length = file.metadata().ok()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL))).ok()?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).ok()?;
        let text = String::from_utf8_lossy(&bytes);
        // What follows the last line's end is a line that is being written.
        let line = text.rsplit_once('\n')?.0.rsplit('\n').next()?;
        serde_json::from_str::<Value>(line).ok()?["iteration"].as_u64()
    }

    /// Waits until the ledger holds more than so many iterations.
    pub fn wait_for_more_than(&mut self, committed: u64) -> Result<Instant, Failure> {
        let since = Instant::now();
        loop {
            if self.committed() > committed {
                return Ok(Instant::now());
            }
            self.must_go_on(since, "no iteration is committed")?;
            sleep(LOOK);
        }
    }

    /// Waits until all workers take part in a round after what the log holds so far.
    pub fn wait_for_all(&mut self, from: u64) -> Result<(), Failure> {
        let since = Instant::now();
        loop {
            if self.rounds(from).values().any(|round| round.committed.len() >= self.workers) {
                return Ok(());
            }
            self.must_go_on(since, "not all workers take part")?;
            sleep(Duration::from_millis(10));
        }
    }

    fn must_go_on(&mut self, since: Instant, what: &str) -> Result<(), Failure> {
        if since.elapsed() > PATIENCE {
            return Err(self.broken(&format!("{what} for {} s", PATIENCE.as_secs())));
        }
        match self.process.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(self.broken(&format!("it ended too early ({status})"))),
            Err(error) => Err(self.broken(&error.to_string())),
        }
    }

    fn broken(&self, what: &str) -> Failure {
        let said = fs::read_to_string(self.store.join("progress.txt")).unwrap_or_default();
        let last: Vec<&str> = said.lines().rev().take(6).collect();
        let last: Vec<&str> = last.into_iter().rev().collect();
        Failure::new(ExitCode::Failed, format!("the measured run is broken: {what}\n  {}", last.join("\n  ")))
    }

    /// Bytes of the coordinator's log so far.
    pub fn logged(&self) -> u64 {
        fs::metadata(self.log()).map_or(0, |data| data.len())
    }

    /// The rounds that the log tells of after its first `from` bytes.
    pub fn rounds(&self, from: u64) -> BTreeMap<u64, Round> {
        let read = || -> std::io::Result<String> {
            let mut file = File::open(self.log())?;
            file.seek(SeekFrom::Start(from))?;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        };
        rounds::read(&read().unwrap_or_default())
    }

    fn log(&self) -> PathBuf {
        self.store.join(RUN).join("logs/coordinator.log")
    }

    /// How long each checkpoint so far held its worker up, and how long it took to write, in milliseconds.
    pub fn checkpoint_times(&self) -> CheckpointTimes {
        let entries = fs::read_dir(self.store.join(RUN).join("logs")).into_iter().flatten().flatten();
        let of_workers = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("worker-"));
        let mut times = CheckpointTimes::default();
        for entry in of_workers {
            times.read(&fs::read_to_string(entry.path()).unwrap_or_default());
        }
        times
    }

    /// The processes of a program that the run has started and that live, by their ids.
    pub fn children(&self, program: &str) -> Vec<Pid> {
        let parent = format!("PPid:\t{}", self.process.id());
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        let mut found: Vec<Pid> = entries
            .filter_map(|entry| {
                let pid = entry.file_name().to_str()?.parse::<i32>().ok()?;
                // A process may end while it is looked at.
                let status = fs::read_to_string(entry.path().join("status")).ok()?;
                let exe = fs::read_link(entry.path().join("exe")).ok()?;
                let ours = exe.file_name()? == program && status.lines().any(|line| line == parent);
                ours.then(|| Pid::from_raw(pid))
            })
            .collect();
        found.sort();
        found
    }

    /// Waits for the run's end and audits it: what `conrec audit --output json` says.
    pub fn finish(&mut self) -> Result<Value, Failure> {
        let status = self.process.wait().map_err(Failure::io("wait for", Path::new("conrec train")))?;
        if !status.success() {
            return Err(self.broken(&format!("it ended with {status}")));
        }
        let mut command = own("audit")?;
        command.args([RUN, "--output", "json", "--store"]).arg(&self.store);
        let output = command.output().map_err(Failure::io("start", Path::new("conrec audit")))?;
        serde_json::from_slice(&output.stdout)
            .map_err(|error| self.broken(&format!("its audit cannot be read: {error}")))
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        // Both do nothing once it has ended; its own children end with it.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// This program with a verb.
fn own(verb: &str) -> Result<Command, Failure> {
    let own = std::env::current_exe()
        .map_err(|error| Failure::new(ExitCode::Failed, format!("cannot find this program's own path: {error}")))?;
    let mut command = Command::new(own);
    command.arg(verb);
    Ok(command)
}
