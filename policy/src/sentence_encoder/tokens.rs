//! Text to token ids by the encoder's own `tokenizer.json`.

use super::config::Encoding;
use crate::file_error::FileError;
use crate::pretrained_files::TOKENIZER;
use crate::text_tokenizer::read_tokenizer;
use std::path::PathBuf;
use tokenizers::{Tokenizer, TruncationParams};

/// The tokenizer, without padding, cut to what the encoder reads.
pub(super) struct Tokens {
    path: PathBuf,
    tokenizer: Tokenizer,
    vocabulary: i64,
}

impl Tokens {
    /// Reads the file; the length in it gives way to that of the encoder.
    pub fn open(encoding: &Encoding) -> Result<Self, FileError> {
        let path = encoding.folder.join(TOKENIZER);
        let mut tokenizer = read_tokenizer(&path)?;
        let truncation = TruncationParams { max_length: encoding.longest, ..TruncationParams::default() };
        let _ = tokenizer.with_truncation(Some(truncation)).map_err(|e| FileError::malformed(&path, e))?;
        let _ = tokenizer.with_padding(None);
        Ok(Self { path, tokenizer, vocabulary: encoding.shape.vocabulary })
    }

    /// Ids of a text, special tokens included.
    pub fn of(&self, text: &str) -> Result<Vec<i64>, FileError> {
        let encoding = self.tokenizer.encode(text, true).map_err(|e| FileError::malformed(&self.path, e))?;
        let ids: Vec<i64> = encoding.get_ids().iter().map(|id| i64::from(*id)).collect();
        match ids.iter().find(|id| **id >= self.vocabulary) {
            None => Ok(ids),
            Some(id) => Err(FileError::Setting {
                path: self.path.clone(),
                key: "vocab",
                found: format!("token {id} in the text {text:?}"),
                expected: format!("ids below {}, the encoder's vocab_size: its own tokenizer", self.vocabulary),
            }),
        }
    }
}
