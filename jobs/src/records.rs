//! A job's records, read and created: requests, wishes and endings. What is created once is never changed.

use crate::{Clock, JobError};
use conrec_domain::ids::RunId;
use conrec_domain::job::{Ask, JobEnding, JobRequest, JobState, JobView, Results, Wishes};
use conrec_store::{Store, read};
use futures::TryStreamExt;
use object_store::path::Path as Key;
use object_store::{Error, ObjectStore, PutMode, PutPayload};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;

const REQUEST: &str = "job/request.json";
pub(crate) const STATE: &str = "job/state.json";
const ENDING: &str = "job/ending.json";
const WISHES: &str = "job/wishes";

/// Operators who wish at the same moment take turns; more than this is no coincidence.
const ATTEMPTS: u32 = 20;

/// What the store holds of one job; to be looked at by anybody.
#[derive(Clone, Debug)]
pub struct JobObjects {
    run_id: RunId,
    store: Store,
    pub(crate) objects: Arc<dyn ObjectStore>,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Submitted {
    /// It is the first of its key.
    Created,
    /// This one was there.
    Before(Box<JobRequest>),
}

impl JobObjects {
    /// A job's records; nothing is asked of the store yet.
    pub fn of(store: &Store, run_id: &RunId) -> Self {
        Self { run_id: run_id.clone(), store: store.clone(), objects: store.run(run_id) }
    }

    /// The run.
    pub fn run_id(&self) -> &RunId {
        &self.run_id
    }

    /// Whether the store is a folder, which has no conditional updates.
    pub(crate) fn is_in_a_folder(&self) -> bool {
        self.store.folder().is_some()
    }

    /// Puts a request into the store, or finds the one that is there. Of any number at the same moment one is the first.
    ///
    /// # Errors
    /// The store fails, or what is there is no request.
    pub async fn submit(&self, request: &JobRequest) -> Result<Submitted, JobError> {
        if self.create(REQUEST, request).await? {
            return Ok(Submitted::Created);
        }
        Ok(Submitted::Before(Box::new(self.request().await?)))
    }

    /// The request.
    ///
    /// # Errors
    /// [`JobError::Absent`] where there is none; or the store fails, or it is no request.
    pub async fn request(&self) -> Result<JobRequest, JobError> {
        if let Some(request) = self.record::<JobRequest>(REQUEST).await? {
            self.belongs(REQUEST, &request.run_id)?;
            self.belongs(REQUEST, request.key.run_id())?;
            return Ok(request);
        }
        let there = if read(self.objects.as_ref(), "run.toml").await?.is_some() {
            "the run was not submitted as a job; `conrec report`, `checkpoints` and `audit` know it".to_owned()
        } else {
            let runs = self.store.runs().await.map_err(JobError::unavailable("list", ""))?;
            if runs.is_empty() { "it holds no runs".to_owned() } else { format!("it holds {}", runs.join(", ")) }
        };
        Err(JobError::Absent { run_id: self.run_id.clone(), store: self.store.url(), there })
    }

    /// What the last coordinator said.
    ///
    /// # Errors
    /// The store fails, or it is no state.
    pub async fn state(&self) -> Result<Option<JobState>, JobError> {
        self.record(STATE).await
    }

    /// How the job ended, if it has.
    ///
    /// # Errors
    /// The store fails, or it is no ending.
    pub async fn ending(&self) -> Result<Option<JobEnding>, JobError> {
        let ending = self.record::<JobEnding>(ENDING).await?;
        ending.iter().try_for_each(|ending| self.belongs(ENDING, &ending.run_id))?;
        Ok(ending)
    }

    /// Refuses a record of another run.
    fn belongs(&self, key: &str, run_id: &RunId) -> Result<(), JobError> {
        if *run_id == self.run_id {
            return Ok(());
        }
        let message = format!("it is that of run `{run_id}`, in the folder of `{}`", self.run_id);
        Err(JobError::Record { place: self.store.place(&self.run_id, key), message })
    }

    /// Writes how the job ended, with where its results lie, unless that is written; gives what is there then.
    ///
    /// # Errors
    /// The store fails.
    pub async fn end(&self, ending: JobEnding) -> Result<JobEnding, JobError> {
        let ending = JobEnding { results: self.results().await?, ..ending };
        if self.create(ENDING, &ending).await? {
            return Ok(ending);
        }
        Ok(self.ending().await?.unwrap_or(ending))
    }

    /// What operators wish now. `known`: what is known already.
    ///
    /// # Errors
    /// The store fails, or a record is none.
    pub async fn wishes(&self, known: &Wishes) -> Result<Wishes, JobError> {
        let mut newest = known.clone();
        if newest.number == 0 {
            newest = self.newest_listed().await?;
        }
        // One that was made since the listing.
        while let Some(number) = newest.number.checked_add(1)
            && let Some(next) = self.record::<Wishes>(&wish_key(number)).await?
        {
            newest = Wishes { number, ..next };
        }
        Ok(newest)
    }

