//! Submitting, watching and changing runs, against a server in this process that speaks the real protocol on a socket.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use conrec_cluster::objects::{SPEC_DIGEST, Submission};
use conrec_cluster::observe::Phase;
use conrec_cluster::submit::{Submitted, start_again, submit};
use conrec_cluster::template::Template;
use conrec_cluster::{Cluster, ClusterError, RunName, control, follow};
use conrec_tests::kubernetes_api::ApiServer;
use serde_json::json;
use std::time::Duration;

const NAMESPACE: &str = "recommenders";

async fn cluster() -> (ApiServer, Cluster) {
    let server = ApiServer::start().unwrap();
    let cluster = Cluster::of_kubeconfig(&server.kubeconfig(NAMESPACE), None).await.unwrap();
    assert_eq!(cluster.namespace(), NAMESPACE);
    (server, cluster)
}

fn submission<'a>(run: &'a RunName, spec_digest: &'a str) -> Submission<'a> {
    Submission {
        run,
        namespace: NAMESPACE,
        config: "[data]\n",
        spec_digest,
        store: Some("s3://bucket/runs"),
        workers: 3,
        queue: None,
    }
}

async fn submitted(cluster: &Cluster, run: &RunName, digest: &str) -> Result<Submitted, ClusterError> {
    submit(cluster, &Template::base().unwrap(), &submission(run, digest)).await
}

fn run() -> RunName {
    RunName::new("nightly-2026-11-02").unwrap()
}

#[tokio::test]
async fn a_submission_creates_its_objects_once_and_owns_them() {
    let (server, cluster) = cluster().await;
    assert_eq!(submitted(&cluster, &run(), "d1").await.unwrap(), Submitted::Created);
    let anchor = server.get(NAMESPACE, "configmaps", "nightly-2026-11-02-conrec-configs").unwrap();
    assert_eq!(anchor["metadata"]["annotations"][SPEC_DIGEST], "d1");
    assert_eq!(
        server.names(NAMESPACE, "jobs"),
        ["nightly-2026-11-02-conrec-coordinator", "nightly-2026-11-02-conrec-worker"]
    );
    let worker = server.get(NAMESPACE, "jobs", "nightly-2026-11-02-conrec-worker").unwrap();
    assert_eq!((&worker["spec"]["completions"], &worker["spec"]["parallelism"]), (&json!(3), &json!(3)));
    assert_eq!(worker["metadata"]["ownerReferences"][0]["uid"], anchor["metadata"]["uid"]);
    let applied: Vec<_> = server.requests().into_iter().filter(|request| request.starts_with("PATCH")).collect();
    assert!(!applied.is_empty());
    for request in applied {
        assert!(request.contains("fieldManager=conrec") && request.contains("fieldValidation=Strict"), "{request}");
    }

    assert_eq!(submitted(&cluster, &run(), "d1").await.unwrap(), Submitted::Attached);
    assert_eq!(server.names(NAMESPACE, "jobs").len(), 2);
}

#[tokio::test]
async fn another_spec_under_the_same_key_is_refused_and_changes_nothing() {
    let (server, cluster) = cluster().await;
    submitted(&cluster, &run(), "d1").await.unwrap();
    let error = submitted(&cluster, &run(), "d2").await.unwrap_err();
    assert!(
        matches!(&error, ClusterError::OtherSpec { found, wanted, .. } if found == "d1" && wanted == "d2"),
        "{error}"
    );
    let anchor = server.get(NAMESPACE, "configmaps", "nightly-2026-11-02-conrec-configs").unwrap();
    assert_eq!(anchor["metadata"]["annotations"][SPEC_DIGEST], "d1");
}

#[tokio::test]
async fn of_ten_submitters_at_once_one_creates_the_run() {
    let (server, cluster) = cluster().await;
    let name = run();
    let outcomes = futures::future::join_all((0..10).map(|_| submitted(&cluster, &name, "d1"))).await;
    let created = outcomes.iter().filter(|outcome| matches!(outcome, Ok(Submitted::Created))).count();
    assert_eq!(created, 1, "{outcomes:?}");
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    assert_eq!(server.names(NAMESPACE, "jobs").len(), 2);
}

