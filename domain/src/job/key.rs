//! From a key, which may be any short text, to the run's name, which fits everywhere a run may be known: a folder, an
//! object key, a Kubernetes object (DNS-1123 and, for Services, DNS-1035) and the names of its pods.

use crate::ids::{Digest, RunId};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Characters of a key at most.
const LONGEST_KEY: usize = 253;

/// Letters of a run's name at most: of the 63 that a name in Kubernetes may have, 23 are left for what is added to it,
/// such as `-worker-1023` with a pod's own ending.
const LONGEST_NAME: usize = 40;

/// Digits of the key's digest in a name that is not the key itself.
const DIGITS: usize = 8;

/// What makes submitting idempotent: the same key is the same job.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct JobKey {
    text: String,
    run_id: RunId,
}

/// Why text is no key.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("key `{found}`: {why}; expected 1 to 253 characters such as nightly-2026-11-23, without control characters")]
pub struct JobKeyError {
    found: String,
    why: &'static str,
}

impl JobKey {
    /// The key as it was given.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The run that the key names: the key itself where it is a name already, else its letters and 8 digits of its digest.
    pub fn run_id(&self) -> &RunId {
        &self.run_id
    }
}

/// Whether a text can be the name of every Kubernetes object: `a-z 0-9 -`, a letter first, no dash last.
fn is_name(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    text.len() <= LONGEST_NAME
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && !text.ends_with('-')
        && text.chars().all(allowed)
}

/// A name made from any text: what may stand in a name stays, the rest becomes single dashes.
fn named(text: &str) -> String {
    if is_name(text) {
        return text.to_owned();
    }
    let lower = text.to_lowercase();
    let words: Vec<&str> =
        lower.split(|c: char| !c.is_ascii_lowercase() && !c.is_ascii_digit()).filter(|word| !word.is_empty()).collect();
    let mut letters = words.join("-");
    if !letters.starts_with(|c: char| c.is_ascii_lowercase()) {
        letters = format!("run-{letters}");
    }
    letters.truncate(LONGEST_NAME - 1 - DIGITS);
    let digits: String = Digest::of(text.as_bytes()).to_string().chars().take(DIGITS).collect();
    format!("{}-{digits}", letters.trim_end_matches('-'))
}

impl FromStr for JobKey {
    type Err = JobKeyError;

    fn from_str(text: &str) -> Result<Self, JobKeyError> {
        let refuse = |why| Err(JobKeyError { found: text.escape_default().take(80).collect(), why });
        if text.trim().is_empty() {
            return refuse("it is empty");
        }
        if text.chars().count() > LONGEST_KEY {
            return refuse("it is too long");
        }
        if text.chars().any(char::is_control) {
            return refuse("it holds a control character");
        }
        match named(text).parse() {
            Ok(run_id) => Ok(Self { text: text.to_owned(), run_id }),
            Err(_) => refuse("no name can be made of it"),
        }
    }
}

impl TryFrom<String> for JobKey {
    type Error = JobKeyError;

    fn try_from(text: String) -> Result<Self, JobKeyError> {
        text.parse()
    }
}

impl From<JobKey> for String {
    fn from(key: JobKey) -> Self {
        key.text
    }
}

impl fmt::Display for JobKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name(key: &str) -> String {
        key.parse::<JobKey>().unwrap().run_id().to_string()
    }

    #[test]
    fn a_key_that_is_a_name_is_the_name() {
        assert_eq!(name("nightly-2026-11-23"), "nightly-2026-11-23");
        assert_eq!(name("a"), "a");
    }

    #[test]
    fn other_keys_keep_their_letters_and_get_digits_of_their_digest() {
        for (key, letters) in [
            ("Team A/Retrain #7", "team-a-retrain-7-"),
            ("2026-11-23", "run-2026-11-23-"),
            ("nightly_2026", "nightly-2026-"),
            ("ends-", "ends-"),
            ("🦀", "run-"),
            (&"x".repeat(41), &format!("{}-", "x".repeat(31))),
        ] {
            let name = name(key);
            let digits = name.strip_prefix(letters).unwrap_or_else(|| panic!("{key} became {name}"));
            assert!(digits.len() == 8 && digits.chars().all(|c| c.is_ascii_hexdigit()), "{key} became {name}");
        }
        assert_ne!(name("a b"), name("a  b"), "keys that look alike are different jobs");
    }

    #[test]
    fn what_is_no_key_is_refused_with_what_is_expected() {
        for (key, why) in [("", "empty"), ("  ", "empty"), ("a\nb", "control"), (&"x".repeat(254), "too long")] {
            let error = key.parse::<JobKey>().unwrap_err().to_string();
            assert!(error.contains(why) && error.contains("nightly-2026-11-23") && !error.contains('\n'), "{error}");
        }
    }

    proptest! {
        #[test]
        fn every_key_has_a_name_that_fits_everywhere(text in "\\PC{1,120}") {
            prop_assume!(!text.trim().is_empty());
            let key: JobKey = text.parse().unwrap();
            prop_assert!(is_name(key.run_id().as_str()), "{}", key.run_id());
            prop_assert_eq!(&key, &serde_json::from_str::<JobKey>(&serde_json::to_string(&key).unwrap()).unwrap());
        }
    }
}
