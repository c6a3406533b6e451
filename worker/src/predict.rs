//! `conrec predict`: the predict sets of all users as one Parquet file (`conrec_feedback::predict_sets` documents its
//! columns), by constrained beam search (method, section 6).
//!
//! Users are cut into parts; each part is written whole or not at all beside the result, so that a command that was killed
//! goes on where it was, with any number of processes and the same bytes. Users without negatives get the fallback, the
//! semantic ids with most negatives in the last `evaluation.share_days` days before the moment that is asked about, or no row.

mod job;
mod part;
mod processes;

use crate::error::WorkerError;
use crate::other_policy::on_data_of;
use crate::pass_data::PassData;
use crate::stored_run::{StoreArgs, StoredRun};
use clap::Args;
use conrec_domain::ids::RunId;
use conrec_feedback::moment;
use conrec_feedback::predict_sets::{PredictCounts, counts, encode, join, made_from};
use conrec_policy::atomic_write::write_atomically;
use conrec_process::{note, say};
use job::{Found, Job, Share, WithoutNegatives};
use part::Predicting;
use processes::Processes;
use serde_json::json;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How often is looked whether other processes have ended.
const LOOK: Duration = Duration::from_millis(50);

/// How often progress is told.
const TELL: Duration = Duration::from_secs(2);

/// `conrec predict`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  conrec predict RUN                                  all users, into RUN.predict.parquet
  conrec predict RUN --workers 2 --out sets.parquet
  conrec predict RUN --at 2013-04-03                  what was known on that day, not later
  conrec predict RUN --users users.txt                one user id a line
  conrec predict RUN --without-negatives skip --json  no row for users without negatives; counts for programs

One row for each (user, rank): user, rank, sid, items, score, source. Users without negatives get what is unpopular with
all, as source = fallback. The same command goes on where one was stopped; any number of workers gives the same bytes.")]
pub struct PredictArgs {
    /// The run's name
    #[arg(value_name = "RUN")]
    run: RunId,
    /// The store.
    #[command(flatten)]
    store: StoreArgs,
    /// The result; default: RUN.predict.parquet in this folder. Parts are kept in FILE.parts until it is whole
    #[arg(long, visible_alias = "output", value_name = "FILE.parquet", value_parser = parquet_file)]
    out: Option<PathBuf>,
    /// Predict for these users only: a file with one id a line, as the dataset has them
    #[arg(long, value_name = "FILE")]
    users: Option<PathBuf>,
    /// The moment that is asked about, a day such as 2013-04-03 (UTC) or Unix seconds: the context is all that came
    /// before; default: just after the last event
    #[arg(long, value_name = "DATE", value_parser = moment::parse)]
    at: Option<i64>,
    /// Predict with another run's policy and semantic ids, from this run's data
    #[arg(long, value_name = "RUN")]
    policy_of: Option<RunId>,
    /// What users get who have disliked nothing before that moment
    #[arg(long, value_enum, value_name = "WHAT", default_value_t = WithoutNegatives::Fallback)]
    without_negatives: WithoutNegatives,
    /// Processes on this machine
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=256))]
    workers: u32,
    /// Users in a part: what is lost at most when it is killed. Another number can change the last bits of scores
    #[arg(long, value_name = "N", default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    users_per_part: u32,
    /// Show no progress
    #[arg(long)]
    quiet: bool,
    /// Print what was done as one JSON object
    #[arg(long)]
    json: bool,
    /// Compute only every N-th part from the K-th on, and join nothing
    #[arg(long, value_name = "K/N", hide = true)]
    share: Option<Share>,
    /// End when this process ends
    #[arg(long, value_name = "PID", hide = true, requires = "share")]
    parent: Option<u32>,
}

impl PredictArgs {
    fn out(&self) -> PathBuf {
        self.out.clone().unwrap_or_else(|| PathBuf::from(format!("{}.predict.parquet", self.run)))
    }
}

/// A file name that ends as it must.
pub(crate) fn parquet_file(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    if path.extension().is_some_and(|extension| extension == "parquet") {
        return Ok(path);
    }
    Err(format!("found `{text}`, expected a file name that ends with .parquet"))
}

/// Predicts and joins the parts.
///
/// # Errors
/// A run that is not finished, users that it does not know, parts of another job, files that cannot be written.
pub fn run(args: &PredictArgs) -> Result<(), WorkerError> {
    args.parent.map_or(Ok(()), processes::end_with)?;
    let stored = StoredRun::open(&args.run, &args.store)?;
    let (stored, data) = match &args.policy_of {
        Some(other) if *other != args.run => on_data_of(other, &stored, &args.store)?,
        Some(_) | None => {
            let data = stored.data()?;
            (stored, data)
        }
    };
    let dataset = &data.prepared.dataset;
    let users = job::users(dataset, args.users.as_deref())?;
    let at = args.at.unwrap_or_else(|| dataset.last_time().unwrap_or_default() + 1);
    if args.share.is_none() {
        warn_of_hindsight(&data, at);
    }
    let (out, job) = (args.out(), job_of(args, &stored, (&data, &users, at))?);
    if job.find(&out)? == Found::Complete {
        if !args.json {
            say!("already complete: {}", out.display());
        }
        return tell(args, &job, counts(&out)?.unwrap_or_default());
    }
    let parts = beside(&out, "parts");
    job.claim(&parts)?;
    let work = Work {
        predicting: Predicting::new(&stored, &data, (at, args.without_negatives))?,
        users: users.chunks(args.users_per_part as usize).collect(),
        files: (0..job.parts).map(|number| parts.join(format!("{number:06}.parquet"))).collect(),
        made_from: job.text(&out)?,
    };
    if let Some(share) = args.share {
        return work.compute(|part| share.holds(part), &mut Progress::silent());
    }
    let mut progress = Progress::begin(args.quiet, &work);
    let mut others = Processes::start(args, at)?;
    work.compute(|part| Share { of: 0, all: args.workers }.holds(part), &mut progress)?;
    while others.are_running()? {
        std::thread::sleep(LOOK);
        progress.tell(&work);
    }
    // What a process that failed has left.
    work.compute(|_| true, &mut progress)?;
    let done = finish(&work, users.len() as u64, &out)?;
    fs::remove_dir_all(&parts).map_err(|e| WorkerError::file(&parts, e))?;
    tell(args, &job, done)
}

