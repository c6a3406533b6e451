//! The processes that a run has started.

use nix::unistd::Pid;
use std::fs;
use std::process::Child;

/// Those of a program that live, by their ids.
pub fn started_by(run: &Child, named: &str) -> Vec<Pid> {
    let parent = format!("PPid:\t{}", run.id());
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        // A process may end while it is looked at.
        let status = fs::read_to_string(entry.path().join("status")).unwrap_or_default();
        let program = fs::read_link(entry.path().join("exe")).unwrap_or_default();
        if program.file_name().is_some_and(|name| name == named) && status.lines().any(|line| line == parent) {
            found.push(Pid::from_raw(pid));
        }
    }
    found.sort();
    found
}
