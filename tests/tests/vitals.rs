//! What others may look at while the real processes live: figures over HTTP, whether they are ready, what Kubeflow Trainer
//! is told, and the last word that is left.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic")]

use conrec_tests::{conrec, run, spawn, text};
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Child;
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::{Duration, Instant};
use tempfile::tempdir;

const LONG: Duration = Duration::from_secs(300);

/// A port that nobody uses now.
fn free() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// The page, once somebody answers.
fn page(address: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.starts_with("HTTP/1.1 200 ").then_some(answer)
}

fn figure(address: &str, name: &str) -> Option<f64> {
    let page = page(address)?;
    page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
}

fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let since = Instant::now();
    while !done() {
        assert!(since.elapsed() < LONG, "{what} did not come");
        sleep(Duration::from_millis(20));
    }
}

/// Takes reports, as the trainer's controller would; refuses every other one.
fn trainer() -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/status", listener.local_addr().unwrap());
    let bodies = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&bodies);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let (mut request, mut piece) = (Vec::new(), [0; 4096]);
            while !request.ends_with(b"}}") {
                match stream.read(&mut piece) {
                    Ok(0) | Err(_) => break,
                    Ok(read) => request.extend(&piece[..read]),
                }
            }
            let text = String::from_utf8_lossy(&request).into_owned();
            let mut bodies = kept.lock().unwrap();
            bodies.push(text.split("\r\n\r\n").nth(1).unwrap_or_default().to_owned());
            let status = if bodies.len() % 2 == 1 { "500 No" } else { "200 OK" };
            let _ = write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        }
    });
    (url, bodies)
}

fn ends(mut child: Child) -> Option<i32> {
    child.wait().unwrap().code()
}

#[test]
fn figures_progress_and_last_words_of_a_run() {
    let folder = tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (metrics, worker_metrics, health) = (free(), free(), free());
    let (url, reports) = trainer();
    let (store, address, last, worker_last) = (at("runs"), at("address"), at("last"), at("worker-last"));
    let mut arguments = vec!["coordinator", "tests/configs/tiny.toml", "--run-id", "vital", "--store", &store];
    arguments.extend(["--listen", "127.0.0.1:0", "--address-file", &address, "--termination-message", &last]);
    arguments.extend(["--metrics-bind", &metrics, "--health-bind", &health]);
    let mut command = conrec(&arguments).unwrap();
    command.env("KUBEFLOW_TRAINER_STATUS_URL", url);
    let coordinator = spawn(&mut command, &folder.path().join("coordinator.log")).unwrap();
    wait_until("the address", || fs::exists(&address).unwrap());
    wait_until("readiness without any worker", || figure(&metrics, "conrec_ready") == Some(1.0));
    assert!(page(&metrics).unwrap().contains("conrec_phase{phase=\"waiting_for_workers\"} 1"));
    assert!(TcpStream::connect(&health).is_ok(), "somebody answers probes");
    let listens = fs::read_to_string(&address).unwrap();
    let arguments =
        ["worker", "--coordinator", &listens, "--metrics-bind", &worker_metrics, "--termination-message", &worker_last];
    let worker = spawn(&mut conrec(&arguments).unwrap(), &folder.path().join("worker.log")).unwrap();
    wait_until("a session", || figure(&worker_metrics, "conrec_worker_sessions_total") == Some(1.0));
    wait_until("training", || figure(&metrics, "conrec_iteration").is_some_and(|iteration| iteration > 0.0));
    assert_eq!(figure(&worker_metrics, "conrec_ready"), Some(1.0));
    assert_eq!(figure(&metrics, "conrec_workers"), Some(1.0));
    assert_eq!((ends(coordinator), ends(worker)), (Some(0), Some(0)));
    assert_eq!(fs::read_to_string(last).unwrap(), "the run is complete\n");
    assert_eq!(fs::read_to_string(worker_last).unwrap(), "the run needs this worker no more\n");
    let reports = reports.lock().unwrap().clone();
    assert!(reports[0].contains("\"progressPercentage\":0"), "{reports:?}");
    assert!(reports.last().unwrap().contains("\"progressPercentage\":100"), "{reports:?}");
    // Who was refused went on all the same; the log says it once.
    let log = fs::read_to_string(folder.path().join("coordinator.log")).unwrap();
    assert_eq!(log.matches("does not take the progress").count(), 1, "{log}");
}

#[test]
fn a_failure_leaves_its_reason_and_an_address_that_is_taken_is_named() {
    let folder = tempdir().unwrap();
    let last = folder.path().join("last").to_str().unwrap().to_owned();
    let store = folder.path().to_str().unwrap();
    let bad = ["coordinator", "tests/configs/tiny.toml", "--set", "model.layers=0", "--store", store];
    let output = run(&[&bad[..], &["--termination-message", &last]].concat()).unwrap();
    assert_eq!(output.status.code(), Some(78), "{}", text(&output));
    assert!(fs::read_to_string(&last).unwrap().contains("model.layers"), "{}", fs::read_to_string(last).unwrap());
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = run(&["worker", "--coordinator", "127.0.0.1:1", "--health-bind", &address]).unwrap();
    assert!(output.status.code() == Some(69) && text(&output).contains("--health-bind"), "{}", text(&output));
}
