//! What a cluster says of a run: its Jobs' (or JobSet's) conditions and its pods, made into one phase with a reason. Pure.

use crate::kinds::text;
use serde_json::Value;

/// Where a run stands in the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// No pods are wanted: paused, or a queue has not admitted it, or has taken its place away.
    Suspended,
    /// Pods are wanted, the coordinator's does not run yet.
    Pending,
    /// The coordinator's pod runs.
    Running,
    /// Ended well.
    Completed,
    /// Ended badly.
    Failed,
}

impl Phase {
    /// The phase in one word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Suspended => "Suspended",
            Self::Pending => "Pending",
            Self::Running => "Running",
            Self::Completed => "Completed",
            Self::Failed => "Failed",
        }
    }

    /// Whether nothing more comes.
    #[must_use]
    pub fn is_end(self) -> bool {
        matches!(self, Self::Completed | Self::Failed)
    }
}

/// A run as the cluster sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// Where it stands.
    pub phase: Phase,
    /// Why, in one word of Kubernetes', such as `PodFailurePolicy`, `ImagePullBackOff`, `Unschedulable`; may be empty.
    pub reason: String,
    /// Why, in a sentence; may be empty.
    pub message: String,
    /// Exit code of the coordinator's newest pod, once that has ended; of a worker's, where their Job has failed.
    pub exit_code: Option<i32>,
    /// Worker pods that are ready.
    pub workers_ready: u64,
    /// Worker pods that are wanted.
    pub workers_wanted: u64,
}

/// Makes a run's workload (the coordinator's Job, or the JobSet), the worker's Job where there is one, and pods into what
/// is known of the run.
#[must_use]
pub fn observe(workload: &Value, worker: Option<&Value>, pods: &[Value]) -> Observed {
    let coordinator = newest(pods, "coordinator");
    let (mut phase, mut reason, mut message) = phase(workload, coordinator);
    let mut code = coordinator.and_then(exit_code);
    // Without workers the coordinator waits for ever: that the worker's Job has failed is how the run ends.
    let failed = worker.and_then(|job| is_true(job, "Failed").or_else(|| is_true(job, "FailureTarget")));
    if let Some(condition) = failed.filter(|_| !phase.is_end()) {
        phase = Phase::Failed;
        reason = text(condition, "/reason").to_owned();
        message = format!("the worker's Job has failed: {}", text(condition, "/message"));
        let ended = pods.iter().filter(|pod| component(pod) == "worker" && exit_code(pod).is_some());
        code = ended.max_by_key(|pod| text(pod, "/metadata/creationTimestamp")).and_then(exit_code);
    }
    let ready = pods.iter().filter(|pod| component(pod) == "worker" && is_true(pod, "Ready").is_some()).count();
    Observed {
        phase,
        reason,
        message,
        exit_code: code,
        workers_ready: ready as u64,
        workers_wanted: worker
            .and_then(|job| job.pointer("/spec/parallelism")?.as_u64())
            .unwrap_or_else(|| of_set(workload)),
    }
}

fn phase(workload: &Value, coordinator: Option<&Value>) -> (Phase, String, String) {
    let words = |condition: &Value| (text(condition, "/reason").to_owned(), text(condition, "/message").to_owned());
    let ends = [
        ("Failed", Phase::Failed),
        ("FailureTarget", Phase::Failed),
        ("Complete", Phase::Completed),
        ("Completed", Phase::Completed),
    ];
    for (kind, phase) in ends {
        if let Some(condition) = is_true(workload, kind) {
            let (reason, message) = words(condition);
            return (phase, reason, message);
        }
    }
    if workload.pointer("/spec/suspend") == Some(&Value::Bool(true)) {
        let (reason, message) = is_true(workload, "Suspended").map(words).unwrap_or_default();
        return (Phase::Suspended, reason, message);
    }
    match coordinator {
        Some(pod) if text(pod, "/status/phase") == "Running" => (Phase::Running, String::new(), String::new()),
        Some(pod) => {
            let (reason, message) = hindrance(pod);
            (Phase::Pending, reason, message)
        }
        None => (Phase::Pending, String::new(), String::new()),
    }
}

/// What keeps a pod from running: its container's wait, or that no node has room.
fn hindrance(pod: &Value) -> (String, String) {
    let waits = container(pod).and_then(|status| status.pointer("/state/waiting"));
    let unscheduled = conditions(pod)
        .find(|condition| text(condition, "/type") == "PodScheduled" && text(condition, "/status") == "False");
    let found = waits.or(unscheduled);
    found.map_or_else(Default::default, |found| (text(found, "/reason").to_owned(), text(found, "/message").to_owned()))
}

fn exit_code(pod: &Value) -> Option<i32> {
    let code = container(pod)?.pointer("/state/terminated/exitCode")?.as_i64()?;
    i32::try_from(code).ok()
}

/// The status of the container that is named as its component is.
fn container(pod: &Value) -> Option<&Value> {
    let statuses = pod.pointer("/status/containerStatuses")?.as_array()?;
    statuses.iter().find(|status| text(status, "/name") == component(pod))
}

fn component(object: &Value) -> &str {
    text(object, crate::template::COMPONENT)
}

/// The newest pod of a component; times are RFC 3339 in UTC, which sort as text.
pub(crate) fn newest<'a>(pods: &'a [Value], of: &str) -> Option<&'a Value> {
    pods.iter().filter(|pod| component(pod) == of).max_by_key(|pod| text(pod, "/metadata/creationTimestamp"))
}

fn conditions(object: &Value) -> impl Iterator<Item = &Value> {
    object.pointer("/status/conditions").and_then(Value::as_array).into_iter().flatten()
}

/// The condition `kind` where it is true.
fn is_true<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    conditions(object).find(|condition| text(condition, "/type") == kind && text(condition, "/status") == "True")
}

/// Workers that a JobSet wants.
fn of_set(workload: &Value) -> u64 {
    let jobs = workload.pointer("/spec/replicatedJobs").and_then(Value::as_array);
    let worker = jobs.and_then(|jobs| jobs.iter().find(|job| text(job, "/name") == "worker"));
    worker.and_then(|job| job.pointer("/template/spec/parallelism")?.as_u64()).unwrap_or_default()
}

#[cfg(test)]
#[path = "observe/tests.rs"]
mod tests;
