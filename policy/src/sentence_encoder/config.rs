//! What an encoder's JSON files say: shape and family of the model, pooling, longest text.

use super::pooling::Pooling;
use crate::atomic_write::read_json;
use crate::file_error::FileError;
use crate::pretrained_files::CONFIG;
use serde::Deserialize;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// The architectures that are known; they differ in names, positions and token types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    /// Also MiniLM, bge, e5, gte.
    Bert,
    /// Also XLM-RoBERTa: positions start after the padding id.
    Roberta,
    /// No token types, other names.
    DistilBert,
    /// As RoBERTa without token types, plus a bias by relative position.
    MpNet,
}

const FAMILIES: [(&str, Family); 5] = [
    ("bert", Family::Bert),
    ("roberta", Family::Roberta),
    ("xlm-roberta", Family::Roberta),
    ("distilbert", Family::DistilBert),
    ("mpnet", Family::MpNet),
];

/// The non-linearity of the feed-forward part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Activation {
    Gelu,
    GeluTanh,
    Relu,
}

/// Numbers of the model.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Shape {
    pub family: Family,
    pub vocabulary: i64,
    pub hidden: i64,
    pub layers: i64,
    pub heads: i64,
    pub intermediate: i64,
    /// Rows of the table of positions.
    pub positions: i64,
    /// Id of the padding token.
    pub padding: i64,
    /// Rows of the table of token types; not used by families without one.
    pub kinds: i64,
    /// Buckets of MPNet's relative positions.
    pub buckets: i64,
    pub activation: Activation,
    pub norm_eps: f64,
}

/// All that is needed to turn a text into a vector, but for weights and vocabulary.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Encoding {
    /// Where the model's files are: the folder that was named, or the first module's below it.
    pub folder: PathBuf,
    pub shape: Shape,
    /// Tokens of a text at most, special ones included.
    pub longest: usize,
    pub pooling: Pooling,
    /// Whether vectors are scaled to length 1.
    pub normalise: bool,
}

#[derive(Deserialize)]
struct Module {
    path: String,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
struct SentenceConfig {
    max_seq_length: Option<usize>,
}

/// Keys of `config.json`; DistilBERT has names of its own.
#[derive(Deserialize)]
struct Found {
    model_type: Option<String>,
    vocab_size: Option<i64>,
    #[serde(alias = "dim")]
    hidden_size: Option<i64>,
    #[serde(alias = "n_layers")]
    num_hidden_layers: Option<i64>,
    #[serde(alias = "n_heads")]
    num_attention_heads: Option<i64>,
    #[serde(alias = "hidden_dim")]
    intermediate_size: Option<i64>,
    max_position_embeddings: Option<i64>,
    pad_token_id: Option<i64>,
    type_vocab_size: Option<i64>,
    relative_attention_num_buckets: Option<i64>,
    #[serde(alias = "activation")]
    hidden_act: Option<String>,
    layer_norm_eps: Option<f64>,
    position_embedding_type: Option<String>,
}

impl Encoding {
    /// Reads all of it from `folder`.
    ///
    /// # Errors
    /// Files that are missing or damaged, and settings that are not known, with those that are.
    pub fn read(folder: &Path) -> Result<Self, FileError> {
        let modules = folder.join("modules.json");
        let modules: Option<(PathBuf, Vec<Module>)> =
            if modules.is_file() { Some((modules.clone(), read_json(&modules)?)) } else { None };
        let mut encoding_folder = folder.to_owned();
        let (mut pooling, mut normalise) = (Pooling::Mean, false);
        for (path, module) in modules.iter().flat_map(|(path, list)| list.iter().map(move |module| (path, module))) {
            // The type is a path of Python modules; only its last part is stable.
            match module.kind.rsplit('.').next().unwrap_or_default() {
                "Transformer" => encoding_folder = below(folder, path, &module.path)?,
                "Pooling" => pooling = read_pooling(&below(folder, path, &module.path)?.join("config.json"))?,
                "Normalize" => normalise = true,
                _ => {
                    let expected = "Transformer, Pooling and Normalize, the known modules".to_owned();
                    return Err(setting(path, "type", module.kind.clone(), expected));
                }
            }
        }
        let shape = Shape::read(&encoding_folder.join(CONFIG))?;
        let offset = if shape.starts_after_padding() { shape.padding + 1 } else { 0 };
        let most = usize::try_from(shape.positions - offset).unwrap_or(0);
        let stated = encoding_folder.join("sentence_bert_config.json");
        let stated: Option<SentenceConfig> = if stated.is_file() { Some(read_json(&stated)?) } else { None };
        let longest = stated.and_then(|s| s.max_seq_length).unwrap_or(most).min(most).max(2);
        Ok(Self { folder: encoding_folder, shape, longest, pooling, normalise })
    }
}

/// A module's folder; its name must not lead out of the encoder's.
fn below(folder: &Path, modules: &Path, name: &str) -> Result<PathBuf, FileError> {
    let plain = Path::new(name).components().all(|part| matches!(part, std::path::Component::Normal(_)));
    if plain {
        return Ok(folder.join(name));
    }
    Err(setting(modules, "path", format!("{name:?}"), "a folder inside the encoder's".into()))
}

/// `pooling_mode_*` flags, or the newer `pooling_mode`.
fn read_pooling(path: &Path) -> Result<Pooling, FileError> {
    let found: Value = read_json(path)?;
    let flags = found.as_object().into_iter().flatten();
    let on = flags.filter(|(key, value)| key.starts_with("pooling_mode_") && value.as_bool() == Some(true));
    let mut modes: Vec<&str> = on.map(|(key, _)| key.trim_start_matches("pooling_mode_")).collect();
    modes.extend(found.get("pooling_mode").and_then(Value::as_str));
    match modes.as_slice() {
        ["mean_tokens" | "mean"] => Ok(Pooling::Mean),
        ["cls_token" | "cls"] => Ok(Pooling::First),
        ["max_tokens" | "max"] => Ok(Pooling::Maximum),
        other => {
            let expected = "one of mean_tokens, cls_token, max_tokens".to_owned();
            Err(setting(path, "pooling_mode", format!("[{}]", other.join(", ")), expected))
        }
    }
}

impl Shape {
    /// Whether position 0 is numbered padding + 1, as in fairseq.
    pub fn starts_after_padding(&self) -> bool {
        matches!(self.family, Family::Roberta | Family::MpNet)
    }