/// What was done, and for whom a popular set stands in or nothing was said.
fn tell(args: &PredictArgs, job: &Job, counts: PredictCounts) -> Result<(), WorkerError> {
    let out = args.out();
    if args.json {
        say!("{}", json!({"file": out.display().to_string(), "job": job, "counts": counts}));
        return Ok(());
    }
    let PredictCounts { users, policy, fallback, skipped, rows } = counts;
    say!("{rows} rows of {users} users as of {} UTC: {}", moment::shown(job.at), out.display());
    say!(
        "{policy} by the policy, {fallback} without negatives by the fallback, {skipped} without negatives skipped (no row)"
    );
    Ok(())
}

fn job_of(
    args: &PredictArgs,
    stored: &StoredRun,
    (data, users, at): (&PassData, &[u32], i64),
) -> Result<Job, WorkerError> {
    Ok(Job {
        version: Job::VERSION,
        code_version: env!("CARGO_PKG_VERSION").to_owned(),
        run: args.run.clone(),
        config: stored.spec.digest()?,
        state: stored.state.digest()?,
        at,
        users: job::digest(users, &data.prepared.dataset),
        users_per_part: args.users_per_part,
        parts: users.len().div_ceil(args.users_per_part as usize) as u32,
        without_negatives: args.without_negatives,
    })
}

/// The policy has learnt from what came before the end of training time, whatever moment is asked about.
fn warn_of_hindsight(data: &PassData, at: i64) {
    let train_end = data.prepared.windows.train_end;
    if at < train_end {
        note!(
            "note: the policy was trained on events up to {} UTC, later than the moment asked about: \
             what it says of {} UTC is no prediction",
            moment::shown(train_end),
            moment::shown(at)
        );
    }
}

/// The parts of a job.
struct Work<'a> {
    predicting: Predicting<'a>,
    /// Users of each part.
    users: Vec<&'a [u32]>,
    /// File of each part.
    files: Vec<PathBuf>,
    made_from: String,
}

impl Work<'_> {
    /// Computes those of the chosen parts that are not there.
    fn compute(&self, chosen: impl Fn(usize) -> bool, progress: &mut Progress) -> Result<(), WorkerError> {
        for (part, (users, file)) in self.users.iter().zip(&self.files).enumerate() {
            if !chosen(part) || self.is_done(part) {
                continue;
            }
            let rows = self.predicting.rows(users)?;
            write_atomically(file, &encode(&rows, &self.made_from, file)?)?;
            progress.tell(self);
        }
        Ok(())
    }

    /// Whether a part is there and whole: its end, which is written last, says what it was made from.
    fn is_done(&self, part: usize) -> bool {
        made_from(&self.files[part]).is_ok_and(|found| found.as_ref() == Some(&self.made_from))
    }

    fn done(&self) -> usize {
        self.files.iter().filter(|file| file.exists()).count()
    }
}

/// What people are told meanwhile, on stderr.
struct Progress {
    silent: bool,
    began: Instant,
    told: Instant,
    /// Parts that were there at the start.
    before: usize,
}

impl Progress {
    fn silent() -> Self {
        let now = Instant::now();
        Self { silent: true, began: now, told: now, before: 0 }
    }

    fn begin(silent: bool, work: &Work<'_>) -> Self {
        let before = (0..work.files.len()).filter(|part| work.is_done(*part)).count();
        if before > 0 && !silent {
            note!("{before} of {} parts are there already", work.files.len());
        }
        Self { silent, before, ..Self::silent() }
    }

    fn tell(&mut self, work: &Work<'_>) {
        if self.silent || self.told.elapsed() < TELL {
            return;
        }
        self.told = Instant::now();
        let (done, all) = (work.done(), work.files.len());
        let users: usize = work.users.iter().take(done - self.before.min(done)).map(|users| users.len()).sum();
        let rate = users as f64 / self.began.elapsed().as_secs_f64();
        note!("[{done}/{all}] parts, {rate:.0} users/s");
    }
}

/// `FILE.parts` and its like.
fn beside(out: &Path, suffix: &str) -> PathBuf {
    let mut name = out.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    PathBuf::from(name)
}

fn finish(work: &Work<'_>, users: u64, out: &Path) -> Result<PredictCounts, WorkerError> {
    let temporary = beside(out, "tmp");
    let file = File::create(&temporary).map_err(|e| WorkerError::file(&temporary, e))?;
    let counts = join(&work.files, (&work.made_from, users), (file, out))?;
    fs::rename(&temporary, out).map_err(|e| WorkerError::file(out, e))?;
    Ok(counts)
}
