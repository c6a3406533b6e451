//! What the command line may say: every verb and option, with help that teaches.

mod jobs;
mod kubernetes;
mod trust;

pub use jobs::{
    CheckpointArgs as JobCheckpointArgs, IfExistsArg, JobArgs, LogsArgs, RunJobArgs, StatusArgs, SubmitArgs, Target,
    TargetArgs, WaitArgs, WaitingArgs, WishArgs,
};
pub use kubernetes::{ClusterArgs, ScaleArgs, TemplateArgs};
pub use trust::{CertsAction, CertsArgs, CertsInitArgs, CertsShowArgs, ENVIRONMENT, OperatorArgs, TrustArgs};

use crate::coverage_report::CoverageArgs;
use crate::curriculum_report::CurriculumArgs;
use crate::nightly::NightlyArgs;
use crate::reproduce::ReproduceArgs;
use crate::rollback::RollbackArgs;
use clap::{Args, Parser, Subcommand};
use conrec_coordinator::exit_code::ExitCode as Code;
use conrec_domain::ids::RunId;
pub use conrec_process::Output;
use conrec_vitals::VitalsArgs;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

const EXAMPLES: &str = "\
Examples:
  conrec train configs/demo.toml                train, evaluate and export on real data
  conrec train configs/demo.toml                the same command again resumes the run
  conrec train configs/smoke.toml --workers 2   under a minute; N workers give the same bits
  conrec train configs/demo.toml --set seed=1 --set stage.3.beta=0.2
  conrec validate configs/demo.toml             check a config, see all that follows from it
  conrec report demo-1a2b3c4d                   a finished run's metrics and report page
  conrec submit configs/demo.toml --key mine    the same in the background; the same key is the same job

Exit codes:
  0 done | 1 failed | 11 this key already ran | 15 cancelled | 64 wrong command line | 65 bad data
  69 store or server unavailable | 75 stopped after a checkpoint: the same command resumes | 78 bad config
  10 to 14 of `conrec nightly`: not promoted | ran before | overtaken | late | empty";

/// Trains a policy that predicts what users will dislike: semantic ids, supervised stages, progressive GRPO.
#[derive(Debug, Parser)]
#[command(name = "conrec", version, after_help = EXAMPLES, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// One verb, one file.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Train, evaluate and export: the whole job on this machine, with progress. Resumes a run that was stopped
    Train(TrainArgs),
    /// Check a config and print every number that follows from it
    Validate(ValidateArgs),
    /// Show a finished run's metrics table and where its report is
    Report(RunArgs),
    /// Prove from a run's files that each prompt counted exactly once and that the digests form a chain; exit code 65 when not
    Audit(RunArgs),
    /// List a run's checkpoints, look into one, verify every byte of them, or remove what is not to be kept
    Checkpoints(CheckpointsArgs),
    /// Read the data, make instances and semantic ids, print their statistics
    Prepare(RestArgs),
    /// Write a made-up dataset of any size as files, with the truth about its users beside it
    Synthesize(RestArgs),
    /// Evaluate a run or an exported adapter again: the metrics table with intervals
    Evaluate(RestArgs),
    /// Write a run's adapter for PEFT, or its decoder with the adapter folded in for transformers
    Export(RestArgs),
    /// Ask whether semantic ids mean anything: codes, neighbours, categories, stability, controls
    SidReport(RestArgs),
    /// Predict what all users will dislike: their predict sets as one Parquet file
    Predict(RestArgs),
    /// What the run's filter takes away at every threshold, beside the baselines' and the rule "block the category"
    FilterReport(RestArgs),
    /// The paper's tables for a dataset: all models, what each part adds, rewards; several seeds, as a page
    Reproduce(ReproduceArgs),
    /// Does the curriculum matter? Other orders of contexts, and sweeps of gamma, beta and horizon; several seeds, as a page
    CurriculumReport(CurriculumArgs),
    /// What did alignment teach, and did GRPO keep it? Questions by kind of distractor, a linear probe, a picture; as a page
    AlignmentReport(RestArgs),
    /// Train a config anew for one night, and let it serve only if it is not worse than what serves
    Nightly(NightlyArgs),
    /// Go back to what served before a promotion, or list all promotions
    Rollback(RollbackArgs),
    /// How much of a user's negative interest the targets of training cover, beside another user's; a page
    CoverageReport(CoverageArgs),
    /// Measure speed and memory of this machine; prints JSON
    Bench(RestArgs),
    /// Serve one run to workers: the process that grants leases and commits iterations
    Coordinator(CoordinatorArgs),
    /// Work for a coordinator: the process that computes
    Worker(RestArgs),
    /// Submit a run under a key and start it in the background; the same key again finds it, goes on with it, or gives
    /// its result
    Submit(SubmitArgs),
    /// Show a job, all jobs of a store, or what the run of a coordinator is doing, over the network
    Status(StatusArgs),
    /// Show what a job's processes on this machine have logged
    Logs(LogsArgs),
    /// Write a checkpoint and let a job rest, without processes, until it is resumed
    Pause(WishArgs),
    /// Let a job that was paused go on
    Resume(JobArgs),
    /// End a job for good; nothing of it is resumed
    Cancel(WishArgs),
    /// Ask a run for a checkpoint now, and print its name once it is whole
    Checkpoint(JobCheckpointArgs),
    /// Wait for a job's end and exit with its exit code
    Wait(WaitArgs),
    /// Give a run in Kubernetes more workers, or fewer, while it goes on
    Scale(ScaleArgs),
    /// A job's processes on this machine; started by submit and resume
    #[command(hide = true)]
    RunJob(RunJobArgs),
    /// Ask a coordinator, over the network, for a checkpoint and an end
    Stop(OperatorArgs),
    /// Make or show the certificates with which processes know each other
    Certs(CertsArgs),
}

