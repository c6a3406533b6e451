//! One run of a tiny config, served in this process, with what the tests look at.

use crate::fake_worker::{FakeWorker, Pace};
use conrec_coordinator::{Coordinator, OpenError, Opened, bind};
use conrec_domain::effect::Ending;
use conrec_domain::ledger::LedgerEntry;
use conrec_domain::manifest::Manifest;
use conrec_domain::metrics_line::MetricsLine;
use conrec_domain::spec::{RunConfig, RunSpec};
use conrec_proto::wire;
use conrec_proto::wire::operator_client::OperatorClient;
use std::path::{Path, PathBuf};
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// The version that coordinator and workers of these tests run.
pub const CODE: &str = "test-1";

/// A supervised stage without validation and a GRPO stage with it; 12 and 4 iterations, in two passes.
pub const CONFIG: &str = r#"
seed = 3
[checkpoint]
every = 5
keep_last = 3
[cluster]
heartbeat_seconds = 30
[[stage]]
name = "items"
kind = "next_item"
iterations = 12
prompts = 6
prompts_per_lease = 2
learning_rate = 0.01
[[stage]]
name = "grow"
kind = "grpo"
iterations = 4
prompts = 4
prompts_per_lease = 2
learning_rate = 0.01
validate_every = 2
"#;

pub fn spec(overrides: &[&str]) -> RunSpec {
    let overrides: Vec<String> = overrides.iter().map(ToString::to_string).collect();
    RunSpec::check(RunConfig::parse_with(CONFIG, "test.toml", &overrides).unwrap()).unwrap()
}

pub async fn open(store: &Path, workers: u32) -> Opened {
    try_open(store, workers, &[]).await.unwrap()
}

pub async fn try_open(store: &Path, workers: u32, overrides: &[&str]) -> Result<Opened, OpenError> {
    Coordinator::open(store.to_str().unwrap(), "tiny".parse().unwrap(), spec(overrides), CODE, workers).await
}

/// A coordinator that serves, at its address.
pub struct Serving {
    pub address: String,
    pub ending: JoinHandle<Ending>,
}

impl Serving {
    pub async fn begin(opened: Opened) -> Self {
        Self::begin_until(opened.coordinator, std::future::pending()).await
    }

    /// The same; `stop` is the signal to the process.
    pub async fn begin_until(coordinator: Coordinator, stop: impl Future<Output = ()> + Send + 'static) -> Self {
        let listener = bind::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let serve = coordinator.serve(listener, Instant::now(), stop);
        Self { address, ending: tokio::spawn(serve) }
    }

    pub fn worker(&self, name: &str, pace: Pace) -> JoinHandle<Result<(), tonic::Status>> {
        tokio::spawn(FakeWorker::run(self.address.clone(), name.to_owned(), CODE.to_owned(), pace))
    }

    pub async fn operator(&self) -> OperatorClient<tonic::transport::Channel> {
        OperatorClient::connect(self.address.clone()).await.unwrap()
    }

    /// Waits until so many iterations are committed.
    pub async fn reach(&self, iteration: u64) {
        let mut statuses = self.operator().await.watch(wire::WatchRequest {}).await.unwrap().into_inner();
        while let Some(status) = statuses.message().await.unwrap() {
            if status.iteration >= iteration {
                return;
            }
        }
        panic!("the run ended before iteration {iteration}");
    }
}

pub fn folder(store: &Path) -> PathBuf {
    store.join("tiny")
}

pub fn ledger(store: &Path) -> Vec<LedgerEntry> {
    let text = std::fs::read_to_string(folder(store).join("ledger.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

pub fn metrics(store: &Path) -> Vec<MetricsLine> {
    let text = std::fs::read_to_string(folder(store).join("metrics.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

pub fn iterations(store: &Path) -> Vec<u64> {
    ledger(store).iter().map(|entry| entry.iteration.0).collect()
}

/// The state digest of the written report.
pub fn reported_state(store: &Path) -> String {
    let text = std::fs::read_to_string(folder(store).join("report.json")).unwrap();
    let report: serde_json::Value = serde_json::from_str(&text).unwrap();
    report["state_digest"].as_str().unwrap().to_owned()
}

/// The checkpoint that the select pass ended with, as the newest manifest names it.
pub fn select_checkpoint(store: &Path) -> Option<String> {
    let newest = checkpoints(store).pop()?;
    let text = std::fs::read(folder(store).join(newest).join("manifest.json")).unwrap();
    let manifest = Manifest::parse(&text).unwrap();
    manifest.cursor.select_checkpoint
}

/// Checkpoint keys in the store, oldest first.
pub fn checkpoints(store: &Path) -> Vec<String> {
    let listing = std::fs::read_dir(folder(store).join("checkpoints")).unwrap();
    let mut keys: Vec<String> =
        listing.map(|entry| format!("checkpoints/{}", entry.unwrap().file_name().to_str().unwrap())).collect();
    keys.sort();
    keys
}
