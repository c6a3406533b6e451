//! What is wrong with a config: key, value found, values allowed.

use std::fmt;

/// One value that is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Dotted key, as a user writes it after `--set`.
    pub key: String,
    /// The value found.
    pub found: String,
    /// What is allowed, as a sentence part.
    pub allowed: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {}: allowed is {}", self.key, self.found, self.allowed)
    }
}

/// Why a config is refused.
#[derive(Debug, thiserror::Error)]
pub enum SpecError {
    /// Not TOML, an unknown key, or a value of the wrong type; the message names line and key.
    #[error("{file}: {message}")]
    Syntax {
        /// The file, or `--set`.
        file: String,
        /// The parser's message, with line and column where they are known.
        message: String,
    },
    /// Well formed, but some values are outside what is allowed.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Violations(Vec<Violation>),
}
