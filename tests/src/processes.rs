//! The processes that a run has started.

use std::fs;

/// Ids of the processes of the program `named` that process `parent` has started and that live, in their order.
pub fn started_by(parent: u32, named: &str) -> Vec<i32> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        // A process may end while it is looked at.
        let status = fs::read_to_string(entry.path().join("status")).unwrap_or_default();
        let program = fs::read_link(entry.path().join("exe")).unwrap_or_default();
        if program.file_name().is_some_and(|name| name == named)
            && status.lines().any(|line| line == format!("PPid:\t{parent}"))
        {
            found.push(id);
        }
    }
    found.sort_unstable();
    found
}

/// Whether a process of this id is there.
pub fn lives(id: i32) -> bool {
    fs::exists(format!("/proc/{id}")).unwrap_or(false)
}

/// Whether the process has a handler of its own for this signal, so that it may decide what to do.
pub fn catches(id: u32, signal: i32) -> bool {
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

/// Ids of the processes of the program `named` that were started with this variable, whoever started them.
pub fn started_with(named: &str, variable: &str, value: &str) -> Vec<i32> {
    let (mut found, wanted) = (Vec::new(), format!("{variable}={value}"));
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        let program = fs::read_link(entry.path().join("exe")).unwrap_or_default();
        let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
        if program.file_name().is_some_and(|name| name.to_string_lossy().starts_with(named))
            && environment.split(|byte| *byte == 0).any(|one| one == wanted.as_bytes())
        {
            found.push(id);
        }
    }
    found.sort_unstable();
    found
}
