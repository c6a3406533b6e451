//! `run.toml`: the resolved config, which binds a run id to one result.

use super::{RunStore, StoreError};
use conrec_domain::ids::Digest;
use conrec_domain::spec::{ClusterSpec, RunConfig, RunSpec, SpecError};
use serde_json::Value;
use std::collections::BTreeMap;

const RUN_FILE: &str = "run.toml";

/// Differing keys that an error names.
const MAX_DIFFERING: usize = 5;

impl RunStore {
    /// Writes `run.toml`, or checks that the one there gives the same results; answers the config's digest.
    ///
    /// # Errors
    /// The run id belongs to another config, or the file there is no config, or the store fails.
    pub async fn claim(&self, spec: &RunSpec) -> Result<Digest, StoreError> {
        let own = |error: SpecError| self.run_file_error(&error);
        let digest = spec.digest().map_err(own)?;
        let text = spec.to_toml().map_err(own)?;
        if self.create(RUN_FILE, text.into_bytes()).await? {
            return Ok(digest);
        }
        let there = self.read(RUN_FILE).await?.unwrap_or_default();
        let there = String::from_utf8_lossy(&there);
        let there = RunConfig::parse(&there, RUN_FILE).map_err(own)?;
        let differing = differing(&there, spec);
        let there = RunSpec::check(there).map_err(own)?;
        if there.digest().map_err(own)? == digest {
            return Ok(digest);
        }
        Err(StoreError::OtherConfig { run_id: self.run_id.clone(), differing })
    }

    fn run_file_error(&self, error: &SpecError) -> StoreError {
        StoreError::RunFile { path: self.folder.join(RUN_FILE), message: error.to_string() }
    }
}

/// The first keys in which two configs differ, without those that cannot change a result.
fn differing(there: &RunConfig, here: &RunConfig) -> Vec<String> {
    let (there, here) = (leaves(there), leaves(here));
    let mut keys: Vec<&String> = there.keys().chain(here.keys()).collect();
    keys.sort();
    keys.dedup();
    let show = |value: Option<&Value>| value.map_or_else(|| "absent".to_owned(), ToString::to_string);
    keys.into_iter()
        .filter(|key| there.get(*key) != here.get(*key))
        .take(MAX_DIFFERING)
        .map(|key| format!("{key} is {} there and {} here", show(there.get(key)), show(here.get(key))))
        .collect()
}

fn leaves(config: &RunConfig) -> BTreeMap<String, Value> {
    let mut config = config.clone();
    config.cluster = ClusterSpec { threads: config.cluster.threads, ..ClusterSpec::default() };
    let mut leaves = BTreeMap::new();
    collect(String::new(), serde_json::to_value(&config).unwrap_or_default(), &mut leaves);
    leaves
}

fn collect(key: String, value: Value, leaves: &mut BTreeMap<String, Value>) {
    let below = |name: &str| {
        if key.is_empty() { name.to_owned() } else { format!("{key}.{name}") }
    };
    match value {
        Value::Object(table) => {
            for (name, value) in table {
                collect(below(&name), value, leaves);
            }
        }
        Value::Array(list) => {
            for (index, value) in list.into_iter().enumerate() {
                collect(below(&index.to_string()), value, leaves);
            }
        }
        value @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => {
            leaves.insert(key, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differing_keys_are_dotted_and_name_both_values() {
        let there = RunConfig::default();
        let mut here = RunConfig { seed: 7, ..RunConfig::default() };
        here.reward.gamma = 0.25;
        here.cluster.listen = "0.0.0.0:1".into();
        assert_eq!(differing(&there, &here), ["reward.gamma is 0.5 there and 0.25 here", "seed is 0 there and 7 here"]);
    }

    #[test]
    fn no_more_than_five_keys_are_named() {
        let there = RunConfig::default();
        let mut here = RunConfig::default();
        here.data.horizon_days += 1;
        here.data.gap_days += 1;
        here.data.test_days += 1;
        here.data.max_users += 1;
        here.data.validation_days += 1;
        here.seed += 1;
        assert_eq!(differing(&there, &here).len(), 5);
    }
}
