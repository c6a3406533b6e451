//! The commands of `docs/kubernetes.md` that are not conrec's own (`tests/tests/documents.rs` runs those): what needs no
//! cluster is done; of all others kubectl itself says that nothing but the cluster is missing.

use conrec_tests::{root, run, text};
use serde_json::Value;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

/// Nobody listens there.
const NO_CLUSTER: [&str; 2] = ["--server=http://127.0.0.1:9", "--request-timeout=2s"];
/// The folder of certificates that the document makes.
const CERTS: &str = "cluster-certs";

/// Lines of code blocks that begin with one of these programs.
pub fn commands(programs: &[&str]) -> Vec<String> {
    let document = fs::read_to_string(root().join("docs/kubernetes.md")).unwrap();
    let lines = document.lines().filter(|line| programs.iter().any(|program| line.starts_with(&format!("{program} "))));
    lines.map(str::to_owned).collect()
}

/// A line as a shell of this machine runs it, from the project's root, with the programs that the project fetches.
pub fn shell(line: &str) -> Output {
    let clients = root().canonicalize().unwrap().join("third_party/kubernetes/clients");
    let path = format!("{}:{}", clients.display(), std::env::var("PATH").unwrap());
    let home = tempfile::tempdir().unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", line]).current_dir(root()).env("PATH", path);
    command.env("HOME", home.path()).env("KUBECONFIG", home.path().join("none")).output().unwrap()
}

pub fn is_installed() -> bool {
    let installed = root().join("third_party/kubernetes/clients/installed").is_file();
    if !installed {
        println!("skipped: third_party/kubernetes/clients is not there");
    }
    installed
}

fn word_after<'a>(words: &[&'a str], option: &str) -> Option<&'a str> {
    words.iter().position(|word| *word == option).and_then(|at| words.get(at + 1)).copied()
}

/// What is wrong with a command of kubectl.
fn wrong(line: &str, certs: &str) -> Option<String> {
    // What one command writes the next one reads.
    let line = line.replace(" run.yaml", &format!(" {certs}/run.yaml"));
    let words: Vec<&str> = line.split(' ').collect();
    if words.contains(&"--output") {
        let output = shell(&line);
        return (!output.status.success()).then(|| text(&output));
    }
    if let Some(folder) = word_after(&words, "-k").or_else(|| word_after(&words, "kustomize")) {
        let output = shell(&format!("kubectl kustomize {folder}"));
        return (!output.status.success()).then(|| text(&output));
    }
    if let Some(file) = word_after(&words, "-f").filter(|file| file.starts_with("k8s/")) {
        return (!root().join(file).is_file()).then(|| format!("there is no {file}"));
    }
    let line = line.replace(CERTS, certs);
    if line.contains(" create ") && !line.contains("--from=cronjob") {
        let output = shell(&format!("{line} --dry-run=client --output=json"));
        return (!output.status.success()).then(|| text(&output));
    }
    if let Some(patch) = word_after(&words, "-p")
        && let Err(error) = serde_json::from_str::<Value>(patch.trim_matches('\''))
    {
        return Some(format!("the patch is no JSON: {error}"));
    }
    let output = shell(&format!("{line} {}", NO_CLUSTER.join(" ")));
    (!text(&output).contains("refused")).then(|| text(&output))
}

/// Certificates as the document makes them.
fn certs() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let certs = folder.path().join("certs");
    let made = run(&["certs", "init", certs.to_str().unwrap(), "--name", "*.conrec.svc"]).unwrap();
    assert!(made.status.success(), "{}", text(&made));
    (folder, certs)
}

#[test]
fn every_command_of_kubectl_lacks_nothing_but_a_cluster() {
    if !is_installed() {
        return;
    }
    let (_folder, certs) = certs();
    let lines = commands(&["kubectl"]);
    assert!(lines.len() > 20, "{lines:?}");
    let failed = lines.iter().filter_map(|line| Some(format!("{line}\n  {}", wrong(line, certs.to_str().unwrap())?)));
    let failed: Vec<_> = failed.collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    for bad in
        ["kubectl apply -k k8s/absent", "kubectl get pods --lable a=b", "kubectl dance", "kubectl patch job a -p '{'"]
    {
        assert!(wrong(bad, "certs").is_some(), "{bad}");
    }
}

#[test]
fn the_secrets_have_the_keys_that_the_programs_look_for() {
    if !is_installed() {
        return;
    }
    let (_folder, certs) = certs();
    let lines: Vec<_> = commands(&["kubectl"]).into_iter().filter(|line| line.contains("create secret")).collect();
    let mut found = Vec::new();
    for line in &lines {
        let line = line.replace(CERTS, certs.to_str().unwrap());
        let made: Value =
            serde_json::from_slice(&shell(&format!("{line} --dry-run=client --output=json")).stdout).unwrap();
        let keys: Vec<&String> = made["data"].as_object().unwrap().keys().collect();
        found.push(format!("{} {keys:?}", made["metadata"]["name"].as_str().unwrap()));
    }
    let tls = r#"["ca.pem", "cert.pem", "key.pem"]"#;
    let expected = [
        format!("conrec-coordinator-tls {tls}"),
        format!("conrec-worker-tls {tls}"),
        r#"conrec-operator-token ["token"]"#.to_owned(),
    ];
    assert_eq!(found, expected);
}

#[test]
fn every_command_of_helm_and_docker_has_what_it_names() {
    if !is_installed() {
        return;
    }
    for line in commands(&["helm"]).iter().filter(|line| line.starts_with("helm install")) {
        let output = shell(&line.replace("helm install", "helm template"));
        assert!(output.status.success(), "{line}: {}", text(&output));
    }
    let dockerfile = fs::read_to_string(root().join("Dockerfile")).unwrap();
    let lines = commands(&["docker"]);
    assert!(lines.len() > 1, "{lines:?}");
    for line in lines {
        let words: Vec<&str> = line.split(' ').collect();
        let target = word_after(&words, "--target").unwrap();
        assert!(dockerfile.contains(&format!(" AS {target}\n")), "{line}: the Dockerfile has no such target");
    }
}
