//! What a store's URL means, before anything is opened. Secrets have no place in it and are never repeated.

use std::fmt;
use std::path::PathBuf;

/// What is accepted, for messages.
const EXPECTED: &str =
    "a folder (./runs), file:///path, s3://bucket/prefix, az://container/prefix or gs://bucket/prefix";

/// Where runs are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// A folder of this machine, or one that is mounted.
    Folder(PathBuf),
    /// The memory of one process.
    Memory,
    /// A bucket or container of a cloud, or of a server that speaks its language.
    Cloud(Cloud),
}

/// A place in a cloud.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cloud {
    /// Whose language is spoken.
    pub(crate) kind: CloudKind,
    /// As the user gave it: `s3`, `abfss`.
    scheme: String,
    /// Bucket or container, with the account where it is named.
    bucket: String,
    /// Path below the bucket, without slashes at its ends; may be empty.
    pub(crate) prefix: String,
}

/// Whose language is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloudKind {
    /// Amazon S3 and what is like it.
    S3,
    /// Azure Blob Storage.
    Azure,
    /// Google Cloud Storage.
    Google,
}

/// A URL that means no store.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("store `{url}`: {found}; expected {EXPECTED}")]
pub struct UrlError {
    /// As the user gave it, without what may be secret.
    url: String,
    /// What is wrong with it.
    found: String,
}

impl Location {
    /// Reads a URL or the path of a folder.
    ///
    /// # Errors
    /// Another scheme, no bucket, or credentials within the URL.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        let refuse = |found: &str| Err(UrlError { url: harmless(text), found: found.to_owned() });
        let Some((scheme, rest)) = text.split_once("://") else {
            return if text.is_empty() { refuse("it is empty") } else { Ok(Self::Folder(PathBuf::from(text))) };
        };
        let kind = match scheme {
            "file" if rest.starts_with('/') => return Ok(Self::Folder(PathBuf::from(rest))),
            "file" => return refuse("a file URL with a host"),
            "memory" if rest.is_empty() || rest == "/" => return Ok(Self::Memory),
            "memory" => return refuse("a memory URL with a name"),
            "s3" | "s3a" => CloudKind::S3,
            "az" | "azure" | "adl" | "abfs" | "abfss" => CloudKind::Azure,
            "gs" => CloudKind::Google,
            _ => return refuse("a kind of URL that is not known"),
        };
        if rest.contains(['?', '#']) {
            return refuse("a query; credentials and settings belong into the environment");
        }
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() {
            return refuse("no bucket is named");
        }
        // Azure's long form is container@account.host; everything else before an @ would be a user and a password.
        let account = kind == CloudKind::Azure && bucket.matches('@').count() == 1;
        if bucket.contains(':') || (bucket.contains('@') && !account) {
            return refuse("a user, password or port in the URL; credentials and endpoint belong into the environment");
        }
        let (scheme, bucket) = (scheme.to_owned(), bucket.to_owned());
        let prefix = prefix.trim_matches('/').to_owned();
        Ok(Self::Cloud(Cloud { kind, scheme, bucket, prefix }))
    }
}

impl Location {
    /// Refuses a place that only one process sees.
    pub(crate) fn shared(self) -> Result<Self, UrlError> {
        match self {
            Self::Memory => Err(UrlError {
                url: self.to_string(),
                found: "the memory of one process, while a run has several: its coordinator and its workers".into(),
            }),
            Self::Folder(_) | Self::Cloud(_) => Ok(self),
        }
    }
}

impl Cloud {
    /// Scheme and bucket, without the prefix.
    pub(crate) fn root(&self) -> String {
        format!("{}://{}", self.scheme, self.bucket)
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => write!(f, "file://{}", path.display()),
            Self::Memory => f.write_str("memory:///"),
            Self::Cloud(cloud) if cloud.prefix.is_empty() => f.write_str(&cloud.root()),
            Self::Cloud(cloud) => write!(f, "{}/{}", cloud.root(), cloud.prefix),
        }
    }
}

/// A URL without user, password and query.
fn harmless(text: &str) -> String {
    let text = text.split(['?', '#']).next().unwrap_or_default();
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let (host, path) = rest.split_once('/').map_or((rest, String::new()), |(host, path)| (host, format!("/{path}")));
    let host = host.rsplit_once('@').map_or_else(|| host.to_owned(), |(_, host)| format!("…@{host}"));
    format!("{scheme}://{host}{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_paths_and_file_urls_are_folders() {
        assert_eq!(Location::parse("./runs").unwrap(), Location::Folder("./runs".into()));
        assert_eq!(Location::parse("file:///a/b").unwrap(), Location::Folder("/a/b".into()));
    }

    #[test]
    fn urls_of_clouds_keep_their_form() {
        for url in ["s3://bucket/a/b", "gs://bucket", "az://container/a", "abfss://c@account.dfs.core.windows.net/a"] {
            let location = Location::parse(url).unwrap();
            assert!(matches!(&location, Location::Cloud(_)), "{url}");
            assert_eq!(location.to_string(), url);
        }
        assert_eq!(Location::parse("s3://bucket/runs/").unwrap().to_string(), "s3://bucket/runs");
    }

    #[test]
    fn the_memory_of_a_process_is_refused_where_there_are_several() {
        let location = Location::parse("memory:///").unwrap();
        assert_eq!(location, Location::Memory);
        let error = location.shared().unwrap_err().to_string();
        assert!(error.contains("`memory:///`") && error.contains("several"), "{error}");
    }

    #[test]
    fn other_urls_are_refused_with_what_is_expected() {
        for url in ["ftp://host/runs", "file://host/runs", "", "s3:///runs", "https://host/bucket", "memory://name"] {
            let error = Location::parse(url).unwrap_err().to_string();
            assert!(error.contains(&format!("`{url}`")) && error.contains("s3://bucket/prefix"), "{error}");
        }
    }

    #[test]
    fn secrets_in_a_url_are_refused_and_not_repeated() {
        for url in
            ["s3://key:secret@bucket/runs", "gs://secret@bucket", "az://c/runs?sig=secret", "az://a@b:secret@c/d"]
        {
            let error = Location::parse(url).unwrap_err().to_string();
            assert!(!error.contains("secret") && error.contains("environment"), "{error}");
        }
    }
}