#[tokio::test]
async fn what_a_submitter_that_died_left_out_is_made_by_the_next() {
    let (server, cluster) = cluster().await;
    // The first request makes the config map; the second, of the next object, gets no answer.
    server.fail_next(&[500]);
    assert!(submitted(&cluster, &run(), "d1").await.unwrap_err().passes());
    assert!(server.names(NAMESPACE, "jobs").is_empty());
    let first = submitted(&cluster, &run(), "d1").await.unwrap();
    let second = submitted(&cluster, &run(), "d1").await.unwrap();
    assert_eq!((first, second), (Submitted::Created, Submitted::Attached));
    assert_eq!(server.names(NAMESPACE, "jobs").len(), 2);
}

#[tokio::test]
async fn an_object_of_somebody_else_is_not_taken_over() {
    let (server, cluster) = cluster().await;
    let theirs = json!({"kind": "Job", "metadata": {"name": "nightly-2026-11-02-conrec-worker"}, "spec": {}});
    server.put(NAMESPACE, "jobs", theirs);
    let error = submitted(&cluster, &run(), "d1").await.unwrap_err();
    assert!(matches!(&error, ClusterError::NotOfRun { kind, .. } if kind == "Job"), "{error}");
    assert_eq!(server.get(NAMESPACE, "jobs", "nightly-2026-11-02-conrec-worker").unwrap()["spec"], json!({}));
}

#[tokio::test]
async fn attaching_leaves_what_an_operator_changed() {
    let (server, cluster) = cluster().await;
    submitted(&cluster, &run(), "d1").await.unwrap();
    control::scale(&cluster, &run(), 7).await.unwrap();
    submitted(&cluster, &run(), "d1").await.unwrap();
    let worker = server.get(NAMESPACE, "jobs", "nightly-2026-11-02-conrec-worker").unwrap();
    assert_eq!((&worker["spec"]["completions"], &worker["spec"]["parallelism"]), (&json!(7), &json!(7)));
    let budget = server.get(NAMESPACE, "poddisruptionbudgets", "nightly-2026-11-02-conrec-worker").unwrap();
    assert_eq!(budget["spec"]["minAvailable"], 6);
}

#[tokio::test]
async fn runs_of_one_namespace_do_not_see_each_other() {
    let (server, cluster) = cluster().await;
    let other = RunName::new("other").unwrap();
    submitted(&cluster, &run(), "d1").await.unwrap();
    submitted(&cluster, &other, "d2").await.unwrap();
    control::remove(&cluster, &run()).await.unwrap();
    assert_eq!(server.names(NAMESPACE, "jobs"), ["other-conrec-coordinator", "other-conrec-worker"]);
    assert!(matches!(control::status(&cluster, &run()).await.unwrap_err(), ClusterError::NoRun { .. }));
    assert!(matches!(control::remove(&cluster, &run()).await.unwrap_err(), ClusterError::NoRun { .. }));
    assert_eq!(control::status(&cluster, &other).await.unwrap().phase, Phase::Pending);
}

#[tokio::test]
async fn pausing_suspends_all_jobs_unless_a_queue_decides() {
    let (server, cluster) = cluster().await;
    submitted(&cluster, &run(), "d1").await.unwrap();
    let suspended = |name: &str| server.get(NAMESPACE, "jobs", name).unwrap()["spec"]["suspend"].clone();
    for yes in [true, false] {
        control::set_suspended(&cluster, &run(), yes).await.unwrap();
        for name in server.names(NAMESPACE, "jobs") {
            assert_eq!(suspended(&name), yes, "{name}");
        }
    }
    let queued = RunName::new("queued").unwrap();
    let submission = Submission { queue: Some("team-a"), ..submission(&queued, "d") };
    submit(&cluster, &Template::base().unwrap(), &submission).await.unwrap();
    let error = control::set_suspended(&cluster, &queued, true).await.unwrap_err();
    assert!(error.to_string().contains("Kueue"), "{error}");
}

