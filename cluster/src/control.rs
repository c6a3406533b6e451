//! What operators do to a run in a cluster: find it, look at it, suspend and resume it, give it other workers, remove it.

use crate::connection::Cluster;
use crate::error::ClusterError;
use crate::kinds::text;
use crate::objects::{INSTANCE, least_available, size};
use crate::observe::{Observed, observe};
use crate::run_name::RunName;
use crate::submit::FIELD_MANAGER;
use crate::template::COMPONENT;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, Preconditions, PropagationPolicy};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const UID: &str = "/metadata/uid";
/// Between two looks whether what was removed is gone.
const LOOK: Duration = Duration::from_millis(500);

/// A run's objects that have a state.
pub(crate) struct Workloads {
    /// The coordinator's Job, or the JobSet.
    pub(crate) main: Value,
    /// The worker's Job, where it is one of its own.
    pub(crate) worker: Option<Value>,
}

/// What the cluster says of `run`.
///
/// # Errors
/// There is no such run, or the server does not answer.
pub async fn status(cluster: &Cluster, run: &RunName) -> Result<Observed, ClusterError> {
    let workloads = workloads(cluster, run).await?;
    Ok(observe(&workloads.main, workloads.worker.as_ref(), &pods(cluster, run).await?))
}

/// Suspends or resumes a run: suspended, its pods get SIGTERM and write a checkpoint.
///
/// # Errors
/// There is no such run; a queue decides about it; the server does not answer.
pub async fn set_suspended(cluster: &Cluster, run: &RunName, suspended: bool) -> Result<(), ClusterError> {
    let workloads = workloads(cluster, run).await?;
    for object in std::iter::once(&workloads.main).chain(&workloads.worker) {
        let labels = object.pointer("/metadata/labels");
        if labels.and_then(|labels| labels.get("kueue.x-k8s.io/queue-name")).is_some() {
            return Err(ClusterError::NotPossible(format!(
                "{} of run {run} is in a queue of Kueue, which decides whether it is suspended; \
                 set spec.active of its Workload instead",
                text(object, "/kind")
            )));
        }
        change(cluster, object, &json!({"spec": {"suspend": suspended}})).await?;
    }
    Ok(())
}

/// Gives a run that goes on other workers; `workers` is at least one.
///
/// # Errors
/// There is no such run, its workers are part of a JobSet, whose size is fixed, or the server refuses.
pub async fn scale(cluster: &Cluster, run: &RunName, workers: u32) -> Result<(), ClusterError> {
    if workers == 0 {
        return Err(ClusterError::NotPossible("a run needs at least one worker; to stop it, pause it".to_owned()));
    }
    let Some(worker) = workloads(cluster, run).await?.worker else {
        return Err(ClusterError::NotPossible(format!(
            "run {run} is a JobSet, whose number of workers cannot be changed; submit runs to be scaled without it"
        )));
    };
    change(cluster, &worker, &json!({"spec": size(workers)})).await?;
    for budget in list(cluster, run, "PodDisruptionBudget").await? {
        change(cluster, &budget, &json!({"spec": {"minAvailable": least_available(workers)}})).await?;
    }
    Ok(())
}

/// What the run's pods were told, such as STORE and RUN_ID; null where there is no such run.
///
/// # Errors
/// The server does not answer.
pub async fn settings(cluster: &Cluster, run: &RunName) -> Result<Value, ClusterError> {
    let maps = list(cluster, run, "ConfigMap").await?;
    let told = maps.into_iter().find(|map| text(map, "/metadata/name").ends_with("-run"));
    Ok(told.and_then(|mut map| map.get_mut("data").map(Value::take)).unwrap_or_default())
}

/// Removes a run's objects; its pods get SIGTERM. What is in the store stays.
///
/// # Errors
/// There is no such run, or the server does not answer.
pub async fn remove(cluster: &Cluster, run: &RunName) -> Result<(), ClusterError> {
    let name = format!("{run}-conrec-configs");
    let parameters =
        DeleteParams { propagation_policy: Some(PropagationPolicy::Background), ..DeleteParams::default() };
    match cluster.objects("ConfigMap")?.delete(&name, &parameters).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 => {
            workloads(cluster, run).await?;
            Err(ClusterError::NotPossible(format!(
                "run {run} was not submitted by this program; remove it as it was applied: kubectl delete -k, helm uninstall"
            )))
        }
        Err(error) => Err(ClusterError::of(format!("to delete ConfigMap {name}"), error)),
    }
}

