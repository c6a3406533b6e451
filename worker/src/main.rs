//! `conrec-worker`: everything that needs tensors. People call it through `conrec`.

use clap::Parser;
use conrec_worker::command::{Cli, run};
use conrec_worker::cuda;
use std::process::ExitCode;

/// The command line is wrong; as for `conrec`.
const WRONG_USAGE: u8 = 64;

/// What was to be said did not get where stdout leads to; as for `conrec`.
const UNAVAILABLE: u8 = 69;

fn main() -> ExitCode {
    conrec_trust::install_cryptography();
    cuda::load();
    conrec_process::log_to_stderr();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(WRONG_USAGE) } else { ExitCode::SUCCESS };
        }
    };
    let code = match run(cli) {
        Ok(code) => match conrec_process::missing() {
            None => code,
            Some(error) => {
                conrec_process::note!("error: cannot write to stdout: {error}; not all was said");
                UNAVAILABLE
            }
        },
        Err(error) => {
            conrec_process::note!("error: {error}");
            error.exit_code()
        }
    };
    // The compute thread may still be inside a long operation; nothing of it is wanted any more.
    std::process::exit(i32::from(code))
}
