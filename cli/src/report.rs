//! `conrec report`: a finished run's metrics table again, and where everything lies.

use crate::args::{Output, RunArgs};
use crate::failure::Failure;
use crate::report_table::{self, REPORT, Report};
use crate::stored_run;
use conrec_coordinator::exit_code::ExitCode;
use conrec_coordinator::store::RunObjects;
use conrec_domain::ids::Digest;
use conrec_domain::spec::Statistics;
use conrec_feedback::provenance::{Provenance, SplitWindow};
use conrec_feedback::readers::Negatives;
use conrec_page::IDENTITY;
use conrec_page::terminal::facts;
use conrec_process::result;
use serde::Deserialize;

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
        Output::Text => {
            let text = run.read(REPORT).await?.unwrap_or_default();
            result(format_args!("{}\n{}", summary(&run, &report).await?, identity(&text)));
        }
        Output::Json => {
            let text = run.read(REPORT).await?.unwrap_or_default();
            result(format_args!("{}", String::from_utf8_lossy(&text)));
        }
    }
    Ok(ExitCode::Done.code())
}

/// What names a report's numbers, in `report.json`.
#[derive(Deserialize)]
struct Named {
    run_id: String,
    config_digest: Digest,
    data_digest: Digest,
    state_digest: Digest,
    code_version: String,
    statistics: Statistics,
    split: NamedSplit,
    #[serde(default)]
    negatives: Option<Negatives>,
}

#[derive(Deserialize)]
struct NamedSplit {
    source: String,
    windows: Vec<SplitWindow>,
}

/// The report's identity in lines.
fn identity(report: &[u8]) -> String {
    let Ok(of) = serde_json::from_slice::<Named>(report) else {
        return "the report does not say what it belongs to: an earlier version wrote it\n".to_owned();
    };
    let provenance = Provenance {
        run_id: Some(of.run_id),
        config_digest: of.config_digest,
        data_digest: Some(of.data_digest),
        state_digest: Some(of.state_digest),
        report_version: of.code_version.clone(),
        code_version: Some(of.code_version),
        source: of.split.source,
        negatives: of.negatives,
        statistics: of.statistics,
        windows: of.split.windows,
        entered: None,
    };
    format!("{IDENTITY}\n{}", facts(&provenance.rows()))
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
