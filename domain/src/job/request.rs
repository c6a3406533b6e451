//! What was submitted: written once, by conditional create, before anything is started.

use super::{JobKey, Moment, VERSION};
use crate::ids::{Digest, RunId};
use crate::spec::{RunConfig, RunSpec, SpecError};
use serde::{Deserialize, Serialize};

/// `job/request.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobRequest {
    /// [`VERSION`] of the program that wrote it.
    pub version: u32,
    /// The key.
    pub key: JobKey,
    /// The run that the key names.
    pub run_id: RunId,
    /// Digest of the config, as the program that submitted it computed it.
    pub spec_digest: Digest,
    /// The whole config, with all that was laid over it, as TOML.
    pub config: String,
    /// Workers that the run waits for before it begins.
    pub workers: u32,
    /// Version of the code that submitted it.
    pub code_version: String,
    /// When.
    pub submitted: Moment,
    /// On which machine, for people.
    pub host: String,
}

/// Why a request cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// It holds no config that this program takes.
    #[error("the submitted config of run `{run_id}`: {source}")]
    Config {
        /// The run.
        run_id: RunId,
        /// What is wrong with it.
        source: SpecError,
    },
    /// It was written by a later program.
    #[error(
        "run `{run_id}` was submitted by a later version of conrec (records of version {found}, known are up to {VERSION}); use that version"
    )]
    Later {
        /// The run.
        run_id: RunId,
        /// Version found.
        found: u32,
    },
}

impl JobRequest {
    /// A request for a checked config.
    ///
    /// # Errors
    /// The config cannot be written as TOML.
    pub fn new(key: JobKey, spec: &RunSpec, workers: u32, code_version: &str) -> Result<Self, SpecError> {
        Ok(Self {
            version: VERSION,
            run_id: key.run_id().clone(),
            key,
            spec_digest: spec.digest()?,
            config: spec.to_toml()?,
            workers,
            code_version: code_version.to_owned(),
            submitted: Moment::default(),
            host: String::new(),
        })
    }

    /// The same, with when and where it was submitted.
    #[must_use]
    pub fn stamped(self, submitted: Moment, host: &str) -> Self {
        Self { submitted, host: host.to_owned(), ..self }
    }

    /// The config, checked anew.
    ///
    /// # Errors
    /// It was written by a later program, or is no config for this one.
    pub fn spec(&self) -> Result<RunSpec, RequestError> {
        if self.version > VERSION {
            return Err(RequestError::Later { run_id: self.run_id.clone(), found: self.version });
        }
        let config = RunConfig::parse(&self.config, "request.json").and_then(RunSpec::check);
        config.map_err(|source| RequestError::Config { run_id: self.run_id.clone(), source })
    }

    /// Whether this config gives the same results. Digests are computed anew: those of an earlier version of the code
    /// may count other keys.
    ///
    /// # Errors
    /// As [`JobRequest::spec`], or the config cannot be written as TOML.
    pub fn is_for(&self, spec: &RunSpec) -> Result<bool, RequestError> {
        let digest = |spec: &RunSpec| {
            spec.digest().map_err(|source| RequestError::Config { run_id: self.run_id.clone(), source })
        };
        Ok(digest(&self.spec()?)? == digest(spec)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(sets: &[&str]) -> RunSpec {
        let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
        let text = include_str!("../../../configs/smoke.toml");
        RunSpec::check(RunConfig::parse_with(text, "smoke.toml", &sets).unwrap()).unwrap()
    }

    #[test]
    fn a_request_knows_its_config_again_and_no_other() {
        let request = JobRequest::new("Nightly 7".parse().unwrap(), &spec(&[]), 2, "0.1.0").unwrap();
        let request = request.stamped(Moment(9), "here");
        let request: JobRequest = serde_json::from_str(&serde_json::to_string(&request).unwrap()).unwrap();
        assert_eq!((request.workers, request.submitted, request.run_id == *request.key.run_id()), (2, Moment(9), true));
        assert!(request.is_for(&spec(&[])).unwrap());
        assert!(request.is_for(&spec(&["cluster.listen=127.0.0.1:7000"])).unwrap(), "an address changes no result");
        assert!(!request.is_for(&spec(&["seed=1"])).unwrap());
    }

    #[test]
    fn a_request_of_another_digest_but_the_same_config_is_the_same() {
        let mut request = JobRequest::new("k".parse().unwrap(), &spec(&[]), 1, "0.1.0").unwrap();
        request.spec_digest = Digest([0; 32]);
        assert!(request.is_for(&spec(&[])).unwrap());
    }

    #[test]
    fn later_and_broken_requests_are_refused_by_name() {
        let request = JobRequest::new("k".parse().unwrap(), &spec(&[]), 1, "0.1.0").unwrap();
        let later = JobRequest { version: VERSION + 1, ..request.clone() };
        let broken = JobRequest { config: "seed = \"x\"".into(), ..request };
        for (request, words) in [(later, "later version"), (broken, "submitted config of run `k`")] {
            let error = request.spec().unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
