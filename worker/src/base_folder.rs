//! Where a pretrained base lies: in a folder, or in the cache of the Hub, which is filled where files are missing.

use crate::error::WorkerError;
use conrec_domain::spec::{ModelSpec, RunSpec};
use conrec_policy::base_model::{BaseModel, vocabulary_size};
use conrec_policy::pretrained_files::{CONFIG, INDEX, TOKENIZER, WEIGHTS, weight_files};
use hf_hub::api::sync::{ApiBuilder, ApiError, ApiRepo};
use hf_hub::{Cache, Repo, RepoType};
use std::path::{Path, PathBuf};

/// Downloads are tried again so many times.
const RETRIES: usize = 3;

/// The Hub as this process may use it.
#[derive(Clone, Debug)]
pub struct Hub {
    /// Folder of the cache, in the layout of the Hub's own tools.
    pub cache: PathBuf,
    /// Whether nothing may be downloaded.
    pub offline: bool,
    /// Another server than the public one.
    pub endpoint: Option<String>,
}

/// Why no folder could be found.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// Neither a folder nor a name that the Hub could know.
    #[error(
        "model.base = {0:?}: no such folder, and no name on the Hub (expected OWNER/NAME of letters, digits, `-`, `_`, `.`)"
    )]
    NoSuchFolder(String),
    /// A cache without the files, and nothing may be downloaded.
    #[error("model.base = {base:?}: {file} of revision {revision} is not in the cache {}, and HF_HUB_OFFLINE forbids to download it; fetch it on a machine with a network and copy the cache, or name a folder", cache.display())]
    Offline {
        /// The name.
        base: String,
        /// The revision.
        revision: String,
        /// The first file that is missing.
        file: &'static str,
        /// Where it was looked for.
        cache: PathBuf,
    },
    /// A download failed.
    #[error(
        "model.base = {base:?}: {file} of revision {revision} cannot be downloaded: {source}; name a folder if this machine has no network"
    )]
    Download {
        /// The name.
        base: String,
        /// The revision.
        revision: String,
        /// The file.
        file: String,
        /// What the client says.
        source: Box<ApiError>,
    },
}

impl Hub {
    /// As the environment says: HF_HUB_CACHE, HF_HOME, HF_HUB_OFFLINE, HF_ENDPOINT.
    pub fn from_environment() -> Self {
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let cache = variable("HF_HUB_CACHE").map(PathBuf::from);
        Self {
            cache: cache.unwrap_or_else(|| Cache::from_env().path().clone()),
            offline: variable("HF_HUB_OFFLINE").is_some_and(|value| !["0", "false", "no"].contains(&value.as_str())),
            endpoint: variable("HF_ENDPOINT"),
        }
    }

    /// The folder with the base's files, after what is missing was downloaded.
    ///
    /// # Errors
    /// [`HubError`].
    pub fn folder(&self, model: &ModelSpec) -> Result<PathBuf, HubError> {
        let folder = PathBuf::from(&model.base);
        if folder.is_dir() {
            return Ok(folder);
        }
        if !model.may_be_on_the_hub() {
            return Err(HubError::NoSuchFolder(model.base.clone()));
        }
        let snapshot = self.snapshot(model);
        match snapshot.as_deref().map(missing_file) {
            Some(None) => Ok(snapshot.unwrap_or_default()),
            missing if self.offline => Err(HubError::Offline {
                base: model.base.clone(),
                revision: model.revision.clone(),
                file: missing.flatten().unwrap_or(CONFIG),
                cache: self.cache.clone(),
            }),
            _ => self.download(model),
        }
    }

    /// The revision's folder in the cache: a branch or tag is a file that holds the commit, a commit is itself.
    fn snapshot(&self, model: &ModelSpec) -> Option<PathBuf> {
        let of_model = self.cache.join(repo(model).folder_name());
        let commit = std::fs::read_to_string(of_model.join("refs").join(&model.revision));
        let commit = commit.map_or_else(|_| model.revision.clone(), |text| text.trim().to_owned());
        let plain = !commit.is_empty() && !commit.contains(['/', '\\', '.']);
        let snapshot = of_model.join("snapshots").join(commit);
        (plain && snapshot.is_dir()).then_some(snapshot)
    }

