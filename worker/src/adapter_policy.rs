//! The policy of an adapter in PEFT layout: on the run's own base, or on another with the same shape and tokens, such as a
//! variant of a pretrained base that was tuned further.

use crate::error::WorkerError;
use crate::export::{ADAPTER, BASE};
use crate::stored_run::StoredRun;
use conrec_domain::ids::Digest;
use conrec_domain::spec::ModelSpec;
use conrec_policy::adapter_files::{AdapterOf, read_adapter};
use conrec_policy::base_model::{BaseError, BaseModel, Pretrained};
use conrec_policy::device::device_of;
use conrec_policy::file_error::FileError;
use conrec_policy::llama::LlamaConfig;
use conrec_policy::model_files::read_model;
use conrec_policy::pretrained_files::{CONFIG, TOKENIZER, files_digest};
use conrec_policy::transformer::{Adapter, Policy, Trains};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::{Path, PathBuf};
use tch::Tensor;

/// An adapter that can be evaluated.
pub struct Adapted {
    /// Base and adapter together.
    pub policy: Policy,
    /// The pretrained base; none from scratch.
    pub base: Option<BaseFacts>,
}

/// Which pretrained base numbers belong to.
#[derive(Debug, Serialize)]
pub struct BaseFacts {
    /// Where it lies.
    folder: PathBuf,
    /// SHA-256 of its weights as they are held.
    weights_digest: Digest,
    /// That of the base with which the run was trained.
    run_weights_digest: Digest,
}

impl BaseFacts {
    fn new(used: &Pretrained, own: &Pretrained) -> Result<Self, WorkerError> {
        let folder = used.folder.clone();
        Ok(Self { folder, weights_digest: used.weights_digest()?, run_weights_digest: own.weights_digest()? })
    }
}

impl fmt::Display for BaseFacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [used, own] = [self.weights_digest, self.run_weights_digest].map(|digest| digest.to_string());
        write!(f, "{}, weights with digest {used:.12}: ", self.folder.display())?;
        if used == own { f.write_str("the run's own") } else { write!(f, "not the run's own, which have {own:.12}") }
    }
}

/// The key of `adapter_config.json` that names the base.
#[derive(Deserialize)]
struct NamesBase {
    base_model_name_or_path: Option<String>,
}

/// The policy of an adapter of the run's shape; `base` as the user gave it.
///
/// # Errors
/// An adapter of another shape or another base, a base that does not fit, files that are missing or damaged.
pub fn adapted(stored: &StoredRun, adapter: &Path, base: Option<&Path>) -> Result<Adapted, WorkerError> {
    let (model, lora) = (stored.state.model(), stored.state.lora_config());
    let flat = read_adapter(adapter, AdapterOf { model, lora })?;
    let on = |model: &LlamaConfig, base: &Tensor| -> Result<Policy, WorkerError> {
        let device = device_of(stored.spec.cluster.device);
        let (base, flat) = (base.f_to_device(device)?, flat.f_to_device(device)?);
        Ok(Policy::new(model, &base, Some(Adapter { config: lora, flat: &flat }), Trains::Nothing)?)
    };
    let Some(own) = stored.base.pretrained() else {
        let policy = on(model, &read_model(&model_of(adapter, base)?, model)?)?;
        return Ok(Adapted { policy, base: None });
    };
    let Some(given) = base else {
        refuse_other_base(&stored.spec.model, own, adapter)?;
        return Ok(Adapted { policy: on(model, stored.state.base())?, base: Some(BaseFacts::new(own, own)?) });
    };
    let other = BaseModel::load(&stored.spec, given).map_err(|error| match error {
        BaseError::File(error) => WorkerError::GivenBase(error),
        other => WorkerError::Base(other),
    })?;
    refuse_unlike(&other, (&stored.base, given)).map_err(WorkerError::GivenBase)?;
    let used = other.pretrained().unwrap_or(own);
    // Angles and norms are computed as the given base asks for.
    Ok(Adapted { policy: on(other.config(), used.weights())?, base: Some(BaseFacts::new(used, own)?) })
}

