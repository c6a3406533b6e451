//! As much of a Kubernetes API server as a submitter needs, in memory, answered by threads of the test: create, get, list,
//! watch, server-side apply, merge patch, delete with its dependents, logs. It refuses what a real one refuses: a name that
//! is taken, an apply without a field manager, a change of what cannot be changed.

mod http;
mod objects;

use http::Request;
use objects::Objects;
use serde_json::{Value, json};
use std::io::{BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// What a request came to: a status and its object.
type Answer = (u16, Value);

#[derive(Default)]
struct State {
    objects: Objects,
    /// Method and target of each request.
    requests: Vec<String>,
    /// Answers that come before anything is looked at.
    faults: Vec<u16>,
    logs: Vec<(String, String)>,
}

/// A running server; it lives as long as the process.
#[derive(Clone)]
pub struct ApiServer {
    port: u16,
    shared: Arc<(Mutex<State>, Condvar)>,
}

impl ApiServer {
    /// Starts an empty cluster.
    ///
    /// # Errors
    /// The system has no port.
    pub fn start() -> Result<Self, String> {
        let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
        let port = listener.local_addr().map_err(|error| error.to_string())?.port();
        let server = Self { port, shared: Arc::default() };
        let serving = server.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let server = serving.clone();
                thread::spawn(move || server.converse(&stream));
            }
        });
        Ok(server)
    }

    /// A kubeconfig that leads here, with `namespace` as the context's.
    #[must_use]
    pub fn kubeconfig(&self, namespace: &str) -> String {
        json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": [{"name": "test", "cluster": {"server": format!("http://127.0.0.1:{}", self.port)}}],
            "users": [{"name": "test", "user": {}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test", "namespace": namespace}}],
        })
        .to_string()
    }

    /// An object by plural and name, as it is now.
    #[must_use]
    pub fn get(&self, namespace: &str, plural: &str, name: &str) -> Option<Value> {
        self.state().objects.get(namespace, plural, name).cloned()
    }

    /// Names of all objects of one kind.
    #[must_use]
    pub fn names(&self, namespace: &str, plural: &str) -> Vec<String> {
        self.state().objects.names(namespace, plural)
    }

    /// Puts an object there as a controller would: whole, whatever was there before.
    pub fn put(&self, namespace: &str, plural: &str, object: Value) {
        self.state().objects.put(namespace, plural, object);
        self.shared.1.notify_all();
    }

    /// Sets the status of an object, as its controller would; nothing happens where there is no such object.
    pub fn set_status(&self, namespace: &str, plural: &str, name: &str, status: Value) {
        let mut state = self.state();
        if let Some(mut object) = state.objects.get(namespace, plural, name).cloned() {
            object["status"] = status;
            state.objects.put(namespace, plural, object);
        }
        drop(state);
        self.shared.1.notify_all();
    }

    /// Removes an object and what it owns, as somebody else's request does.
    pub fn delete(&self, namespace: &str, plural: &str, name: &str) {
        self.state().objects.delete(namespace, plural, name);
        self.shared.1.notify_all();
    }

    /// What the pod `name` says when asked for its log.
    pub fn set_log(&self, name: &str, text: &str) {
        self.state().logs.push((name.to_owned(), text.to_owned()));
    }

    /// The next requests get these answers, the last of `statuses` first.
    pub fn fail_next(&self, statuses: &[u16]) {
        self.state().faults.extend_from_slice(statuses);
    }

    /// From now on Jobs that are deleted stay for so long, as those do whose pods take their time.
    pub fn let_jobs_linger(&self, time: Duration) {
        self.state().objects.linger = time;
    }

    /// Watches from before now are told that their version is too old.
    pub fn compact(&self) {
        self.state().objects.compact();
        self.shared.1.notify_all();
    }

    /// Method and target of all requests so far.
    #[must_use]
    pub fn requests(&self) -> Vec<String> {
        self.state().requests.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn converse(&self, stream: &TcpStream) -> Option<()> {
        let mut reader = BufReader::new(stream);
        loop {
            let request = Request::read(&mut reader)?;
            let fault = {
                let mut state = self.state();
                state.requests.push(format!("{} {}", request.method, request.target));
                state.faults.pop()
            };
            if let Some(code) = fault {
                http::answer(stream, code, &objects::refusal(code, "Injected", "as the test asked for").1)?;
            } else if request.asks("watch") {
                self.watch(stream, &request)?;
            } else if request.path.last().is_some_and(|last| last == "log") {
                let text = self.state().log_of(&request);
                http::chunked(stream, "text/plain")?;
                http::chunk(stream, text.as_bytes())?;
                http::chunk(stream, b"")?;
            } else {
                let (code, body) = self.state().objects.answer(&request);
                self.shared.1.notify_all();
                http::answer(stream, code, &body)?;
            }
        }
    }

    /// Events after the version that was asked for, one line each, until the time that was asked for is over.
    fn watch(&self, mut stream: &TcpStream, request: &Request) -> Option<()> {
        let seconds = request.query.get("timeoutSeconds").and_then(|text| text.parse().ok()).unwrap_or(30);
        let end = Instant::now() + Duration::from_secs(seconds);
        let mut version = request.query.get("resourceVersion").and_then(|text| text.parse().ok()).unwrap_or(0);
        http::chunked(stream, "application/json")?;
        let mut state = self.state();
        loop {
            let (lines, newest) = state.objects.events_after(version, request);
            version = newest;
            for line in &lines {
                http::chunk(stream, format!("{line}\n").as_bytes())?;
            }
            stream.flush().ok()?;
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() || lines.iter().any(|line| line["type"] == "ERROR") {
                return http::chunk(stream, b"");
            }
            state = self.shared.1.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl State {
    fn log_of(&self, request: &Request) -> String {
        let pod = request.path.iter().rev().nth(1);
        let log = self.logs.iter().rev().find(|(name, _)| Some(name) == pod);
        log.map_or_else(String::new, |(_, text)| text.clone())
    }
}
