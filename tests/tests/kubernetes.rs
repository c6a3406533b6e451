//! The verbs with `--kubernetes`, run as the real command against a server that speaks the cluster's protocol on a socket.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use conrec_tests::emulators::{self, Emulator};
use conrec_tests::kubernetes_api::ApiServer;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::Output;

const NAMESPACE: &str = "recommenders";
const RUN: &str = "nightly-2026-11-02";
const CONFIG: &str = "tests/configs/tiny.toml";

struct Cluster {
    server: ApiServer,
    /// Where runs are kept, as pods and submitters see it.
    bucket: Emulator,
    folder: tempfile::TempDir,
}

impl Cluster {
    fn start() -> Self {
        let (server, folder) = (ApiServer::start().unwrap(), tempfile::tempdir().unwrap());
        std::fs::write(folder.path().join("kubeconfig"), server.kubeconfig(NAMESPACE)).unwrap();
        Self { server, bucket: emulators::google().unwrap(), folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, line: &str) -> Output {
        let words: Vec<_> = line.split(' ').chain(["--kubernetes"]).collect();
        self.command(&words).env("KUBECONFIG", self.path("kubeconfig")).output().unwrap()
    }

    /// The command, which reaches the bucket.
    fn command(&self, words: &[&str]) -> std::process::Command {
        let mut command = conrec_tests::conrec(words).unwrap();
        command.envs(self.bucket.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Exit code, and what was printed as JSON.
    fn json(&self, line: &str) -> (Option<i32>, Value) {
        let output = self.run(&format!("{line} --output json"));
        let text = String::from_utf8_lossy(&output.stdout);
        let last = text.lines().last().unwrap_or_default();
        let value = serde_json::from_str(last).unwrap_or_else(|_| json!(conrec_tests::text(&output)));
        (output.status.code(), value)
    }

    fn submit(&self, more: &str) -> (Option<i32>, Value) {
        self.json(&format!("submit {CONFIG} --key {RUN} --workers 2 --store {}{more}", self.store()))
    }

    fn store(&self) -> String {
        format!("{}/runs", self.bucket.url)
    }

    fn job(&self, component: &str) -> Value {
        self.server.get(NAMESPACE, "jobs", &format!("{RUN}-conrec-{component}")).unwrap()
    }

    /// The coordinator's pod has ended, and its Job says how.
    fn end(&self, exit_code: i32, condition: &str) {
        let labels = json!({"app.kubernetes.io/component": "coordinator", "app.kubernetes.io/instance": RUN});
        let ended = json!({"name": "coordinator", "state": {"terminated": {"exitCode": exit_code}}});
        let pod = json!({"metadata": {"name": "c-0", "labels": labels}, "status": {"containerStatuses": [ended]}});
        self.server.put(NAMESPACE, "pods", pod);
        let condition = json!({"type": condition, "status": "True", "reason": "Test", "message": ""});
        let name = format!("{RUN}-conrec-coordinator");
        self.server.set_status(NAMESPACE, "jobs", &name, json!({"conditions": [condition]}));
    }
}

#[test]
fn a_key_is_submitted_once_and_another_config_is_refused() {
    let cluster = Cluster::start();
    let (code, seen) = cluster.submit("");
    assert_eq!((code, &seen["action"], &seen["state"]), (Some(0), &json!("created"), &json!("pending")), "{seen}");
    assert_eq!((&seen["run"], &seen["namespace"], &seen["version"]), (&json!(RUN), &json!(NAMESPACE), &json!(1)));
    let (code, seen) = cluster.submit("");
    assert_eq!((code, &seen["action"]), (Some(0), &json!("attached")), "{seen}");
    let (code, seen) = cluster.submit(" --if-exists fail");
    assert_eq!((code, &seen["action"]), (Some(11), &json!("already submitted")), "{seen}");
    let (code, words) = cluster.submit(" --set seed=7");
    assert_eq!(code, Some(78), "{words}");
    assert!(words.as_str().unwrap().contains("choose another key"), "{words}");

    let config = cluster.server.get(NAMESPACE, "configmaps", &format!("{RUN}-conrec-configs")).unwrap();
    assert!(config["data"]["run.toml"].as_str().unwrap().contains("[semantic_id]"), "{config}");
    let told = cluster.server.get(NAMESPACE, "configmaps", &format!("{RUN}-conrec-run")).unwrap();
    assert_eq!((&told["data"]["STORE"], &told["data"]["RUN_ID"]), (&json!(cluster.store()), &json!(RUN)));
}

#[test]
fn a_bad_config_and_a_bad_template_reach_no_cluster() {
    let cluster = Cluster::start();
    assert_eq!(cluster.submit(" --set reward.shape=\"x\"").0, Some(78));
    let (code, words) = cluster.json(&format!("submit {CONFIG} --key {RUN}"));
    assert_eq!(code, Some(64), "a folder of this machine is none of the pods': {words}");
    std::fs::write(cluster.path("none.yaml"), "kind: Service\nmetadata: {name: x}\n").unwrap();
    let (code, words) = cluster.submit(&format!(" --template {}", cluster.path("none.yaml").display()));
    assert_eq!(code, Some(78), "{words}");
    assert!(cluster.server.requests().iter().all(|request| !request.starts_with("POST")), "{words}");
}

#[test]
fn operators_pause_resume_scale_and_remove() {
    let cluster = Cluster::start();
    assert_eq!(cluster.json(&format!("status {RUN}")).0, Some(64), "it is not there yet");
    cluster.submit("");
    let (code, seen) = cluster.json(&format!("pause {RUN}"));
    assert_eq!((code, &seen["state"]), (Some(0), &json!("suspended")), "{seen}");
    assert_eq!(
        (&cluster.job("coordinator")["spec"]["suspend"], &cluster.job("worker")["spec"]["suspend"]),
        (&json!(true), &json!(true))
    );
    let (code, seen) = cluster.json(&format!("resume --key {RUN}"));
    assert_eq!((code, &seen["state"]), (Some(0), &json!("pending")), "{seen}");
    let output = cluster.run(&format!("scale {RUN} --workers 5"));
    assert_eq!(output.status.code(), Some(0), "{}", conrec_tests::text(&output));
    assert_eq!(cluster.json(&format!("status {RUN}")).1["workers"], json!({"ready": 0, "wanted": 5}));
    assert_eq!(cluster.json(&format!("cancel {RUN}")).0, Some(0));
    assert!(cluster.server.names(NAMESPACE, "jobs").is_empty());
    assert_eq!(cluster.json(&format!("cancel {RUN}")).0, Some(64));
    // The store knows what became of it, and the key stays used.
    let (code, seen) = cluster.submit("");
    assert_eq!((code, &seen["state"], &seen["action"]), (Some(15), &json!("cancelled"), &json!("finished before")));
    assert!(cluster.server.names(NAMESPACE, "jobs").is_empty());
}

#[test]
fn waiting_ends_with_the_runs_own_exit_code() {
    for (exit_code, condition, expected, state) in
        [(0, "Complete", 0, "completed"), (10, "Failed", 10, "failed"), (78, "Failed", 78, "failed")]
    {
        let cluster = Cluster::start();
        cluster.submit("");
        cluster.end(exit_code, condition);
        let result = cluster.path("result.json");
        let (code, seen) = cluster.json(&format!("wait {RUN} --result-file {}", result.display()));
        assert_eq!((code, &seen["state"]), (Some(expected), &json!(state)), "{seen}");
        let kept: Value = serde_json::from_str(&std::fs::read_to_string(result).unwrap()).unwrap();
        assert_eq!(kept["exit_code"], expected);
    }
    let cluster = Cluster::start();
    cluster.submit("");
    assert_eq!(cluster.json(&format!("wait {RUN} --timeout 1")).0, Some(75));
    // Submitted again when it is over, a key gives its result.
    cluster.end(0, "Complete");
    let (code, seen) = cluster.submit(" --wait");
    assert_eq!((code, &seen["state"]), (Some(0), &json!("completed")), "{seen}");
}

#[test]
fn logs_are_those_of_the_runs_pods() {
    let cluster = Cluster::start();
    cluster.submit("");
    cluster.end(0, "Complete");
    cluster.server.set_log("c-0", "committed 1\ncommitted 2\n");
    let output = cluster.run(&format!("logs {RUN}"));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "committed 1\ncommitted 2\n");
    assert_eq!(cluster.run(&format!("logs {RUN} --process worker")).status.code(), Some(64));
}

#[test]
fn without_a_cluster_the_verbs_say_what_is_missing() {
    let cluster = Cluster::start();
    std::fs::write(cluster.path("kubeconfig"), "not: [a kubeconfig").unwrap();
    let output = cluster.run(&format!("status {RUN}"));
    assert_eq!(output.status.code(), Some(69), "{}", conrec_tests::text(&output));
    assert!(conrec_tests::text(&output).contains("KUBECONFIG"), "{}", conrec_tests::text(&output));
}

/// The pods of a run, as processes with what its objects in the cluster tell them.
impl Cluster {
    /// Runs coordinator and worker of `run` to their end; their exit codes.
    fn work(&self, run: &str) -> (Option<i32>, Option<i32>) {
        let data =
            |name: &str| self.server.get(NAMESPACE, "configmaps", &format!("{run}-{name}")).unwrap()["data"].clone();
        let told = |name: &str| data("conrec-run")[name].as_str().unwrap().to_owned();
        let config = self.path(&told("CONFIG"));
        std::fs::write(&config, data("conrec-configs")[told("CONFIG")].as_str().unwrap()).unwrap();
        let address = self.path(&format!("{run}.address"));
        let (config, store, run) = (config.display().to_string(), told("STORE"), told("RUN_ID"));
        let address_file = address.display().to_string();
        let words = ["coordinator", &config, "--job", &run, "--store", &store, "--workers", "1", "--wait-while-paused"];
        let words = [&words[..], &["--listen", "127.0.0.1:0", "--address-file", &address_file]].concat();
        let log = || std::fs::File::create(self.path("pods.log")).unwrap();
        let mut coordinator = self.command(&words).stdout(log()).stderr(log()).spawn().unwrap();
        while !address.exists() && coordinator.try_wait().unwrap().is_none() {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        let address = std::fs::read_to_string(&address).unwrap_or_else(|_| "127.0.0.1:1".to_owned());
        let scratch = self.path("scratch").display().to_string();
        let words = ["worker", "--coordinator", &address, "--store", &store, "--job", &run, "--scratch", &scratch];
        let worker = self.command(&words).stdout(log()).stderr(log()).status().unwrap();
        (coordinator.wait().unwrap().code(), worker.code())
    }
}

#[test]
fn what_became_of_a_run_outlives_its_objects() {
    let cluster = Cluster::start();
    cluster.submit("");
    assert_eq!(cluster.work(RUN), (Some(0), Some(0)), "{}", std::fs::read_to_string(cluster.path("pods.log")).unwrap());
    // The pods told the store; nobody has told the cluster yet, and no --store is needed to find out.
    let (code, seen) = cluster.json(&format!("status {RUN}"));
    assert_eq!((code, &seen["state"], &seen["exit_code"]), (Some(0), &json!("completed"), &json!(0)), "{seen}");
    let digest = seen["job"]["results"]["state_digest"].clone();
    assert!(digest.is_string(), "{seen}");
    let anchor = format!("{RUN}-conrec-configs");
    cluster.server.delete(NAMESPACE, "configmaps", &anchor);
    assert!(cluster.server.names(NAMESPACE, "jobs").is_empty());

    let store = cluster.store();
    assert_eq!(cluster.json(&format!("status {RUN}")).0, Some(64), "nothing says where it was kept");
    for verb in ["status", "wait"] {
        let (code, seen) = cluster.json(&format!("{verb} {RUN} --store {store}"));
        assert_eq!((code, &seen["job"]["results"]["state_digest"]), (Some(0), &digest), "{verb}: {seen}");
    }
    let (code, seen) = cluster.submit(" --wait");
    assert_eq!((code, &seen["action"], &seen["state"]), (Some(0), &json!("finished before"), &json!("completed")));
    assert_eq!(cluster.submit(" --if-exists fail").0, Some(11));
    assert_eq!(cluster.submit(" --set seed=7").0, Some(78));
    assert!(cluster.server.names(NAMESPACE, "jobs").is_empty(), "a run that is over is not started again");
}

#[test]
fn a_run_whose_jobs_failed_for_a_reason_that_passes_is_started_again() {
    let cluster = Cluster::start();
    cluster.submit("");
    let before = cluster.job("coordinator")["metadata"]["uid"].clone();
    cluster.end(69, "Failed");
    let (code, seen) = cluster.submit("");
    assert_eq!((code, &seen["action"]), (Some(0), &json!("started again")), "{seen}");
    let after = cluster.job("coordinator");
    assert_ne!(after["metadata"]["uid"], before);
    assert!(after["status"].is_null(), "{after}");
    // The next pod would end the same way.
    cluster.end(65, "Failed");
    let (code, seen) = cluster.submit("");
    assert_eq!((code, &seen["action"]), (Some(65), &json!("attached")), "{seen}");
}

#[test]
fn a_coordinator_refuses_another_config_under_a_job_s_name() {
    let cluster = Cluster::start();
    cluster.submit("");
    let store = cluster.store();
    let words = ["coordinator", CONFIG, "--set", "seed=9", "--job", RUN, "--store", &store, "--listen", "127.0.0.1:0"];
    let output = cluster.command(&words).output().unwrap();
    assert_eq!(output.status.code(), Some(78), "{}", conrec_tests::text(&output));
    let output = cluster.command(&["coordinator", CONFIG, "--job", "a_b.c", "--store", &store]).output().unwrap();
    assert_eq!(output.status.code(), Some(64), "{}", conrec_tests::text(&output));
    // It left the job of that name alone.
    assert_eq!(cluster.json(&format!("status {RUN}")).1["job"]["state"], "queued");
}

/// The cluster does its part: once both Jobs of `run` are there its pods run, and the Job says how they ended.
/// Whoever drives the run may have `given_up` before.
/// Gives the run that it starts from.
fn serve(cluster: &Cluster, run: &str, given_up: impl Fn() -> bool) -> Option<Option<String>> {
    while cluster.server.names(NAMESPACE, "jobs").iter().filter(|name| name.starts_with(run)).count() < 2 {
        if given_up() {
            return None;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert_eq!(cluster.work(run), (Some(0), Some(0)), "{}", std::fs::read_to_string(cluster.path("pods.log")).unwrap());
    let configs = cluster.server.get(NAMESPACE, "configmaps", &format!("{run}-conrec-configs")).unwrap();
    let config: toml::Table = configs["data"]["run.toml"].as_str().unwrap().parse().unwrap();
    let done = json!({"conditions": [{"type": "Complete", "status": "True", "reason": "Test", "message": ""}]});
    cluster.server.set_status(NAMESPACE, "jobs", &format!("{run}-conrec-coordinator"), done);
    Some(config.get("warm_start").and_then(|warm| warm["run"].as_str().map(str::to_owned)))
}

#[test]
fn nights_are_trained_by_pods_and_evaluated_where_they_are_driven() {
    let cluster = Cluster::start();
    let sets = [
        "data.synthetic.days=60",
        "nightly.window_days=40",
        "nightly.min_events=50",
        "nightly.min_instances=10",
        "nightly.floor=\"\"",
        "nightly.metrics=[\"fhr\"]",
        "nightly.tolerance=0.9",
    ];
    let sets: String = sets.map(|set| format!(" --set {set}")).concat();
    let night = |date: &str| {
        let scratch = cluster.path("nights").display().to_string();
        let store = cluster.store();
        cluster.json(&format!("nightly {CONFIG} --date {date} --workers 1 --store {store} --scratch {scratch}{sets}"))
    };
    let mut warm_starts = Vec::new();
    for date in ["2024-02-20", "2024-02-21"] {
        let (code, answer) = std::thread::scope(|scope| {
            let night = scope.spawn(|| night(date));
            warm_starts.extend(serve(&cluster, &format!("night-{date}"), || night.is_finished()));
            night.join().unwrap()
        });
        assert_eq!((code, &answer["answer"]["outcome"]), (Some(0), &json!("ended")), "{answer}");
        assert!(cluster.server.names(NAMESPACE, "jobs").is_empty(), "a night leaves no objects");
    }
    assert_eq!(warm_starts, [None, Some("night-2024-02-20".to_owned())]);
    assert_eq!(night("2024-02-21").0, Some(11));
}

#[test]
fn a_template_says_how_many_workers_and_what_its_coordinator_lays_over_the_config() {
    let cluster = Cluster::start();
    let base = std::fs::read_to_string(conrec_tests::root().join("cluster/templates/run.yaml")).unwrap();
    let sets =
        base.replacen("        - --wait-while-paused\n", "        - --wait-while-paused\n        - --set=seed=5\n", 1);
    let template = sets.replace("completions: 2", "completions: 4").replace("parallelism: 2", "parallelism: 4");
    assert_ne!(sets, base);
    assert_ne!(template, sets);
    std::fs::write(cluster.path("template.yaml"), template).unwrap();
    let path = cluster.path("template.yaml").display().to_string();
    let line = format!("submit {CONFIG} --key {RUN} --store {} --template {path}", cluster.store());
    let (code, seen) = cluster.json(&line);
    assert_eq!((code, &seen["workers"]["wanted"]), (Some(0), &json!(4)), "{seen}");
    let map =
        |name: &str| cluster.server.get(NAMESPACE, "configmaps", &format!("{RUN}-{name}")).unwrap()["data"].clone();
    assert_eq!(map("conrec-run")["WORKERS"], "4");
    assert!(map("conrec-configs")["run.toml"].as_str().unwrap().contains("seed = 5"));
    // Its coordinator takes it for the config that was submitted.
    let config = cluster.path("run.toml");
    std::fs::write(&config, map("conrec-configs")["run.toml"].as_str().unwrap()).unwrap();
    let (config, store) = (config.display().to_string(), cluster.store());
    let words = ["coordinator", &config, "--set=seed=5", "--job", RUN, "--store", &store, "--listen", "127.0.0.1:0"];
    let mut coordinator = cluster.command(&words).stdout(std::process::Stdio::null()).spawn().unwrap();
    std::thread::sleep(std::time::Duration::from_secs(2));
    let ended = coordinator.try_wait().unwrap();
    coordinator.kill().unwrap();
    coordinator.wait().unwrap();
    assert_eq!(ended, None, "it waits for workers");
}
