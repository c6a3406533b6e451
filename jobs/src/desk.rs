//! The desk of the coordinator that serves a job: it keeps the job's state up to date and writes how it ended. What the
//! store does not take costs a warning, never the run.

use crate::state_file::StateFile;
use crate::{Clock, JobError, JobObjects};
use conrec_domain::effect::Ending;
use conrec_domain::job::{JobEnding, JobRequest, JobState, StateName, Wish, Wishes, Writer};
use std::time::Duration;
use tokio::time::timeout;

/// The store has so long for one record.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a coordinator finds that comes to serve a job.
pub enum Arrival {
    /// It is over; nothing is to be done.
    Over(Box<JobEnding>),
    /// It rests until it is resumed.
    Resting,
    /// It is to be served.
    Open(Box<Desk>),
}

/// Kept by the coordinator that serves the job.
pub struct Desk {
    pub(crate) job: JobObjects,
    request: JobRequest,
    pub(crate) state: JobState,
    file: StateFile,
    /// What operators wish, as far as it was heard.
    pub(crate) wishes: Wishes,
    pub(crate) clock: Clock,
    /// Whether another coordinator writes the state now.
    pub(crate) taken_over: bool,
}

impl Desk {
    /// Comes to serve a job.
    ///
    /// # Errors
    /// There is no such job, a record of it is none, or the store fails.
    pub async fn arrive(job: JobObjects, writer: Writer, clock: Clock) -> Result<Arrival, JobError> {
        let request = job.request().await?;
        if let Some(ending) = job.ending().await? {
            return Ok(Arrival::Over(Box::new(ending)));
        }
        let (mut file, before) = StateFile::open(&job).await?;
        let wishes = job.wishes(&Wishes::default()).await?;
        match wishes.wish {
            Wish::Run => {}
            Wish::Pause => return Ok(Arrival::Resting),
            Wish::Cancel => {
                let iteration = before.as_ref().map_or(0, |state| state.iteration);
                let ended = cancel(&job, iteration, clock).await?;
                return Ok(Arrival::Over(Box::new(ended)));
            }
        }
        let state = JobState::begin(before.as_ref(), writer, clock());
        file.write(&state).await?;
        Ok(Arrival::Open(Box::new(Self { job, request, state, file, wishes, clock, taken_over: false })))
    }

    /// What was submitted.
    pub fn request(&self) -> &JobRequest {
        &self.request
    }

    /// Writes the state; whether the store took it.
    pub(crate) async fn write(&mut self) -> bool {
        if self.taken_over {
            return true;
        }
        self.state.updated = (self.clock)();
        match timeout(PATIENCE, self.file.write(&self.state)).await {
            Ok(Ok(())) => true,
            Ok(Err(error @ JobError::TakenOver { .. })) => {
                tracing::warn!("the job's state is not this coordinator's any more: {error}");
                self.taken_over = true;
                true
            }
            Ok(Err(error)) => {
                tracing::warn!("the job's state is not in the store: {error}");
                false
            }
            Err(_) => {
                tracing::warn!("the store did not take the job's state within {} s", PATIENCE.as_secs());
                false
            }
        }
    }

    /// The coordinator ends: the ending first, where it is one for good, then the last state.
    pub async fn close(mut self, ending: &Ending) {
        if self.taken_over {
            return;
        }
        let ended = JobEnding::of(ending, self.job.run_id(), self.state.iteration, (self.clock)());
        if let Some(ended) = ended {
            match timeout(PATIENCE, self.job.end(ended)).await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => tracing::error!("the job's ending is not in the store: {error}"),
                Err(_) => tracing::error!("the store did not take the job's ending in {} s", PATIENCE.as_secs()),
            }
        }
        self.state.end(ending, self.wishes.wish, (self.clock)());
        self.write().await;
    }
}

impl JobObjects {
    /// What is left to be said of a job whose processes have ended on this machine: nothing where they said it
    /// themselves. `failure`: why they ended, where whoever watched them knows more than they.
    ///
    /// # Errors
    /// The store fails.
    pub async fn settle(&self, failure: Option<&Ending>, writer: Writer, clock: Clock) -> Result<(), JobError> {
        let (mut file, state) = StateFile::open(self).await?;
        if self.ending().await?.is_some() {
            return Ok(());
        }
        if failure.is_none() && state.is_none() {
            return Ok(());
        }
        // One that never came to serve it has left nothing.
        let mut state = state.unwrap_or_else(|| JobState::begin(None, writer, clock()));
        let wish = self.wishes(&Wishes::default()).await?.wish;
        match failure {
            Some(failure) => {
                if let Some(ended) = JobEnding::of(failure, self.run_id(), state.iteration, clock()) {
                    self.end(ended).await?;
                }
                state.end(failure, wish, clock());
            }
            None if state.state == StateName::Running => state.end(&Ending::Stopped, wish, clock()),
            None => return Ok(()),
        }
        file.write(&state).await
    }

    /// Ends a job that was cancelled and that nobody works on: a coordinator that does would end it itself. Gives the
    /// ending that is there then.
    ///
    /// # Errors
    /// The store fails.
    pub async fn cancel_at_rest(&self, clock: Clock) -> Result<JobEnding, JobError> {
        let (mut file, state) = StateFile::open(self).await?;
        if let Some(ending) = self.ending().await? {
            return Ok(ending);
        }
        let iteration = state.as_ref().map_or(0, |state| state.iteration);
        let ended = cancel(self, iteration, clock).await?;
        if let Some(mut state) = state {
            state.end(&Ending::Cancelled, Wish::Cancel, clock());
            file.write(&state).await?;
        }
        Ok(ended)
    }
}

async fn cancel(job: &JobObjects, iteration: u64, clock: Clock) -> Result<JobEnding, JobError> {
    let ended = JobEnding::of(&Ending::Cancelled, job.run_id(), iteration, clock());
    match ended {
        Some(ended) => job.end(ended).await,
        None => Err(JobError::Contended { run_id: job.run_id().clone() }),
    }
}
