//! A job's processes on this machine: detached from whoever starts them, in a session of their own, and watched by one of
//! them as `conrec train` watches its own.

use super::{now, this_process};
use crate::args::RunJobArgs;
use crate::failure::Failure;
use crate::train;
use conrec_coordinator::exit_code::ExitCode;
use conrec_coordinator::store::StoreError;
use conrec_domain::effect::Ending;
use conrec_domain::ids::RunId;
use conrec_jobs::{JobError, JobObjects, Lock};
use conrec_process::note;
use conrec_store::Store;
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// What is to be started.
pub struct Process<'a> {
    /// The run.
    pub run_id: &'a RunId,
    /// Where it is kept.
    pub store: &'a str,
    /// Worker processes.
    pub workers: u32,
    /// Leases that each computes at once.
    pub lanes: Option<u32>,
    /// For files that come from a bucket or go there.
    pub scratch: Option<&'a Path>,
}

impl Process<'_> {
    /// Starts the process that starts and watches all others; it inherits the lock.
    ///
    /// # Errors
    /// The log cannot be written, or the program cannot be started.
    pub fn start(&self, lock: Lock, folder: &Path) -> Result<(), Failure> {
        let logs = folder.join("logs");
        std::fs::create_dir_all(&logs).map_err(Failure::io("make the folder", &logs))?;
        let log = logs.join("job.log");
        let open = || File::options().create(true).append(true).open(&log).map_err(Failure::io("open", &log));
        let (stdout, stderr) = (open()?, open()?);
        let own = std::env::current_exe()
            .map_err(|error| Failure::new(ExitCode::Failed, format!("cannot find this program's own path: {error}")))?;
        let mut command = Command::new(&own);
        command.args(["run-job", self.run_id.as_str(), "--store", self.store]);
        command.args(["--workers", &self.workers.to_string()]);
        if let Some(lanes) = self.lanes {
            command.args(["--lanes", &lanes.to_string()]);
        }
        if let Some(scratch) = self.scratch {
            command.arg("--scratch").arg(scratch);
        }
        command.stdin(lock.into_file()).stdout(stdout).stderr(stderr);
        in_a_session_of_its_own(&mut command);
        command.spawn().map(drop).map_err(Failure::io("start", &own))
    }
}

/// Neither Ctrl-C nor the end of a terminal reaches it.
fn in_a_session_of_its_own(command: &mut Command) {
    let detach = || nix::unistd::setsid().map(drop).map_err(Into::into);
    // SAFETY: between fork and exec only async-signal-safe calls are allowed. The closure makes one system call (setsid),
    // allocates nothing and takes no lock.
    unsafe {
        command.pre_exec(detach);
    }
}

/// `conrec run-job`: the coordinator and the workers of a job, until they have ended.
///
/// # Errors
/// What the run ends with; the job's state says it too.
pub fn run(args: &RunJobArgs) -> Result<u8, Failure> {
    let ended = train::run_job(args);
    // A thread of its own for the store: what was used for the processes has ended with them.
    let settled = crate::stored_run::wait(settle(args, &ended));
    if let Err(error) = settled {
        note!("the job's state is not in the store: {}", error.message);
    }
    ended
}

/// What the processes could not say themselves.
async fn settle(args: &RunJobArgs, ended: &Result<u8, Failure>) -> Result<(), Failure> {
    let store = Store::at(&args.store.store).map_err(StoreError::from)?;
    let failure =
        ended.as_ref().err().map(|failure| Ending::Failed { reason: failure.message.clone(), exit_code: failure.code });
    let settled = JobObjects::of(&store, &args.run).settle(failure.as_ref(), this_process(), now).await;
    settled.map_err(|error: JobError| error.into())
}
