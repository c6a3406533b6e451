//! What the commands of `docs/kubernetes.md` show of a run: kubectl itself asks a server on a socket that has one Job that failed
//! and three pods.

use crate::document::{commands, is_installed, shell};
use conrec_tests::text;
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread;

fn pod(name: &str, phase: &str, container: Value) -> Value {
    json!({
        "metadata": {"name": name, "namespace": "conrec"},
        "status": {"phase": phase, "containerStatuses": [container]}
    })
}

/// What an API server answers at a path; kubectl asks which kinds there are before it asks for objects.
fn answer(path: &str) -> Value {
    let resource =
        |name: &str, kind: &str| json!({"name": name, "kind": kind, "namespaced": true, "verbs": ["get", "list"]});
    let version = json!({"groupVersion": "batch/v1", "version": "v1"});
    let failed = json!({"type": "Failed", "status": "True", "reason": "PodFailurePolicy"});
    let ended = json!({"terminated": {"exitCode": 78, "message": "seed = \"many\": expected a number\n"}});
    match path.split('?').next().unwrap_or_default() {
        "/api" => json!({"kind": "APIVersions", "versions": ["v1"]}),
        "/apis" => json!({"kind": "APIGroupList", "apiVersion": "v1",
            "groups": [{"name": "batch", "versions": [version], "preferredVersion": version}]}),
        "/api/v1" => {
            json!({"kind": "APIResourceList", "groupVersion": "v1", "resources": [resource("pods", "Pod")]})
        }
        "/apis/batch/v1" => {
            json!({"kind": "APIResourceList", "groupVersion": "batch/v1", "resources": [resource("jobs", "Job")]})
        }
        "/api/v1/namespaces/conrec/pods" => json!({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": [
            pod("conrec-coordinator-x", "Failed", json!({"ready": false, "state": ended})),
            pod("conrec-worker-0-x", "Running", json!({"ready": true, "state": {"running": {}}})),
            pod("conrec-worker-1-x", "Running", json!({"ready": false, "state": {"running": {}}})),
        ]}),
        "/apis/batch/v1/namespaces/conrec/jobs" => {
            json!({"kind": "JobList", "apiVersion": "batch/v1", "metadata": {}, "items": [{
                "metadata": {"name": "conrec-coordinator", "namespace": "conrec"},
                "status": {"ready": 0, "failed": 1, "conditions": [failed]}
            }]})
        }
        _ => json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}),
    }
}

fn serve(stream: &TcpStream) -> Option<()> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next()?.ok()?;
    while !lines.next()?.ok()?.is_empty() {}
    let body = answer(first.split(' ').nth(1)?);
    let status = if body["code"] == 404 { "404 Not Found" } else { "200 OK" };
    let text = body.to_string();
    let head = format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nConnection: close\r\n");
    write!(&mut &*stream, "{head}Content-Length: {}\r\n\r\n{text}", text.len()).ok()
}

#[test]
fn the_commands_show_how_pods_and_jobs_ended() {
    if !is_installed() {
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            serve(&stream);
        }
    });
    let shown = |kind: &str| {
        let lines = commands(&["kubectl"]);
        let line = lines.iter().find(|line| line.contains(&format!(" get {kind} ")) && line.contains("custom-columns"));
        let output = shell(&format!("{} --server=http://{address}", line.unwrap()));
        assert!(output.status.success(), "{line:?}: {}", text(&output));
        let columns =
            |line: &str| line.split("  ").map(str::trim).filter(|word| !word.is_empty()).collect::<Vec<_>>().join("|");
        // A last word ends its line, and kubectl prints that too.
        let lines = String::from_utf8(output.stdout).unwrap();
        lines.lines().map(columns).filter(|line| !line.is_empty()).collect::<Vec<_>>()
    };
    assert_eq!(
        shown("pods"),
        [
            "POD|PHASE|READY|EXIT|LAST WORD",
            "conrec-coordinator-x|Failed|false|78|seed = \"many\": expected a number",
            "conrec-worker-0-x|Running|true|<none>|<none>",
            "conrec-worker-1-x|Running|false|<none>|<none>",
        ]
    );
    assert_eq!(shown("jobs"), ["JOB|STATES|WHY|READY|FAILED", "conrec-coordinator|Failed|PodFailurePolicy|0|1"]);
}
