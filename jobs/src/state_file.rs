//! `job/state.json`: one writer at a time. In a folder that is whoever holds the run's lock; elsewhere each write is a
//! conditional one, so that a coordinator that was taken over learns it here too.

use crate::records::STATE;
use crate::{JobError, JobObjects};
use conrec_domain::job::JobState;
use object_store::path::Path as Key;
use object_store::{Error, ObjectStoreExt, PutMode, PutPayload, UpdateVersion};

/// A write is tried again after it met another version of one's own.
const ATTEMPTS: u32 = 3;

/// The state of a job, as one writer keeps it.
#[derive(Debug)]
pub(crate) struct StateFile {
    job: JobObjects,
    /// The version that was read or written last.
    version: Option<UpdateVersion>,
}

impl StateFile {
    /// Reads what is there; a content that is no state counts as none, and is replaced.
    pub(crate) async fn open(job: &JobObjects) -> Result<(Self, Option<JobState>), JobError> {
        let mut file = Self { job: job.clone(), version: None };
        let state = file.look().await?;
        Ok((file, state))
    }

    /// Writes the state. Another writer's is left as it is.
    pub(crate) async fn write(&mut self, state: &JobState) -> Result<(), JobError> {
        let content = self.job.content(STATE, state)?;
        for _ in 0..ATTEMPTS {
            let mode = match self.version.clone() {
                _ if self.job.is_in_a_folder() => PutMode::Overwrite,
                Some(version) => PutMode::Update(version),
                None => PutMode::Create,
            };
            let put =
                self.job.objects.put_opts(&Key::from(STATE), PutPayload::from(content.clone()), mode.into()).await;
            match put {
                Ok(put) => {
                    self.version = Some(put.into());
                    return Ok(());
                }
                Err(Error::AlreadyExists { .. } | Error::Precondition { .. } | Error::NotFound { .. }) => {}
                Err(error) => return Err(JobError::unavailable("write", STATE)(error)),
            }
            // An answer may have been lost on its way; then what is there is this writer's own.
            if let Some(found) = self.look().await?
                && (found.attempt, &found.writer) != (state.attempt, &state.writer)
                && found.attempt >= state.attempt
            {
                let (run_id, host) = (self.job.run_id().clone(), found.writer.host);
                return Err(JobError::TakenOver { run_id, attempt: found.attempt, host });
            }
        }
        Err(JobError::Contended { run_id: self.job.run_id().clone() })
    }

    async fn look(&mut self) -> Result<Option<JobState>, JobError> {
        self.version = None;
        let found = match self.job.objects.get(&Key::from(STATE)).await {
            Err(Error::NotFound { .. }) => return Ok(None),
            other => other.map_err(JobError::unavailable("read", STATE))?,
        };
        self.version = Some(UpdateVersion { e_tag: found.meta.e_tag.clone(), version: found.meta.version.clone() });
        let content = found.bytes().await.map_err(JobError::unavailable("read", STATE))?;
        Ok(serde_json::from_slice(&content).ok())
    }
}
