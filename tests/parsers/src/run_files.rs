//! What lies in a run's folder: manifests, ledger, metrics, report.

use conrec_domain::audit::{Evidence, LEDGER, METRICS, Reported, audit, read_lines};
use conrec_domain::ids::{Digest, RunId};
use conrec_domain::manifest::Manifest;
use conrec_domain::spec::{RunConfig, RunSpec};
use conrec_domain::work::{Pass, Prepared, PreparedPass};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Between the files of an input of [`audited`].
pub(crate) const BREAK: &[u8] = b"\n====\n";

const CONFIG: &str = include_str!("../../configs/tiny.toml");

/// Reads a value, writes it and reads it again.
pub(crate) fn read<T: DeserializeOwned + Serialize>(bytes: &[u8]) -> Option<T> {
    let value: T = serde_json::from_slice(bytes).ok()?;
    let text = serde_json::to_string(&value).unwrap_or_default();
    let again = serde_json::from_str::<T>(&text).ok().and_then(|again| serde_json::to_string(&again).ok());
    assert_eq!(again.as_deref(), Some(text.as_str()));
    Some(value)
}

/// The manifest of a checkpoint, and that of the prepared data. The checkpoint's is read with its digest, as it always is,
/// and without: hardly any mutation fits a digest.
pub(crate) fn manifest(bytes: &[u8]) {
    if let Ok(manifest) = Manifest::parse(bytes) {
        assert!(manifest.to_json().is_ok_and(|again| Manifest::parse(again.to_string().as_bytes()).is_ok()));
    }
    if let Some(manifest) = read::<Manifest>(bytes) {
        let _ = Manifest::key(manifest.iteration, manifest.fence);
        let _ = manifest.cursor.next_action();
        if let Some(spec) = spec() {
            let _ = manifest.cursor.iterations_planned(&spec);
        }
    }
    let _ = read::<Prepared>(bytes);
}

/// Ledger, metrics, a manifest, the prepared data's manifest and a report, audited together.
pub(crate) fn audited(bytes: &[u8]) {
    let (Some(spec), Ok(run_id)) = (spec(), "fuzz".parse::<RunId>()) else {
        return;
    };
    let mut files = split(bytes).into_iter();
    let mut next = || files.next().unwrap_or_default();
    let (ledger, _) = read_lines(LEDGER, next());
    let (metrics, _) = read_lines(METRICS, next());
    let manifests: Vec<(String, Manifest)> =
        serde_json::from_slice(next()).map(|manifest| ("checkpoints/a".to_owned(), manifest)).into_iter().collect();
    let prepared = serde_json::from_slice(next()).unwrap_or_else(|_| some_prepared());
    let report: Option<Reported> = serde_json::from_slice(next()).ok();
    let found = audit(&Evidence {
        run_id: &run_id,
        spec: &spec,
        prepared: &prepared,
        ledger: &ledger,
        metrics: &metrics,
        manifests: &manifests,
        report: report.as_ref(),
    });
    for finding in found.findings {
        assert!(!finding.to_string().is_empty());
    }
}

pub(crate) fn split(bytes: &[u8]) -> Vec<&[u8]> {
    let (mut parts, mut rest) = (Vec::new(), bytes);
    while let Some(at) = rest.windows(BREAK.len()).position(|window| window == BREAK) {
        parts.push(&rest[..=at]);
        rest = &rest[at + BREAK.len()..];
    }
    parts.push(rest);
    parts
}

pub(crate) fn spec() -> Option<RunSpec> {
    RunConfig::parse(CONFIG, "tiny.toml").and_then(RunSpec::check).ok()
}

fn some_prepared() -> Prepared {
    let pass = |pass| PreparedPass { pass, prompts: vec![600, 200, 100, 300] };
    Prepared {
        data_digest: Digest::of(b"data"),
        passes: vec![pass(Pass::Select), pass(Pass::Refit)],
        validation_instances: 10,
        test_instances: 10,
        summary: Vec::new(),
    }
}
