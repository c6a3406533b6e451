//! Options of the verbs for jobs: runs that were submitted under a key.

use super::{ClusterArgs, ConfigArgs, Output, StoreArgs, TemplateArgs, TrustArgs};
use clap::{Args, ValueEnum};
use conrec_domain::address::listening;
use conrec_domain::ids::RunId;
use conrec_domain::job::{IfExists, JobKey};
use std::path::PathBuf;

/// What `submit` does where the key was submitted before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum IfExistsArg {
    /// Be one more who watches it; go on with it where nobody works on it; give its result where it is over
    Attach,
    /// Exit with code 11
    Fail,
}

impl From<IfExistsArg> for IfExists {
    fn from(arg: IfExistsArg) -> Self {
        match arg {
            IfExistsArg::Attach => Self::Attach,
            IfExistsArg::Fail => Self::Fail,
        }
    }
}

/// `conrec submit`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  conrec submit configs/demo.toml --key nightly-2026-11-23 --wait
  conrec submit configs/demo.toml --key nightly-2026-11-23 --if-exists fail     11 if that key was submitted before
  conrec submit configs/demo.toml --key mine --enqueue      for a coordinator that is started elsewhere with --job

The key names the run: `conrec status`, `logs`, `pause`, `resume`, `cancel`, `checkpoint`, `wait` take
the run's name or --key. The same key with another config is refused, exit code 78 (docs/jobs.md).")]
pub struct SubmitArgs {
    /// The config.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// What makes it this job: any short text, such as nightly-2026-11-23
    #[arg(long, value_name = "KEY")]
    pub key: JobKey,
    /// Worker processes to start, and to wait for before the run begins; the result is the same for any number.
    /// Default: 1, or as many as the key was submitted with
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64))]
    pub workers: Option<u32>,
    /// Leases that each worker computes at once; default: cores / (workers x cluster.threads)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub lanes: Option<u32>,
    /// The store.
    #[command(flatten)]
    pub store: StoreArgs,
    /// Where files lie that come from a bucket or go there; default: the system's temporary folder
    #[arg(long, value_name = "DIR")]
    pub scratch: Option<PathBuf>,
    /// What to do where the key was submitted before
    #[arg(long, value_enum, default_value_t = IfExistsArg::Attach)]
    pub if_exists: IfExistsArg,
    /// Only write the request: a coordinator that is started elsewhere with --job serves it
    #[arg(long)]
    pub enqueue: bool,
    /// Where.
    #[command(flatten)]
    pub cluster: ClusterArgs,
    /// What it is made of in a cluster.
    #[command(flatten)]
    pub template: TemplateArgs,
    /// Wait for the job's end and exit with its exit code. Ctrl-C ends the waiting only
    #[arg(long)]
    pub wait: bool,
    /// How to wait.
    #[command(flatten)]
    pub waiting: WaitingArgs,
    /// How it is printed
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub output: Output,
}

/// How to wait for a job.
#[derive(Debug, Clone, Args)]
pub struct WaitingArgs {
    /// Give up waiting after so long, with exit code 75; the job goes on
    #[arg(long, value_name = "SECONDS")]
    pub timeout: Option<u64>,
    /// Write the last status to this file too, as JSON, however the job ended
    #[arg(long, value_name = "PATH")]
    pub result_file: Option<PathBuf>,
}

/// Which job.
#[derive(Debug, Clone, Args)]
pub struct JobArgs {
    /// The run's name, as `conrec submit` printed it
    #[arg(value_name = "RUN", required_unless_present = "key")]
    pub run: Option<RunId>,
    /// The key that it was submitted with, instead of the run's name
    #[arg(long, value_name = "KEY", conflicts_with = "run")]
    pub key: Option<JobKey>,
    /// The store.
    #[command(flatten)]
    pub store: StoreArgs,
    /// Where.
    #[command(flatten)]
    pub cluster: ClusterArgs,
    /// How it is printed
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub output: Output,
}

/// A run by its name, or a coordinator by its address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// In the store.
    Run(RunId),
    /// Over the network.
    Coordinator(String),
}

