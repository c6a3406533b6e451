//! What preparing the data hands to training, for one pass: a folder of Parquet and JSON files.
//!
//! The same content gives the same bytes. Every file is written under a temporary name and then renamed, `pass.json`
//! last: it names all others with size and SHA-256, so a folder without it is not whole, and a damaged file is found.

mod contents;
pub(crate) mod parts;
pub(crate) mod table;
mod truth;

pub use truth::{load_truth, save_truth};

use crate::dataset::Dataset;
use crate::instance::Instance;
use crate::matrix::Matrix;
use crate::semantic_id::{SemanticIdError, SemanticIds};
use crate::split::{PassWindows, Window};
use conrec_domain::ids::Digest;
use contents::Contents;
use parts::Part;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Names the other files; written last.
const MANIFEST: &str = "pass.json";

/// Everything that training and evaluation of one pass read.
#[derive(Clone, Debug, PartialEq)]
pub struct PreparedPass {
    /// The pass, the end of its training time, and the window it is evaluated on.
    pub windows: PassWindows,
    /// All events (of evaluated windows too), users and items. The generator's truth is never kept here: what trains
    /// must not see it. Evaluation reads it from a folder of its own ([`load_truth`]).
    pub dataset: Arc<Dataset>,
    /// Training instances, in order.
    pub training: Vec<Instance>,
    /// What is evaluated with this pass's statistics, each window at most once.
    pub evaluations: Vec<EvaluationSet>,
    /// Swing neighbours of each item, with their scores, best first.
    pub swing: Vec<Vec<(u32, f64)>>,
    /// Codes of all items and cells of the candidates.
    pub ids: SemanticIds,
    /// E(sid): the sum of codewords of each cell, neither centred nor normalised; cells x latent.
    pub cell_vectors: Matrix,
}

/// Which window is evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Everything is chosen here.
    Validation,
    /// Evaluated once.
    Test,
}

/// The instances of an evaluated window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvaluationSet {
    /// Which window.
    pub role: Role,
    /// Its time.
    pub window: Window,
    /// Its instances, in order.
    pub instances: Vec<Instance>,
    /// Candidates of CandAcc of each instance, the true one first.
    pub candidates: Vec<Vec<u32>>,
}

/// Why prepared data cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum PreparedError {
    /// A file cannot be opened or read.
    #[error("{}: {source}; run `conrec prepare` again if it is missing", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A file cannot be written: nothing is wrong with the data.
    #[error("cannot write {}: {source}; check permissions and free space", file.display())]
    Write {
        /// The file.
        file: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A file is truncated, altered, or does not fit the others.
    #[error("{}: found {found}, expected {expected}; delete the folder and run `conrec prepare` again", file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// What was found.
        found: String,
        /// What was expected.
        expected: String,
    },
    /// A file is no Parquet.
    #[error("{}: {source}", file.display())]
    Parquet {
        /// The file.
        file: PathBuf,
        /// What the reader or writer says.
        source: parquet::errors::ParquetError,
    },
    /// `pass.json` is no JSON, or of another shape.
    #[error("{}: {source}", file.display())]
    Json {
        /// The file.
        file: PathBuf,
        /// What the parser says.
        source: serde_json::Error,
    },
    /// The codes make no semantic ids.
    #[error("{}: {source}", file.display())]
    SemanticIds {
        /// The file.
        file: PathBuf,
        /// What is wrong with the codes.
        source: SemanticIdError,
    },
}

/// `pass.json`.
#[derive(Debug, Serialize, Deserialize)]
struct Manifest {
    #[serde(flatten)]
    contents: Contents,
    /// All other files, in the order of their names.
    files: Vec<Part>,
}

impl PreparedPass {
    /// Writes the folder, creating it if need be; returns its digest, as [`digest`] would.
    pub fn save(&self, folder: &Path) -> Result<Digest, PreparedError> {
        parts::make_folder(folder)?;
        let mut files = contents::write(self, folder)?;
        files.sort_by(|a, b| a.name.cmp(&b.name));
        let manifest = Manifest { contents: Contents::of(self), files };
        let file = folder.join(MANIFEST);
        let mut text = serde_json::to_vec_pretty(&manifest).map_err(|source| PreparedError::Json { file, source })?;
        text.push(b'\n');
        parts::write(folder, MANIFEST, &text)?;
        digest(folder)
    }

    /// Reads a folder that [`save`](Self::save) wrote; checks every file against `pass.json` first.
    pub fn load(folder: &Path) -> Result<Self, PreparedError> {
        let (manifest, _) = read_manifest(folder)?;
        for part in &manifest.files {
            part.verified(folder, |_| ())?;
        }
        contents::read(manifest.contents, folder)
    }

    /// The instances of a window; none if this pass does not evaluate it.
    pub fn evaluation(&self, role: Role) -> Option<&EvaluationSet> {
        self.evaluations.iter().find(|set| set.role == role)
    }
}

/// SHA-256 over the folder's files in the order of their names, each as name, size and bytes.
///
/// Files that `pass.json` does not name are not looked at.
pub fn digest(folder: &Path) -> Result<Digest, PreparedError> {
    let (manifest, text) = read_manifest(folder)?;
    let mut names: Vec<Option<&Part>> = manifest.files.iter().map(Some).collect();
    names.push(None);
    names.sort_by_key(|part| part.map_or(MANIFEST, |part| part.name.as_str()));
    let mut hash = Sha256::new();
    for part in names {
        let (name, bytes) = part.map_or((MANIFEST, text.len() as u64), Part::head);
        hash.update((name.len() as u64).to_le_bytes());
        hash.update(name);
        hash.update(bytes.to_le_bytes());
        match part {
            Some(part) => part.verified(folder, |chunk| hash.update(chunk))?,
            None => hash.update(&text),
        }
    }
    Ok(Digest(hash.finalize().into()))
}

fn read_manifest(folder: &Path) -> Result<(Manifest, Vec<u8>), PreparedError> {
    let file = folder.join(MANIFEST);
    let text = parts::read(&file)?;
    let manifest: Manifest =
        serde_json::from_slice(&text).map_err(|source| PreparedError::Json { file: file.clone(), source })?;
    if let Some(part) = manifest.files.iter().find(|part| part.leads_out()) {
        let (found, expected) =
            (format!("a part named {:?}", part.name), "the name of a file in the folder".to_owned());
        return Err(PreparedError::Damaged { file, found, expected });
    }
    Ok((manifest, text))
}

#[cfg(test)]
mod tests;
