//! What a run's objects are made of: rendered manifests, by default those of `k8s/base` that the program carries. A
//! platform team hands over its own overlay: `kubectl kustomize OVERLAY` or `helm template` is such a file.

use crate::error::ClusterError;
use crate::kinds::{is_of_a_run, text};
use serde_json::Value;

/// The label that says which part of a run an object is.
pub(crate) const COMPONENT: &str = "/metadata/labels/app.kubernetes.io~1component";
/// What names of a run's objects begin with, after the run's prefix; a JobSet has this name alone.
const STEM: &str = "conrec";

/// The run's objects of rendered manifests, and the prefix that their names have there.
#[derive(Debug, Clone)]
pub struct Template {
    pub(crate) objects: Vec<Value>,
    pub(crate) prefix: String,
}

impl Template {
    /// `k8s/base` as this version of the program has it.
    ///
    /// # Errors
    /// Never for a program that was built from a checked source tree.
    pub fn base() -> Result<Self, ClusterError> {
        Self::parse(include_str!("../templates/run.yaml"))
    }

    /// Reads rendered manifests, several documents of YAML; kinds that do not belong to a run are left out.
    ///
    /// # Errors
    /// It is not YAML, or has not what a run needs: a coordinator, workers, both ConfigMaps.
    pub fn parse(yaml: &str) -> Result<Self, ClusterError> {
        let documents: Vec<Value> =
            serde_saphyr::from_multiple(yaml).map_err(|error| ClusterError::BadTemplate(error.to_string()))?;
        let objects: Vec<_> = documents.into_iter().filter(|object| is_of_a_run(text(object, "/kind"))).collect();
        let run = objects.iter().find(|object| is_workload(object) && text(object, COMPONENT) != "worker");
        let name = run.map(|object| text(object, "/metadata/name")).ok_or_else(|| {
            ClusterError::BadTemplate(
                "neither a coordinator's Job nor a JobSet is in it; expected what `kubectl kustomize` prints of an overlay"
                    .to_owned(),
            )
        })?;
        let at = name.find(STEM).filter(|at| matches!(name[at + STEM.len()..].chars().next(), None | Some('-')));
        let at = at.ok_or_else(|| {
            ClusterError::BadTemplate(format!("{name} has no {STEM:?} in its name; names of the base end so, and those of a chart whose release is called conrec"))
        })?;
        let template = Self { prefix: name[..at].to_owned(), objects };
        for needed in ["conrec-run", "conrec-configs"] {
            if template.find("ConfigMap", needed).is_none() {
                return Err(ClusterError::BadTemplate(format!("ConfigMap {}{needed} is missing", template.prefix)));
            }
        }
        Ok(template)
    }

    /// Worker pods that it has; none where it has no number of them.
    #[must_use]
    pub fn workers(&self) -> Option<u32> {
        let worker = self.objects.iter().find(|object| is_workload(object) && text(object, COMPONENT) == "worker");
        let of_job = worker.and_then(|job| job.pointer("/spec/completions"));
        let jobs =
            self.objects.iter().filter_map(|object| object.pointer("/spec/replicatedJobs")?.as_array()).flatten();
        let mut of_set = jobs.filter(|job| text(job, "/name") == "worker");
        let count = of_job.or_else(|| of_set.next()?.pointer("/template/spec/completions"))?;
        u32::try_from(count.as_u64()?).ok()
    }

    /// What the coordinator's command line lays over the config: the values of its `--set`, in their order.
    #[must_use]
    pub fn sets(&self) -> Vec<String> {
        let mut found = Vec::new();
        self.objects.iter().for_each(|object| sets_of_coordinators(object, &mut found));
        found
    }

    /// Whether the store is still the one that the base stands in for until somebody says which.
    #[must_use]
    pub fn names_no_store(&self) -> bool {
        let run = self.find("ConfigMap", "conrec-run");
        run.is_none_or(|map| text(map, "/data/STORE").contains("://BUCKET"))
    }

    fn find(&self, kind: &str, base_name: &str) -> Option<&Value> {
        let name = format!("{}{base_name}", self.prefix);
        self.objects.iter().find(|object| text(object, "/kind") == kind && text(object, "/metadata/name") == name)
    }
}

/// Adds the `--set` values of each container below `value` that runs a coordinator.
fn sets_of_coordinators(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| sets_of_coordinators(item, found)),
        Value::Object(fields) => {
            let args: Vec<&str> =
                fields.get("args").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
            if args.first() == Some(&"coordinator") {
                for (at, arg) in args.iter().enumerate() {
                    let next = || args.get(at + 1).copied().filter(|_| *arg == "--set");
                    found.extend(arg.strip_prefix("--set=").or_else(next).map(str::to_owned));
                }
            }
            fields.values().for_each(|field| sets_of_coordinators(field, found));
        }
        _ => {}
    }
}

fn is_workload(object: &Value) -> bool {
    matches!(text(object, "/kind"), "Job" | "JobSet")
}
