//! What `scripts/check-manifests` renders, as JSON.

use conrec_tests::{root, text};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Output};

/// The tools are not there.
const UNAVAILABLE: i32 = 69;

/// Objects that belong together: an overlay, an overlay with components, a sample, the chart with a set of values.
pub struct Case {
    pub name: String,
    pub objects: Vec<Value>,
}

impl Case {
    /// The object of this kind and name.
    pub fn object(&self, kind: &str, name: &str) -> Option<&Value> {
        self.objects.iter().find(|object| object["kind"] == kind && object["metadata"]["name"] == name)
    }
}

/// What the script renders, all cases or one, and its words when that is not well; none, with a sentence, where its tools
/// are missing.
pub fn rendered(arguments: &[&str]) -> Option<(Vec<Case>, Output)> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rendered.json");
    let mut command = Command::new(root().join("scripts/check-manifests"));
    let output = command.args(arguments).arg("--json").arg(&file).output().unwrap();
    if output.status.code() == Some(UNAVAILABLE) {
        println!("skipped: {}", text(&output));
        return None;
    }
    let cases: BTreeMap<String, Vec<Value>> = serde_json::from_slice(&fs::read(file).unwrap_or_default()).unwrap();
    Some((cases.into_iter().map(|(name, objects)| Case { name, objects }).collect(), output))
}
