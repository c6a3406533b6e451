//! A pretrained decoder in Hugging Face layout: its shape from `config.json`, its weights from one safetensors file or
//! several, in F32, F16 or BF16, as one flat tensor.

use crate::atomic_write::read_json;
use crate::file_error::FileError;
use crate::flat_parameters::FlatParameters;
use crate::llama::LlamaConfig;
use crate::tensor_file::{contents, map_file, pointer, tensor_of};
use conrec_domain::decoder_shape::DecoderShape;
use conrec_domain::ids::Digest;
use conrec_feedback::plain_file;
use safetensors::tensor::TensorView;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use tch::{Device, Kind, Tensor};

/// Name of the shape's file.
pub const CONFIG: &str = "config.json";
/// Name of the weights' file, where there is one.
pub const WEIGHTS: &str = "model.safetensors";
/// Names the files of the weights, where there are several.
pub const INDEX: &str = "model.safetensors.index.json";
/// The tokeniser.
pub const TOKENIZER: &str = "tokenizer.json";

/// `model.safetensors.index.json`; what else stands there is not needed.
#[derive(Deserialize)]
struct IndexJson {
    weight_map: BTreeMap<String, String>,
}

/// The shape that `config.json` states.
///
/// # Errors
/// A file that cannot be read, and a decoder that this program does not compute.
pub fn read_shape(folder: &Path) -> Result<DecoderShape, FileError> {
    let path = folder.join(CONFIG);
    let text = plain_file::read_text(&path).map_err(|source| FileError::Read { path: path.clone(), source })?;
    if let Some(found) = pointer(text.as_bytes()) {
        return Err(FileError::malformed(&path, found));
    }
    DecoderShape::parse(&text).map_err(|source| FileError::Decoder { path, source })
}

/// What `config.json` says of the end of a text; what else stands there is read elsewhere.
#[derive(Deserialize)]
struct EndJson {
    eos_token_id: Option<EndTokens>,
}

/// One token, or several of which the first is the text's end and the others end what a chat says.
#[derive(Deserialize)]
#[serde(untagged)]
enum EndTokens {
    One(u32),
    Several(Vec<u32>),
}

/// The token that ends a text, where `config.json` names one that the base has a row for.
///
/// # Errors
/// A file that cannot be read, and a token that the base has no row for.
pub fn end_of_text(folder: &Path) -> Result<Option<i64>, FileError> {
    let path = folder.join(CONFIG);
    let json: EndJson = read_json(&path)?;
    let end = match json.eos_token_id {
        Some(EndTokens::One(token)) => Some(token),
        Some(EndTokens::Several(tokens)) => tokens.first().copied(),
        None => None,
    };
    let vocab = read_shape(folder)?.vocab;
    match end.filter(|token| *token >= vocab) {
        Some(found) => {
            let expected = format!("a token of 0 to {}", vocab - 1);
            Err(FileError::Setting { path, key: "eos_token_id", found: found.to_string(), expected })
        }
        None => Ok(end.map(i64::from)),
    }
}

/// Names of the files that hold the weights, in the order of their names.
///
/// # Errors
/// An index that cannot be read, or names a file elsewhere.
pub fn weight_files(folder: &Path) -> Result<Vec<String>, FileError> {
    let path = folder.join(INDEX);
    if folder.join(WEIGHTS).exists() || !path.exists() {
        return Ok(vec![WEIGHTS.to_owned()]);
    }
    let index: IndexJson = read_json(&path)?;
    let files: BTreeSet<String> = index.weight_map.into_values().collect();
    let outside = |name: &&String| name.contains(['/', '\\']) || name.starts_with('.');
    if let Some(found) = files.iter().find(outside) {
        let expected = "names of files in the same folder".to_owned();
        return Err(FileError::Setting { path, key: "weight_map", found: format!("{found:?}"), expected });
    }
    Ok(files.into_iter().collect())
}

/// SHA-256 over shape, tokeniser and weights as they lie in the files: names what a run began with.
///
/// # Errors
/// A file that cannot be read.
pub fn files_digest(folder: &Path) -> Result<Digest, FileError> {
    let mut lines = String::new();
    for name in [CONFIG.to_owned(), TOKENIZER.to_owned()].into_iter().chain(weight_files(folder)?) {
        let map = map_file(&folder.join(&name))?;
        lines += &format!("{name} {}\n", Digest::of(&map));
    }
    Ok(Digest::of(lines.as_bytes()))
}

