//! The shipped configs: they parse, they are allowed, and the one that documents every key documents every key.
#![allow(clippy::unwrap_used, clippy::panic, reason = "clippy allows them in tests, but not in what tests share")]

use conrec_domain::spec::{Context, RunConfig, RunSpec, Source, StageKind};
use std::collections::BTreeSet;

const DEMO: &str = include_str!("../../configs/demo.toml");
const SMOKE: &str = include_str!("../../configs/smoke.toml");
const NIGHTLY: &str = include_str!("../../configs/nightly.toml");
const SMOLLM2: &str = include_str!("../../configs/smollm2.toml");
const SYNTHETIC: &str = include_str!("../../configs/synthetic.toml");

fn checked(text: &str, name: &str) -> RunSpec {
    let config = RunConfig::parse(text, name).unwrap_or_else(|error| panic!("{error}"));
    RunSpec::check(config).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Dotted keys of a value; `stage` is a list of one table, the first.
fn keys(prefix: &str, value: &serde_json::Value, found: &mut BTreeSet<String>) {
    let below = |name: &str| if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") };
    match value {
        serde_json::Value::Object(table) => table.iter().for_each(|(name, value)| keys(&below(name), value, found)),
        serde_json::Value::Array(list) if list.first().is_some_and(serde_json::Value::is_object) => {
            list.iter().take(1).for_each(|first| keys(prefix, first, found));
        }
        _ => {
            found.insert(prefix.to_owned());
        }
    }
}

/// Keys that stand in the text, in the section they stand in.
fn written(text: &str) -> BTreeSet<String> {
    let mut section = String::new();
    let mut found = BTreeSet::new();
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
        if line.starts_with('[') {
            section = line.split('#').next().unwrap().trim().trim_matches(['[', ']']).to_owned();
        } else if let Some((key, _)) = line.split_once('=') {
            let key = key.trim();
            found.insert(if section.is_empty() { key.to_owned() } else { format!("{section}.{key}") });
        }
    }
    found
}

#[test]
fn all_are_allowed() {
    let all = [
        (DEMO, "demo.toml"),
        (SMOKE, "smoke.toml"),
        (NIGHTLY, "nightly.toml"),
        (SMOLLM2, "smollm2.toml"),
        (SYNTHETIC, "synthetic.toml"),
    ];
    for (text, name) in all {
        let spec = checked(text, name);
        assert!(spec.stage.iter().any(|stage| stage.kind == StageKind::Grpo), "{name}");
    }
    assert_eq!(checked(SYNTHETIC, "synthetic.toml").data.source, Source::Synthetic);
}

/// A report without strong baselines says nothing: the configs that people begin with have them on.
#[test]
fn every_shipped_config_is_allowed_and_holds_ours_against_tuned_baselines_and_sasrec() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs");
    let mut found = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        let spec = checked(&text, &name);
        // What trains every night is held against what serves.
        let is_nightly = text.contains("\n[nightly]");
        // Made-up users are for finding out whether the trainer works, not who is better.
        let is_made_up = spec.data.source == Source::Synthetic;
        assert!(is_made_up || is_nightly || (spec.baseline.tune && spec.baseline.sasrec.enabled), "{name}");
        found += 1;
    }
    assert!(found >= 8, "{found}");
}

#[test]
fn demo_writes_every_key_there_is() {
    let mut config = (*checked(DEMO, "demo.toml")).clone();
    // Left out of what is written where they ask for nothing.
    (config.data.from, config.data.until) = ("2013-02-28".into(), "2013-09-07".into());
    (config.warm_start.run, config.nightly.predict) = ("earlier".into(), !config.nightly.predict);
    (config.evaluation.tolerance_errors, config.stage[0].held_out) = (1.0, 0.1);
    let mut expected = BTreeSet::new();
    keys("", &serde_json::to_value(config).unwrap(), &mut expected);
    assert_eq!(written(DEMO), expected);
}

#[test]
fn demo_has_the_defaults_where_it_does_not_say_otherwise() {
    let mut config = (*checked(DEMO, "demo.toml")).clone();
    config.stage.clear();
    // It turns on what costs time, and says so.
    (config.baseline.tune, config.baseline.sasrec.enabled) = (false, false);
    assert_eq!(config, RunConfig::default());
}

#[test]
fn the_curriculum_grows_the_context() {
    for text in [DEMO, SMOKE, SYNTHETIC] {
        let spec = checked(text, "config");
        let grpo: Vec<Context> =
            spec.stage.iter().filter(|s| s.kind == StageKind::Grpo).map(|stage| stage.context).collect();
        assert_eq!(grpo, [Context::Negatives3d, Context::Negatives, Context::All]);
    }
}