/// A config file and what is laid over it.
#[derive(Debug, Clone, Args)]
pub struct ConfigArgs {
    /// The run's config, a TOML file; configs/demo.toml explains every key
    #[arg(value_name = "CONFIG")]
    pub config: PathBuf,
    /// Set one key for this run, such as seed=1 or stage.3.beta=0.2 (stages count from 0); may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

/// Where runs are kept.
#[derive(Debug, Clone, Args)]
pub struct StoreArgs {
    /// Where all runs are kept: a folder, or s3://bucket/prefix, az://container/prefix, gs://bucket/prefix with
    /// credentials and endpoint from the environment (docs/stores.md)
    #[arg(long, value_name = "URL", default_value = "./runs")]
    pub store: String,
}

/// `conrec train`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  conrec train configs/demo.toml
  conrec train configs/smoke.toml --workers 2 --run-id two-workers
  conrec train configs/demo.toml --output json --quiet > result.json

Ctrl-C writes a checkpoint and stops (exit code 75); the same command goes on from there.
A second Ctrl-C kills. A run's files are in <store>/<run id>/: report.html, report.json,
adapter/, metrics.jsonl, checkpoints/, logs/.")]
pub struct TrainArgs {
    /// The config.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// The run's name; default: the config's file name and the first 8 digits of its digest, so that the same
    /// command is the same run
    #[arg(long, value_name = "ID")]
    pub run_id: Option<RunId>,
    /// Worker processes to start; the result is the same for any number
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub workers: u32,
    /// Leases that each worker computes at once; default: cores / (workers x cluster.threads). The result is the same
    /// for any number
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub lanes: Option<u32>,
    /// The store.
    #[command(flatten)]
    pub store: StoreArgs,
    /// Where files lie that come from a bucket or go there; default: the system's temporary folder
    #[arg(long, value_name = "DIR")]
    pub scratch: Option<PathBuf>,
    /// Show no progress
    #[arg(long)]
    pub quiet: bool,
    /// What is printed at the end
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub output: Output,
}

/// `conrec validate`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  conrec validate configs/demo.toml
  conrec validate configs/demo.toml --set stage.3.completions=1    (refused, exit code 78)
  conrec validate configs/demo.toml --output json")]
pub struct ValidateArgs {
    /// The config.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// How it is printed
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub output: Output,
}

/// `conrec coordinator`.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  conrec certs init certs --name HOST
  conrec coordinator configs/demo.toml --workers 2 --listen 0.0.0.0:7000 --store /shared/runs --tls certs/coordinator
  conrec worker --coordinator HOST:7000 --store /shared/runs --tls certs/worker     on each worker's machine
  conrec coordinator configs/demo.toml --job nightly-7      the same as a job: what `conrec status` knows of it is in the store

Prints one line, `listening on HOST:PORT`. SIGTERM writes a checkpoint and ends it with exit code 75.")]
pub struct CoordinatorArgs {
    /// The run's config, a TOML file; configs/demo.toml explains every key
    #[arg(value_name = "CONFIG", required_unless_present = "job")]
    pub config: Option<PathBuf>,
    /// Set one key for this run, such as seed=1 or stage.3.beta=0.2 (stages count from 0); may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE", requires = "config")]
    pub set: Vec<String>,
    /// Serve the job of this name; its state is kept in the store. With CONFIG, that is submitted under this name where
    /// nothing was, and another config than what was submitted is refused
    #[arg(long, value_name = "RUN", conflicts_with = "run_id")]
    pub job: Option<RunId>,
    /// Where the job is paused: wait until it is resumed, instead of ending with exit code 75
    #[arg(long, requires = "job")]
    pub wait_while_paused: bool,
    /// The run's name; default: the config's file name and the first 8 digits of its digest
    #[arg(long, value_name = "ID")]
    pub run_id: Option<RunId>,
    /// Workers that the run waits for before it begins; default: 1, or as many as the job was submitted with
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub workers: Option<u32>,
    /// The store.
    #[command(flatten)]
    pub store: StoreArgs,
    /// Where to listen, instead of cluster.listen; port 0 takes a free one
    #[arg(long, value_name = "HOST:PORT")]
    pub listen: Option<String>,
    /// Certificates and token.
    #[command(flatten)]
    pub trust: TrustArgs,
    /// Listen on an address that other machines reach although there is no --tls: nothing is encrypted, and whoever
    /// reaches it may join the run
    #[arg(long)]
    pub insecure_listen: bool,
    /// Health, figures, last word.
    #[command(flatten)]
    pub vitals: VitalsArgs,
    /// Write HOST:PORT to this file once the coordinator listens
    #[arg(long, value_name = "PATH")]
    pub address_file: Option<PathBuf>,
}

/// A verb of `conrec-worker`; its arguments are passed on as they are.
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub struct RestArgs {
    /// Passed on to conrec-worker; try --help
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGS")]
    pub rest: Vec<OsString>,
}

/// A run in a store.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// The run's name, as `conrec train` printed it
    #[arg(value_name = "RUN")]
    pub run: RunId,
    /// The store.
    #[command(flatten)]
    pub store: StoreArgs,
    /// How it is printed
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub output: Output,
}

