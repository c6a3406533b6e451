//! The other processes of a prediction: each computes its share of the parts, and none outlives the one that started it.

use super::PredictArgs;
use crate::error::WorkerError;
use clap::ValueEnum;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::getppid;
use std::process::{Child, Command, Stdio};

/// Processes that were started and may still run.
pub(super) struct Processes(Vec<Child>);

impl Processes {
    /// Starts one for each share but the first. To be called on the main thread: the system watches the thread that started
    /// them.
    ///
    /// # Errors
    /// The program cannot be started.
    pub fn start(args: &PredictArgs, at: i64) -> Result<Self, WorkerError> {
        let program = std::env::current_exe().map_err(|e| WorkerError::file("this program", e))?;
        let mut started = Self(Vec::new());
        for of in 1..args.workers {
            let mut command = Command::new(&program);
            command.args(["predict", args.run.as_str(), "--store", &args.store.store, "--quiet"]);
            command.args(["--at", &at.to_string(), "--users-per-part", &args.users_per_part.to_string()]);
            if let Some(value) = args.without_negatives.to_possible_value() {
                command.args(["--without-negatives", value.get_name()]);
            }
            command.args(["--share", &format!("{of}/{}", args.workers)]);
            command.args(["--parent", &std::process::id().to_string()]);
            command.arg("--out").arg(args.out());
            if let Some(other) = &args.policy_of {
                command.args(["--policy-of", other.as_str()]);
            }
            for (option, path) in [("--users", &args.users), ("--scratch", &args.store.scratch)] {
                if let Some(path) = path {
                    command.arg(option).arg(path);
                }
            }
            command.stdin(Stdio::null()).stdout(Stdio::null());
            started.0.push(command.spawn().map_err(|e| WorkerError::file(&program, e))?);
        }
        Ok(started)
    }

    /// Whether one still runs. One that failed has said why, and is named.
    ///
    /// # Errors
    /// The system does not know a process that was started.
    pub fn are_running(&mut self) -> Result<bool, WorkerError> {
        let mut running = Vec::new();
        for mut child in std::mem::take(&mut self.0) {
            let id = child.id();
            match child.try_wait().map_err(|e| WorkerError::Protocol(format!("process {id}: {e}")))? {
                None => running.push(child),
                Some(status) if status.success() => {}
                Some(status) => conrec_process::note!("process {id} ended with {status}; its parts are computed here"),
            }
        }
        self.0 = running;
        Ok(!self.0.is_empty())
    }
}

/// Where the first gives up, so do the others.
impl Drop for Processes {
    fn drop(&mut self) {
        for child in &mut self.0 {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// From here on this process ends with its parent.
///
/// # Errors
/// The system refuses, or the parent has ended already.
pub(super) fn end_with(parent: u32) -> Result<(), WorkerError> {
    set_pdeathsig(Signal::SIGKILL)
        .map_err(|e| WorkerError::Protocol(format!("cannot watch the parent process: {e}")))?;
    if u32::try_from(getppid().as_raw()) == Ok(parent) {
        return Ok(());
    }
    Err(WorkerError::Protocol(format!("the process {parent} that started this one has ended")))
}
