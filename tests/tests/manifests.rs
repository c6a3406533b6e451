//! The manifests of `k8s/`: they render and are valid, the chart makes the same objects as kustomize, they keep the rules of
//! this project, and the pods that they describe run, as processes of this machine with exactly their arguments.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by a panic, and says why it was skipped"
)]

#[path = "manifests/chart.rs"]
mod chart;
#[path = "manifests/cluster.rs"]
mod cluster;
#[path = "manifests/cut_off.rs"]
mod cut_off;
#[path = "manifests/document.rs"]
mod document;
#[path = "manifests/network.rs"]
mod network;
#[path = "manifests/pod.rs"]
mod pod;
#[path = "manifests/reach.rs"]
mod reach;
#[path = "manifests/rendered.rs"]
mod rendered;
#[path = "manifests/rules.rs"]
mod rules;
#[path = "manifests/same_objects.rs"]
mod same_objects;
#[path = "manifests/server_rules.rs"]
mod server_rules;
#[path = "manifests/shown.rs"]
mod shown;
#[path = "manifests/together.rs"]
mod together;

use cluster::{Cluster, Verdict};
use conrec_tests::{root, run, text};
use nix::sys::signal::Signal;
use rendered::{Case, rendered};
use serde_json::Value;
use std::fs;
use std::process::Command;

/// A config that takes seconds, for tests that stop a run.
const TINY: &str = "tests/configs/tiny.toml";

#[test]
fn everything_is_valid_keeps_the_rules_and_is_the_same_in_the_chart() {
    let Some((cases, output)) = rendered(&[]) else { return };
    assert!(output.status.success(), "{}", text(&output));
    println!("{}", text(&output));
    let quota = together::quota(&cases);
    let of_a_case = |case| [rules::broken(case), together::broken(case, &quota), reach::broken(case)].concat();
    let broken: Vec<String> = cases.iter().flat_map(of_a_case).collect();
    assert!(broken.is_empty(), "{} rules are broken:\n{}", broken.len(), broken.join("\n"));
    let (different, compared) = same_objects::differences(&cases);
    assert!(different.is_empty(), "{} differences:\n{}", different.len(), different.join("\n"));
    assert!(compared > 15, "only {compared} sets of values say what they are held against");
}

#[test]
fn images_and_chart_have_the_version_of_the_programs() {
    let text = |name: &str| fs::read_to_string(root().join(name)).unwrap();
    let workspace: toml::Table = text("Cargo.toml").parse().unwrap();
    let version = workspace["workspace"]["package"]["version"].as_str().unwrap();
    let chart = text("k8s/chart/Chart.yaml");
    assert!(chart.contains(&format!("\nversion: {version}\nappVersion: {version}\n")), "{version}: {chart}");
    let Some(case) = case("base") else { return };
    assert_eq!(rules::tags_of(&case), [version]);
}

/// A program that submits runs makes the objects of `k8s/base/run`; it has them as `cluster/templates/run.yaml`.
#[test]
fn what_is_submitted_is_what_kustomize_makes() {
    let file = root().join("cluster/templates/run.yaml");
    let Some((template, output)) = rendered(&["--only-render", "--file", file.to_str().unwrap()]) else { return };
    assert!(output.status.success(), "{}", text(&output));
    let Some(mut base) = case("base/run") else { return };
    let configs = base.objects.iter_mut().find(|object| object["metadata"]["name"] == "conrec-configs").unwrap();
    configs["data"] = serde_json::json!({});
    let different = same_objects::between(&template[0], &base);
    assert!(
        different.is_empty(),
        "{}\nwrite `kubectl kustomize k8s/base/run` there anew, with `data: {{}}` for the configs",
        different.join("\n")
    );
}

#[test]
fn what_is_wrong_with_an_object_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("object.yaml");
    let meta = "metadata: {name: x}\n";
    let wrong = [
        ("a misspelt field", format!("apiVersion: v1\nkind: Service\n{meta}spec: {{clusterIp: None}}\n")),
        ("a key twice", format!("apiVersion: v1\nkind: ConfigMap\n{meta}{meta}")),
        ("a kind that nobody knows", format!("apiVersion: example.org/v1\nkind: Dance\n{meta}")),
        (
            "a JobSet's field",
            format!("apiVersion: jobset.x-k8s.io/v1alpha2\nkind: JobSet\n{meta}spec: {{network: {{dns: true}}}}\n"),
        ),
        (
            "a JobSet's Job",
            format!(
                "apiVersion: jobset.x-k8s.io/v1alpha2\nkind: JobSet\n{meta}spec: {{replicatedJobs: [{{name: a, template: {{spec: {{paralelism: 1}}}}}}]}}\n"
            ),
        ),
        (
            "a queue's field",
            format!("apiVersion: kueue.x-k8s.io/v1beta2\nkind: LocalQueue\n{meta}spec: {{clusterqueue: a}}\n"),
        ),
        (
            "a TrainJob's field",
            format!(
                "apiVersion: trainer.kubeflow.org/v1alpha1\nkind: TrainJob\n{meta}spec: {{runtimeRef: {{name: a}}, trainer: {{nodes: 1}}}}\n"
            ),
        ),
        (
            "a workflow's field",
            format!(
                "apiVersion: argoproj.io/v1alpha1\nkind: WorkflowTemplate\n{meta}spec: {{templates: [{{name: a, containre: {{}}}}]}}\n"
            ),
        ),
    ];
    for (what, object) in wrong {
        fs::write(&file, object).unwrap();
        let Some((_, output)) = rendered(&["--file", file.to_str().unwrap()]) else { return };
        assert_eq!(output.status.code(), Some(1), "{what}: {}", text(&output));
    }
}

