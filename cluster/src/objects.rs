//! One run's objects, made of a template: names, labels, config, store, workers. Pure.

use crate::error::ClusterError;
use crate::kinds::text;
use crate::run_name::RunName;
use crate::template::{COMPONENT, Template};
use serde_json::{Map, Value, json};

/// The annotation of a run's config map that says what was submitted.
pub const SPEC_DIGEST: &str = "conrec/spec-digest";
/// The label whose value is the run's name, on every object and pod.
pub const INSTANCE: &str = "app.kubernetes.io/instance";
const QUEUE: &str = "kueue.x-k8s.io/queue-name";
/// The annotation by which Volcano finds a pod's group.
const GROUP: &str = "scheduling.k8s.io/group-name";
/// Bytes of a pod's name in a JobSet.
const LONGEST_POD_NAME: usize = 63;

/// What is submitted.
#[derive(Debug, Clone)]
pub struct Submission<'a> {
    /// The run's name, in the cluster and in the store.
    pub run: &'a RunName,
    /// Where its objects lie.
    pub namespace: &'a str,
    /// The config as it was resolved, TOML.
    pub config: &'a str,
    /// Digest of the spec: what makes two submissions of one key the same.
    pub spec_digest: &'a str,
    /// Where runs are kept; none leaves the template's.
    pub store: Option<&'a str>,
    /// Worker pods, at least one.
    pub workers: u32,
    /// The local queue of Kueue, where there is one.
    pub queue: Option<&'a str>,
}

/// The run's objects, the config map that stands for the run first: who creates that one has the run.
///
/// # Errors
/// The template has no worker to count, or a submission names none; the run's name is too long for pods of a JobSet.
pub fn objects(template: &Template, submission: &Submission<'_>) -> Result<Vec<Value>, ClusterError> {
    if submission.workers == 0 {
        return Err(ClusterError::NotPossible("a run needs at least one worker".to_owned()));
    }
    let names = Names::of(template, submission.run);
    let mut objects = template.objects.clone();
    for object in &mut objects {
        names.rename(object);
        label(object, submission.run.as_str());
        object["metadata"]["namespace"] = json!(submission.namespace);
        match (text(object, "/kind"), text(object, COMPONENT).to_owned().as_str()) {
            ("ConfigMap", _) => fill(object, submission),
            ("Job", component) => {
                if component == "worker" {
                    resize(&mut object["spec"], submission.workers);
                }
                enqueue(object, submission.queue);
            }
            ("JobSet", _) => {
                resize_workers_of(object, submission.workers)?;
                leave_room(object, submission.run)?;
                enqueue(object, submission.queue);
            }
            // The coordinator and all workers that the run waits for.
            ("PodGroup", _) => object["spec"]["minMember"] = json!(submission.workers + 1),
            ("PodDisruptionBudget", _) => object["spec"]["minAvailable"] = json!(least_available(submission.workers)),
            _ => {}
        }
    }
    // False sorts first; the order of the others is the template's.
    objects.sort_by_key(|object| !is_anchor(object));
    Ok(objects)
}

/// Whether `object` is the config map that stands for the run.
pub(crate) fn is_anchor(object: &Value) -> bool {
    text(object, "/kind") == "ConfigMap" && text(object, "/metadata/name").ends_with("conrec-configs")
}

/// Drains may take one worker at a time, the only one too: a node is not kept for as long as a run takes.
pub(crate) fn least_available(workers: u32) -> u32 {
    workers.saturating_sub(1)
}

/// What changes when a worker Job, or a JobSet's, has other workers: both numbers at once, or the server refuses.
pub(crate) fn size(workers: u32) -> Value {
    json!({"completions": workers, "parallelism": workers})
}

fn resize(spec: &mut Value, workers: u32) {
    if let (Some(spec), Value::Object(size)) = (spec.as_object_mut(), size(workers)) {
        spec.extend(size);
    }
}

fn resize_workers_of(job_set: &mut Value, workers: u32) -> Result<(), ClusterError> {
    let jobs = job_set.pointer_mut("/spec/replicatedJobs").and_then(Value::as_array_mut);
    let worker = jobs.and_then(|jobs| jobs.iter_mut().find(|job| text(job, "/name") == "worker"));
    let spec = worker.and_then(|job| job.pointer_mut("/template/spec"));
    let missing = || ClusterError::BadTemplate("the JobSet has no replicated job named worker".to_owned());
    resize(spec.ok_or_else(missing)?, workers);
    Ok(())
}

