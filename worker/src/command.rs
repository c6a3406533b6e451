//! The verbs of `conrec-worker`; `conrec` passes them on.

use crate::alignment_report::{self, AlignmentArgs};
use crate::base_folder::open_base;
use crate::bench;
use crate::error::WorkerError;
use crate::evaluate_again::{self, EvaluateArgs};
use crate::export::{self, ExportArgs};
use crate::filter_report::{self, FilterReportArgs};
use crate::predict::{self, PredictArgs};
use crate::prepare::prepare;
use crate::run_folder::{Place, RunFolder};
use crate::session::{self, Ended, SessionOptions};
use crate::sid_report::{self, SidReportArgs};
use crate::synthesize::{self, SynthesizeArgs};
use clap::{Args, Parser, Subcommand};
use conrec_domain::address::listening;
use conrec_domain::ids::RunId;
use conrec_domain::spec::{RunConfig, RunSpec};
use conrec_vitals::{Vitals, VitalsArgs};
use std::path::PathBuf;
use std::time::Duration;

/// Everything of conrec that needs tensors. Use it through `conrec`.
#[derive(Debug, Parser)]
#[command(name = "conrec", bin_name = "conrec", version, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Work for a coordinator until it says stop
    Worker(WorkerArgs),
    /// Read the data, make instances and semantic ids, print their statistics
    Prepare(PrepareArgs),
    /// Write a made-up dataset as files, with the truth about its users beside it
    Synthesize(SynthesizeArgs),
    /// Evaluate a run's final policy or an adapter again: the metrics table with intervals
    Evaluate(EvaluateArgs),
    /// Write a run's adapter for PEFT, or its decoder with the adapter folded in for transformers
    Export(ExportArgs),
    /// Ask whether semantic ids mean anything: codes, neighbours, categories, stability, controls
    SidReport(SidReportArgs),
    /// What alignment taught and GRPO kept: questions, a linear probe, a picture; as a page
    AlignmentReport(AlignmentArgs),
    /// Predict what all users will dislike: their predict sets as one Parquet file
    Predict(PredictArgs),
    /// What the run's filter takes away at every threshold, beside the baselines' and the rule "block the category"
    FilterReport(FilterReportArgs),
    /// Measure speed and memory; prints one JSON object
    Bench(bench::BenchArgs),
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  conrec worker --coordinator 10.0.0.5:7000 --advertise 10.0.0.6 --tls certs/worker")]
struct WorkerArgs {
    /// Where the coordinator listens
    #[arg(long, value_name = "HOST:PORT", value_parser = listening)]
    coordinator: String,
    /// Where other workers reach this one
    #[arg(long, value_name = "HOST", default_value = "127.0.0.1")]
    advertise: String,
    /// The folder with this worker's ca.pem, cert.pem and key.pem: encrypt, and believe only a coordinator of that authority
    #[arg(long, value_name = "DIR", env = "CONREC_TLS", hide_env_values = true)]
    tls: Option<PathBuf>,
    /// Where all runs are kept, a folder or the URL of a bucket; default: the coordinator's own
    #[arg(long, value_name = "URL")]
    store: Option<String>,
    /// The job that this worker is for: its records in --store say, before any coordinator was reached, that it is over
    /// (this worker ends with exit code 0) or that it is paused (it waits as long as that lasts)
    #[arg(long, value_name = "RUN", requires = "store")]
    job: Option<RunId>,
    /// Where files lie that come from a bucket or go there; default: the system's temporary folder
    #[arg(long, value_name = "DIR")]
    scratch: Option<PathBuf>,
    /// Leases to compute at once; default: as many as this machine has cores. The result is the same for any number
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    lanes: Option<u32>,
    /// Give up when the coordinator could not be reached for this long; default: wait for ever, as it may be started again
    #[arg(long, value_name = "SECONDS")]
    give_up_after: Option<u64>,
    /// Once asked to end (SIGTERM, Ctrl-C): how long the run has to let this worker go. Less than the time after which
    /// the system kills it
    #[arg(long, value_name = "SECONDS", default_value_t = 25)]
    grace_seconds: u32,
    /// Let what workers say to each other (gradients, weights) leave this machine although there is no --tls: in plain
    /// text, and open to whoever reaches it
    #[arg(long)]
    insecure_collectives: bool,
    /// Health, figures, last word.
    #[command(flatten)]
    vitals: VitalsArgs,
    /// Name for people; default: the process id
    #[arg(long)]
    name: Option<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  conrec prepare configs/demo.toml --into ./prepared-demo")]
struct PrepareArgs {
    /// The run's config
    #[arg(value_name = "CONFIG")]
    config: PathBuf,
    /// Set one key, such as data.max_users=3000; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// The folder that gets `prepared/`
    #[arg(long, value_name = "FOLDER", default_value = "./prepared")]
    into: PathBuf,
}

/// Does what the command line says; gives the exit code.
///
/// # Errors
/// Any [`WorkerError`].
pub fn run(cli: Cli) -> Result<u8, WorkerError> {
    match cli.verb {
        Verb::Worker(args) => work(args),
        Verb::Prepare(args) => prepare_only(&args).map(|()| 0),
        Verb::Synthesize(args) => synthesize::run(&args).map(|()| 0),
        Verb::Export(args) => export::run(&args).map(|()| 0),
        Verb::SidReport(args) => sid_report::run(&args).map(|()| 0),
        Verb::AlignmentReport(args) => alignment_report::run(&args).map(|()| 0),
        Verb::Evaluate(args) => evaluate_again::run(&args).map(|()| 0),
        Verb::Predict(args) => predict::run(&args).map(|()| 0),
        Verb::FilterReport(args) => filter_report::run(&args).map(|()| 0),
        Verb::Bench(args) => bench::run(&args).map(|()| 0),
    }
}

fn work(args: WorkerArgs) -> Result<u8, WorkerError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|e| WorkerError::Protocol(format!("cannot start the runtime: {e}")))?;
    let vitals = Vitals::new(&[("role", "worker"), ("version", env!("CARGO_PKG_VERSION"))]);
    let options = SessionOptions {
        vitals: vitals.clone(),
        coordinator: args.coordinator,
        advertise: args.advertise,
        store: args.store,
        job: args.job,
        scratch: args.scratch,
        tls: args.tls,
        insecure_collectives: args.insecure_collectives,
        name: args.name.unwrap_or_else(|| format!("pid-{}", std::process::id())),
        code_version: env!("CARGO_PKG_VERSION").to_owned(),
        lanes: args.lanes.unwrap_or_else(cores),
        patience: args.give_up_after.map(Duration::from_secs),
        grace: Duration::from_secs(args.grace_seconds.into()),
    };
    let result = runtime.block_on(async {
        args.vitals.open(&vitals).await?;
        session::run(&options).await
    });
    args.vitals.say_last(&match &result {
        Ok(Ended::Complete) => "the run needs this worker no more".to_owned(),
        Ok(Ended::Left) => "stopped; started again it joins the run".to_owned(),
        Err(error) => error.to_string(),
    });
    // The compute thread may be inside a long operation; it is not waited for.
    runtime.shutdown_background();
    result.map(Ended::exit_code)
}

