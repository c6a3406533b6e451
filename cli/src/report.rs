//! `conrec report`: a finished run's metrics table again, and where everything lies.

use crate::args::{Output, RunArgs};
use crate::failure::Failure;
use crate::report_table::{self, Report};
use conrec_coordinator::exit_code::ExitCode;
use conrec_coordinator::store::local_folder;
use std::path::{Path, PathBuf};

/// Prints the table, or `report.json` as it is.
///
/// # Errors
/// There is no such run, or it has no report yet.
pub fn run(args: &RunArgs) -> Result<u8, Failure> {
    let folder = existing(args)?;
    let Some(report) = report_table::read(&folder)? else {
        return Err(Failure::new(
            ExitCode::Failed,
            format!("run `{}` has no report yet: {} holds none; train it to its end", args.run, folder.display()),
        ));
    };
    match args.output {
        Output::Text => print!("{}", summary(&folder, &report)),
        Output::Json => {
            let path = folder.join("report.json");
            print!("{}", std::fs::read_to_string(&path).map_err(Failure::io("read", &path))?);
        }
    }
    Ok(ExitCode::Done.code())
}

/// The run's folder.
///
/// # Errors
/// The store holds no such run; the message names those it holds.
pub fn existing(args: &RunArgs) -> Result<PathBuf, Failure> {
    let store = local_folder(&args.store.store)?;
    let folder = store.join(args.run.as_str());
    if folder.is_dir() {
        return Ok(folder);
    }
    let mut runs: Vec<String> = std::fs::read_dir(&store)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok().filter(|e| e.path().join("run.toml").is_file()))
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    runs.sort();
    let there = if runs.is_empty() { "it holds no runs".to_owned() } else { format!("it holds {}", runs.join(", ")) };
    Err(Failure::new(ExitCode::Usage, format!("no run `{}` in store {}: {there}", args.run, store.display())))
}

/// The table, and where everything lies.
pub fn summary(folder: &Path, report: &Report) -> String {
    let mut text = report.table();
    text.push_str(&format!(
        "\n{} iterations in {:.0} s; state {}\n\n",
        report.iterations, report.wall_seconds, report.state_digest
    ));
    for (name, says) in [
        ("report.html", "the whole run as one page"),
        ("report.json", "the same for programs"),
        ("adapter", "the trained adapter, for PEFT"),
        ("metrics.jsonl", "one line an iteration"),
        ("checkpoints", "to go on from"),
        ("logs", "of coordinator and workers"),
    ] {
        let path = folder.join(name);
        if path.exists() {
            text.push_str(&format!("  {}  {says}\n", path.display()));
        }
    }
    text
}
