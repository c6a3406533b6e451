//! What is known of a run in a cluster: what the cluster says of its objects, and what the run keeps in its store. Where
//! both speak of its end the store is believed, which is written by the run itself.

use super::Place;
use super::records::Records;
use crate::args::{Output, StoreArgs};
use crate::failure::Failure;
use conrec_cluster::observe::{Observed, Phase};
use conrec_cluster::{ClusterError, control};
use conrec_coordinator::exit_code::ExitCode;
use conrec_domain::job::JobView;
use conrec_domain::spec::written;
use conrec_process::say;
use serde_json::{Value, json};

/// Version of what `--output json` prints of a run in a cluster; it grows when a field changes its meaning.
const VERSION: u32 = 1;

/// What is known of a run.
#[derive(Default)]
pub struct Seen {
    /// By the cluster; none where its objects are gone.
    pub cluster: Option<Observed>,
    /// By its records in the store; none where there are none, or where they cannot be read from here.
    pub job: Option<JobView>,
}

impl Seen {
    /// Looks at a run.
    ///
    /// # Errors
    /// Neither the cluster nor the store knows it, or one of them does not answer.
    pub async fn look(place: &Place, store: &StoreArgs) -> Result<Self, Failure> {
        let records = Records::find(place, store).await?;
        Self::with(place, records.as_ref()).await
    }

    /// Looks at a run whose records were found, or not.
    ///
    /// # Errors
    /// As [`Seen::look`].
    pub async fn with(place: &Place, records: Option<&Records>) -> Result<Self, Failure> {
        let cluster = match control::status(&place.cluster, &place.run).await {
            Ok(seen) => Some(seen),
            Err(ClusterError::NoRun { .. }) if records.is_some() => None,
            Err(error @ ClusterError::NoRun { .. }) => {
                let message = format!("{error}; where its objects are gone, --store URL says where it kept its result");
                return Err(Failure::new(ExitCode::Usage, message));
            }
            Err(error) => return Err(error.into()),
        };
        let job = match records {
            Some(records) => Some(records.view().await?),
            None => None,
        };
        Ok(Self { cluster, job })
    }

    /// The run's exit code, once it is over.
    pub fn result(&self) -> Option<u8> {
        self.job.as_ref().and_then(JobView::result).or_else(|| self.cluster.as_ref().and_then(of_pod))
    }

    /// Whether another start may still bring it to its end: its Jobs have failed, and not for good.
    pub fn may_start_again(&self) -> bool {
        let over = self.job.as_ref().and_then(JobView::result).is_some();
        let failed = self.cluster.as_ref().filter(|seen| seen.phase == Phase::Failed);
        // What the coordinator's policy fails at once ends the same way at the next start.
        !over && failed.is_some_and(|seen| !matches!(seen.exit_code, Some(10 | 15 | 64 | 65 | 78)))
    }

    fn state(&self) -> Option<String> {
        let job = || self.job.as_ref().map(|job| written(&job.state));
        match &self.cluster {
            Some(_) if self.job.as_ref().and_then(JobView::result).is_some() => job(),
            Some(seen) => Some(seen.phase.name().to_lowercase()),
            None => job(),
        }
    }

    /// Prints it; `action`: what the verb has just done, where it did something.
    pub fn print(&self, place: &Place, action: Option<&str>, output: Output) {
        match output {
            Output::Json => say!("{}", self.object(place, action)),
            Output::Text => say!("{}", self.line(place, action)),
        }
    }

    /// As one JSON object; docs/kubernetes.md names the fields.
    pub fn object(&self, place: &Place, action: Option<&str>) -> Value {
        let mut object = json!({
            "version": VERSION,
            "run": place.run.as_str(),
            "namespace": place.cluster.namespace(),
            "state": self.state(),
            "exit_code": self.result(),
            "job": self.job,
        });
        if let Some(seen) = &self.cluster {
            object["reason"] = json!(seen.reason);
            object["message"] = json!(seen.message);
            object["workers"] = json!({"ready": seen.workers_ready, "wanted": seen.workers_wanted});
        } else if let Some(reason) = self.job.as_ref().and_then(|job| job.reason.as_ref()) {
            object["message"] = json!(reason);
        }
        if let Some(action) = action {
            object["action"] = json!(action);
        }
        object
    }

    /// One line: `created: nightly in recommenders · pending · 0/2 workers ready · Unschedulable: 0/3 nodes`.
    pub fn line(&self, place: &Place, action: Option<&str>) -> String {
        let action = action.map_or_else(String::new, |action| format!("{action}: "));
        let mut parts = vec![format!("{action}{} in {}", place.run, place.cluster.namespace())];
        parts.extend(self.state());
        if let Some(seen) = &self.cluster {
            parts.push(format!("{}/{} workers ready", seen.workers_ready, seen.workers_wanted));
        } else if self.job.is_some() {
            parts.push("no objects in the cluster".to_owned());
        }
        parts.extend(self.result().filter(|code| *code != 0).map(|code| format!("exit code {code}")));
        if let Some(seen) = &self.cluster {
            let why = [&*seen.reason, &*seen.message].map(str::trim);
            let why: Vec<_> = why.into_iter().filter(|part| !part.is_empty()).collect();
            parts.extend((!why.is_empty()).then(|| why.join(": ")));
        }
        let mut line = parts.join(" · ");
        if let Some(job) = &self.job {
            line.push_str(&format!("\n  {}", crate::job::line(job)));
            line.push_str(&format!("\n  files in {}", job.folder));
        }
        line
    }
}

/// The exit code of a run that has ended, as its coordinator's pod tells, where that is still there.
fn of_pod(seen: &Observed) -> Option<u8> {
    let own = seen.exit_code.and_then(|code| u8::try_from(code).ok());
    match seen.phase {
        Phase::Completed => Some(own.unwrap_or_else(|| ExitCode::Done.code())),
        Phase::Failed => Some(own.filter(|code| *code != 0).unwrap_or_else(|| ExitCode::Failed.code())),
        Phase::Suspended | Phase::Pending | Phase::Running => None,
    }
}