/// Removes a run's Jobs, or its JobSet, with their pods; all else of it stays. Comes back once they are gone, so that others
/// may take their names. What another submitter puts in their place meanwhile is left alone.
///
/// # Errors
/// They are not gone after `patience`, or the server does not answer.
pub(crate) async fn remove_workloads(cluster: &Cluster, run: &RunName, patience: Duration) -> Result<(), ClusterError> {
    let since = Instant::now();
    let mut left = every_workload(cluster, run).await?;
    let doomed: Vec<String> = left.iter().map(|object| text(object, UID).to_owned()).collect();
    while !left.is_empty() {
        if since.elapsed() > patience {
            return Err(ClusterError::BeingRemoved(run.to_string()));
        }
        for object in left.iter().filter(|object| text(object, "/metadata/deletionTimestamp").is_empty()) {
            let (kind, name) = (text(object, "/kind"), text(object, "/metadata/name"));
            let parameters = DeleteParams {
                propagation_policy: Some(PropagationPolicy::Foreground),
                preconditions: Some(Preconditions { uid: Some(text(object, UID).to_owned()), resource_version: None }),
                ..DeleteParams::default()
            };
            match cluster.objects(kind)?.delete(name, &parameters).await {
                Ok(_) => {}
                // Gone, or another's by now.
                Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {}
                Err(error) => return Err(ClusterError::of(format!("to delete {kind} {name}"), error)),
            }
        }
        tokio::time::sleep(LOOK).await;
        left = every_workload(cluster, run).await?;
        left.retain(|object| doomed.iter().any(|uid| uid == text(object, UID)));
    }
    Ok(())
}

/// All Jobs and JobSets of a run; a JobSet's own Jobs go with it.
async fn every_workload(cluster: &Cluster, run: &RunName) -> Result<Vec<Value>, ClusterError> {
    let mut found = list(cluster, run, "Job").await?;
    found.retain(|job| text(job, "/metadata/ownerReferences/0/kind") != "JobSet");
    found.extend(job_set(cluster, run).await?);
    Ok(found)
}

pub(crate) async fn workloads(cluster: &Cluster, run: &RunName) -> Result<Workloads, ClusterError> {
    let mut jobs = list(cluster, run, "Job").await?;
    // A JobSet's own Jobs carry its labels; what it says of itself counts.
    if let Some(set) = job_set(cluster, run).await? {
        return Ok(Workloads { main: set, worker: None });
    }
    let at = jobs.iter().position(|job| text(job, COMPONENT) == "coordinator").ok_or_else(|| no_run(cluster, run))?;
    let main = jobs.swap_remove(at);
    let worker = jobs.into_iter().find(|job| text(job, COMPONENT) == "worker");
    Ok(Workloads { main, worker })
}

/// None too where the cluster knows no JobSets.
async fn job_set(cluster: &Cluster, run: &RunName) -> Result<Option<Value>, ClusterError> {
    match list(cluster, run, "JobSet").await {
        Ok(sets) => Ok(sets.into_iter().next()),
        Err(ClusterError::Refused { code: 403 | 404, .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

pub(crate) async fn pods(cluster: &Cluster, run: &RunName) -> Result<Vec<Value>, ClusterError> {
    let found = cluster.pod_objects().list(&of_run(run)).await;
    values(found.map_err(|error| ClusterError::of(format!("to list Pods of {run}"), error))?.items)
}

async fn list(cluster: &Cluster, run: &RunName, kind: &str) -> Result<Vec<Value>, ClusterError> {
    let found = cluster.objects(kind)?.list(&of_run(run)).await;
    let items = found.map_err(|error| ClusterError::of(format!("to list {kind}s of {run}"), error))?.items;
    let mut items = values(items)?;
    // Items of a list do not say what they are.
    items.iter_mut().for_each(|item| item["kind"] = json!(kind));
    Ok(items)
}

fn values(items: Vec<kube::api::DynamicObject>) -> Result<Vec<Value>, ClusterError> {
    let read = |item| serde_json::to_value(item).map_err(|error| ClusterError::Unreachable(error.to_string()));
    items.into_iter().map(read).collect()
}

async fn change(cluster: &Cluster, object: &Value, patch: &Value) -> Result<(), ClusterError> {
    let (kind, name) = (text(object, "/kind"), text(object, "/metadata/name"));
    let parameters = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    let answer = cluster.objects(kind)?.patch(name, &parameters, &Patch::Merge(patch)).await;
    answer.map(|_| ()).map_err(|error| ClusterError::of(format!("to change {kind} {name}"), error))
}

/// Asks for what carries the run's name as a label.
pub(crate) fn of_run(run: &RunName) -> ListParams {
    ListParams::default().labels(&format!("{INSTANCE}={run}"))
}

fn no_run(cluster: &Cluster, run: &RunName) -> ClusterError {
    ClusterError::NoRun { run: run.to_string(), namespace: cluster.namespace().to_owned() }
}
