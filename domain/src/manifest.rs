//! The small file that makes a checkpoint whole, and what it says.

use crate::curriculum::Cursor;
use crate::ids::{Digest, Fence, Iteration, RunId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The file's key that holds the digest of all others.
const SEAL: &str = "manifest_digest";

/// Names of the parts that every checkpoint has, in their order.
pub const PARTS: [&str; 3] = ["adapter.safetensors", "base.safetensors", "optimizer.safetensors"];

/// Written last, by conditional create; a checkpoint without it does not exist. In the file the key `manifest_digest`
/// stands beside these: [`Manifest::to_json`] writes it, [`Manifest::parse`] checks it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Layout of this file; [`Manifest::VERSION`].
    pub version: u32,
    /// The run it belongs to.
    pub run_id: RunId,
    /// Digest of the run's config.
    pub config_digest: Digest,
    /// Digest of the prepared data.
    pub data_digest: Digest,
    /// Version of the code that wrote it.
    pub code_version: String,
    /// The roster that wrote it; part of the key.
    pub fence: Fence,
    /// Committed iterations; part of the key.
    pub iteration: Iteration,
    /// Digest of the training state.
    pub state_digest: Digest,
    /// Where the curriculum stands.
    pub cursor: Cursor,
    /// The parts, in the order of their names.
    pub parts: Vec<Part>,
}

/// Why the content of a `manifest.json` makes no checkpoint whole.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// No JSON, or a key is missing, unknown or of the wrong kind.
    #[error("manifest.json: {0}")]
    Unreadable(#[from] serde_json::Error),
    /// Of another layout.
    #[error("manifest.json has layout {found}; this version of conrec reads and writes layout {expected}")]
    Version {
        /// Layout of the file.
        found: String,
        /// Layout that is read.
        expected: u32,
    },
    /// Something in it is not what was written.
    #[error("manifest.json was changed: its content has SHA-256 {found}, its {SEAL} says {expected}")]
    Changed {
        /// Digest of the content.
        found: Digest,
        /// What the file says.
        expected: String,
    },
    /// Its parts are not those of a checkpoint.
    #[error("its manifest names {found}; a checkpoint's parts are {}", PARTS.join(", "))]
    Parts {
        /// Names in the file.
        found: String,
    },
}

impl Manifest {
    /// Layout of the file that is written and read.
    pub const VERSION: u32 = 2;

    /// `checkpoints/<iteration>-<fence>`, zero-padded so that keys sort by age.
    pub fn key(iteration: Iteration, fence: Fence) -> String {
        format!("checkpoints/{:010}-{:06}", iteration.0, fence.0)
    }

    /// The content of the file, sealed.
    ///
    /// # Errors
    /// The parts are not those of a checkpoint, or something in it is no JSON.
    pub fn to_json(&self) -> Result<Value, ManifestError> {
        self.check_parts()?;
        let mut content = serde_json::to_value(self)?;
        content[SEAL] = Value::from(self.seal()?.to_string());
        Ok(content)
    }

    /// Reads the file's content, and refuses what was not written so.
    ///
    /// # Errors
    /// It is no manifest of this layout, was changed since it was written, or names other parts than a checkpoint has.
    pub fn parse(content: &[u8]) -> Result<Self, ManifestError> {
        let mut content: Value = serde_json::from_slice(content)?;
        // Said first: another layout may well have other keys.
        if let Some(found) = content.get("version").filter(|version| version.as_u64() != Some(Self::VERSION.into())) {
            return Err(ManifestError::Version { found: found.to_string(), expected: Self::VERSION });
        }
        let seal = content.as_object_mut().and_then(|keys| keys.remove(SEAL));
        let manifest: Self = serde_json::from_value(content)?;
        let (found, expected) = (manifest.seal()?, seal.as_ref().and_then(Value::as_str).unwrap_or("nothing"));
        if found.to_string() != expected {
            return Err(ManifestError::Changed { found, expected: expected.to_owned() });
        }
        manifest.check_parts()?;
        Ok(manifest)
    }

