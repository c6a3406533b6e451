//! The name of a run in a cluster: a label of DNS with room for what controllers append.

use crate::error::ClusterError;
use std::fmt::{self, Display, Formatter};

/// Longest name: a worker pod's host name is `<run>-conrec-worker-<index>`, at most 63 bytes, with an index of 4 digits.
const LONGEST: usize = 63 - "-conrec-worker-9999".len();

/// A checked name: lower-case letters, digits and `-`, beginning with a letter, not ending with `-`, 44 bytes at most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunName(String);

impl RunName {
    /// Checks `name`.
    ///
    /// # Errors
    /// Kubernetes would refuse a name of it, or one of those that are derived from it.
    pub fn new(name: &str) -> Result<Self, ClusterError> {
        let refuse = |why: String| Err(ClusterError::BadName(format!("run name {name:?} {why}")));
        if name.is_empty() || name.len() > LONGEST {
            return refuse(format!("has {} bytes; Kubernetes leaves room for 1 to {LONGEST}", name.len()));
        }
        if let Some(wrong) = name.chars().find(|c| !matches!(c, 'a'..='z' | '0'..='9' | '-')) {
            return refuse(format!("has {wrong:?}; only a to z, 0 to 9 and - are allowed"));
        }
        if !name.starts_with(|c: char| c.is_ascii_lowercase()) || name.ends_with('-') {
            return refuse("must begin with a letter and not end with -".to_owned());
        }
        Ok(Self(name.to_owned()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Display for RunName {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_kubernetes_would_refuse_are_refused_with_the_reason() {
        for (name, words) in [
            ("", "0 bytes"),
            (&"a".repeat(45), "45 bytes"),
            ("Nightly", "'N'"),
            ("a_b", "'_'"),
            ("ü", "'ü'"),
            ("9lives", "begin with a letter"),
            ("a-", "not end"),
        ] {
            let error = RunName::new(name).unwrap_err().to_string();
            assert!(error.contains(words), "{name}: {error}");
        }
    }

    #[test]
    fn the_longest_name_leaves_room_for_a_worker_pods_host_name() {
        let name = RunName::new(&"a".repeat(LONGEST)).unwrap();
        assert!(format!("{name}-conrec-worker-9999").len() <= 63);
    }
}