#[tokio::test]
async fn waiting_hears_of_changes_and_of_the_end() {
    let (server, cluster) = cluster().await;
    submitted(&cluster, &run(), "d1").await.unwrap();
    let mut phases = Vec::new();
    let name = run();
    let waiting = follow::until_ended(&cluster, &name, |seen| phases.push(seen.phase), |_| true);
    let coordinator = "nightly-2026-11-02-conrec-coordinator";
    let changing = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        // A watch that began long ago is told to begin anew.
        server.compact();
        tokio::time::sleep(Duration::from_millis(200)).await;
        let labels = json!({"app.kubernetes.io/component": "coordinator", "app.kubernetes.io/instance": name.as_str()});
        let ended = json!({"containerStatuses": [{"name": "coordinator", "state": {"terminated": {"exitCode": 65}}}]});
        server.put(NAMESPACE, "pods", json!({"metadata": {"name": "p", "labels": labels}, "status": ended}));
        let failed = json!({"type": "Failed", "status": "True", "reason": "PodFailurePolicy", "message": "65"});
        server.set_status(NAMESPACE, "jobs", coordinator, json!({"conditions": [failed]}));
    };
    let (seen, ()) = tokio::join!(waiting, changing);
    let seen = seen.unwrap();
    assert_eq!((seen.phase, seen.exit_code, seen.reason.as_str()), (Phase::Failed, Some(65), "PodFailurePolicy"));
    assert_eq!(phases, [Phase::Pending, Phase::Failed]);
}

#[tokio::test]
async fn a_server_that_is_busy_is_asked_again_and_one_that_refuses_is_not() {
    let (server, cluster) = cluster().await;
    submitted(&cluster, &run(), "d1").await.unwrap();
    let done = json!({"conditions": [{"type": "Complete", "status": "True"}]});
    server.set_status(NAMESPACE, "jobs", "nightly-2026-11-02-conrec-coordinator", done);
    server.fail_next(&[503]);
    let seen = follow::until_ended(&cluster, &run(), |_| {}, |times| times < 3).await.unwrap();
    assert_eq!(seen.phase, Phase::Completed);
    server.fail_next(&[403]);
    let error = follow::until_ended(&cluster, &run(), |_| {}, |_| true).await.unwrap_err();
    assert!(error.to_string().contains("403"), "{error}");
}

