//! A worker without tensors: its training state is a digest that every command moves on, alike on every worker.

use conrec_domain::effect::{Command, StateSource};
use conrec_domain::event::Hello;
use conrec_domain::ids::{Digest, Fence};
use conrec_domain::manifest::{PARTS, Part};
use conrec_domain::spec::RunConfig;
use conrec_domain::work::{
    Lease, Outcome, Pass, Prepared, PreparedPass, QuestionCounts, TrainMetrics, ValidationCounts, Work,
};
use conrec_proto::message::{FromWorker, ToWorker, Welcome};
use conrec_proto::wire;
use conrec_proto::wire::session_client::SessionClient;
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use tonic::transport::{Channel, Endpoint};

/// How long a lease takes.
#[derive(Clone, Copy)]
pub enum Pace {
    Fast,
    Slow,
}

pub struct FakeWorker {
    out: mpsc::Sender<wire::WorkerMessage>,
    folder: PathBuf,
    stages: usize,
    pace: Pace,
    state: Digest,
}

impl FakeWorker {
    /// Joins and works until it is told to stop or is refused.
    pub async fn run(address: String, name: String, code_version: String, pace: Pace) -> Result<(), Status> {
        let channel = Endpoint::from_shared(address).unwrap().connect().await.unwrap();
        Self::over(channel, name, code_version, pace).await
    }

    /// The same over a channel that is there.
    pub async fn over(channel: Channel, name: String, code_version: String, pace: Pace) -> Result<(), Status> {
        let (out, messages) = mpsc::channel(64);
        let hello = Hello { name, code_version, rendezvous: "127.0.0.1:1".into(), lanes: 1, held: None };
        out.send(FromWorker::Hello(hello).into()).await.unwrap();
        let mut client = SessionClient::new(channel);
        let mut commands = client.work(ReceiverStream::new(messages)).await?.into_inner();
        let mut next = async || -> Result<Option<ToWorker>, Status> {
            Ok(commands.message().await?.map(|message| ToWorker::try_from(message).unwrap()))
        };
        let Some(ToWorker::Welcome(welcome)) = next().await? else { panic!("no welcome") };
        let mut worker = Self::new(out, &welcome, pace);
        while let Some(message) = next().await? {
            let ToWorker::Command(command) = message else { panic!("a second welcome") };
            if matches!(command, Command::Stop { .. }) {
                return Ok(());
            }
            if let Some(answer) = worker.obey(command).await
                && worker.out.send(answer.into()).await.is_err()
            {
                return Ok(());
            }
        }
        panic!("the stream ended without Stop");
    }

    fn new(out: mpsc::Sender<wire::WorkerMessage>, welcome: &Welcome, pace: Pace) -> Self {
        let spec = RunConfig::parse(&welcome.run_spec_toml, "welcome").unwrap();
        let store = PathBuf::from(welcome.store_url.strip_prefix("file://").unwrap());
        Self {
            out,
            folder: store.join(welcome.run_id.as_str()),
            stages: spec.stage.len(),
            pace,
            state: Digest::of(b"nothing"),
        }
    }

    async fn obey(&mut self, command: Command) -> Option<FromWorker> {
        Some(match command {
            Command::Form { fence, state, .. } => {
                self.state = match state {
                    StateSource::Empty => Digest::of(b"empty"),
                    StateSource::Checkpoint { key } => self.load(&key),
                    StateSource::Held { .. } => self.state,
                    StateSource::Peer { .. } => panic!("these workers have no collective"),
                };
                FromWorker::Formed { fence, state: self.state }
            }
            Command::Grant(lease) => self.work(lease).await,
            Command::Reduce { fence, iteration } => {
                FromWorker::Reduced { fence, iteration, gradient: Digest::of(&iteration.0.to_le_bytes()) }
            }
            Command::Commit { fence, iteration, divisor, learning_rate, .. } => {
                self.move_on(&format!("commit {iteration} {divisor} {learning_rate}"));
                FromWorker::Committed { fence, iteration, state: self.state }
            }
            Command::Change { fence, change, .. } => {
                self.move_on(&format!("{change:?}"));
                FromWorker::Changed { fence, state: self.state }
            }
            Command::WriteParts { fence, key } => self.write_parts(fence, &key),
            Command::Remember(_) | Command::Abort { .. } | Command::Stop { .. } => return None,
        })
    }

    fn move_on(&mut self, by: &str) {
        self.state = Digest::of(format!("{} {by}", self.state).as_bytes());
    }

    async fn work(&mut self, lease: Lease) -> FromWorker {
        if let Pace::Slow = self.pace {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let outcome = match lease.work {
            Work::Prepare => Outcome::Prepared(self.prepare()),
            Work::Train { prompts, .. } => {
                let count = prompts.len() as u64;
                let metrics = TrainMetrics {
                    groups: count,
                    completions: count,
                    codes: count,
                    loss: 1.0,
                    ..TrainMetrics::default()
                };
                Outcome::Trained(metrics)
            }
            Work::Validate { from, to } => {
                // The state decides, so that the gate has something to choose from.
                let hits = u64::from(self.state.0[0]) % u64::from(to - from);
                Outcome::Validated(ValidationCounts { instances: u64::from(to - from), hits, candidate_accuracy: 0 })
            }
            Work::Ask { .. } => Outcome::Asked(QuestionCounts::default()),
            Work::Clean { .. } => Outcome::Cleaned(Vec::new()),
            Work::Report { summary } => {
                let report = serde_json::json!({ "state": "complete", "state_digest": summary.state_digest });
                std::fs::write(self.folder.join("report.json"), report.to_string()).unwrap();
                Outcome::Reported
            }
        };
        FromWorker::LeaseDone { fence: lease.fence, lease: lease.id, state: self.state, outcome }
    }

    /// Writes the manifest that a later process of the run finds.
    fn prepare(&self) -> Prepared {
        let pass = |pass| PreparedPass { pass, prompts: vec![10; self.stages] };
        let content = b"prepared";
        let prepared = Prepared {
            data_digest: Digest::of(content),
            passes: vec![pass(Pass::Select), pass(Pass::Refit)],
            validation_instances: 100,
            test_instances: 10,
            summary: Vec::new(),
        };
        let folder = self.folder.join("prepared");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("events.parquet"), content).unwrap();
        let mut manifest = serde_json::to_value(&prepared).unwrap();
        let part = Part { name: "events.parquet".into(), bytes: content.len() as u64, sha256: Digest::of(content) };
        manifest["parts"] = serde_json::to_value([part]).unwrap();
        std::fs::write(folder.join("manifest.json"), manifest.to_string()).unwrap();
        prepared
    }

    fn write_parts(&self, fence: Fence, key: &str) -> FromWorker {
        let folder = self.folder.join(key);
        std::fs::create_dir_all(&folder).unwrap();
        let content = self.state.to_string();
        let part = |name: &str| {
            std::fs::write(folder.join(name), &content).unwrap();
            Part { name: name.into(), bytes: content.len() as u64, sha256: Digest::of(content.as_bytes()) }
        };
        FromWorker::PartsWritten { fence, state: self.state, parts: PARTS.map(part).to_vec() }
    }

    fn load(&self, key: &str) -> Digest {
        std::fs::read_to_string(self.folder.join(key).join(PARTS[0])).unwrap().parse().unwrap()
    }
}