/// An address has a colon, which no name has.
fn target(text: &str) -> Result<Target, String> {
    if text.contains(':') {
        return listening(text).map(Target::Coordinator);
    }
    text.parse().map(Target::Run).map_err(|error: conrec_domain::ids::RunIdError| error.to_string())
}

/// Which run or coordinator.
#[derive(Debug, Clone, Args)]
pub struct TargetArgs {
    /// The run's name, or where its coordinator listens
    #[arg(value_name = "RUN|HOST:PORT", value_parser = target)]
    pub target: Option<Target>,
    /// The key that a job was submitted with, instead of the run's name
    #[arg(long, value_name = "KEY", conflicts_with = "target")]
    pub key: Option<JobKey>,
    /// The store.
    #[command(flatten)]
    pub store: StoreArgs,
    /// Certificates and token, for a coordinator.
    #[command(flatten)]
    pub trust: TrustArgs,
    /// Where.
    #[command(flatten)]
    pub cluster: ClusterArgs,
    /// How it is printed
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub output: Output,
}

/// `conrec status`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  conrec status                                  all jobs of the store
  conrec status nightly-2026-11-23 --output json
  conrec status 127.0.0.1:7000 --follow          what a coordinator says, over the network

A coordinator without --operator-token-file answers operators over loopback only.")]
pub struct StatusArgs {
    /// Which.
    #[command(flatten)]
    pub target: TargetArgs,
    /// Every later status too, one a line, until the run ends
    #[arg(long, visible_alias = "watch")]
    pub follow: bool,
}

/// `conrec logs`.
#[derive(Debug, Args)]
pub struct LogsArgs {
    /// Which job.
    #[command(flatten)]
    pub job: JobArgs,
    /// One process only: job, coordinator, worker-1, ...
    #[arg(long, value_name = "NAME")]
    pub process: Option<String>,
    /// Only the last lines of each process
    #[arg(long, value_name = "N")]
    pub tail: Option<usize>,
    /// Go on with what is logged from now on, until the job rests or is over
    #[arg(long)]
    pub follow: bool,
    /// Where files of a job in a bucket lie on this machine, as it was submitted; default: the system's temporary folder
    #[arg(long, value_name = "DIR")]
    pub scratch: Option<PathBuf>,
}

/// `conrec pause` and `conrec cancel`.
#[derive(Debug, Args)]
pub struct WishArgs {
    /// Which.
    #[command(flatten)]
    pub target: TargetArgs,
    /// Wait until it is so
    #[arg(long)]
    pub wait: bool,
    /// Give up waiting after so long, with exit code 75
    #[arg(long, value_name = "SECONDS")]
    pub timeout: Option<u64>,
}

/// `conrec checkpoint`.
#[derive(Debug, Clone, Args)]
pub struct CheckpointArgs {
    /// Which.
    #[command(flatten)]
    pub target: TargetArgs,
    /// Give up waiting after so long, with exit code 75; it may still be written
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    pub timeout: u64,
}

/// `conrec wait`.
#[derive(Debug, Args)]
pub struct WaitArgs {
    /// Which job.
    #[command(flatten)]
    pub job: JobArgs,
    /// How to wait.
    #[command(flatten)]
    pub waiting: WaitingArgs,
}

/// `conrec run-job`.
#[derive(Debug, Args)]
pub struct RunJobArgs {
    /// The run's name
    #[arg(value_name = "RUN")]
    pub run: RunId,
    /// The store.
    #[command(flatten)]
    pub store: StoreArgs,
    /// Worker processes
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub workers: u32,
    /// Leases at once
    #[arg(long, value_name = "N")]
    pub lanes: Option<u32>,
    /// For files that come from a bucket or go there
    #[arg(long, value_name = "DIR")]
    pub scratch: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_a_colon_is_an_address() {
        assert_eq!(target("127.0.0.1:7000"), Ok(Target::Coordinator("127.0.0.1:7000".into())));
        assert_eq!(target("nightly-1"), Ok(Target::Run("nightly-1".parse().unwrap())));
        assert!(target("Nightly").is_err() && target("host:").is_err());
    }
}
