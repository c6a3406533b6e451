//! Trains the arms of an experiment, each with several seeds, as ordinary runs of `conrec train`, one after the other:
//! a run that is complete is not trained again, one that was stopped goes on.

use crate::children::{Child, wind_down};
use crate::config_file;
use crate::failure::{Failure, no_signals};
use crate::report_table::REPORT;
use conrec_coordinator::exit_code::ExitCode;
use conrec_coordinator::store::{RunObjects, StoreError};
use conrec_domain::arms::Arm;
use conrec_domain::ids::{Digest, RunId};
use conrec_domain::spec::{RunConfig, RunSpec};
use conrec_domain::work::Decision;
use conrec_feedback::outcomes::Outcomes;
use conrec_feedback::provenance::SplitWindow;
use conrec_process::{StopSignals, note};
use conrec_store::Store;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::process::Command;

/// What each model scored on each instance of the test window, in a run's folder.
const OUTCOMES: &str = "outcomes/test.parquet";

/// A run that was asked to end writes its checkpoint in this time, or is made to end.
const CHECKPOINT: [Duration; 2] = [Duration::from_secs(60), Duration::from_secs(10)];

/// Where and how an experiment is done.
pub struct Experiment<'a> {
    /// The config's file: its name is the beginning of the runs' names.
    pub config: &'a Path,
    /// Where its runs are kept.
    pub store: &'a str,
    /// Worker processes of each run.
    pub workers: u32,
    /// Takes the arms' configs and logs.
    pub folder: PathBuf,
}

/// A run of an arm.
#[derive(Clone, Debug)]
pub struct Trained {
    /// The arm's name.
    pub arm: String,
    /// Its config, as it is for every seed.
    pub config: RunConfig,
    /// What it was seeded with.
    pub seed: u64,
    /// What its report says of it.
    pub identity: Identity,
    /// What its models scored.
    pub outcomes: Outcomes,
}

/// What names a result.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Identity {
    /// The run.
    pub run_id: String,
    /// Of its config.
    pub config_digest: String,
    /// Of the prepared data.
    pub data_digest: String,
    /// Of weights and optimiser.
    pub state_digest: String,
    /// Version of the program that trained; empty in reports that do not say it.
    #[serde(default)]
    pub code_version: String,
    /// Its windows.
    #[serde(default)]
    pub split: RunSplit,
    /// Seconds from start to report.
    pub wall_seconds: f64,
    /// What a reader must know.
    #[serde(default)]
    pub notes: Vec<String>,
    /// What was decided in and between stages.
    #[serde(default, skip_serializing)]
    pub decisions: Vec<Decision>,
    /// Digests of the files of outcomes.
    #[serde(default)]
    pub outcomes: BTreeMap<String, Digest>,
}

/// The windows of a run, as its report has them.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct RunSplit {
    /// In order of time.
    #[serde(default)]
    pub windows: Vec<SplitWindow>,
}

/// How an experiment ended.
pub enum Ended {
    /// All arms are trained, in the order of seeds and then of arms.
    Complete(Vec<Trained>),
    /// Somebody asked for the end; the same command goes on.
    Stopped,
}

impl Experiment<'_> {
    /// Trains what is not trained yet.
    ///
    /// # Errors
    /// A config that is not allowed, a run that fails, a store that cannot be read.
    pub async fn run(&self, arms: &[Arm], seeds: u64) -> Result<Ended, Failure> {
        let mut signals = StopSignals::listen().map_err(no_signals)?;
        let store = Store::make(self.store).map_err(StoreError::from)?;
        let mut trained = Vec::new();
        // All of them before the first is trained: an arm that is not allowed must not be found after hours.
        for arm in arms {
            RunSpec::check(arm.config.clone())?;
        }
        for seed in 0..seeds {
            for (at, arm) in arms.iter().enumerate() {
                let spec = RunSpec::check(RunConfig { seed, ..arm.config.clone() })?;
                let file = self.write(arm, seed, &spec)?;
                let run_id = config_file::run_id(None, &file, &spec)?;
                let run = RunObjects::of(&store, &run_id);
                if !run.is_complete().await? {
                    note!("seed {} of {seeds}, arm {} of {}: {} ({run_id})", seed + 1, at + 1, arms.len(), arm.name);
                    if !self.train((arm, seed), &file, &run_id, &mut signals).await? {
                        return Ok(Ended::Stopped);
                    }
                }
                trained.push(read(&run, (arm, seed)).await?);
            }
        }
        Ok(Ended::Complete(trained))
    }

    /// The arm's config as a file that `conrec train` takes, under the name of the given one.
    fn write(&self, arm: &Arm, seed: u64, spec: &RunSpec) -> Result<PathBuf, Failure> {
        let folder = self.folder.join("arms").join(format!("{}-{seed}", arm.name));
        std::fs::create_dir_all(&folder).map_err(Failure::io("make folder", &folder))?;
        let file = folder.join(self.config.file_name().unwrap_or_else(|| "run.toml".as_ref()));
        std::fs::write(&file, spec.to_toml()?).map_err(Failure::io("write", &file))?;
        Ok(file)
    }

    /// Whether the run came to its end.
    async fn train(
        &self,
        (arm, seed): (&Arm, u64),
        file: &Path,
        run_id: &RunId,
        signals: &mut StopSignals,
    ) -> Result<bool, Failure> {
        let own = std::env::current_exe()
            .map_err(|error| Failure::new(ExitCode::Failed, format!("cannot find this program's own path: {error}")))?;
        let mut command = Command::new(own);
        command.arg("train").arg(file).args(["--run-id", run_id.as_str(), "--store", self.store]);
        command.args(["--workers", &self.workers.to_string()]);
        let name = format!("{}-{seed}", arm.name);
        let mut child = [Child::start(&name, command, &self.folder)?];
        let status = tokio::select! {
            status = child[0].wait() => status.map_err(Failure::io("wait for", file))?,
            () = signals.next() => {
                child[0].signal(nix::sys::signal::Signal::SIGTERM);
                wind_down(&mut child, CHECKPOINT).await;
                return Ok(false);
            }
        };
        let code = u8::try_from(status.code().unwrap_or(1)).unwrap_or(1);
        if code == ExitCode::Done.code() {
            return Ok(true);
        }
        if code == ExitCode::Stopped.code() {
            return Ok(false);
        }
        let why = child[0].error_message().unwrap_or_else(|| child[0].tail());
        Err(Failure { message: format!("run {run_id} of arm {} failed: {why}", arm.name), code })
    }
}

async fn read(run: &RunObjects, (arm, seed): (&Arm, u64)) -> Result<Trained, Failure> {
    let bad = |name: &str, error: String| {
        Failure::new(
            ExitCode::BadData,
            format!("{} cannot be read: {error}; remove the run to train it again", run.place(name)),
        )
    };
    let report = run.read(REPORT).await?.unwrap_or_default();
    let identity: Identity = serde_json::from_slice(&report).map_err(|error| bad(REPORT, error.to_string()))?;
    let bytes = run.read(OUTCOMES).await?.ok_or_else(|| bad(OUTCOMES, "it is not there".to_owned()))?;
    let digest = identity.outcomes.get(OUTCOMES).ok_or_else(|| bad(REPORT, format!("it names no {OUTCOMES}")))?;
    let outcomes = Outcomes::decode(bytes, digest).map_err(|error| bad(OUTCOMES, error.to_string()))?;
    Ok(Trained { arm: arm.name.clone(), config: arm.config.clone(), seed, identity, outcomes })
}
