//! Statuses as clusters print them, and what is made of them.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use super::*;
use serde_json::json;

fn pod(component: &str, created: &str, status: Value) -> Value {
    json!({
        "metadata": {"labels": {"app.kubernetes.io/component": component}, "creationTimestamp": created},
        "status": status,
    })
}

fn job(suspend: bool, conditions: Value) -> Value {
    json!({"kind": "Job", "spec": {"suspend": suspend, "parallelism": 3}, "status": {"conditions": conditions}})
}

fn condition(kind: &str, status: &str, reason: &str) -> Value {
    json!({"type": kind, "status": status, "reason": reason, "message": format!("{reason} it is")})
}

#[test]
fn a_config_error_ends_the_run_with_the_policys_reason_and_the_exit_code() {
    let ended = json!({"containerStatuses": [
        {"name": "sidecar", "state": {"terminated": {"exitCode": 0}}},
        {"name": "coordinator", "state": {"terminated": {"exitCode": 78}}},
    ]});
    let main = job(false, json!([condition("FailureTarget", "True", "PodFailurePolicy")]));
    let seen = observe(&main, None, &[pod("coordinator", "2026-01-01T00:00:00Z", ended)]);
    assert_eq!((seen.phase, seen.exit_code), (Phase::Failed, Some(78)));
    assert_eq!((seen.reason.as_str(), seen.message.as_str()), ("PodFailurePolicy", "PodFailurePolicy it is"));
}

#[test]
fn the_newest_coordinator_counts() {
    let old = pod(
        "coordinator",
        "2026-01-01T00:00:00Z",
        json!({"phase": "Failed", "containerStatuses": [
            {"name": "coordinator", "state": {"terminated": {"exitCode": 75}}},
        ]}),
    );
    let new = pod("coordinator", "2026-01-01T00:10:00Z", json!({"phase": "Running"}));
    let seen = observe(&job(false, json!([])), None, &[new, old]);
    assert_eq!((seen.phase, seen.exit_code), (Phase::Running, None));
}

#[test]
fn what_keeps_a_pod_waiting_is_the_reason() {
    let no_image = json!({"phase": "Pending", "containerStatuses": [
        {"name": "coordinator", "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}},
    ]});
    let no_node = json!({"phase": "Pending", "conditions": [
        {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"},
    ]});
    for (status, reason) in [(no_image, "ImagePullBackOff"), (no_node, "Unschedulable")] {
        let seen = observe(&job(false, json!([])), None, &[pod("coordinator", "2026-01-01T00:00:00Z", status)]);
        assert_eq!((seen.phase, seen.reason.as_str()), (Phase::Pending, reason));
    }
}

#[test]
fn suspended_is_said_even_before_a_controller_has_looked() {
    assert_eq!(observe(&job(true, json!([])), None, &[]).phase, Phase::Suspended);
    let told = observe(&job(true, json!([condition("Suspended", "True", "JobSuspended")])), None, &[]);
    assert_eq!(told.reason, "JobSuspended");
}

#[test]
fn a_condition_that_is_false_says_nothing() {
    let main = job(false, json!([condition("Failed", "False", "x"), condition("Complete", "Unknown", "y")]));
    assert_eq!(observe(&main, None, &[]).phase, Phase::Pending);
}

#[test]
fn workers_are_counted_by_readiness_and_by_what_the_job_wants() {
    let ready = json!({"conditions": [{"type": "Ready", "status": "True"}]});
    let starting = json!({"conditions": [{"type": "Ready", "status": "False"}]});
    let pods = [pod("worker", "a", ready.clone()), pod("worker", "b", starting), pod("coordinator", "c", ready)];
    let seen = observe(&job(false, json!([])), Some(&job(false, json!([]))), &pods);
    assert_eq!((seen.workers_ready, seen.workers_wanted), (1, 3));
}

#[test]
fn a_job_set_says_completed_and_how_many_workers_it_has() {
    let set = json!({"kind": "JobSet", "spec": {"replicatedJobs": [
        {"name": "coordinator", "template": {"spec": {"parallelism": 1}}},
        {"name": "worker", "template": {"spec": {"parallelism": 5}}},
    ]}, "status": {"conditions": [condition("Completed", "True", "AllJobsCompleted")]}});
    let seen = observe(&set, None, &[]);
    assert_eq!((seen.phase, seen.workers_wanted), (Phase::Completed, 5));
}

#[test]
fn nothing_at_all_is_pending() {
    let seen = observe(&json!({}), None, &[json!(null), json!([])]);
    assert_eq!((seen.phase, seen.workers_wanted), (Phase::Pending, 0));
}