    fn download(&self, model: &ModelSpec) -> Result<PathBuf, HubError> {
        let failed = |file: &str, source| HubError::Download {
            base: model.base.clone(),
            revision: model.revision.clone(),
            file: file.to_owned(),
            source: Box::new(source),
        };
        let builder = ApiBuilder::from_cache(Cache::new(self.cache.clone())).with_progress(false).with_retries(RETRIES);
        let builder = match &self.endpoint {
            Some(endpoint) => builder.with_endpoint(endpoint.clone()),
            None => builder,
        };
        let api = builder.build().map_err(|e| failed(CONFIG, e))?.repo(repo(model));
        let get = |api: &ApiRepo, file: &str| api.get(file).map_err(|e| failed(file, e));
        let folder = get(&api, CONFIG)?.parent().map(Path::to_owned).unwrap_or_default();
        get(&api, TOKENIZER)?;
        if api.get(INDEX).is_err() {
            get(&api, WEIGHTS)?;
            return Ok(folder);
        }
        // An index that cannot be read is named when the weights are.
        for file in weight_files(&folder).unwrap_or_default() {
            get(&api, &file)?;
        }
        Ok(folder)
    }
}

/// What a run begins with: a shape from scratch, or the pretrained base that the spec names.
///
/// # Errors
/// A base that is not found, or cannot be used.
pub fn open_base(spec: &RunSpec) -> Result<BaseModel, WorkerError> {
    if !spec.model.is_pretrained() {
        return Ok(BaseModel::from_scratch(spec, vocabulary_size(spec))?);
    }
    let folder = Hub::from_environment().folder(&spec.model)?;
    tracing::info!(folder = %folder.display(), "loading the base");
    Ok(BaseModel::load(spec, &folder)?)
}

fn repo(model: &ModelSpec) -> Repo {
    Repo::with_revision(model.base.clone(), RepoType::Model, model.revision.clone())
}

/// The first file that a folder lacks.
fn missing_file(folder: &Path) -> Option<&'static str> {
    let lacks = |name: &str| !folder.join(name).exists();
    if let Some(name) = [CONFIG, TOKENIZER].into_iter().find(|name| lacks(name)) {
        return Some(name);
    }
    match weight_files(folder) {
        Ok(files) => files.iter().any(|name| lacks(name)).then_some("a file of the weights"),
        Err(_) => Some(INDEX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

    /// A cache as the Hub's own tools leave it: blobs, a snapshot of links to them, a branch that names the snapshot.
    fn cache() -> tempfile::TempDir {
        let cache = tempfile::tempdir().unwrap();
        let model = cache.path().join("models--someone--tiny");
        let snapshot = model.join("snapshots").join(COMMIT);
        for folder in [&model.join("blobs"), &model.join("refs"), &snapshot] {
            fs::create_dir_all(folder).unwrap();
        }
        fs::write(model.join("refs/main"), COMMIT).unwrap();
        for (i, name) in [CONFIG, TOKENIZER, WEIGHTS].into_iter().enumerate() {
            fs::write(model.join("blobs").join(i.to_string()), b"{}").unwrap();
            std::os::unix::fs::symlink(format!("../../blobs/{i}"), snapshot.join(name)).unwrap();
        }
        cache
    }

    fn folder(cache: &Path, base: &str, revision: &str) -> Result<PathBuf, String> {
        let hub = Hub { cache: cache.to_owned(), offline: true, endpoint: None };
        let model = ModelSpec { base: base.into(), revision: revision.into(), ..ModelSpec::default() };
        hub.folder(&model).map_err(|e| e.to_string())
    }

    #[test]
    fn a_cache_is_used_offline_by_branch_and_by_commit() {
        let cache = cache();
        for revision in ["main", COMMIT] {
            let found = folder(cache.path(), "someone/tiny", revision).unwrap();
            assert!(found.ends_with(format!("models--someone--tiny/snapshots/{COMMIT}")), "{found:?}");
            assert!(found.join(CONFIG).is_file());
        }
    }

    #[test]
    fn what_the_cache_lacks_is_named() {
        let cache = cache();
        let error = folder(cache.path(), "someone/tiny", "v2").unwrap_err();
        assert!(error.contains("config.json of revision v2 is not in the cache"), "{error}");
        assert!(error.contains("HF_HUB_OFFLINE"), "{error}");
        let error = folder(cache.path(), "someone/other", "main").unwrap_err();
        assert!(error.contains("model.base = \"someone/other\": config.json"), "{error}");
        fs::remove_file(cache.path().join("models--someone--tiny/blobs/2")).unwrap();
        let error = folder(cache.path(), "someone/tiny", "main").unwrap_err();
        assert!(error.contains("a file of the weights of revision main"), "{error}");
        assert!(folder(cache.path(), "someone/tiny", "../../..").is_err());
    }

    #[test]
    fn a_folder_is_taken_as_it_is_and_what_is_neither_is_refused() {
        let cache = cache();
        let place = cache.path().display().to_string();
        assert_eq!(folder(cache.path(), &place, "main").unwrap(), cache.path());
        for base in ["./nowhere", "/nowhere/at/all", "a/b/c", "some one/tiny", "../tiny"] {
            let error = folder(cache.path(), base, "main").unwrap_err();
            assert!(error.contains("no such folder, and no name on the Hub"), "{base}: {error}");
        }
    }
}