/// All weights of the base as one flat tensor of this kind on the CPU, in the layout of `config`.
///
/// # Errors
/// A file that is missing or damaged, a tensor that is missing, unknown, or of another shape or type.
pub fn read_weights(folder: &Path, config: &LlamaConfig, kind: Kind) -> Result<Tensor, FileError> {
    let layout = config.layout();
    let files = weight_files(folder)?;
    refuse_too_small(folder, &files, layout.len())?;
    let flat = Tensor::f_empty([layout.len() as i64], (kind, Device::Cpu))?;
    let mut missing: BTreeSet<usize> = (0..layout.entries().len()).collect();
    let mut needless_head = None;
    for file in &files {
        let path = folder.join(file);
        let map = map_file(&path)?;
        let tensors = contents(&path, &map)?;
        let mut named: Vec<(&str, TensorView<'_>)> = tensors.iter().collect();
        // The file's own order is a hash map's: of several faults the same is told each time.
        named.sort_unstable_by_key(|(name, _)| *name);
        for (name, view) in named {
            let Some(place) = layout.entries().iter().position(|entry| entry.name == name) else {
                if is_needless(config, name) {
                    needless_head = (name == HEAD).then(|| path.clone()).or(needless_head);
                    continue;
                }
                let expected = format!("only the weights of a {}", config.family.architecture());
                return Err(wrong(&path, name, ("an unknown tensor".to_owned(), expected)));
            };
            let entry = &layout.entries()[place];
            let tensor = tensor_of(&path, &view, (&entry.name, &entry.shape))?;
            refuse_no_numbers(&path, &entry.name, &tensor)?;
            layout.view(&flat, place).f_copy_(&tensor)?;
            missing.remove(&place);
        }
    }
    if let Some(place) = missing.first() {
        return Err(missing_tensor(folder, &files, &layout, *place));
    }
    if let Some(path) = needless_head {
        refuse_other_head(&path, &layout, &flat)?;
    }
    Ok(flat)
}

/// Refuses files that cannot hold as many weights as `config.json` asks for, before memory is taken for them.
fn refuse_too_small(folder: &Path, files: &[String], weights: usize) -> Result<(), FileError> {
    let mut bytes = 0u64;
    for file in files {
        let path = folder.join(file);
        let map = map_file(&path)?;
        // A file that is small because it is damaged is told so.
        contents(&path, &map)?;
        bytes += map.len() as u64;
    }
    // The smallest kind that is read has two bytes a weight. Rows that are missing are told by name, so only what is far too
    // small is refused here.
    let wanted = (weights as u64).saturating_mul(2);
    if bytes.saturating_mul(16) >= wanted {
        return Ok(());
    }
    let found = format!("sizes of {weights} weights, at least {wanted} bytes");
    let expected = format!("sizes that fit the {bytes} bytes of its files of weights");
    Err(FileError::Setting { path: folder.join(CONFIG), key: "hidden_size", found, expected })
}

/// Refuses weights that are no finite numbers, with the first of them.
fn refuse_no_numbers(path: &Path, name: &str, tensor: &Tensor) -> Result<(), FileError> {
    if tensor.f_isfinite()?.f_all()?.f_int64_value(&[])? == 1 {
        return Ok(());
    }
    let values = Vec::<f32>::try_from(&tensor.f_to_kind(Kind::Float)?.f_reshape([-1])?)?;
    let at = values.iter().position(|value| !value.is_finite()).unwrap_or(0);
    let found = format!("{} at position {at} of {:?}", values[at], tensor.size());
    Err(wrong(path, name, (found, "finite numbers".to_owned())))
}

/// A head beside a tied embedding must be the embedding: else one program would compute with the one, another with the other.
fn refuse_other_head(path: &Path, layout: &FlatParameters, flat: &Tensor) -> Result<(), FileError> {
    let Some((place, entry)) = layout.entries().iter().enumerate().find(|(_, entry)| entry.name == EMBEDDING) else {
        return Ok(());
    };
    let map = map_file(path)?;
    let tensors = contents(path, &map)?;
    let view = tensors.tensor(HEAD).map_err(|e| FileError::malformed(path, e))?;
    let head = tensor_of(path, &view, (HEAD, &entry.shape))?.f_to_kind(flat.f_kind()?)?;
    if head.f_equal(&layout.view(flat, place))? {
        return Ok(());
    }
    let expected = format!(
        "those of `{EMBEDDING}`, as {CONFIG} says with tie_word_embeddings = true; a head of its own asks for false there"
    );
    Err(wrong(path, HEAD, ("other values".to_owned(), expected)))
}

/// The rows of the vocabulary, and those of the head.
const EMBEDDING: &str = "model.embed_tokens.weight";
const HEAD: &str = "lm_head.weight";

/// What some files hold beside the weights: the head where it is the embedding, and angles that follow from the shape.
fn is_needless(config: &LlamaConfig, name: &str) -> bool {
    (config.tied && name == HEAD) || name.ends_with(".rotary_emb.inv_freq")
}

fn missing_tensor(folder: &Path, files: &[String], layout: &FlatParameters, place: usize) -> FileError {
    let entry = &layout.entries()[place];
    let path = if let [only] = files { folder.join(only) } else { folder.join(INDEX) };
    let expected = format!("F32, F16 or BF16 {:?}, as {CONFIG} says", entry.shape);
    wrong(&path, &entry.name, ("no such tensor".to_owned(), expected))
}

fn wrong(path: &Path, name: &str, (found, expected): (String, String)) -> FileError {
    FileError::Tensor { path: PathBuf::from(path), name: name.to_owned(), found, expected }
}
