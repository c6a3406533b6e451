//! Security on real processes: an encrypted run has the bits of a plain one, on one machine and between two network
//! namespaces; who does not belong is refused with a sentence; no secret reaches a file of the run.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic")]

use conrec_tests::network::{self, Network};
use conrec_tests::{conrec, program, root, run, text};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};
use tempfile::{TempDir, tempdir};

const CONFIG: &str = "tests/configs/tiny.toml";

/// An authority for this machine and more names.
fn certs(names: &[&str]) -> TempDir {
    let folder = tempdir().unwrap();
    let mut arguments = vec!["certs", "init", folder.path().to_str().unwrap()];
    names.iter().for_each(|name| arguments.extend(["--name", name]));
    let output = run(&arguments).unwrap();
    assert!(output.status.success(), "{}", text(&output));
    folder
}

fn below(folder: &TempDir, name: &str) -> String {
    folder.path().join(name).to_str().unwrap().to_owned()
}

/// Starts a program whose words go to files of this name in `logs`.
fn start(mut command: Command, logs: &Path, name: &str) -> Child {
    let file = fs::File::create(logs.join(name)).unwrap();
    command.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file);
    command.spawn().unwrap()
}

/// Ends when this test does, however it does.
struct Ends(Child);

impl Drop for Ends {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Ends {
    fn succeeds(&mut self, logs: &Path) {
        let since = Instant::now();
        let status = loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                break status;
            }
            assert!(since.elapsed() < Duration::from_secs(120), "no end: {}", all_words(logs));
            sleep(Duration::from_millis(10));
        };
        assert!(status.success(), "{status}: {}", all_words(logs));
    }
}

/// What all processes said.
fn all_words(logs: &Path) -> String {
    let files = fs::read_dir(logs).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
    files.map(|path| format!("{}:\n{}\n", path.display(), String::from_utf8_lossy(&fs::read(&path).unwrap()))).collect()
}

/// The address that a coordinator wrote.
fn address(file: &Path, logs: &Path) -> String {
    let since = Instant::now();
    loop {
        if let Ok(address) = fs::read_to_string(file) {
            return address;
        }
        assert!(since.elapsed() < Duration::from_secs(60), "it does not listen: {}", all_words(logs));
        sleep(Duration::from_millis(10));
    }
}

fn digest(store: &Path) -> Value {
    let report: Value = serde_json::from_slice(&fs::read(store.join("run/report.json")).unwrap()).unwrap();
    assert!(report["state_digest"].is_string(), "{report}");
    report["state_digest"].clone()
}

/// The state digest of a plain run of one worker.
fn plain_digest() -> Value {
    let store = tempdir().unwrap();
    let output = run(&["train", CONFIG, "--run-id", "run", "--store", store.path().to_str().unwrap()]).unwrap();
    assert!(output.status.success(), "{}", text(&output));
    digest(store.path())
}

/// Every file below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    let inner = entries.iter().filter(|path| path.is_dir()).flat_map(|path| files(path));
    inner.chain(entries.iter().filter(|path| path.is_file()).cloned()).collect()
}

fn holds(content: &[u8], secret: &str) -> bool {
    content.windows(secret.len()).any(|window| window == secret.as_bytes())
}

/// The middle of a key's PEM, without its frame.
fn key_line(site: &TempDir, role: &str) -> String {
    let pem = fs::read_to_string(site.path().join(role).join("key.pem")).unwrap();
    pem.lines().nth(1).unwrap().to_owned()
}

fn coordinator<'a>(store: &'a str, listen: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let begins = ["coordinator", CONFIG, "--run-id", "run", "--store", store, "--listen", listen];
    [&begins[..], more].concat()
}

fn refused(arguments: &[&str], code: i32, words: &[&str]) -> Output {
    let output = run(arguments).unwrap();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", text(&output));
    for word in words {
        assert!(text(&output).contains(word), "{arguments:?}: `{word}` is missing in: {}", text(&output));
    }
    output
}

#[test]
fn an_encrypted_run_of_two_workers_has_the_same_bits_and_tells_no_secret() {
    let (site, other, store, logs) = (certs(&[]), certs(&[]), tempdir().unwrap(), tempdir().unwrap());
    let (file, token) = (logs.path().join("address"), below(&site, "token"));
    let (own, worker, operator) = (below(&site, "coordinator"), below(&site, "worker"), below(&site, "operator"));
    let guarded = ["--address-file", file.to_str().unwrap(), "--tls", &own, "--operator-token-file", &token];
    let more = [&guarded[..], &["--workers", "2"]].concat();
    let arguments = coordinator(store.path().to_str().unwrap(), "127.0.0.1:0", &more);
    let mut serving = Ends(start(conrec(&arguments).unwrap(), logs.path(), "coordinator"));
    let at = address(&file, logs.path());
    let work = ["worker", "--coordinator", at.as_str()];

    refused(&work, 78, &["demands TLS", "--tls DIR"]);
    refused(&[&work[..], &["--tls", &below(&other, "worker")]].concat(), 78, &["another authority"]);
    refused(&[&work[..], &["--tls", &own]].concat(), 78, &["for the coordinator; expected one for the worker"]);
    let status = ["status", at.as_str(), "--tls", &operator];
    refused(&status, 78, &["--operator-token-file"]);
    refused(&[&status[..], &["--operator-token-file", &below(&other, "token")]].concat(), 78, &["token is wrong"]);
    let words = ["waiting for workers: 0 of 2"];
    let shown = refused(&[&status[..], &["--operator-token-file", &token]].concat(), 0, &words);

    let encrypted = [&work[..], &["--tls", &worker]].concat();
    let mut workers: Vec<_> =
        ["one", "two"].map(|name| Ends(start(conrec(&encrypted).unwrap(), logs.path(), name))).into();
    serving.succeeds(logs.path());
    workers.iter_mut().for_each(|worker| worker.succeeds(logs.path()));
    assert_eq!(digest(store.path()), plain_digest());

    let secret = fs::read_to_string(&token).unwrap().trim().to_owned();
    let secrets = [secret, key_line(&site, "coordinator"), key_line(&site, "worker"), key_line(&site, "operator")];
    let written = [files(store.path()), files(logs.path())].concat();
    assert!(written.len() > 10, "{written:?}");
    for secret in &secrets {
        assert!(!holds(&shown.stdout, secret) && !holds(&shown.stderr, secret));
        let found = written.iter().find(|path| holds(&fs::read(path).unwrap(), secret));
        assert_eq!(found, None, "a secret is in a file of the run");
    }
}