    async fn newest_listed(&self) -> Result<Wishes, JobError> {
        let listed = self.objects.list(Some(&Key::from(WISHES))).try_collect::<Vec<_>>().await;
        let numbers = listed.map_err(JobError::unavailable("list", WISHES))?.into_iter().filter_map(|meta| {
            let number = meta.location.filename()?.strip_suffix(".json")?.parse::<u64>().ok()?;
            // What has another name is nobody's wish, whatever number it begins with.
            (Key::from(wish_key(number)).filename() == meta.location.filename()).then_some(number)
        });
        let Some(number) = numbers.max() else { return Ok(Wishes::default()) };
        let newest = self.record::<Wishes>(&wish_key(number)).await?.unwrap_or_default();
        Ok(Wishes { number, ..newest })
    }

    /// Adds a wish, on top of whatever is wished then; gives what is wished now, which may have been so before.
    ///
    /// # Errors
    /// The job cannot do that any more, or the store fails.
    pub async fn wish(&self, ask: Ask, clock: Clock, by: &str) -> Result<Wishes, JobError> {
        let mut known = Wishes::default();
        for _ in 0..ATTEMPTS {
            known = self.wishes(&known).await?;
            let next = known.after(ask, clock(), by);
            let next = next.map_err(|why| JobError::Refused { run_id: self.run_id.clone(), why })?;
            let Some(next) = next else { return Ok(known) };
            if self.create(&wish_key(next.number), &next).await? {
                return Ok(next);
            }
        }
        Err(JobError::Contended { run_id: self.run_id.clone() })
    }

    /// All that is known of the job.
    ///
    /// # Errors
    /// There is no such job, the store fails, or a record is none.
    pub async fn view(&self, clock: Clock) -> Result<JobView, JobError> {
        let request = self.request().await?;
        let wishes = self.wishes(&Wishes::default()).await?;
        let state = self.state().await?;
        // Last, as it is written before the last state: whoever sees a state of the end sees the ending too.
        let ending = self.ending().await?;
        let folder = self.store.place(&self.run_id, "");
        Ok(JobView::of((&request, folder), &wishes, state.as_ref(), ending.as_ref(), clock()))
    }

    /// Jobs of a store, in the order of their names.
    ///
    /// # Errors
    /// The store fails.
    pub async fn all(store: &Store) -> Result<Vec<Self>, JobError> {
        let listing = store.objects().list_with_delimiter(None).await.map_err(JobError::unavailable("list", ""))?;
        let mut jobs = Vec::new();
        for prefix in listing.common_prefixes {
            let Some(run_id) = prefix.filename().and_then(|name| name.parse::<RunId>().ok()) else { continue };
            let job = Self::of(store, &run_id);
            if read(job.objects.as_ref(), REQUEST).await?.is_some() {
                jobs.push(job);
            }
        }
        jobs.sort_by(|a, b| a.run_id.cmp(&b.run_id));
        Ok(jobs)
    }

    /// Where the results of a run lie that has a report; nothing of one that has none.
    async fn results(&self) -> Result<Results, JobError> {
        let Some(report) = read(self.objects.as_ref(), "report.json").await? else { return Ok(Results::default()) };
        let report: serde_json::Value = serde_json::from_slice(&report).unwrap_or_default();
        let digest = report.get("state_digest").and_then(|digest| digest.as_str()?.parse().ok());
        let place = |name: &str| Some(self.store.place(&self.run_id, name));
        Ok(Results {
            state_digest: digest,
            report: place("report.json"),
            page: place("report.html"),
            adapter: place("adapter"),
        })
    }

    /// A record, where there is one.
    async fn record<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, JobError> {
        let Some(bytes) = read(self.objects.as_ref(), key).await? else { return Ok(None) };
        let place = || self.store.place(&self.run_id, key);
        serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|error| JobError::Record { place: place(), message: error.to_string() })
    }

    /// Creates a record; `false` where one is there.
    async fn create(&self, key: &str, record: &impl Serialize) -> Result<bool, JobError> {
        let content = PutPayload::from(self.content(key, record)?);
        match self.objects.put_opts(&Key::from(key), content, PutMode::Create.into()).await {
            Ok(_) => Ok(true),
            Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => Ok(false),
            Err(error) => Err(JobError::unavailable("write", key)(error)),
        }
    }

    /// A record as it is written.
    pub(crate) fn content(&self, key: &str, record: &impl Serialize) -> Result<Vec<u8>, JobError> {
        let mut content = serde_json::to_vec_pretty(record).map_err(|error| JobError::Record {
            place: self.store.place(&self.run_id, key),
            message: error.to_string(),
        })?;
        content.push(b'\n');
        Ok(content)
    }
}

fn wish_key(number: u64) -> String {
    format!("{WISHES}/{number:06}.json")
}