/// Refuses a base to which the adapter's tensors, or the run's prompts, do not belong.
fn refuse_unlike(other: &BaseModel, (own, folder): (&BaseModel, &Path)) -> Result<(), FileError> {
    let refused = |file: &str, (key, found, expected): (&'static str, String, String)| FileError::Setting {
        path: folder.join(file),
        key,
        found,
        expected: format!("{expected}, as in the base that the run was trained with"),
    };
    let unlike = shape_of(other.config()).into_iter().zip(shape_of(own.config())).find(|(found, own)| found != own);
    if let Some(((key, found), (_, expected))) = unlike {
        return Err(refused(CONFIG, (key, found, expected)));
    }
    let (found, expected) = (other.frame(), own.frame());
    if found != expected {
        let shown =
            |frame: &conrec_feedback::prompt::PromptFrame| format!("{:?} {:?}", frame.beginning, frame.question);
        let key = "model.instruction and model.question";
        return Err(refused(TOKENIZER, (key, shown(&found), shown(&expected))));
    }
    Ok(())
}

/// What decides which tensors an adapter has, and which of the base they are added to.
fn shape_of(model: &LlamaConfig) -> Vec<(&'static str, String)> {
    let sizes = [
        ("vocab_size", model.vocab),
        ("hidden_size", model.hidden),
        ("num_hidden_layers", model.layers),
        ("num_attention_heads", model.heads),
        ("num_key_value_heads", model.kv_heads),
        ("head_dim", model.head_dim),
        ("intermediate_size", model.intermediate),
    ];
    let kinds = [
        ("architectures", model.family.architecture().to_owned()),
        ("tie_word_embeddings", model.tied.to_string()),
        ("attention_bias", model.biases.output.to_string()),
        ("mlp_bias", model.biases.mlp.to_string()),
    ];
    kinds.into_iter().chain(sizes.map(|(key, size)| (key, size.to_string()))).collect()
}

/// Refuses an adapter that names another base than the run's, where that can be told: on the run's own it would answer for
/// weights that it never saw.
fn refuse_other_base(own: &ModelSpec, base: &Pretrained, adapter: &Path) -> Result<(), WorkerError> {
    let Some(named) = names_base(adapter)?.filter(|named| *named != own.base) else { return Ok(()) };
    let folder = Path::new(&named);
    let other = if folder.join(CONFIG).is_file() {
        let same_place = || Some(folder.canonicalize().ok()? == base.folder.canonicalize().ok()?);
        !same_place().unwrap_or(false) && files_digest(folder)? != base.files_digest()?
    } else {
        // A folder that is gone says nothing; of two names on the Hub both are known.
        let on_the_hub = |name: &str| {
            let model = ModelSpec { base: name.to_owned(), ..ModelSpec::default() };
            model.may_be_on_the_hub() && name.contains('/') && !Path::new(name).exists()
        };
        on_the_hub(&named) && on_the_hub(&own.base)
    };
    if other {
        Err(WorkerError::OtherAdapter { adapter: adapter.to_owned(), named, own: own.base.clone() })
    } else {
        Ok(())
    }
}

/// The base that an adapter names.
fn names_base(adapter: &Path) -> Result<Option<String>, WorkerError> {
    let file = adapter.join("adapter_config.json");
    let text = std::fs::read(&file).map_err(|e| WorkerError::file(&file, e))?;
    let named: NamesBase = serde_json::from_slice(&text).map_err(|e| WorkerError::file(&file, e))?;
    Ok(named.base_model_name_or_path)
}

/// Where the base of an adapter from scratch lies.
fn model_of(adapter: &Path, given: Option<&Path>) -> Result<PathBuf, WorkerError> {
    if let Some(given) = given {
        return Ok(given.to_owned());
    }
    let beside = adapter.join("..").join(BASE);
    let places = names_base(adapter)?.map(PathBuf::from).into_iter().chain([beside]);
    let mut found = places.filter(|place| place.join(CONFIG).is_file());
    found.next().ok_or_else(|| {
        let message = format!("its base model is neither where base_model_name_or_path says nor in {BASE}/ beside {ADAPTER}/; give --base DIR");
        WorkerError::file(adapter.join("adapter_config.json"), message)
    })
}