#[test]
fn the_airflow_sample_compiles() {
    let sample = root().join("k8s/samples/airflow_dag.py");
    let compiled = "import ast, sys; compile(open(sys.argv[1]).read(), sys.argv[1], 'exec')";
    let output = Command::new("python3").args(["-c", compiled]).arg(sample).output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
}

#[test]
fn scripts_pass_shellcheck() {
    let program = root().join("third_party/kubernetes/shellcheck/bin/shellcheck");
    if !program.is_file() {
        return println!("skipped: {} is not there", program.display());
    }
    let shell =
        |path: &std::path::PathBuf| fs::read_to_string(path).is_ok_and(|text| text.starts_with("#!/usr/bin/env bash"));
    let entries = fs::read_dir(root().join("scripts")).unwrap().map(|entry| entry.unwrap().path());
    let scripts: Vec<_> = entries.chain([root().join("conrec"), root().join(".ci/run")]).filter(shell).collect();
    assert!(scripts.len() > 4, "{scripts:?}");
    let output = Command::new(program).arg("--severity=warning").args(scripts).output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
}

#[test]
fn the_dockerfile_passes_hadolint_and_copies_what_is_there() {
    let dockerfile = fs::read_to_string(root().join("Dockerfile")).unwrap();
    let copies =
        dockerfile.lines().filter_map(|line| line.strip_prefix("COPY ")).filter(|copy| !copy.starts_with("--from"));
    let sources = copies.flat_map(|copy| copy.split(' ').rev().skip(1));
    let missing: Vec<_> = sources.filter(|source| !root().join(source).exists()).collect();
    assert!(missing.is_empty(), "{missing:?}");
    let program = root().join("third_party/kubernetes/hadolint/bin/hadolint");
    if !program.is_file() {
        return println!("skipped: {} is not there", program.display());
    }
    let output = Command::new(program).arg(root().join("Dockerfile")).output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
}

#[test]
fn the_pods_of_the_dev_overlay_run_to_their_end() {
    let Some(case) = case("overlays/dev") else { return };
    let cluster = Cluster::of(&case);
    let mut coordinator = cluster.start("conrec-coordinator", 0);
    let mut workers = [0, 1].map(|index| cluster.start("conrec-worker", index));
    assert_eq!(coordinator.verdict(), Verdict::Succeeded, "{}", cluster.words());
    for worker in &mut workers {
        assert_eq!(worker.verdict(), Verdict::Succeeded, "{}", cluster.words());
    }
    let report = cluster.report("smoke");
    assert!(report["state_digest"].is_string(), "{report}");
}

#[test]
fn pods_find_each_other_by_the_names_and_ports_of_a_cluster() {
    let Some(case) = case("overlays/dev") else { return };
    let mut cluster = Cluster::of(&case);
    if let Err(why) = cluster.take_nodes() {
        return println!("skipped: no network namespaces can be made here: {why}");
    }
    cluster.add_config("tiny.toml", &fs::read_to_string(root().join(TINY)).unwrap());
    cluster.set("CONFIG", "tiny.toml");
    let mut pods = [("conrec-worker", 0), ("conrec-coordinator", 0), ("conrec-worker", 1)]
        .map(|(job, index)| cluster.start(job, index));
    for pod in &mut pods {
        assert_eq!(pod.verdict(), Verdict::Succeeded, "{}", cluster.words());
    }
}

#[test]
fn pods_that_are_told_to_end_leave_a_checkpoint_and_their_successors_go_on() {
    let Some(case) = case("overlays/dev") else { return };
    let mut cluster = Cluster::of(&case);
    cluster.add_config("tiny.toml", &fs::read_to_string(root().join(TINY)).unwrap());
    cluster.set("CONFIG", "tiny.toml");
    let mut coordinator = cluster.start("conrec-coordinator", 0);
    let mut workers = [0, 1].map(|index| cluster.start("conrec-worker", index));
    cluster.await_iterations("smoke", 2);
    coordinator.signal(Signal::SIGTERM);
    assert_eq!(coordinator.verdict(), Verdict::Ignored, "{}", cluster.words());
    for worker in &mut workers {
        // Nobody told these pods to end, yet the run needs them again.
        assert_eq!(worker.verdict(), Verdict::Ignored, "{}", cluster.words());
    }
    let mut coordinator = cluster.start("conrec-coordinator", 0);
    let mut workers = [0, 1].map(|index| cluster.start("conrec-worker", index));
    assert_eq!(coordinator.verdict(), Verdict::Succeeded, "{}", cluster.words());
    for worker in &mut workers {
        assert_eq!(worker.verdict(), Verdict::Succeeded, "{}", cluster.words());
    }
    let store = tempfile::tempdir().unwrap();
    let alone = run(&["train", TINY, "--run-id", "smoke", "--store", store.path().to_str().unwrap()]).unwrap();
    assert!(alone.status.success(), "{}", text(&alone));
    let plain: Value = serde_json::from_slice(&fs::read(store.path().join("smoke/report.json")).unwrap()).unwrap();
    assert_eq!(cluster.report("smoke")["state_digest"], plain["state_digest"]);
}

