//! The verbs for runs in a cluster. What they do there is done by `conrec_cluster`; here are names, words and exit codes.

pub mod logs;
pub mod operate;
pub mod submit;
pub mod wait;

use crate::args::{ClusterArgs, Output, Verb};
use crate::failure::Failure;
use conrec_cluster::observe::{Observed, Phase};
use conrec_cluster::{Cluster, ClusterError, RunName};
use conrec_coordinator::exit_code::ExitCode;
use conrec_domain::ids::RunId;
use conrec_domain::job::JobKey;
use conrec_process::say;
use serde_json::json;

/// Version of what `--output json` prints of a run in a cluster; it grows when a field changes its meaning.
const VERSION: u32 = 1;

/// Does a verb in a cluster; none where it is not asked for there.
pub fn run(verb: &Verb) -> Option<Result<u8, Failure>> {
    match verb {
        Verb::Submit(args) if args.cluster.kubernetes => Some(submit::run(args)),
        Verb::Status(args) if args.target.cluster.kubernetes => Some(operate::status(&args.target)),
        Verb::Pause(args) if args.target.cluster.kubernetes => Some(operate::pause(&args.target)),
        Verb::Cancel(args) if args.target.cluster.kubernetes => Some(operate::cancel(&args.target)),
        Verb::Resume(args) if args.cluster.kubernetes => Some(operate::resume(args)),
        Verb::Logs(args) if args.job.cluster.kubernetes => Some(logs::run(args)),
        Verb::Wait(args) if args.job.cluster.kubernetes => Some(wait::run(args)),
        Verb::Checkpoint(args) if args.target.cluster.kubernetes => {
            let message = "a checkpoint is asked for through the store, or at the coordinator: leave out --kubernetes";
            Some(Err(Failure::new(ExitCode::Usage, message)))
        }
        _ => None,
    }
}

/// A run of a cluster.
struct Place {
    cluster: Cluster,
    run: RunName,
}

impl Place {
    /// Connects, and names the run.
    async fn find(args: &ClusterArgs, (run, key): (Option<&RunId>, Option<&JobKey>)) -> Result<Self, Failure> {
        let run = RunName::new(crate::job::run_id(run, key)?.as_str())?;
        Ok(Self { cluster: Cluster::connect(args.namespace.as_deref()).await?, run })
    }

    /// Prints what the cluster says of the run; `action`: what the verb has just done, where it did something.
    fn print(&self, seen: Option<&Observed>, action: Option<&str>, output: Output) {
        match output {
            Output::Json => say!("{}", self.object(seen, action)),
            Output::Text => say!("{}", self.line(seen, action)),
        }
    }

    fn object(&self, seen: Option<&Observed>, action: Option<&str>) -> serde_json::Value {
        let mut object = json!({
            "version": VERSION,
            "run": self.run.as_str(),
            "namespace": self.cluster.namespace(),
        });
        if let Some(seen) = seen {
            object["state"] = json!(seen.phase.name().to_lowercase());
            object["reason"] = json!(seen.reason);
            object["message"] = json!(seen.message);
            object["exit_code"] = json!(result(seen));
            object["workers"] = json!({"ready": seen.workers_ready, "wanted": seen.workers_wanted});
        }
        if let Some(action) = action {
            object["action"] = json!(action);
        }
        object
    }

    /// One line: `created: nightly in recommenders · Pending · 0/2 workers · Unschedulable: 0/3 nodes`.
    fn line(&self, seen: Option<&Observed>, action: Option<&str>) -> String {
        let action = action.map_or_else(String::new, |action| format!("{action}: "));
        let mut parts = vec![format!("{action}{} in {}", self.run, self.cluster.namespace())];
        if let Some(seen) = seen {
            parts.push(seen.phase.name().to_owned());
            parts.push(format!("{}/{} workers ready", seen.workers_ready, seen.workers_wanted));
            parts.extend(result(seen).filter(|code| *code != 0).map(|code| format!("exit code {code}")));
            let why = [&*seen.reason, &*seen.message].map(str::trim);
            let why: Vec<_> = why.into_iter().filter(|part| !part.is_empty()).collect();
            parts.extend((!why.is_empty()).then(|| why.join(": ")));
        }
        parts.join(" · ")
    }
}

/// The exit code of a run that has ended: its coordinator's own, where its pod is still there to tell.
fn result(seen: &Observed) -> Option<u8> {
    let own = seen.exit_code.and_then(|code| u8::try_from(code).ok());
    match seen.phase {
        Phase::Completed => Some(own.unwrap_or_else(|| ExitCode::Done.code())),
        Phase::Failed => Some(own.filter(|code| *code != 0).unwrap_or_else(|| ExitCode::Failed.code())),
        Phase::Suspended | Phase::Pending | Phase::Running => None,
    }
}

impl From<ClusterError> for Failure {
    fn from(error: ClusterError) -> Self {
        let code = match &error {
            ClusterError::OtherSpec { .. } | ClusterError::BadTemplate(_) => ExitCode::BadConfig,
            ClusterError::BadName(_) | ClusterError::NoRun { .. } | ClusterError::NotPossible(_) => ExitCode::Usage,
            ClusterError::Refused { code: 400 | 422, .. } => ExitCode::BadConfig,
            ClusterError::NoCluster(_)
            | ClusterError::Unreachable(_)
            | ClusterError::Refused { .. }
            | ClusterError::NotOfRun { .. }
            | ClusterError::BeingRemoved(_) => ExitCode::Unavailable,
        };
        Self::new(code, error.to_string())
    }
}
