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
    let done = match cli.verb {
        Verb::Validate(args) => validate::run(&args),
        Verb::Train(args) => train::run(&args),
        Verb::Coordinator(args) => coordinator::run(&args),
        Verb::Worker(args) => sibling::run("worker", &args.rest),
        Verb::Prepare(args) => sibling::run("prepare", &args.rest),
        Verb::Synthesize(args) => sibling::run("synthesize", &args.rest),
        Verb::Evaluate(args) => sibling::run("evaluate", &args.rest),
        Verb::Reproduce(args) => reproduce::run(&args),
        Verb::Bench(args) => bench::run(&args.rest),
        Verb::Status(args) => operate::status(&args),
        Verb::Stop(args) => operate::stop(&args),
        Verb::Certs(args) => certs::run(&args),
        Verb::Report(args) => report::run(&args),
        Verb::Audit(args) => audit::run(&args),
        Verb::Checkpoints(args) => checkpoints::run(&args),
    };
    failure::exit(done, only_says)
}
