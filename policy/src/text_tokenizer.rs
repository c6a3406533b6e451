//! The tokeniser of a pretrained base: text to tokens of its vocabulary, by its `tokenizer.json`.

use crate::file_error::FileError;
use crate::pretrained_files::TOKENIZER;
use crate::tensor_file::pointer;
use conrec_feedback::plain_file;
use std::path::{Path, PathBuf};
use tokenizers::{Encoding, ModelWrapper, Tokenizer};

/// A base's tokeniser.
pub struct TextTokenizer {
    tokenizer: Tokenizer,
    path: PathBuf,
    /// Rows of the base's embedding.
    vocab: i64,
}

/// A text as the base expects a sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sequence {
    /// All tokens.
    pub tokens: Vec<i64>,
    /// Which of them are the text's; the others are what the base puts around every sequence.
    pub own: Vec<bool>,
}

impl Sequence {
    /// The first `longest` tokens.
    pub fn cut(mut self, longest: usize) -> Self {
        self.tokens.truncate(longest);
        self.own.truncate(longest);
        self
    }
}

impl std::fmt::Debug for TextTokenizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TextTokenizer").field("path", &self.path).field("vocab", &self.vocab).finish_non_exhaustive()
    }
}

/// Reads a `tokenizer.json`; where there is none, says what lies there in its place.
pub(crate) fn read_tokenizer(path: &Path) -> Result<Tokenizer, FileError> {
    let bytes = plain_file::read(path).map_err(|source| {
        let other = OTHER_FORMS.into_iter().find(|name| path.with_file_name(name).is_file());
        match other.filter(|_| source.kind() == std::io::ErrorKind::NotFound) {
            None => FileError::Read { path: path.to_owned(), source },
            Some(other) => {
                let message = format!(
                    "not there, but {other} is: save the tokeniser as {TOKENIZER} with transformers \
                     (AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER))"
                );
                FileError::Tokenizer { path: path.to_owned(), message }
            }
        }
    })?;
    Tokenizer::from_bytes(&bytes).map_err(|e| match pointer(&bytes) {
        Some(found) => FileError::malformed(path, found),
        None => FileError::malformed(path, e),
    })
}

/// Tokenisers in files that are not read.
const OTHER_FORMS: [&str; 4] = ["tokenizer.model", "spiece.model", "vocab.json", "vocab.txt"];

impl TextTokenizer {
    /// Reads `tokenizer.json` in `folder`, for a base whose embedding has `vocab` rows.
    ///
    /// # Errors
    /// A file that is missing or damaged, and tokens that the base has no row for.
    pub fn open(folder: &Path, vocab: i64) -> Result<Self, FileError> {
        let path = folder.join(TOKENIZER);
        let mut tokenizer = read_tokenizer(&path)?;
        if matches!(tokenizer.get_model(), ModelWrapper::Unigram(_)) {
            let message =
                "a tokeniser of kind Unigram (SentencePiece), expected BPE, WordPiece or WordLevel: to these tokens \
                           can be added, as a run does"
                    .to_owned();
            return Err(FileError::Tokenizer { path, message });
        }
        // A file may ask for both; a prompt is whole, and padding is the business of who computes.
        let _ = tokenizer.with_truncation(None).map_err(|e| FileError::malformed(&path, e))?;
        let _ = tokenizer.with_padding(None);
        let tokens = tokenizer.get_vocab(true);
        let largest = tokens.iter().max_by_key(|(name, id)| (**id, name.as_str()));
        if let Some((name, id)) = largest.filter(|(_, id)| i64::from(**id) >= vocab) {
            let message = format!(
                "token {name:?} has the number {id}, but the base has rows for 0 to {} only: the tokeniser belongs to another model",
                vocab - 1
            );
            return Err(FileError::Tokenizer { path, message });
        }
        Ok(Self { tokenizer, path, vocab })
    }

    /// Tokens of a text, and nothing around them.
    ///
    /// # Errors
    /// A text that the tokeniser does not take.
    pub fn encode(&self, text: &str) -> Result<Vec<i64>, FileError> {
        self.tokens(text, false)
    }

    /// Tokens of a text as the base expects a sequence to begin: after its own first token, where it has one.
    ///
    /// # Errors
    /// A text that the tokeniser does not take.
    pub fn beginning(&self, text: &str) -> Result<Vec<i64>, FileError> {
        self.tokens(text, true)
    }

    /// Tokens of a text with what the base expects around a sequence, and which of them are the text's own.
    ///
    /// # Errors
    /// A text that the tokeniser does not take.
    pub fn sequence(&self, text: &str) -> Result<Sequence, FileError> {
        let encoded = self.encoded(text, true)?;
        let own = encoded.get_special_tokens_mask().iter().map(|around| *around == 0).collect();
        Ok(Sequence { tokens: tokens_of(&encoded), own })
    }

    /// The token of this name; none where there is none.
    pub fn token(&self, name: &str) -> Option<i64> {
        self.tokenizer.token_to_id(name).map(i64::from)
    }

    /// The text of tokens.
    ///
    /// # Errors
    /// Tokens that the tokeniser does not have.
    pub fn decode(&self, tokens: &[i64]) -> Result<String, FileError> {
        let ids = tokens.iter().map(|token| u32::try_from(*token)).collect::<Result<Vec<u32>, _>>();
        let ids = ids.map_err(|_| self.refused(format!("tokens {tokens:?}: expected none below 0")))?;
        self.tokenizer.decode(&ids, false).map_err(|e| self.refused(e.to_string()))
    }

    /// Refuses names that are tokens of the base already: they would mean two things.
    ///
    /// # Errors
    /// The first such name.
    pub fn refuse_known(&self, names: &[String]) -> Result<(), FileError> {
        match names.iter().find_map(|name| Some((name, self.tokenizer.token_to_id(name)?))) {
            None => Ok(()),
            Some((name, id)) => {
                Err(self
                    .refused(format!("{name} is token {id} of the base, and the name of a token that is to be added")))
            }
        }
    }

    fn tokens(&self, text: &str, special: bool) -> Result<Vec<i64>, FileError> {
        Ok(tokens_of(&self.encoded(text, special)?))
    }

    fn encoded(&self, text: &str, special: bool) -> Result<Encoding, FileError> {
        let encoded = self.tokenizer.encode(text, special);
        encoded.map_err(|e| self.refused(format!("the text {text:?} cannot be tokenised: {e}")))
    }

    fn refused(&self, message: String) -> FileError {
        FileError::Tokenizer { path: self.path.clone(), message }
    }
}

fn tokens_of(encoded: &Encoding) -> Vec<i64> {
    encoded.get_ids().iter().map(|id| i64::from(*id)).collect()
}
