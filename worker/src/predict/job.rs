//! What is predicted, written beside the parts and into the result, so that another job never takes them for its own.

use crate::error::WorkerError;
use clap::ValueEnum;
use conrec_domain::ids::{Digest, RunId};
use conrec_feedback::dataset::Dataset;
use conrec_feedback::predict_sets;
use conrec_policy::atomic_write::write_atomically;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::str::FromStr;

/// Its file, in the folder of the parts.
const NAME: &str = "job.json";

/// All that the bytes of a job depend on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Job {
    /// Of this format.
    pub version: u32,
    /// The program's.
    pub code_version: String,
    /// The run.
    pub run: RunId,
    /// Digest of its config.
    pub config: Digest,
    /// Digest of the policy's state.
    pub state: Digest,
    /// The moment that is asked about.
    pub at: i64,
    /// Digest of the users' ids in order.
    pub users: Digest,
    /// Users in a part.
    pub users_per_part: u32,
    /// Parts.
    pub parts: u32,
    /// What users without negatives get.
    pub without_negatives: WithoutNegatives,
}

/// What users get who have disliked nothing before the moment that is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(super) enum WithoutNegatives {
    /// What all users disliked most in the last evaluation.share_days days, as source = fallback
    Fallback,
    /// No row
    Skip,
}

/// What stands where the result is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing, or the predict sets of another job, which give way.
    Free,
    /// This job's result, whole.
    Complete,
}

impl Job {
    /// The format that is written.
    pub const VERSION: u32 = 2;

    /// As it stands in files; the same job gives the same text.
    ///
    /// # Errors
    /// None that is known of.
    pub fn text(&self, file: &Path) -> Result<String, WorkerError> {
        serde_json::to_string(self).map_err(|e| WorkerError::file(file, e))
    }

    /// Looks at the place of the result.
    ///
    /// # Errors
    /// A file that is no predict sets: it is left alone.
    pub fn find(&self, out: &Path) -> Result<Found, WorkerError> {
        if !out.try_exists().map_err(|e| WorkerError::file(out, e))? {
            return Ok(Found::Free);
        }
        match predict_sets::made_from(out) {
            Ok(Some(text)) if text == self.text(out)? => Ok(Found::Complete),
            Ok(Some(_)) => Ok(Found::Free),
            Ok(None) | Err(_) => {
                let message = "there is a file that `conrec predict` did not write; remove it, or give another --out";
                Err(WorkerError::file(out, message))
            }
        }
    }

    /// Makes the folder this job's, or goes on with it.
    ///
    /// # Errors
    /// The folder holds the parts of another job, or cannot be written.
    pub fn claim(&self, parts: &Path) -> Result<(), WorkerError> {
        let file = parts.join(NAME);
        fs::create_dir_all(parts).map_err(|e| WorkerError::file(parts, e))?;
        match fs::read(&file) {
            Ok(found) if serde_json::from_slice::<Self>(&found).is_ok_and(|found| found == *self) => Ok(()),
            Ok(_) => Err(WorkerError::file(
                &file,
                "these are the parts of another job (another run, moment, list of users, size of parts or --without-negatives); \
                 remove the folder, or give another --out",
            )),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                Ok(write_atomically(&file, self.text(&file)?.as_bytes())?)
            }
            Err(error) => Err(WorkerError::file(&file, error)),
        }
    }
}

/// The users to predict for, by dense index: all, or those that a file names, in its order.
///
/// # Errors
/// The file cannot be read, or names a user twice or one that the data does not have.
pub(super) fn users(dataset: &Dataset, file: Option<&Path>) -> Result<Vec<u32>, WorkerError> {
    let Some(file) = file else { return Ok((0..dataset.users.len() as u32).collect()) };
    let text = fs::read_to_string(file).map_err(|e| WorkerError::file(file, e))?;
    let known: BTreeMap<&str, u32> = dataset.users.iter().zip(0..).map(|(key, user)| (key.as_str(), user)).collect();
    let mut taken = BTreeSet::new();
    let lines = text.lines().enumerate().map(|(i, line)| (i + 1, line.trim())).filter(|(_, line)| !line.is_empty());
    let find = |(line, key): (usize, &str)| {
        let refuse = |why| WorkerError::UserList { path: file.to_owned(), line, user: key.to_owned(), why };
        let user = known.get(key).copied();
        let user = user.ok_or_else(|| refuse(format!("is none of the run's {} users", dataset.users.len())))?;
        if taken.insert(user) { Ok(user) } else { Err(refuse("stands there twice".to_owned())) }
    };
    lines.map(find).collect()
}