#[test]
fn a_drained_worker_is_replaced_and_a_new_one_joins() {
    let Some(case) = case("overlays/dev") else { return };
    let mut cluster = Cluster::of(&case);
    cluster.add_config("tiny.toml", &fs::read_to_string(root().join(TINY)).unwrap());
    cluster.set("CONFIG", "tiny.toml");
    cluster.set("WORKERS", "1");
    let mut coordinator = cluster.start("conrec-coordinator", 0);
    let mut first = cluster.start("conrec-worker", 0);
    cluster.await_iterations("smoke", 1);
    let mut second = cluster.start("conrec-worker", 1);
    first.signal(Signal::SIGTERM);
    assert_eq!(first.verdict(), Verdict::Ignored, "{}", cluster.words());
    let mut again = cluster.start("conrec-worker", 0);
    assert_eq!(coordinator.verdict(), Verdict::Succeeded, "{}", cluster.words());
    for worker in [&mut second, &mut again] {
        assert_ne!(worker.verdict(), Verdict::JobFails, "{}", cluster.words());
    }
}

#[test]
fn a_night_that_is_told_to_end_goes_on_in_the_next_pod() {
    let Some(case) = case("overlays/nightly + runs-volume") else { return };
    let mut cluster = Cluster::of(&case);
    cluster.set("DATE", "2013-08-30");
    let mut night = cluster.start("conrec-nightly", 0);
    cluster.await_iterations("night-2013-08-30", 2);
    night.signal(Signal::SIGTERM);
    assert_eq!(night.verdict(), Verdict::Ignored, "{}", cluster.words());
    assert_eq!(cluster.start("conrec-nightly", 1).verdict(), Verdict::Succeeded, "{}", cluster.words());
    // The night is decided.
    let mut again = cluster.start("conrec-nightly", 2);
    assert_eq!((again.exit_code(), again.verdict()), (11, Verdict::JobFails), "{}", cluster.words());
    // The data ends before this day; no more of it is waited for.
    cluster.set("DATE", "2013-10-30");
    let mut empty = cluster.start("conrec-nightly", 3);
    assert_eq!((empty.exit_code(), empty.verdict()), (14, Verdict::JobFails), "{}", cluster.words());
}

#[test]
fn a_jobset_has_the_same_pods() {
    runs_to_its_end("samples/jobset");
}

#[test]
fn pods_take_the_certificates_of_cert_manager() {
    runs_to_its_end("overlays/dev + cert-manager");
}

#[test]
fn a_run_in_a_network_that_encrypts_by_itself_needs_no_certificates() {
    runs_to_its_end("overlays/dev + trusted-network");
}

/// The pods of a case, one small run.
fn runs_to_its_end(name: &str) {
    let Some(case) = case(name) else { return };
    let mut cluster = Cluster::of(&case);
    cluster.add_config("tiny.toml", &fs::read_to_string(root().join(TINY)).unwrap());
    cluster.set("CONFIG", "tiny.toml");
    let mut pods = [("conrec-coordinator", 0), ("conrec-worker", 0), ("conrec-worker", 1)]
        .map(|(job, index)| cluster.start(job, index));
    for pod in &mut pods {
        assert_eq!(pod.verdict(), Verdict::Succeeded, "{}", cluster.words());
    }
}

#[test]
fn a_wrong_config_ends_the_coordinator_job_at_once() {
    let Some(case) = case("overlays/dev") else { return };
    let mut cluster = Cluster::of(&case);
    cluster.add_config("wrong.toml", "seed = \"many\"\n");
    cluster.set("CONFIG", "wrong.toml");
    let mut coordinator = cluster.start("conrec-coordinator", 0);
    assert_eq!((coordinator.exit_code(), coordinator.verdict()), (78, Verdict::JobFails), "{}", cluster.words());
    let last = fs::read_to_string(cluster.last_words("conrec-coordinator-0")).unwrap();
    assert!(last.contains("seed") || last.contains("wrong.toml"), "{last}");
}

/// A rendered case; none where the tools are missing.
fn case(name: &str) -> Option<Case> {
    let (cases, output) = rendered(&["--only-render", "--case", name])?;
    assert!(output.status.success(), "{}", text(&output));
    cases.into_iter().next()
}