    /// SHA-256 over all keys but the seal's own: compact JSON, in the order in which they stand above.
    fn seal(&self) -> Result<Digest, serde_json::Error> {
        Ok(Digest::of(&serde_json::to_vec(self)?))
    }

    fn check_parts(&self) -> Result<(), ManifestError> {
        let names: Vec<&str> = self.parts.iter().map(|part| part.name.as_str()).collect();
        if names == PARTS {
            return Ok(());
        }
        let found = if names.is_empty() { "no parts".to_owned() } else { format!("the parts {}", names.join(", ")) };
        Err(ManifestError::Parts { found })
    }
}

/// One file of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// File name below the checkpoint's key.
    pub name: String,
    /// Size in bytes.
    pub bytes: u64,
    /// SHA-256 of the content.
    pub sha256: Digest,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn manifest() -> Manifest {
        let digest = Digest::of(b"");
        let part = |name: &str| Part { name: name.into(), bytes: 1, sha256: digest };
        Manifest {
            version: Manifest::VERSION,
            run_id: "run".parse().unwrap(),
            config_digest: digest,
            data_digest: digest,
            code_version: "1".into(),
            fence: Fence(1),
            iteration: Iteration(7),
            state_digest: digest,
            cursor: Cursor { seconds: 0.1 + 0.2, ..Cursor::start() },
            parts: PARTS.map(part).to_vec(),
        }
    }

    fn refusal(change: impl Fn(&mut Value)) -> String {
        let mut content = manifest().to_json().unwrap();
        change(&mut content);
        Manifest::parse(content.to_string().as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn what_is_written_is_read_however_it_is_laid_out() {
        let content = manifest().to_json().unwrap();
        for text in [content.to_string(), serde_json::to_string_pretty(&content).unwrap()] {
            assert_eq!(Manifest::parse(text.as_bytes()).unwrap(), manifest());
        }
    }

    #[test]
    fn a_change_of_any_value_is_seen() {
        let other = Value::from(Digest::of(b"other").to_string());
        let changes: [(&str, Value); 6] = [
            ("/state_digest", other.clone()),
            ("/manifest_digest", other),
            ("/iteration", json!(8)),
            ("/cursor/stage_iteration", json!(4_000_000_000u32)),
            ("/cursor/seconds", json!(-1e308)),
            ("/parts/1/bytes", json!(2)),
        ];
        for (place, value) in changes {
            let said = refusal(|content| *content.pointer_mut(place).unwrap() = value.clone());
            assert!(said.starts_with("manifest.json was changed"), "{place}: {said}");
        }
    }

    #[test]
    fn a_manifest_without_its_digest_or_of_another_layout_is_refused() {
        let said = refusal(|content| drop(content.as_object_mut().unwrap().remove(SEAL)));
        assert!(said.contains("its manifest_digest says nothing"), "{said}");
        let said = refusal(|content| content["version"] = json!(1));
        assert!(said.contains("has layout 1"), "{said}");
    }

    #[test]
    fn parts_that_are_not_those_of_a_checkpoint_are_refused() {
        let one = Manifest { parts: manifest().parts[..1].to_vec(), ..manifest() };
        let mut content = serde_json::to_value(&one).unwrap();
        content[SEAL] = Value::from(one.seal().unwrap().to_string());
        let said = Manifest::parse(content.to_string().as_bytes()).unwrap_err().to_string();
        assert!(said.contains("names the parts adapter.safetensors; a checkpoint's"), "{said}");
        assert!(one.to_json().unwrap_err().to_string().contains("adapter.safetensors"));
        let none = Manifest { parts: Vec::new(), ..manifest() };
        assert!(none.to_json().unwrap_err().to_string().contains("no parts"));
    }
}