/// `conrec checkpoints`.
#[derive(Debug, Args)]
pub struct CheckpointsArgs {
    /// What to do with them.
    #[command(subcommand)]
    pub action: CheckpointsAction,
}

/// What can be done with checkpoints.
#[derive(Debug, Subcommand)]
pub enum CheckpointsAction {
    /// Every checkpoint of a run, newest first, and whether all its files are there
    List(RunArgs),
    /// Read every byte and compare it with the digests in the manifests; exit code 65 when one is damaged
    Verify(RunArgs),
    /// One checkpoint in full: where the run would go on, digests, parts. Reads every byte
    Inspect(CheckpointArgs),
    /// Remove what retention does not keep, and what was never finished
    Prune(PruneArgs),
}

/// A checkpoint of a run.
#[derive(Debug, Args)]
pub struct CheckpointArgs {
    /// The run.
    #[command(flatten)]
    pub run: RunArgs,
    /// The checkpoint, as `conrec checkpoints list` prints it
    #[arg(value_name = "KEY")]
    pub key: String,
}

/// `conrec checkpoints prune`.
#[derive(Debug, Args)]
#[command(after_help = "The newest whole checkpoint stays in any case, and the one that the select pass ended with.")]
pub struct PruneArgs {
    /// The run.
    #[command(flatten)]
    pub run: RunArgs,
    /// Keep the last n; default: checkpoint.keep_last of the run's config
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub keep_last: Option<u32>,
    /// Keep each whose iteration is a multiple of this, 0 for none; default: checkpoint.keep_every of the run's config
    #[arg(long, value_name = "M")]
    pub keep_every: Option<u32>,
    /// Keep so many of the best by validation, 0 for none; default: checkpoint.keep_best of the run's config
    #[arg(long, value_name = "N")]
    pub keep_best: Option<u32>,
    /// Keep each that ends a stage of the select pass; default: checkpoint.keep_stage_ends of the run's config
    #[arg(long)]
    pub keep_stage_ends: bool,
}

/// Prints clap's message. Help and version are no errors; anything else is a wrong command line.
pub fn refused(error: &clap::Error) -> ExitCode {
    let _ = error.print();
    if error.use_stderr() { ExitCode::from(Code::Usage.code()) } else { ExitCode::SUCCESS }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(words: &str) -> Result<Verb, clap::Error> {
        Cli::try_parse_from(words.split(' ')).map(|cli| cli.verb)
    }

    #[test]
    fn the_definition_holds_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn train_takes_overrides_and_has_defaults() {
        let Ok(Verb::Train(args)) = parse("conrec train a.toml --set seed=1 --set stage.0.beta=0.2") else {
            panic!("not train");
        };
        assert_eq!(args.config.set, ["seed=1", "stage.0.beta=0.2"]);
        assert_eq!((args.workers, args.store.store.as_str(), args.run_id, args.quiet), (1, "./runs", None, false));
    }

    #[test]
    fn a_run_id_that_cannot_be_a_folder_is_refused_with_what_is_allowed() {
        let error = parse("conrec train a.toml --run-id ../x").unwrap_err();
        assert!(error.to_string().contains("a-z 0-9"), "{error}");
    }

    #[test]
    fn no_workers_are_refused() {
        assert!(parse("conrec train a.toml --workers 0").is_err());
    }

    #[test]
    fn arguments_of_the_worker_pass_untouched() {
        let Ok(Verb::Worker(args)) = parse("conrec worker --coordinator 127.0.0.1:7 --store ./runs --help") else {
            panic!("not worker");
        };
        assert_eq!(args.rest, ["--coordinator", "127.0.0.1:7", "--store", "./runs", "--help"]);
    }
}
