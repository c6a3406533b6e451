//! The verbs that need tensors are done by `conrec-worker`, which lies next to this program.

use crate::failure::Failure;
use conrec_coordinator::exit_code::ExitCode;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

/// Becomes `conrec-worker VERB …`: the same process, so signals and exit code are its own.
///
/// # Errors
/// The program is missing or cannot be started; on success this does not come back.
pub fn run(verb: &str, rest: &[OsString]) -> Result<u8, Failure> {
    let program = worker_program()?;
    let mut command = Command::new(&program);
    command.arg(verb).args(rest);
    for (name, value) in QUIET {
        if std::env::var_os(name).is_none() {
            command.env(name, value);
        }
    }
    let error = command.exec();
    Err(Failure::new(ExitCode::Unavailable, format!("cannot start {}: {error}", program.display())))
}

/// Threads that wait leave the core to others, libtorch's own log lines do not mix with ours, and the allocator keeps
/// the pages of temporaries: a tensor of a few megabytes is otherwise mapped, cleared and unmapped each time.
pub const QUIET: [(&str, &str); 4] = [
    ("OMP_WAIT_POLICY", "PASSIVE"),
    ("TORCH_CPP_LOG_LEVEL", "FATAL"),
    ("MALLOC_MMAP_THRESHOLD_", "268435456"),
    ("MALLOC_TRIM_THRESHOLD_", "268435456"),
];

/// Where `conrec-worker` is.
///
/// # Errors
/// It is not next to this program.
pub fn worker_program() -> Result<PathBuf, Failure> {
    let own = std::env::current_exe()
        .map_err(|error| Failure::new(ExitCode::Failed, format!("cannot find this program's own path: {error}")))?;
    let program = own.with_file_name("conrec-worker");
    if program.is_file() {
        return Ok(program);
    }
    Err(Failure::new(
        ExitCode::Unavailable,
        format!(
            "{} is missing: both programs must lie in one folder; build it with `cargo build --release -p conrec-worker`",
            program.display()
        ),
    ))
}
