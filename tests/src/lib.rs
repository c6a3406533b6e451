//! What tests of several crates share: the real `conrec` (where the programs are, how a run is started, stopped and
//! read), machines with a network between them, emulators of object stores, and a store that fails on purpose.

pub mod chance;
pub mod emulators;
pub mod faulty_store;
mod google;
pub mod kubernetes_api;
pub mod network;
pub mod processes;
pub mod run_files;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// The project's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The built `conrec`: it lies in the folder above the test program's.
///
/// # Errors
/// When it is not there: `scripts/test` builds it first.
pub fn program() -> Result<PathBuf, String> {
    let own = std::env::current_exe().map_err(|e| e.to_string())?;
    let folder = own.ancestors().nth(2).ok_or("the test program lies nowhere")?;
    let program = folder.join("conrec");
    if program.is_file() {
        Ok(program)
    } else {
        Err(format!("{} is missing; run scripts/test, which builds it", program.display()))
    }
}

/// `conrec` with these arguments, from the project's root.
///
/// # Errors
/// As [`program`].
pub fn conrec(arguments: &[&str]) -> Result<Command, String> {
    let mut command = Command::new(program()?);
    command.args(arguments).current_dir(root()).stdin(Stdio::null());
    Ok(command)
}

/// Starts `conrec` in the background; what it says on stderr is appended to the file `log`.
///
/// # Errors
/// When it cannot be started.
pub fn start(arguments: &[&str], log: &Path) -> Result<Child, String> {
    let mut command = conrec(arguments)?;
    spawn(&mut command, log)
}

/// Starts a command in the background; what it says on stderr is appended to the file `log`.
///
/// # Errors
/// When it cannot be started.
pub fn spawn(command: &mut Command, log: &Path) -> Result<Child, String> {
    let log = File::options().create(true).append(true).open(log).map_err(|e| e.to_string())?;
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().map_err(|e| e.to_string())
}

/// Runs `conrec` to its end.
///
/// # Errors
/// When it cannot be started.
pub fn run(arguments: &[&str]) -> Result<Output, String> {
    conrec(arguments)?.output().map_err(|e| e.to_string())
}

/// Both streams of a finished program, for messages.
pub fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
