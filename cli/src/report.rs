//! `conrec report`: a finished run's metrics table again, and where everything lies.

use crate::args::{Output, RunArgs};
use crate::failure::Failure;
use crate::report_table::{self, REPORT, Report};
use crate::stored_run;
use conrec_coordinator::exit_code::ExitCode;
use conrec_coordinator::store::RunObjects;
use conrec_process::result;

/// Prints the table, or `report.json` as it is.
///
/// # Errors
/// There is no such run, or it has no report yet.
pub fn run(args: &RunArgs) -> Result<u8, Failure> {
    stored_run::wait(show(args))
}

async fn show(args: &RunArgs) -> Result<u8, Failure> {
    let run = stored_run::existing(args).await?;
    let Some(report) = report_table::read(&run).await? else {
        return Err(Failure::new(
            ExitCode::Failed,
            format!("run `{}` has no report yet: {} holds none; train it to its end", args.run, run.place("")),
        ));
    };
    match args.output {
        Output::Text => result(format_args!("{}", summary(&run, &report).await?)),
        Output::Json => {
            let text = run.read(REPORT).await?.unwrap_or_default();
            result(format_args!("{}", String::from_utf8_lossy(&text)));
        }
    }
    Ok(ExitCode::Done.code())
}

/// The table, and where everything lies.
///
/// # Errors
/// The store cannot be read.
pub async fn summary(run: &RunObjects, report: &Report) -> Result<String, Failure> {
    let mut text = report.table();
    text.push_str(&format!(
        "\n{} iterations in {:.0} s; state {}\n\n",
        report.iterations, report.wall_seconds, report.state_digest
    ));
    for (name, says) in [
        ("report.html", "the whole run as one page"),
        (REPORT, "the same for programs"),
        ("adapter", "the trained adapter, for PEFT"),
        ("metrics.jsonl", "one line an iteration"),
        ("checkpoints", "to go on from"),
        ("logs", "of coordinator and workers"),
    ] {
        if !run.is_absent(name).await? {
            text.push_str(&format!("  {}  {says}\n", run.place(name)));
        }
    }
    Ok(text)
}
