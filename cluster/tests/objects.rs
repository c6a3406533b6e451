//! What is made of the base: names, labels and references of one run, and nothing of another.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use conrec_cluster::objects::{INSTANCE, Submission, objects};
use conrec_cluster::template::Template;
use conrec_cluster::{ClusterError, RunName};
use serde_json::{Value, json};

fn of(run: &str, workers: u32) -> Result<Vec<Value>, ClusterError> {
    let run = RunName::new(run)?;
    let submission = Submission {
        run: &run,
        namespace: "ns",
        config: "x = 1\n",
        spec_digest: "d",
        store: Some("/runs"),
        workers,
        queue: Some("team"),
    };
    objects(&Template::base()?, &submission)
}

fn named<'a>(objects: &'a [Value], kind: &str, name: &str) -> &'a Value {
    let found = objects.iter().find(|object| object["kind"] == kind && object["metadata"]["name"] == name);
    assert!(found.is_some(), "no {kind} {name}");
    found.unwrap()
}

#[test]
fn references_follow_the_names_and_accounts_do_not() {
    let objects = of("a", 2).unwrap();
    let worker = named(&objects, "Job", "a-conrec-worker");
    let pod = &worker["spec"]["template"]["spec"];
    assert_eq!(pod["subdomain"], "a-conrec-worker");
    assert_eq!(pod["serviceAccountName"], "conrec-worker");
    let container = &pod["containers"][0];
    assert_eq!(container["envFrom"][0]["configMapRef"]["name"], "a-conrec-run");
    let coordinator = container["env"].as_array().unwrap().iter().find(|entry| entry["name"] == "COORDINATOR").unwrap();
    assert_eq!(coordinator["value"], "a-conrec-coordinator");
    assert!(container["image"].as_str().unwrap().starts_with("conrec-worker:"));
    let volumes = named(&objects, "Job", "a-conrec-coordinator")["spec"]["template"]["spec"]["volumes"].clone();
    let configs = volumes.as_array().unwrap().iter().find(|volume| volume["name"] == "configs").unwrap();
    assert_eq!(configs["configMap"]["name"], "a-conrec-configs");
}

#[test]
fn every_label_and_selector_names_the_run() {
    fn instances(value: &Value, found: &mut Vec<Value>) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| instances(item, found)),
            Value::Object(fields) => {
                found.extend(fields.get(INSTANCE).cloned());
                fields.values().for_each(|field| instances(field, found));
            }
            _ => {}
        }
    }
    for object in of("b", 2).unwrap() {
        let mut found = Vec::new();
        instances(&object, &mut found);
        assert!(!found.is_empty(), "{object}");
        assert!(found.iter().all(|name| name == "b"), "{object}");
        assert_eq!(object["metadata"]["namespace"], "ns");
    }
}

#[test]
fn the_config_map_of_the_run_comes_first_and_cannot_be_changed() {
    let objects = of("c", 4).unwrap();
    assert_eq!(objects[0]["metadata"]["name"], "c-conrec-configs");
    assert_eq!(objects[0]["data"], json!({"run.toml": "x = 1\n"}));
    assert_eq!(objects[0]["immutable"], true);
    let told = &named(&objects, "ConfigMap", "c-conrec-run")["data"];
    assert_eq!((&told["RUN_ID"], &told["STORE"]), (&json!("c"), &json!("/runs")));
    assert_eq!((&told["CONFIG"], &told["WORKERS"]), (&json!("run.toml"), &json!("4")));
}

#[test]
fn workers_and_their_budget_go_together() {
    for (workers, available) in [(1, 1), (2, 1), (8, 7)] {
        let objects = of("d", workers).unwrap();
        let spec = &named(&objects, "Job", "d-conrec-worker")["spec"];
        assert_eq!((&spec["completions"], &spec["parallelism"]), (&json!(workers), &json!(workers)));
        assert_eq!(named(&objects, "PodDisruptionBudget", "d-conrec-worker")["spec"]["minAvailable"], available);
        assert_eq!(named(&objects, "Job", "d-conrec-coordinator")["spec"]["completions"], 1);
    }
    assert!(of("d", 0).is_err());
}

#[test]
fn a_queue_is_named_on_jobs() {
    let objects = of("e", 2).unwrap();
    for job in objects.iter().filter(|object| object["kind"] == "Job") {
        assert_eq!(job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"], "team");
    }
}

#[test]
fn an_overlay_with_a_prefix_of_its_own_gives_the_same_names() {
    let base = include_str!("../templates/run.yaml");
    let prefixed =
        base.replace("name: conrec-", "name: blue-conrec-").replace("- name: blue-conrec-", "- name: conrec-");
    let template = Template::parse(&prefixed).unwrap();
    let run = RunName::new("f").unwrap();
    let submission =
        Submission { run: &run, namespace: "ns", config: "", spec_digest: "d", store: None, workers: 2, queue: None };
    let names: Vec<_> =
        objects(&template, &submission).unwrap().iter().map(|o| o["metadata"]["name"].clone()).collect();
    assert!(names.contains(&json!("f-conrec-worker")), "{names:?}");
    assert!(names.iter().all(|name| name.as_str().unwrap().starts_with("f-conrec-")), "{names:?}");
}

#[test]
fn what_is_no_template_is_told() {
    for (text, words) in [
        ("a: [", ""),
        ("kind: Service\nmetadata: {name: x}\n", "JobSet"),
        ("kind: Job\nmetadata: {name: x}\n", "names of the base"),
        ("kind: Job\nmetadata: {name: conrec-coordinator}\n", "conrec-run"),
        ("", "JobSet"),
        ("7", "JobSet"),
    ] {
        let error = Template::parse(text).unwrap_err();
        assert!(matches!(error, ClusterError::BadTemplate(_)) && error.to_string().contains(words), "{text}: {error}");
    }
}