#[test]
fn nothing_listens_to_other_machines_without_being_told_so_by_name() {
    let store = tempdir().unwrap();
    let store = store.path().to_str().unwrap();
    let words = ["cluster.listen = 0.0.0.0:0", "--tls DIR", "--insecure-listen"];
    refused(&coordinator(store, "0.0.0.0:0", &[]), 78, &words);
    refused(&["train", CONFIG, "--store", store, "--set", "cluster.listen=\"0.0.0.0:0\""], 78, &words);
    let worker = ["worker", "--coordinator", "127.0.0.1:1", "--advertise", "192.0.2.1"];
    refused(&worker, 78, &["--advertise 192.0.2.1", "--tls DIR", "--insecure-collectives"]);
}

#[test]
fn what_is_wrong_with_credentials_is_said() {
    let (site, store) = (certs(&["trainer.example"]), tempdir().unwrap());
    let (folder, store) = (site.path().to_str().unwrap(), store.path().to_str().unwrap());
    refused(&["certs", "init", folder], 64, &["ca.pem", "is not overwritten"]);
    let shown = refused(&["certs", "show", folder, "--output", "json"], 0, &["trainer.example"]);
    let shown: Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert_eq!((shown.as_array().unwrap().len(), &shown[1]["certificate"]["role"]), (4, &"coordinator".into()));

    let own = below(&site, "coordinator");
    let key = format!("{own}/key.pem");
    let open = |path: &str| assert!(Command::new("chmod").args(["644", path]).status().unwrap().success());
    open(&key);
    refused(&coordinator(store, "127.0.0.1:0", &["--tls", &own]), 78, &["key.pem", "read by everybody", "chmod 600"]);
    fs::copy(below(&site, "worker/key.pem"), &key).unwrap();
    assert!(Command::new("chmod").args(["600", &key]).status().unwrap().success());
    refused(&coordinator(store, "127.0.0.1:0", &["--tls", &own]), 78, &[&own]);
    refused(&coordinator(store, "127.0.0.1:0", &["--tls", store]), 78, &["ca.pem", "conrec certs init"]);
    open(&below(&site, "token"));
    let token = ["--operator-token-file", &below(&site, "token")];
    refused(&coordinator(store, "127.0.0.1:0", &token), 78, &["token", "read by everybody"]);
}

/// Two workers on the one machine and one on the other: what they say to each other goes through gates.
#[test]
fn workers_of_two_machines_meet_through_their_gates() {
    let network = match Network::make(2) {
        Ok(network) => network,
        Err(why) => return println!("skipped: no network namespaces can be made here: {why}"),
    };
    let there = |machine: usize, arguments: &[&str]| {
        let mut command = network.command(machine, &program().unwrap());
        command.args(arguments).current_dir(root());
        command
    };
    let [first, second] = [network::address(0), network::address(1)];
    let (site, store, logs) = (certs(&[&first]), tempdir().unwrap(), tempdir().unwrap());
    let listen = format!("{first}:7000");
    let (own, worker) = (below(&site, "coordinator"), below(&site, "worker"));
    let more = ["--tls", own.as_str(), "--workers", "3"];
    let arguments = coordinator(store.path().to_str().unwrap(), &listen, &more);
    let mut serving = Ends(start(there(0, &arguments), logs.path(), "coordinator"));
    let operator = ["status", &listen, "--tls", &below(&site, "operator")];
    let away = there(1, &operator).output().unwrap();
    assert_eq!(away.status.code(), Some(78), "{}", text(&away));
    assert!(text(&away).contains("answers operators over loopback (127.0.0.1) only"), "{}", text(&away));
    let work = |end: usize, advertise: &str| {
        let options = ["worker", "--coordinator", &listen, "--tls", &worker, "--advertise", advertise];
        there(end, &options)
    };
    let mut workers = [
        Ends(start(work(0, &first), logs.path(), "here")),
        Ends(start(work(1, &second), logs.path(), "there")),
        Ends(start(work(1, &second), logs.path(), "there-too")),
    ];
    serving.succeeds(logs.path());
    workers.iter_mut().for_each(|worker| worker.succeeds(logs.path()));
    let words = all_words(logs.path());
    assert!(!words.contains("no way to another worker") && !words.contains("lost"), "{words}");
    assert_eq!(digest(store.path()), plain_digest());
}
