//! The operators' token: one line of a file, sent as `authorization: Bearer …`. It is shown nowhere.

use crate::secret_file::{self, SecretFileError};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use std::fmt;
use std::path::{Path, PathBuf};

/// Shorter ones could be guessed.
const LEAST: usize = 16;
/// Longer ones do not fit into a header.
const MOST: usize = 4096;
const SCHEME: &str = "Bearer ";

/// A secret that operators share with the coordinator. It has no way to be printed.
#[derive(Clone)]
pub struct Token(String);

/// Why a file gives no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file is not used.
    #[error("the operators' token: {0}")]
    File(#[from] SecretFileError),
    /// What it holds is no token.
    #[error("the operators' token: {} holds no line of {LEAST} to {MOST} printable characters without spaces; \
             one is made by: openssl rand -hex 32", path.display())]
    Content {
        /// Which file.
        path: PathBuf,
    },
}

impl Token {
    /// The token in the file at `path`; white space around it does not count.
    ///
    /// # Errors
    /// The file cannot be read, everybody may read it, or it holds no token.
    pub fn read(path: &Path) -> Result<Self, TokenError> {
        let content = || TokenError::Content { path: path.to_owned() };
        let text = String::from_utf8(secret_file::read(path)?).map_err(|_| content())?;
        let text = text.trim();
        let fits = (LEAST..=MOST).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        fits.then(|| Self(text.to_owned())).ok_or_else(content)
    }

    /// The value of the header `authorization` that shows this token.
    pub fn header(&self) -> String {
        format!("{SCHEME}{}", self.0)
    }

    /// Whether the value of a header `authorization` shows this token. How long it takes says nothing of where the two
    /// differ.
    pub fn is_shown_by(&self, header: &[u8]) -> bool {
        let shown = header.strip_prefix(SCHEME.as_bytes()).unwrap_or_default();
        verify_slices_are_equal(shown, self.0.as_bytes()).is_ok()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(not shown)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn of(text: &str) -> Result<Token, TokenError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(0o600)).unwrap();
        Token::read(file.path())
    }

    #[test]
    fn only_the_same_token_opens() {
        let token = of("0123456789abcdef\n").unwrap();
        assert!(token.is_shown_by(b"Bearer 0123456789abcdef"));
        for wrong in ["", "Bearer ", "0123456789abcdef", "Bearer 0123456789abcdeg", "Bearer 0123456789abcdef0"] {
            assert!(!token.is_shown_by(wrong.as_bytes()), "{wrong}");
        }
        assert_eq!(format!("{token:?}"), "Token(not shown)");
    }

    #[test]
    fn what_is_no_token_is_refused() {
        for wrong in ["", "short", "0123456789abcdef 0123456789abcdef", "0123456789abcde\u{e9}"] {
            let error = of(wrong).unwrap_err().to_string();
            assert!(error.contains("16 to 4096") && (wrong.is_empty() || !error.contains(wrong)), "{error}");
        }
    }
}