/// A JobSet's webhook refuses names from which those of its pods would be too long.
fn leave_room(job_set: &Value, run: &RunName) -> Result<(), ClusterError> {
    let jobs = job_set.pointer("/spec/replicatedJobs").and_then(Value::as_array);
    for job in jobs.into_iter().flatten() {
        let pods = job.pointer("/template/spec/completions").and_then(Value::as_u64).unwrap_or(1);
        let last = pods.saturating_sub(1);
        let pod = format!("{}-{}-0-{last}-abcde", text(job_set, "/metadata/name"), text(job, "/name"));
        if pod.len() > LONGEST_POD_NAME {
            let most = run.as_str().len().saturating_sub(pod.len() - LONGEST_POD_NAME);
            return Err(ClusterError::BadName(format!(
                "run name {run:?} has {} bytes; pods of a JobSet would be called {pod}, and have {LONGEST_POD_NAME}: \
                 {most} bytes are left for the run",
                run.as_str().len()
            )));
        }
    }
    Ok(())
}

fn enqueue(object: &mut Value, queue: Option<&str>) {
    if let Some(queue) = queue {
        object["metadata"]["labels"][QUEUE] = json!(queue);
    }
}

/// Config maps: the run's own config instead of all that come with the base, and what the base leaves open.
fn fill(object: &mut Value, submission: &Submission<'_>) {
    if is_anchor(object) {
        object["data"] = json!({"run.toml": submission.config});
        object["immutable"] = json!(true);
        object["metadata"]["annotations"][SPEC_DIGEST] = json!(submission.spec_digest);
        return;
    }
    if !text(object, "/metadata/name").ends_with("conrec-run") {
        return;
    }
    let data = &mut object["data"];
    data["RUN_ID"] = json!(submission.run.as_str());
    data["CONFIG"] = json!("run.toml");
    data["WORKERS"] = json!(submission.workers.to_string());
    if let Some(store) = submission.store {
        data["STORE"] = json!(store);
    }
}

/// Old and new names of the run's objects.
struct Names {
    pairs: Vec<(String, String)>,
}

impl Names {
    fn of(template: &Template, run: &RunName) -> Self {
        let new = |old: &str| old.strip_prefix(&template.prefix).map(|base| (old.to_owned(), format!("{run}-{base}")));
        let names = template.objects.iter().map(|object| text(object, "/metadata/name"));
        Self { pairs: names.filter_map(new).collect() }
    }

    fn rename(&self, object: &mut Value) {
        self.replace(&mut object["metadata"]["name"]);
        if let Some(spec) = object.get_mut("spec") {
            self.walk(spec, "");
        }
    }

    /// Replaces names only where a name of one of the run's objects stands: an account or an image may have the same.
    fn walk(&self, value: &mut Value, parent: &str) {
        match value {
            Value::Array(items) => items.iter_mut().for_each(|item| self.walk(item, parent)),
            Value::Object(fields) => {
                for (key, field) in fields {
                    let of_config_map =
                        key == "name" && matches!(parent, "configMap" | "configMapRef" | "configMapKeyRef");
                    let of_service = key == "subdomain" || (key == "value" && parent == "env");
                    if of_config_map || of_service || key == GROUP {
                        self.replace(field);
                    } else {
                        self.walk(field, key);
                    }
                }
            }
            _ => {}
        }
    }

    fn replace(&self, value: &mut Value) {
        if let Some((_, new)) = self.pairs.iter().find(|(old, _)| value.as_str() == Some(old)) {
            *value = json!(new);
        }
    }
}

/// Puts the run's name wherever the template says of which run something is: labels, selectors, pods.
fn label(value: &mut Value, run: &str) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| label(item, run)),
        Value::Object(fields) => {
            if let Some(instance) = fields.get_mut(INSTANCE) {
                *instance = json!(run);
            }
            fields.values_mut().for_each(|field| label(field, run));
        }
        _ => {}
    }
}

/// `object`, which goes when the run's `anchor` (its config map in the cluster) goes.
pub(crate) fn owned_by(mut object: Value, anchor: &Map<String, Value>) -> Value {
    let metadata = anchor.get("metadata").cloned().unwrap_or_default();
    object["metadata"]["ownerReferences"] =
        json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": metadata["name"], "uid": metadata["uid"]}]);
    object
}
