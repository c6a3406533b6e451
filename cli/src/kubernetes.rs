//! The verbs for runs in a cluster. What they do there is done by `conrec_cluster`; here are names, words and exit codes.

pub mod logs;
pub mod operate;
mod records;
mod seen;
pub mod submit;
pub mod wait;

use crate::args::{ClusterArgs, Verb};
use crate::failure::Failure;
use conrec_cluster::{Cluster, ClusterError, RunName, control};
use conrec_coordinator::exit_code::ExitCode;
use conrec_domain::ids::RunId;
use conrec_domain::job::JobKey;

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
        Verb::Checkpoint(args) if args.target.cluster.kubernetes => Some(operate::checkpoint(args)),
        _ => None,
    }
}

/// Removes the objects of a run that is over; what is in its store stays.
///
/// # Errors
/// The cluster does not answer.
pub async fn clear(args: &ClusterArgs, run: &RunId) -> Result<(), Failure> {
    let place = Place::find(args, (Some(run), None)).await?;
    match control::remove(&place.cluster, &place.run).await {
        Ok(()) | Err(ClusterError::NoRun { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// A run of a cluster.
struct Place {
    cluster: Cluster,
    /// Its name in the cluster, and in the store: the same text.
    run: RunName,
    run_id: RunId,
}

impl Place {
    /// Connects, and names the run.
    async fn find(args: &ClusterArgs, (run, key): (Option<&RunId>, Option<&JobKey>)) -> Result<Self, Failure> {
        let run_id = crate::job::run_id(run, key)?;
        let run = RunName::new(run_id.as_str())?;
        Ok(Self { cluster: Cluster::connect(args.namespace.as_deref()).await?, run, run_id })
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
