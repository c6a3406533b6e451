//! `conrec wait`: looks at a job until it is over, and exits with its exit code.

use super::{between_looks, named, now, print};
use crate::args::{Output, WaitArgs, WaitingArgs};
use crate::failure::Failure;
use conrec_coordinator::exit_code::ExitCode;
use conrec_domain::job::JobView;
use conrec_jobs::{JobError, JobObjects};
use conrec_process::note;
use conrec_store::Store;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// A store that does not answer is asked again for so long.
const GONE: Duration = Duration::from_secs(600);

/// Waits.
///
/// # Errors
/// There is no such job, or its store cannot be read for a long time.
pub fn run(args: &WaitArgs) -> Result<u8, Failure> {
    crate::stored_run::wait(async {
        let (store, job) = named(&args.job)?;
        until_over((&store, &job), &args.waiting, args.job.output).await
    })
}

/// Waits until the job is over, or the time is; prints it.
///
/// # Errors
/// As [`run`].
pub async fn until_over(
    (store, job): (&Store, &JobObjects),
    waiting: &WaitingArgs,
    output: Output,
) -> Result<u8, Failure> {
    let mut look = Look::new(store, job, waiting.timeout);
    loop {
        let (view, late) = look.next().await?;
        let code = view.result().or_else(|| late.then(|| ExitCode::Stopped.code()));
        let Some(code) = code else { continue };
        keep(waiting, &view)?;
        print::print(&view, None, output);
        if view.result().is_none() {
            note!("not over yet; `conrec wait {}` goes on waiting", view.run);
        }
        return Ok(code);
    }
}

/// Writes the last status where the caller wants it.
///
/// # Errors
/// The file cannot be written.
pub fn keep(waiting: &WaitingArgs, view: &JobView) -> Result<(), Failure> {
    let Some(path) = &waiting.result_file else { return Ok(()) };
    std::fs::write(path, format!("{:#}\n", print::object(view, None))).map_err(Failure::io("write", path))
}

/// Looks at a job again and again.
pub struct Look<'a> {
    job: &'a JobObjects,
    pause: Duration,
    deadline: Option<Instant>,
    begun: bool,
    /// The last sentence about a silent coordinator, said once.
    said: Option<String>,
}

impl<'a> Look<'a> {
    /// At this job, for so many seconds, if any number is given.
    pub fn new(store: &Store, job: &'a JobObjects, timeout: Option<u64>) -> Self {
        let deadline = timeout.map(|seconds| Instant::now() + Duration::from_secs(seconds));
        Self { job, pause: between_looks(store), deadline, begun: false, said: None }
    }

    /// What is seen after a pause (the first time at once), and whether the time is over.
    ///
    /// # Errors
    /// There is no such job, or its store cannot be read for a long time.
    pub async fn next(&mut self) -> Result<(JobView, bool), Failure> {
        if std::mem::replace(&mut self.begun, true) {
            sleep(self.pause).await;
        }
        let asked = Instant::now();
        loop {
            match self.job.view(now).await {
                Ok(view) => {
                    let late = self.deadline.is_some_and(|deadline| Instant::now() >= deadline);
                    self.say_silent(&view);
                    return Ok((view, late));
                }
                Err(error @ (JobError::Unavailable { .. } | JobError::Transfer(_))) if asked.elapsed() < GONE => {
                    note!("{error}; trying on");
                    sleep(Duration::from_secs(5)).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn say_silent(&mut self, view: &JobView) {
        let silent = view.reason.clone().filter(|_| view.exit_code.is_none());
        if let Some(reason) = silent.filter(|reason| self.said.as_ref() != Some(reason)) {
            note!("{}: {reason}", view.run);
            self.said = Some(reason);
        }
    }
}
