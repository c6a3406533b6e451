//! The `conrec` command: reads the arguments, does one verb, exits with the code that says how it went.

mod args;
mod audit;
mod bench;
mod certs;
mod checkpoints;
mod children;
mod compare;
mod config_file;
mod coordinator;
mod coverage_report;
mod curriculum_report;
mod experiment;
mod experiment_report;
mod experiment_tables;
mod failure;
mod job;
mod kubernetes;
mod nightly;
mod operate;
mod operator_client;
mod progress;
mod progress_view;
mod report;
mod report_table;
mod reproduce;
mod rollback;
mod sibling;
mod stored_run;
mod train;
mod validate;
mod verb;

use args::Cli;
use clap::Parser;
use std::process::ExitCode;

/// Workers and checkpoints of another version are refused.
const CODE_VERSION: &str = env!("CARGO_PKG_VERSION");

fn main() -> ExitCode {
    conrec_trust::install_cryptography();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return args::refused(&error),
    };
    let only_says = verb::only_says(&cli.verb);
    failure::exit(verb::run(cli.verb), only_says)
}
