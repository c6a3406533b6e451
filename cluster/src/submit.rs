//! A run comes into the cluster once: the config map that stands for it is created (the server lets one creator win), all
//! else is applied and belongs to it. Whoever comes second with the same spec attaches and completes what a submitter that
//! died has left out; with another spec it is refused.

use crate::connection::Cluster;
use crate::control::remove_workloads;
use crate::error::ClusterError;
use crate::kinds::text;
use crate::objects::{SPEC_DIGEST, Submission, objects, owned_by};
use crate::template::Template;
use kube::api::{DynamicObject, Patch, PatchParams, PostParams, ValidationDirective};
use serde_json::{Map, Value};
use std::time::{Duration, Instant};

/// Who writes the fields that this program sets.
pub(crate) const FIELD_MANAGER: &str = "conrec";

/// Between two tries to take a name that is becoming free.
const LOOK: Duration = Duration::from_millis(500);
/// Pods that are told to end have so long, and a little.
const PATIENCE: Duration = Duration::from_secs(120);

/// What a submission came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Submitted {
    /// The run is new.
    Created,
    /// A run with this name and spec was there.
    Attached,
}

/// Has the run's objects in the cluster.
///
/// # Errors
/// A run of this name has another spec or is being removed; an object of one of its names is somebody else's; the server
/// refuses an object, or does not answer.
pub async fn submit(
    cluster: &Cluster,
    template: &Template,
    submission: &Submission<'_>,
) -> Result<Submitted, ClusterError> {
    let objects = objects(template, submission)?;
    let (anchor, others) =
        objects.split_first().ok_or_else(|| ClusterError::BadTemplate("it has no objects".to_owned()))?;
    let (anchor, submitted) = claim(cluster, anchor, submission).await?;
    let since = Instant::now();
    for object in others {
        // What is left of a run of this name that was removed goes by itself, a little later.
        while let Err(error) = place(cluster, owned_by(object.clone(), &anchor), submission).await {
            if !matches!(error, ClusterError::BeingRemoved(_)) || since.elapsed() > PATIENCE {
                return Err(error);
            }
            tokio::time::sleep(LOOK).await;
        }
    }
    Ok(submitted)
}

/// Starts a run again whose Jobs have failed: a Job that has failed stays so. The pods go on from what is in the store.
///
/// # Errors
/// As [`submit`]; or what is left of the Jobs does not go.
pub async fn start_again(
    cluster: &Cluster,
    template: &Template,
    submission: &Submission<'_>,
) -> Result<(), ClusterError> {
    remove_workloads(cluster, submission.run, PATIENCE).await?;
    submit(cluster, template, submission).await.map(|_| ())
}

/// Creates the config map that stands for the run, or finds it.
async fn claim(
    cluster: &Cluster,
    anchor: &Value,
    submission: &Submission<'_>,
) -> Result<(Map<String, Value>, Submitted), ClusterError> {
    let name = text(anchor, "/metadata/name");
    let maps = cluster.objects("ConfigMap")?;
    let parameters = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
    let what = format!("to create ConfigMap {name}");
    match maps.create(&parameters, &dynamic(anchor)?).await {
        Ok(created) => return Ok((fields(&created)?, Submitted::Created)),
        Err(kube::Error::Api(status)) if status.code == 409 => {}
        Err(error) => return Err(ClusterError::of(what, error)),
    }
    let gone = || ClusterError::BeingRemoved(submission.run.to_string());
    let found = maps.get_opt(name).await.map_err(|error| ClusterError::of(what, error))?.ok_or_else(gone)?;
    if found.metadata.deletion_timestamp.is_some() {
        return Err(gone());
    }
    let digest = found.metadata.annotations.as_ref().and_then(|annotations| annotations.get(SPEC_DIGEST));
    match digest {
        Some(digest) if digest == submission.spec_digest => Ok((fields(&found)?, Submitted::Attached)),
        Some(digest) => Err(ClusterError::OtherSpec {
            run: submission.run.to_string(),
            namespace: cluster.namespace().to_owned(),
            found: digest.clone(),
            wanted: submission.spec_digest.to_owned(),
        }),
        None => Err(not_of_run("ConfigMap", name, submission)),
    }
}

/// Applies one object, unless the run has it: what an operator changed on it since, such as the number of workers, stays.
async fn place(cluster: &Cluster, object: Value, submission: &Submission<'_>) -> Result<(), ClusterError> {
    let (kind, name) = (text(&object, "/kind"), text(&object, "/metadata/name"));
    let api = cluster.objects(kind)?;
    let what = format!("to apply {kind} {name}");
    let found = api.get_opt(name).await.map_err(|error| ClusterError::of(&what, error))?;
    if let Some(found) = found {
        let owner = |field: &str| text(&object, &format!("/metadata/ownerReferences/0/{field}")).to_owned();
        let owners = found.metadata.owner_references.unwrap_or_default();
        // An owner of the same name that is no more: the server removes what it owned in a moment.
        let of_one_before = owners.iter().any(|one| one.name == owner("name") && one.uid != owner("uid"));
        if found.metadata.deletion_timestamp.is_some() || of_one_before {
            return Err(ClusterError::BeingRemoved(submission.run.to_string()));
        }
        let ours = owners.iter().any(|one| one.uid == owner("uid"));
        return if ours { Ok(()) } else { Err(not_of_run(kind, name, submission)) };
    }
    let parameters =
        PatchParams { field_validation: Some(ValidationDirective::Strict), ..PatchParams::apply(FIELD_MANAGER) };
    api.patch(name, &parameters, &Patch::Apply(&object)).await.map_err(|error| ClusterError::of(what, error))?;
    Ok(())
}

fn not_of_run(kind: &str, name: &str, submission: &Submission<'_>) -> ClusterError {
    ClusterError::NotOfRun { kind: kind.to_owned(), name: name.to_owned(), run: submission.run.to_string() }
}

fn dynamic(object: &Value) -> Result<DynamicObject, ClusterError> {
    serde_json::from_value(object.clone()).map_err(|error| ClusterError::BadTemplate(error.to_string()))
}

fn fields(object: &DynamicObject) -> Result<Map<String, Value>, ClusterError> {
    let value = serde_json::to_value(object).map_err(|error| ClusterError::Unreachable(error.to_string()))?;
    match value {
        Value::Object(fields) => Ok(fields),
        other => Err(ClusterError::Unreachable(format!("the server answered {other} where an object was expected"))),
    }
}
