//! What a run's files say of how far it is and how it ended, to be compared with another run's.

use serde_json::Value;
use std::fs;
use std::path::Path;

/// Iterations in the ledger of the run in this folder.
pub fn committed(run: &Path) -> usize {
    fs::read_to_string(run.join("ledger.jsonl")).map_or(0, |text| text.lines().count())
}

/// The iteration of the newest checkpoint of the run in this folder; 0 without one.
pub fn newest_checkpoint(run: &Path) -> usize {
    let folders = fs::read_dir(run.join("checkpoints")).into_iter().flatten().flatten();
    let manifests = folders.filter_map(|folder| fs::read(folder.path().join("manifest.json")).ok());
    let iterations = manifests.filter_map(|text| serde_json::from_slice::<Value>(&text).ok()?["iteration"].as_u64());
    iterations.max().unwrap_or(0) as usize
}

/// What must be equal for any number of workers and any faults: the report (state digest, iterations, test metrics)
/// without the time that it took, and the ledger without fences.
///
/// # Errors
/// The run is not complete, or its files are no JSON.
pub fn outcome(run: &Path) -> Result<[Value; 2], String> {
    let read = |name: &str| {
        let path = run.join(name);
        fs::read_to_string(&path).map_err(|error| format!("cannot read {}: {error}", path.display()))
    };
    let without = |text: &str, key: &str| {
        let mut value: Value = serde_json::from_str(text).map_err(|error| format!("{error} in {text}"))?;
        value.as_object_mut().ok_or_else(|| format!("no object: {text}"))?.remove(key);
        Ok::<_, String>(value)
    };
    let report = without(&read("report.json")?, "wall_seconds")?;
    let ledger = read("ledger.jsonl")?.lines().map(|line| without(line, "fence")).collect::<Result<Value, _>>()?;
    Ok([report, ledger])
}