#[tokio::test]
async fn a_pods_lines_come_as_they_were_written() {
    let (server, cluster) = cluster().await;
    let labels = json!({"app.kubernetes.io/component": "worker", "app.kubernetes.io/instance": run().as_str()});
    server.put(NAMESPACE, "pods", json!({"metadata": {"name": "w-0-abc", "labels": labels}}));
    server.set_log("w-0-abc", "one\ntwo\n");
    let mut lines = Vec::new();
    follow::logs(&cluster, &run(), ("worker", false), |line| lines.push(line.to_owned())).await.unwrap();
    assert_eq!(lines, ["one", "two"]);
    let error = follow::logs(&cluster, &run(), ("coordinator", false), |_| {}).await.unwrap_err();
    assert!(error.to_string().contains("no pod of coordinator"), "{error}");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_said_to_be_unreachable() {
    let kubeconfig =
        ApiServer::start().unwrap().kubeconfig(NAMESPACE).replace("http://127.0.0.1:", "http://127.0.0.1:1#");
    let cluster = Cluster::of_kubeconfig(&kubeconfig, None).await.unwrap();
    let error = control::status(&cluster, &run()).await.unwrap_err();
    assert!(error.passes(), "{error}");
    assert!(matches!(Cluster::of_kubeconfig("clusters: 7", None).await, Err(ClusterError::NoCluster(_))));
}

#[tokio::test]
async fn a_failed_run_is_started_again_with_all_its_jobs_however_long_the_old_ones_take_to_go() {
    let (server, cluster) = cluster().await;
    submitted(&cluster, &run(), "d1").await.unwrap();
    let (coordinator, worker) = ("nightly-2026-11-02-conrec-coordinator", "nightly-2026-11-02-conrec-worker");
    let uid = |name: &str| server.get(NAMESPACE, "jobs", name).map(|job| job["metadata"]["uid"].clone());
    let before = [uid(coordinator), uid(worker)];
    // The failed coordinator has no pod left and goes at once, the workers take their time.
    server.delete(NAMESPACE, "jobs", coordinator);
    server.let_jobs_linger(Duration::from_millis(1500));
    let (template, name) = (Template::base().unwrap(), run());
    start_again(&cluster, &template, &submission(&name, "d1")).await.unwrap();
    for (name, before) in [coordinator, worker].iter().zip(before) {
        assert!(uid(name).is_some() && uid(name) != before, "{name}");
        assert!(server.get(NAMESPACE, "jobs", name).unwrap()["metadata"]["deletionTimestamp"].is_null(), "{name}");
    }
}

#[tokio::test]
async fn what_a_run_of_the_same_name_left_behind_is_waited_for() {
    let (server, cluster) = cluster().await;
    submitted(&cluster, &run(), "d1").await.unwrap();
    // The config map is gone and made anew before the server has removed what the old one owned.
    let left = server.get(NAMESPACE, "services", "nightly-2026-11-02-conrec-worker").unwrap();
    control::remove(&cluster, &run()).await.unwrap();
    server.put(NAMESPACE, "services", left);
    let removing = async {
        tokio::time::sleep(Duration::from_millis(800)).await;
        server.delete(NAMESPACE, "services", "nightly-2026-11-02-conrec-worker");
    };
    let name = run();
    let (again, ()) = tokio::join!(submitted(&cluster, &name, "d1"), removing);
    assert_eq!(again.unwrap(), Submitted::Created);
    assert_eq!(server.names(NAMESPACE, "services").len(), 2);
}

#[tokio::test]
async fn waiting_asks_no_more_than_it_has_to() {
    let (server, cluster) = cluster().await;
    submitted(&cluster, &run(), "d1").await.unwrap();
    // The worker's Job changes after the coordinator's, which a watch from the latter's version would tell again and again.
    server.set_status(NAMESPACE, "jobs", "nightly-2026-11-02-conrec-worker", json!({"active": 3}));
    let (before, name) = (server.requests().len(), run());
    let waiting = follow::until_ended(&cluster, &name, |_| {}, |_| true);
    assert!(tokio::time::timeout(Duration::from_secs(5), waiting).await.is_err(), "it is not over");
    let asked = server.requests().len() - before;
    assert!(asked < 15, "{asked} requests in 5 s");
}

#[tokio::test]
async fn workers_that_cannot_work_end_the_run() {
    let (server, cluster) = cluster().await;
    submitted(&cluster, &run(), "d1").await.unwrap();
    let labels = json!({"app.kubernetes.io/component": "worker", "app.kubernetes.io/instance": run().as_str()});
    let ended = json!({"containerStatuses": [{"name": "worker", "state": {"terminated": {"exitCode": 78}}}]});
    server.put(NAMESPACE, "pods", json!({"metadata": {"name": "w", "labels": labels}, "status": ended}));
    let failed = json!({"type": "Failed", "status": "True", "reason": "PodFailurePolicy", "message": "78"});
    server.set_status(NAMESPACE, "jobs", "nightly-2026-11-02-conrec-worker", json!({"conditions": [failed]}));
    let seen = control::status(&cluster, &run()).await.unwrap();
    assert_eq!((seen.phase, seen.exit_code, seen.reason.as_str()), (Phase::Failed, Some(78), "PodFailurePolicy"));
    assert!(seen.message.contains("worker's Job"), "{}", seen.message);
}
