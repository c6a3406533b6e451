//! Why a worker cannot go on, and the exit code that says it to schedulers.

use crate::base_folder::HubError;
use crate::checkpoint_parts::PartError;
use crate::collective::CollectiveError;
use conrec_domain::ids::RunId;
use conrec_domain::spec::SpecError;
use conrec_feedback::collisions::SuffixError;
use conrec_feedback::instance::InstanceError;
use conrec_feedback::predict_sets::PredictSetsError;
use conrec_feedback::prepared::PreparedError;
use conrec_feedback::readers::ReadError;
use conrec_feedback::reward::RewardError;
use conrec_feedback::semantic_id::SemanticIdError;
use conrec_feedback::sid_files::SidFileError;
use conrec_feedback::split::SplitError;
use conrec_feedback::synthetic::SyntheticError;
use conrec_feedback::vector_files::VectorFileError;
use conrec_policy::base_model::BaseError;
use conrec_policy::beam_search::BeamSearchError;
use conrec_policy::error::PolicyError;
use conrec_policy::export_probe::ProbeError;
use conrec_policy::file_error::FileError;
use conrec_policy::rq_vae::RqVaeError;
use conrec_store::{OpenError, TransferError};
use std::path::PathBuf;

/// Bad command line.
const WRONG_USAGE: u8 = 64;
/// Bad data: a file that is missing, cannot be read, or holds nothing to learn from.
const BAD_DATA: u8 = 65;
/// A server, a store or a GPU cannot be reached or used.
const UNAVAILABLE: u8 = 69;
/// Bad config.
const BAD_CONFIG: u8 = 78;
/// Anything else.
const FAILED: u8 = 1;

