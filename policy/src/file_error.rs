//! What can go wrong with model and adapter files.

use std::path::{Path, PathBuf};
use thiserror::Error;

/// Errors of reading and writing model, adapter and tokeniser files.
#[derive(Debug, Error)]
pub enum FileError {
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// File.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file cannot be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// File.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file is no safetensors or JSON file, or only the beginning of one.
    #[error("{}: damaged or of another format: {reason}", path.display())]
    Malformed {
        /// File.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A tensor that is missing, unknown, or of another shape or type.
    #[error("{}: tensor `{name}`: found {found}, expected {expected}", path.display())]
    Tensor {
        /// File.
        path: PathBuf,
        /// Name of the tensor.
        name: String,
        /// What the file holds.
        found: String,
        /// What the model needs.
        expected: String,
    },
    /// A setting that does not fit the model.
    #[error("{}: {key}: found {found}, expected {expected}", path.display())]
    Setting {
        /// File.
        path: PathBuf,
        /// Key of the JSON object.
        key: &'static str,
        /// What stands there.
        found: String,
        /// What the model needs.
        expected: String,
    },
    /// A decoder that this program does not compute.
    #[error("{}: {source}", path.display())]
    Decoder {
        /// File.
        path: PathBuf,
        /// What is wrong with its shape.
        source: conrec_domain::decoder_shape::ShapeError,
    },
    /// A text that the tokeniser does not take.
    #[error("{}: {message}", path.display())]
    Tokenizer {
        /// File.
        path: PathBuf,
        /// What was found and expected.
        message: String,
    },
    /// libtorch failed.
    #[error("a tensor operation failed")]
    Torch(#[from] tch::TchError),
}

impl FileError {
    pub(crate) fn malformed(path: &Path, reason: impl ToString) -> Self {
        Self::Malformed { path: path.to_owned(), reason: reason.to_string() }
    }
}
