//! `run.toml`: the resolved config, which binds a run id to one result.

use super::{RunStore, StoreError};
use conrec_domain::ids::Digest;
use conrec_domain::spec::{RunConfig, RunSpec, SpecError};
use object_store::ObjectStoreExt;
use object_store::path::Path;
use serde_json::Value;
use std::collections::BTreeMap;

const RUN_FILE: &str = "run.toml";

/// Differing keys that an error names.
const MAX_DIFFERING: usize = 5;

impl RunStore {
    /// Writes `run.toml`, or checks that the one there gives the same results; answers the config's digest. A run id
    /// that came to nothing under its config (its data was bad, say) is bound to the new one.
    ///
    /// # Errors
    /// The run id belongs to another config, or the file there is no config, or the store fails.
    pub async fn claim(&self, spec: &RunSpec) -> Result<Digest, StoreError> {
        let own = |error: SpecError| self.run_file_error(&error);
        let digest = spec.digest().map_err(own)?;
        let text = spec.to_toml().map_err(own)?;
        if self.create(RUN_FILE, text.clone().into_bytes()).await? {
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
        self.hold.renew(self).await?;
        if self.hold.is_exclusive() && self.holds_no_work().await? {
            self.replace(RUN_FILE, text.into_bytes()).await?;
            tracing::info!(run = %self.run_id, "bound to another config: nothing was prepared or trained under the first");
            return Ok(digest);
        }
        Err(StoreError::OtherConfig { run_id: self.run_id.clone(), differing })
    }

    /// Whether nothing has come of the run that a config stands for: no prepared data, no committed iteration, no
    /// checkpoint or part of one, no report.
    async fn holds_no_work(&self) -> Result<bool, StoreError> {
        for key in ["prepared/manifest.json", "ledger.jsonl", "report.json"] {
            if self.read(key).await?.is_some_and(|content| !content.is_empty()) {
                return Ok(false);
            }
        }
        self.is_empty("checkpoints").await
    }

    /// Puts a whole new object in the place of one. Two coordinators that both did so would undo each other: only for
    /// the one that holds the run. Where there are no locks, a run id stays with its first config.
    async fn replace(&self, key: &str, content: Vec<u8>) -> Result<(), StoreError> {
        let put = self.objects.put(&Path::from(key), content.into()).await;
        put.map(drop).map_err(StoreError::unavailable("write", key))
    }

    fn run_file_error(&self, error: &SpecError) -> StoreError {
        StoreError::RunFile { place: self.place(RUN_FILE), message: error.to_string() }
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
    config.cluster = config.cluster.that_fixes_bits();
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
    use crate::store::hold::Hold;
    use conrec_store::Store;

    fn spec(set: &str) -> RunSpec {
        let stage = "[[stage]]\nname = \"a\"\nkind = \"next_item\"\niterations = 1\nprompts = 2\n\
                     prompts_per_lease = 1\nlearning_rate = 0.01\n";
        RunSpec::check(RunConfig::parse_with(stage, "test.toml", &[set.to_owned()]).unwrap()).unwrap()
    }

    async fn store(folder: &tempfile::TempDir) -> RunStore {
        let store = Store::make(folder.path().to_str().unwrap()).unwrap();
        RunStore::open(&store, &"run".parse().unwrap(), 1).await.unwrap()
    }

    async fn is_bound_to(store: &RunStore, spec: &RunSpec) -> bool {
        store.read(RUN_FILE).await.unwrap().unwrap() == spec.to_toml().unwrap().as_bytes()
    }

    #[tokio::test]
    async fn a_run_id_that_came_to_nothing_is_bound_anew() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (spec("seed=1"), spec("seed=2"));
        store(&folder).await.claim(&first).await.unwrap();
        // What a first attempt leaves that found no data.
        std::fs::create_dir_all(folder.path().join("run/prepared")).unwrap();
        std::fs::write(folder.path().join("run/ledger.jsonl"), "").unwrap();
        let store = store(&folder).await;
        assert_eq!(store.claim(&second).await.unwrap(), second.digest().unwrap());
        assert!(is_bound_to(&store, &second).await);
    }

    #[tokio::test]
    async fn a_run_id_with_work_stays_with_its_config() {
        let (first, second) = (spec("seed=1"), spec("seed=2"));
        let work = ["prepared/manifest.json", "ledger.jsonl", "report.json", "checkpoints/0000000001-000001/a.bin"];
        for key in work {
            let folder = tempfile::tempdir().unwrap();
            let store = store(&folder).await;
            store.claim(&first).await.unwrap();
            assert!(store.create(key, b"{}".to_vec()).await.unwrap());
            let error = store.claim(&second).await.unwrap_err();
            assert!(matches!(error, StoreError::OtherConfig { .. }), "{key}: {error}");
            assert!(is_bound_to(&store, &first).await, "{key}");
        }
    }

    #[tokio::test]
    async fn without_locks_a_run_id_stays_with_its_first_config() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = store(&folder).await;
        let Hold::Folder { folder: within, lock } = store.hold else { panic!("a folder is locked") };
        store.hold = Hold::Folder { folder: within, lock: lock.without_support() };
        store.claim(&spec("seed=1")).await.unwrap();
        let error = store.claim(&spec("seed=2")).await.unwrap_err();
        assert!(matches!(error, StoreError::OtherConfig { .. }), "{error}");
    }

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
