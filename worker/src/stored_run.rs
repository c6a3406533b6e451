//! A finished run's policy, read back from its store: what the verbs on finished runs begin with.

use crate::base_folder::open_base;
use crate::cuda;
use crate::error::WorkerError;
use crate::execute::load_state;
use crate::pass_data::PassData;
use crate::prompt_frame::check_base;
use crate::report::passes_of;
use crate::run_folder::{Place, RunFolder};
use clap::Args;
use conrec_domain::ids::RunId;
use conrec_domain::spec::{RunConfig, RunSpec};
use conrec_domain::work::Pass;
use conrec_policy::base_model::BaseModel;
use conrec_policy::training_state::TrainingState;
use std::path::PathBuf;

/// Where runs are kept.
#[derive(Clone, Debug, Args)]
pub struct StoreArgs {
    /// Where all runs are kept: a folder, or the URL of a bucket
    #[arg(long, value_name = "URL", default_value = "./runs")]
    pub store: String,
    /// Where files lie that come from a bucket; default: the system's temporary folder
    #[arg(long, value_name = "DIR")]
    pub scratch: Option<PathBuf>,
}

impl StoreArgs {
    /// Config and files of a run that is there; computes with the threads that its config has.
    ///
    /// # Errors
    /// There is no such run, or its config cannot be read.
    pub fn open(&self, run: &RunId) -> Result<(RunSpec, RunFolder), WorkerError> {
        let place = Place { store: self.store.clone(), scratch: self.scratch.clone(), run: run.clone() };
        let folder = RunFolder::open_existing(&place)?;
        let text = String::from_utf8_lossy(&folder.read("run.toml")?).into_owned();
        let spec = RunSpec::check(RunConfig::parse(&text, "run.toml")?)?;
        tch::set_num_threads(i32::try_from(spec.cluster.threads).unwrap_or(1));
        Ok((spec, folder))
    }
}

/// A finished run.
pub struct StoredRun {
    /// Its config.
    pub spec: RunSpec,
    /// Its files.
    pub folder: RunFolder,
    /// What it began with.
    pub base: BaseModel,
    /// Its state at the end.
    pub state: TrainingState,
}

impl StoredRun {
    /// Reads the newest checkpoint of a run that trains no more.
    ///
    /// # Errors
    /// There is no such run, it still trains, or a file is missing or damaged.
    pub fn open(run: &RunId, at: &StoreArgs) -> Result<Self, WorkerError> {
        let (spec, folder) = at.open(run)?;
        cuda::ready(spec.cluster.device)?;
        let key = folder.newest_checkpoint()?;
        folder.finished(&key)?;
        let base = open_base(&spec)?;
        check_base(&base, &folder)?;
        let state = load_state((&spec, &base), (&folder, &folder.parts()), &key)?;
        Ok(Self { spec, folder, base, state })
    }

    /// The data of the pass that the policy was trained in last, without prompts to train on.
    ///
    /// # Errors
    /// Files that are missing or damaged.
    pub fn data(&self) -> Result<PassData, WorkerError> {
        let pass = passes_of(&self.spec).last().copied().unwrap_or(Pass::Select);
        PassData::without_prompts(&self.spec, &self.folder, pass)
    }
}
