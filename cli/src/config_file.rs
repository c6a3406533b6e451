//! Reads a run's config and gives the run its name.

use crate::args::ConfigArgs;
use crate::failure::Failure;
use conrec_coordinator::exit_code::ExitCode;
use conrec_domain::ids::{Digest, RunId};
use conrec_domain::spec::{RunConfig, RunSpec};
use std::path::Path;

/// Digits of the config's digest in a default run id.
const DIGITS: usize = 8;

/// Letters of the file's name in a default run id: with a dash and the digits at most the 63 that are allowed.
const LETTERS: usize = 63 - 1 - DIGITS;

/// Reads, lays `--set` over it, checks.
///
/// # Errors
/// The file cannot be read, is no config, or has values that are not allowed: exit code 78.
pub fn load(args: &ConfigArgs) -> Result<RunSpec, Failure> {
    let file = args.config.display();
    let text = std::fs::read_to_string(&args.config)
        .map_err(|error| Failure::new(ExitCode::BadConfig, format!("cannot read config {file}: {error}")))?;
    let config = RunConfig::parse_with(&text, &file.to_string(), &args.set)?;
    Ok(RunSpec::check(config)?)
}

/// The run's name: the one given, else the config file's name and the start of the config's digest. So the same command
/// names the same run, and another config another.
///
/// # Errors
/// Only when the config cannot be written as TOML.
pub fn run_id(given: Option<&RunId>, config: &Path, spec: &RunSpec) -> Result<RunId, Failure> {
    match given {
        Some(id) => Ok(id.clone()),
        None => default_id(config, spec.digest()?),
    }
}

fn default_id(config: &Path, digest: Digest) -> Result<RunId, Failure> {
    let stem = config.file_stem().map(|stem| stem.to_string_lossy().to_lowercase()).unwrap_or_default();
    let allowed: String = stem
        .chars()
        .map(|c| if c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.') { c } else { '-' })
        .collect();
    let name: String = allowed.trim_start_matches(['-', '_', '.']).chars().take(LETTERS).collect();
    let name = if name.is_empty() { "run" } else { &name };
    let digits: String = digest.to_string().chars().take(DIGITS).collect();
    format!("{name}-{digits}")
        .parse()
        .map_err(|error: conrec_domain::ids::RunIdError| Failure::new(ExitCode::Usage, error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(path: &str) -> String {
        default_id(Path::new(path), Digest([0xab; 32])).unwrap().to_string()
    }

    #[test]
    fn default_ids_are_stem_and_digest() {
        assert_eq!(id("configs/demo.toml"), "demo-abababab");
        assert_eq!(id("My Config (2).toml"), "my-config--2--abababab");
        assert_eq!(id("_hidden.toml"), "hidden-abababab");
        assert_eq!(id("🦀.toml"), "run-abababab");
    }

    #[test]
    fn long_names_are_cut_to_what_is_allowed() {
        assert_eq!(id(&"x".repeat(200)).len(), 63);
    }

    #[test]
    fn threads_and_values_change_the_id_but_addresses_do_not() {
        let digest = |change: fn(&mut RunConfig)| {
            let text = include_str!("../../configs/smoke.toml");
            let mut config = RunConfig::parse(text, "smoke.toml").unwrap();
            change(&mut config);
            RunSpec::check(config).unwrap().digest().unwrap()
        };
        let plain = digest(|_| {});
        assert_eq!(plain, digest(|c| c.cluster.listen = "127.0.0.1:7000".into()));
        assert_ne!(plain, digest(|c| c.cluster.threads += 1));
        assert_ne!(plain, digest(|c| c.seed += 1));
    }
}
