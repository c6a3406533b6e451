//! `conrec nightly`: one night, from a look at its data to what serves from now on. What comes next is decided in
//! `conrec_domain::nightly`, what was done is kept by `conrec_nightly`; here it is done, by the verbs that do it elsewhere.

mod config;
mod evidence;
mod told;
mod work;

use crate::args::{ClusterArgs, ConfigArgs, Output, StoreArgs, TemplateArgs};
use crate::failure::{Failure, no_signals};
use crate::stored_run;
use clap::{Args, ValueEnum};
use conrec_coordinator::exit_code::ExitCode;
use conrec_coordinator::store::StoreError;
use conrec_domain::day::Day;
use conrec_nightly::{Clock, NightError, Nights, Shift, Stopped};
use conrec_process::StopSignals;
use conrec_store::Store;
use std::cell::Cell;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use work::Work;

/// `conrec nightly`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  conrec nightly configs/nightly.toml --date 2013-08-30
  conrec nightly configs/nightly.toml --date yesterday --store s3://bucket/conrec --output json
  conrec nightly configs/nightly.toml --date yesterday --store s3://bucket/conrec --kubernetes --workers 4
  conrec rollback --store s3://bucket/conrec                back to what served before

The same command goes on where one was stopped or died; one at a time works, others wait. Exit codes: 0 promoted | 10 trained,
not promoted | 11 ran before | 12 a later night was promoted before | 13 late, try again | 14 empty | 65 broken data |
75 stopped after a checkpoint. In each of them but 0 what served goes on serving. docs/nightly.md has the whole.")]
pub struct NightlyArgs {
    /// The config; its [nightly] has the rules.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// The night's day, such as 2013-08-30, or yesterday (UTC): the newest day whose events are trained or evaluated on
    #[arg(long, value_name = "DATE", value_parser = parse_date)]
    pub date: Day,
    /// Worker processes, or pods; the result is the same for any number. Default: 1, in a cluster what the template has
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64))]
    pub workers: Option<u32>,
    /// Leases that each worker computes at once; default: as `conrec train` has it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub lanes: Option<u32>,
    /// The store.
    #[command(flatten)]
    pub store: StoreArgs,
    /// Fit semantic ids anew and begin from nothing, although something serves; the outcome says how many ids changed
    #[arg(long)]
    pub refit: bool,
    /// What to do while another process works on this or another night
    #[arg(long, value_enum, default_value_t = IfRunning::Wait)]
    pub if_running: IfRunning,
    /// Exit with 0 where the night is over and nothing has to be done (10, 11, 12, 14), for schedulers that know only
    /// success and failure
    #[arg(long)]
    pub exit_zero: bool,
    /// Train in a cluster: the night's run is submitted there and waited for; evaluation and predict sets are made here.
    #[command(flatten)]
    pub cluster: ClusterArgs,
    /// What it is made of in a cluster.
    #[command(flatten)]
    pub template: TemplateArgs,
    /// Where logs and files lie meanwhile; default: beside the night's records, or the system's temporary folder where
    /// the store is a bucket
    #[arg(long, value_name = "DIR")]
    pub scratch: Option<PathBuf>,
    /// Tell nothing of what is going on
    #[arg(long)]
    pub quiet: bool,
    /// What is printed at the end
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub output: Output,
}

/// What to do while another process works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum IfRunning {
    /// Wait for it; the same night's result is its result.
    Wait,
    /// End with exit code 69.
    Fail,
}

/// Unix seconds.
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

fn parse_date(text: &str) -> Result<Day, String> {
    match text {
        "yesterday" => Ok(Day::of(now()).plus(-1)),
        _ => text.parse().map_err(|error| format!("{error}, or yesterday")),
    }
}

/// The machine's own clock.
struct WallClock;

impl Clock for WallClock {
    fn now(&self) -> i64 {
        now()
    }

    async fn sleep(&self, seconds: u64) {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    }
}

/// Brings the night to its end.
///
/// # Errors
/// What stood in the way; the same command goes on.
pub fn run(args: &NightlyArgs) -> Result<u8, Failure> {
    stored_run::wait(night(args))
}

async fn night(args: &NightlyArgs) -> Result<u8, Failure> {
    let given = config::given(&args.config)?;
    // Told before anything is done.
    config::of_night(&given, args.date, None)?;
    let store = Store::make(&args.store.store).map_err(StoreError::from)?;
    let nights = Nights::open(store.clone(), conrec_store::chance()).await?;
    let mut signals = StopSignals::listen().map_err(no_signals)?;
    let busy = Rc::new(Cell::new(false));
    let shift = Shift {
        nights: &nights,
        night: args.date,
        rules: &given.nightly,
        refit: args.refit,
        waits: args.if_running == IfRunning::Wait,
        holder: format!("process {}, {:016x}", std::process::id(), conrec_store::chance()),
        work: Work::new(args, &given, (&store, &nights), &busy)?,
        clock: WallClock,
    };
    let mut shift = std::pin::pin!(shift.run());
    let answer = loop {
        tokio::select! {
            biased;
            answer = &mut shift => break answer,
            // While a child works, the work itself hears the signal and sees to the child's checkpoint.
            () = signals.next() => if !busy.get() {
                return Err(Failure::new(ExitCode::Stopped, "stopped; the same command goes on"));
            },
        }
    };
    let answer = answer.map_err(|stopped| match stopped {
        Stopped::Night(error) => Failure::from(error),
        Stopped::Work(failure) => failure,
    })?;
    told::tell(args, &nights, &answer);
    let is_over = matches!(answer.exit_code(), 10 | 11 | 12 | 14);
    Ok(if args.exit_zero && is_over { ExitCode::Done.code() } else { answer.exit_code() })
}

impl From<NightError> for Failure {
    fn from(error: NightError) -> Self {
        let code = match &error {
            NightError::Unavailable { .. }
            | NightError::Probe(_)
            | NightError::Lock { .. }
            | NightError::Raced { .. }
            | NightError::Busy { .. } => ExitCode::Unavailable,
            NightError::Damaged { .. } => ExitCode::BadData,
            NightError::Rollback(_) => ExitCode::Usage,
        };
        Self::new(code, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_a_day_or_yesterday() {
        assert_eq!(parse_date("2013-09-06").unwrap().to_string(), "2013-09-06");
        assert_eq!(parse_date("yesterday").unwrap().plus(1), Day::of(now()));
        assert!(
            parse_date("today")
                .unwrap_err()
                .contains("expected a day of the calendar such as 2013-04-03, or yesterday")
        );
    }
}
