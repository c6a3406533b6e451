//! The kinds of object that belong to one run, and where the server keeps them.

use crate::error::ClusterError;
use kube::core::ApiResource;
use serde_json::Value;

/// Kind, group, version, plural. What a namespace has once (accounts, roles, volumes, certificates) is not here: who sets up
/// the namespace applies that.
const OF_A_RUN: [(&str, &str, &str, &str); 8] = [
    ("ConfigMap", "", "v1", "configmaps"),
    ("Service", "", "v1", "services"),
    ("PodDisruptionBudget", "policy", "v1", "poddisruptionbudgets"),
    ("Job", "batch", "v1", "jobs"),
    ("JobSet", "jobset.x-k8s.io", "v1alpha2", "jobsets"),
    ("NetworkPolicy", "networking.k8s.io", "v1", "networkpolicies"),
    ("PodGroup", "scheduling.volcano.sh", "v1beta1", "podgroups"),
    ("PodMonitor", "monitoring.coreos.com", "v1", "podmonitors"),
];

/// Whether objects of this `kind` belong to a run.
pub(crate) fn is_of_a_run(kind: &str) -> bool {
    OF_A_RUN.iter().any(|known| known.0 == kind)
}

/// Where objects of `kind` lie.
pub(crate) fn resource(kind: &str) -> Result<ApiResource, ClusterError> {
    let known = OF_A_RUN.iter().find(|known| known.0 == kind);
    let (kind, group, version, plural) =
        known.ok_or_else(|| ClusterError::BadTemplate(format!("kind {kind} is none of a run's")))?;
    let api_version = if group.is_empty() { (*version).to_owned() } else { format!("{group}/{version}") };
    Ok(ApiResource {
        group: (*group).to_owned(),
        version: (*version).to_owned(),
        api_version,
        kind: (*kind).to_owned(),
        plural: (*plural).to_owned(),
    })
}

/// Pods are only read.
pub(crate) fn pods() -> ApiResource {
    ApiResource {
        group: String::new(),
        version: "v1".to_owned(),
        api_version: "v1".to_owned(),
        kind: "Pod".to_owned(),
        plural: "pods".to_owned(),
    }
}

/// Text at `pointer`, empty where there is none.
pub(crate) fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}
