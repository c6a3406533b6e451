//! What is made of the base: names, labels and references of one run, and nothing of another.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use conrec_cluster::objects::{INSTANCE, Submission, objects};
use conrec_cluster::template::Template;
use conrec_cluster::{ClusterError, RunName};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::Command;

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
    for (workers, available) in [(1, 0), (2, 1), (8, 7)] {
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

/// What `kubectl kustomize` gives of a sample or of the base with these components; none where the program is missing.
fn rendered(resource: &str, components: &[&str]) -> Option<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let program = root.join("third_party/kubernetes/clients/kubectl");
    if !program.is_file() {
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    // Kustomize takes folders only by a path that leads from one to the other.
    let up = "../".repeat(folder.path().canonicalize().unwrap().components().count() - 1);
    let k8s = root.join("k8s").canonicalize().unwrap();
    let below = |path: String| format!("{up}{}/{path}", k8s.strip_prefix("/").unwrap().display());
    let components: String =
        components.iter().map(|name| format!("  - {}\n", below(format!("components/{name}")))).collect();
    let kustomization = format!(
        "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n  - {}\ncomponents:\n{components}",
        below(resource.to_owned())
    );
    fs::write(folder.path().join("kustomization.yaml"), kustomization).unwrap();
    let output = Command::new(program).arg("kustomize").arg(folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap())
}

fn made_of(template: &str, run: &str, workers: u32) -> Result<Vec<Value>, ClusterError> {
    let run = RunName::new(run)?;
    let submission =
        Submission { run: &run, namespace: "ns", config: "", spec_digest: "d", store: None, workers, queue: None };
    objects(&Template::parse(template)?, &submission)
}

#[test]
fn a_jobset_with_its_policies_and_its_monitor_is_a_template() {
    let Some(template) = rendered("base", &["networkpolicy", "monitoring", "jobset", "kueue"]) else { return };
    let objects = made_of(&template, "g", 3).unwrap();
    let set = named(&objects, "JobSet", "g-conrec");
    let worker = &set["spec"]["replicatedJobs"][1]["template"]["spec"];
    assert_eq!((&worker["completions"], &worker["parallelism"]), (&json!(3), &json!(3)));
    assert_eq!(worker["template"]["spec"]["containers"][0]["envFrom"][0]["configMapRef"]["name"], "g-conrec-run");
    assert_eq!(set["metadata"]["labels"]["kueue.x-k8s.io/queue-name"], "conrec");
    // Policies that named another run would leave this one's pods open.
    for name in ["g-conrec-coordinator", "g-conrec-worker", "g-conrec-metrics"] {
        let policy = named(&objects, "NetworkPolicy", name);
        assert_eq!(policy["spec"]["podSelector"]["matchLabels"][INSTANCE], "g");
    }
    assert_eq!(named(&objects, "PodMonitor", "g-conrec")["spec"]["selector"]["matchLabels"][INSTANCE], "g");
    made_of(&template, &"r".repeat(34), 3).unwrap();
    let error = made_of(&template, &"r".repeat(35), 3).unwrap_err().to_string();
    assert!(error.contains("34 bytes are left"), "{error}");
}

#[test]
fn a_group_of_volcano_waits_for_all_pods_of_its_run() {
    let Some(template) = rendered("base", &["volcano"]) else { return };
    let objects = made_of(&template, "h", 5).unwrap();
    assert_eq!(named(&objects, "PodGroup", "h-conrec")["spec"]["minMember"], 6);
    for job in ["h-conrec-coordinator", "h-conrec-worker"] {
        let pods = &named(&objects, "Job", job)["spec"]["template"]["metadata"];
        assert_eq!(pods["annotations"]["scheduling.k8s.io/group-name"], "h-conrec");
    }
}
