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
mod experiment;
mod failure;
mod operate;
mod operator_client;
mod perform;
mod progress;
mod progress_view;
mod report;
mod report_table;
mod reproduce;
mod sibling;
mod stored_run;
mod train;
mod validate;

use args::{Cli, Verb};
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
    // What these do lies in files; of the others all that they do is what they say.
    let only_says = !matches!(cli.verb, Verb::Train(_) | Verb::Reproduce(_) | Verb::Coordinator(_));
    failure::exit(perform::perform(cli.verb), only_says)
}