/// Digest of the users' own ids, in order.
pub(super) fn digest(users: &[u32], dataset: &Dataset) -> Digest {
    let keys: Vec<&str> = users.iter().map(|user| dataset.users[*user as usize].as_str()).collect();
    Digest::of(keys.join("\n").as_bytes())
}

/// The parts of one of several processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Share {
    /// Which process, from 0.
    pub of: u32,
    /// How many there are.
    pub all: u32,
}

impl Share {
    /// Whether a part is this process's.
    pub fn holds(self, part: usize) -> bool {
        part % self.all.max(1) as usize == self.of as usize
    }
}

impl FromStr for Share {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refused = || format!("found `{text}`, expected K/N with K below N");
        let (of, all) = text.split_once('/').ok_or_else(refused)?;
        let (Ok(of), Ok(all)) = (of.parse(), all.parse()) else { return Err(refused()) };
        if of < all { Ok(Self { of, all }) } else { Err(refused()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use conrec_feedback::predict_sets::encode;

    fn job(at: i64) -> Job {
        let digest = Digest::of(b"x");
        let (run, code_version) = ("run".parse().unwrap(), "1".to_owned());
        let version = Job::VERSION;
        Job {
            version,
            code_version,
            run,
            config: digest,
            state: digest,
            at,
            users: digest,
            users_per_part: 2,
            parts: 3,
            without_negatives: WithoutNegatives::Fallback,
        }
    }

    #[test]
    fn a_folder_belongs_to_one_job() {
        let folder = tempfile::tempdir().unwrap();
        let parts = folder.path().join("out.parts");
        job(1).claim(&parts).unwrap();
        job(1).claim(&parts).unwrap();
        let skipping = Job { without_negatives: WithoutNegatives::Skip, ..job(1) };
        assert!(skipping.claim(&parts).is_err());
        let error = job(2).claim(&parts).unwrap_err().to_string();
        assert!(error.contains("another job") && error.contains("remove"), "{error}");
        fs::write(parts.join(NAME), b"{").unwrap();
        assert!(job(1).claim(&parts).is_err());
    }

    #[test]
    fn a_result_is_known_by_its_job_and_a_strange_file_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out.parquet");
        assert_eq!(job(1).find(&out).unwrap(), Found::Free);
        fs::write(&out, encode(&[], &job(1).text(&out).unwrap(), &out).unwrap()).unwrap();
        assert_eq!(job(1).find(&out).unwrap(), Found::Complete);
        assert_eq!(job(2).find(&out).unwrap(), Found::Free);
        fs::write(&out, "my thesis").unwrap();
        assert!(job(1).find(&out).unwrap_err().to_string().contains("did not write"));
    }

    #[test]
    fn every_part_is_one_processs() {
        for all in 1..5 {
            for part in 0..20 {
                let holders = (0..all).filter(|of| Share { of: *of, all }.holds(part)).count();
                assert_eq!(holders, 1);
            }
        }
        assert_eq!("1/3".parse(), Ok(Share { of: 1, all: 3 }));
        assert!("3/3".parse::<Share>().is_err() && "x".parse::<Share>().is_err());
    }

    #[test]
    fn users_are_found_by_their_own_ids_and_strangers_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let dataset = Dataset { users: vec!["ada".into(), "bob".into(), "cy".into()], ..Dataset::default() };
        assert_eq!(users(&dataset, None).unwrap(), [0, 1, 2]);
        let file = folder.path().join("users.txt");
        fs::write(&file, "cy\n\n ada \n").unwrap();
        assert_eq!(users(&dataset, Some(&file)).unwrap(), [2, 0]);
        for (text, line, user) in [("ada\ndan\n", "line 2", "`dan`"), ("ada\n\nada\n", "line 3", "`ada`")] {
            fs::write(&file, text).unwrap();
            let error = users(&dataset, Some(&file)).unwrap_err().to_string();
            assert!(error.contains(line) && error.contains(user), "{error}");
        }
    }
}
