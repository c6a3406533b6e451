//! `conrec-worker`: everything that needs tensors. People call it through `conrec`.

use clap::Parser;
use conrec_worker::command::{Cli, run};
use conrec_worker::cuda;
use std::process::ExitCode;

/// The command line is wrong; as for `conrec`.
const WRONG_USAGE: u8 = 64;

fn main() -> ExitCode {
    conrec_trust::install_cryptography();
    cuda::load();
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_env("CONREC_LOG")
                .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info,object_store=warn")),
        )
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(WRONG_USAGE) } else { ExitCode::SUCCESS };
        }
    };
    let code = match run(cli) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            error.exit_code()
        }
    };
    // The compute thread may still be inside a long operation; nothing of it is wanted any more.
    std::process::exit(i32::from(code))
}