/// Why a worker cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The config that the coordinator sent is refused.
    #[error("{0}")]
    Spec(#[from] SpecError),
    /// An address for health or figures cannot be taken.
    #[error(transparent)]
    Vitals(#[from] conrec_vitals::ListenError),
    /// The dataset cannot be read.
    #[error("{0}")]
    Read(#[from] ReadError),
    /// The generator's settings do not fit together.
    #[error("{0}")]
    Synthetic(#[from] SyntheticError),
    /// The windows do not fit the data.
    #[error("{0}")]
    Split(#[from] SplitError),
    /// A window holds no instance.
    #[error("{0}")]
    Instances(#[from] InstanceError),
    /// The prepared data cannot be read or written.
    #[error("prepared data: {0}")]
    Prepared(#[from] PreparedError),
    /// The sentence encoder's files.
    #[error("semantic_id.vectors_path: {0}")]
    Encoder(FileError),
    /// A file of item vectors.
    #[error("semantic_id.vectors_path: {0}")]
    Vectors(#[from] VectorFileError),
    /// A file of semantic ids.
    #[error("semantic_id.file: {0}")]
    SidFile(#[from] SidFileError),
    /// A cell that is too full for a suffix.
    #[error("{0}")]
    Suffix(#[from] SuffixError),
    /// The codes make no semantic ids.
    #[error("semantic ids: {0}")]
    SemanticIds(#[from] SemanticIdError),
    /// The RQ-VAE could not be trained.
    #[error("rq-vae: {0}")]
    RqVae(#[from] RqVaeError),
    /// No folder holds the pretrained base.
    #[error("{0}")]
    Hub(#[from] HubError),
    /// The pretrained base cannot be used.
    #[error("{0}")]
    Base(#[from] BaseError),
    /// The base's files are not those that the run began with.
    #[error(
        "model.base: {}: weights with digest {found}, but the run's data was prepared for a base with {prepared}; put that one there, or begin another run", base.display()
    )]
    OtherBase {
        /// Where it lies.
        base: PathBuf,
        /// Beginning of the digest that was prepared for.
        prepared: String,
        /// Beginning of the digest that was found.
        found: String,
    },
    /// The base that was given for an adapter cannot be used.
    #[error("--base: {0}")]
    GivenBase(FileError),
    /// An adapter that names another base than the run's.
    #[error(
        "{}: it was made for the base {named}, and the run has {own}; say with --base DIR which of them it is to be evaluated on", adapter.display()
    )]
    OtherAdapter {
        /// Its folder.
        adapter: PathBuf,
        /// The base that it names.
        named: String,
        /// The run's.
        own: String,
    },
    /// Something of the policy: shapes, files, values out of range.
    #[error("{0}")]
    Policy(#[from] PolicyError),
    /// The cells have no usable vectors.
    #[error("reward: {0}")]
    Reward(#[from] RewardError),
    /// Predict sets cannot be written or read.
    #[error("{0}")]
    PredictSets(#[from] PredictSetsError),
    /// A beam search was refused.
    #[error("beam search: {0}")]
    BeamSearch(#[from] BeamSearchError),
    /// A list of users that does not fit the run's data.
    #[error("{}: line {line}: user `{user}` {why}", path.display())]
    UserList {
        /// File.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// The user's id there.
        user: String,
        /// What is wrong with it.
        why: String,
    },
    /// A model or adapter file.
    #[error("{0}")]
    ModelFile(#[from] FileError),
    /// The exported policy could not be probed.
    #[error("{0}")]
    Probe(#[from] ProbeError),
    /// libtorch refused an operation.
    #[error("libtorch: {0}")]
    Torch(#[from] tch::TchError),
    /// The policy is to compute on a GPU, and none can be used.
    #[error("CUDA is not available: {message}")]
    NoCuda {
        /// What was looked for, what was found, and what to do.
        message: String,
    },
    /// The GPU has too little memory for what shares it.
    #[error("the GPU has no memory left: {message}; let fewer workers share it, or give each fewer --lanes")]
    DeviceFull {
        /// libtorch's words.
        message: String,
    },
    /// The roster broke.
    #[error("collective: {0}")]
    Collective(#[from] CollectiveError),
    /// A checkpoint's part.
    #[error("{0}")]
    Part(#[from] PartError),
    /// The store cannot be opened.
    #[error("{0}")]
    Store(#[from] OpenError),
    /// A file did not reach the store, or did not come from there.
    #[error("{0}")]
    Transfer(#[from] TransferError),
    /// A file of the run's folder.
    #[error("{}: {message}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// The system's or the parser's words.
        message: String,
    },
    /// The coordinator cannot be reached or is gone.
    #[error("coordinator {address}: {message}")]
    Coordinator {
        /// `host:port`.
        address: String,
        /// What happened.
        message: String,
    },
    /// Certificates are missing, unusable or refused, here or by the coordinator.
    #[error("{0}")]
    Credentials(String),
    /// What workers say to each other would leave this machine unencrypted.
    #[error(
        "--advertise {advertise}: other machines reach this address, and without certificates the gradients would travel \
         in plain text, open to whoever is on the way; give --tls DIR, or say --insecure-collectives inside a network \
         that you trust"
    )]
    Exposed {
        /// The host.
        advertise: String,
    },
    /// A value of the config does not fit the prepared data.
    #[error("{key} = {found}: allowed is {allowed}")]
    Config {
        /// Dotted key.
        key: &'static str,
        /// Value found.
        found: String,
        /// What is allowed.
        allowed: String,
    },
    /// An option of the command line has a value that cannot be used.
    #[error("{option} = {found}: allowed is {allowed}")]
    Usage {
        /// The option.
        option: &'static str,
        /// Value found.
        found: String,
        /// What is allowed.
        allowed: &'static str,
    },
    /// The config file cannot be read.
    #[error("cannot read config {}: {message}", path.display())]
    ConfigFile {
        /// Which.
        path: PathBuf,
        /// The system's words.
        message: String,
    },
    /// The store has no such run.
    #[error("no run `{run}` in store {store}; `conrec report` names those it holds")]
    NoRun {
        /// The run asked for.
        run: RunId,
        /// The store that was looked into.
        store: String,
    },
    /// The session broke off: the coordinator gave this worker up, or the connection was lost. It may join again.
    #[error("coordinator {address}: {message}")]
    Interrupted {
        /// `host:port`.
        address: String,
        /// What happened.
        message: String,
        /// Whether the coordinator gave this worker up: what it holds counts for nothing.
        given_up: bool,
    },
    /// The coordinator asked for something out of order.
    #[error("{0}")]
    Protocol(String),
    /// What this worker holds is not what it computed or was given.
    #[error("{0}: the memory of this machine is damaged")]
    Damaged(String),
}

impl WorkerError {
    /// A file of the run's folder and what is wrong with it.
    pub fn file(path: impl Into<PathBuf>, error: impl std::fmt::Display) -> Self {
        Self::File { path: path.into(), message: error.to_string() }
    }

    /// The exit code that fits the cause.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage { .. } | Self::OtherAdapter { .. } | Self::NoRun { .. } | Self::Store(OpenError::Url(_)) => {
                WRONG_USAGE
            }
            Self::Hub(HubError::NoSuchFolder(_)) | Self::Base(BaseError::Policy(_)) => BAD_CONFIG,
            Self::Base(BaseError::File(_)) | Self::OtherBase { .. } | Self::GivenBase(_) => BAD_DATA,
            Self::Hub(_) => UNAVAILABLE,
            Self::Spec(_) | Self::Synthetic(_) | Self::Config { .. } | Self::ConfigFile { .. } => BAD_CONFIG,
            Self::Credentials(_) | Self::Exposed { .. } => BAD_CONFIG,
            Self::Prepared(PreparedError::Write { .. }) => UNAVAILABLE,
            Self::Encoder(_) | Self::Vectors(_) | Self::SidFile(_) => BAD_DATA,
            Self::Suffix(_) => BAD_CONFIG,
            Self::Read(_) | Self::Split(_) | Self::Instances(_) | Self::Prepared(_) | Self::SemanticIds(_) => BAD_DATA,
            Self::ModelFile(FileError::Read { .. } | FileError::Write { .. }) => UNAVAILABLE,
            // Another try finds the same content.
            Self::ModelFile(_) | Self::UserList { .. } => BAD_DATA,
            Self::PredictSets(_) | Self::Part(_) | Self::File { .. } => UNAVAILABLE,
            Self::Store(_)
            | Self::Transfer(_)
            | Self::Coordinator { .. }
            | Self::Interrupted { .. }
            | Self::Vitals(_)
            | Self::NoCuda { .. }
            | Self::DeviceFull { .. }
            | Self::Collective(CollectiveError::Unavailable { .. }) => UNAVAILABLE,
            Self::RqVae(_)
            | Self::Reward(_)
            | Self::BeamSearch(_)
            | Self::Probe(_)
            | Self::Torch(_)
            | Self::Policy(_)
            | Self::Collective(_)
            | Self::Protocol(_)
            | Self::Damaged(_) => FAILED,
        }
    }
}