    fn read(path: &Path) -> Result<Self, FileError> {
        let found: Found = read_json(path)?;
        let name = found.model_type.unwrap_or_default();
        let family = FAMILIES.iter().find(|(known, _)| *known == name).map(|(_, family)| *family);
        let known = || format!("one of {}", FAMILIES.map(|(known, _)| known).join(", "));
        let family = family.ok_or_else(|| setting(path, "model_type", format!("{name:?}"), known()))?;
        let positions = found.position_embedding_type.unwrap_or_else(|| "absolute".to_owned());
        if positions != "absolute" {
            return Err(setting(path, "position_embedding_type", positions, "absolute".into()));
        }
        let act = found.hidden_act.unwrap_or_else(|| "gelu".to_owned());
        let activation = match act.as_str() {
            "gelu" => Activation::Gelu,
            "gelu_new" | "gelu_pytorch_tanh" => Activation::GeluTanh,
            "relu" => Activation::Relu,
            _ => return Err(setting(path, "hidden_act", act, "one of gelu, gelu_new, gelu_pytorch_tanh, relu".into())),
        };
        let number = |key: &'static str, value: Option<i64>| {
            let refused = || {
                let found = value.map_or_else(|| "nothing".to_owned(), |v| v.to_string());
                setting(path, key, found, "a number from 1 to 1048576".into())
            };
            value.filter(|v| (1..=1 << 20).contains(v)).ok_or_else(refused)
        };
        let fairseq = matches!(family, Family::Roberta | Family::MpNet);
        let padding = found.pad_token_id.unwrap_or_else(|| i64::from(fairseq));
        let shape = Self {
            family,
            vocabulary: number("vocab_size", found.vocab_size)?,
            hidden: number("hidden_size", found.hidden_size)?,
            layers: number("num_hidden_layers", found.num_hidden_layers)?,
            heads: number("num_attention_heads", found.num_attention_heads)?,
            intermediate: number("intermediate_size", found.intermediate_size)?,
            positions: number("max_position_embeddings", found.max_position_embeddings)?,
            padding,
            kinds: number("type_vocab_size", found.type_vocab_size.or(Some(2)))?,
            buckets: number("relative_attention_num_buckets", found.relative_attention_num_buckets.or(Some(32)))?,
            activation,
            norm_eps: found.layer_norm_eps.unwrap_or(1e-12),
        };
        if !(0..shape.vocabulary).contains(&padding) {
            let expected = format!("0 to {}", shape.vocabulary - 1);
            return Err(setting(path, "pad_token_id", padding.to_string(), expected));
        }
        if shape.hidden % shape.heads != 0 {
            let expected = format!("a multiple of num_attention_heads = {}", shape.heads);
            return Err(setting(path, "hidden_size", shape.hidden.to_string(), expected));
        }
        Ok(shape)
    }
}

fn setting(path: &Path, key: &'static str, found: String, expected: String) -> FileError {
    FileError::Setting { path: path.to_owned(), key, found, expected }
}