fn cores() -> u32 {
    std::thread::available_parallelism().ok().and_then(|cores| u32::try_from(cores.get()).ok()).unwrap_or(1).min(1024)
}

fn prepare_only(args: &PrepareArgs) -> Result<(), WorkerError> {
    let text = std::fs::read_to_string(&args.config)
        .map_err(|e| WorkerError::ConfigFile { path: args.config.clone(), message: e.to_string() })?;
    let spec = RunSpec::check(RunConfig::parse_with(&text, &args.config.display().to_string(), &args.set)?)?;
    tch::set_num_threads(i32::try_from(spec.cluster.threads).unwrap_or(1));
    let name = args.into.file_name().map(|n| n.to_string_lossy().to_lowercase()).unwrap_or_default();
    let run: RunId = name.parse().map_err(|_| WorkerError::Usage {
        option: "--into",
        found: args.into.display().to_string(),
        allowed: "a folder whose name is a run id: a-z 0-9 - _ .",
    })?;
    let parent =
        args.into.parent().filter(|p| !p.as_os_str().is_empty()).map_or_else(|| PathBuf::from("."), PathBuf::from);
    let folder = RunFolder::open(&Place { store: parent.display().to_string(), scratch: None, run })?;
    let prepared = prepare(&spec, &open_base(&spec)?, &folder)?;
    print_json(&prepared)
}

fn print_json(value: &impl serde::Serialize) -> Result<(), WorkerError> {
    let text = serde_json::to_string_pretty(value).map_err(|e| WorkerError::Protocol(e.to_string()))?;
    conrec_process::say!("{text}");
    Ok(())
}
