//! Which folder a store's URL means.

use super::StoreError;
use std::path::PathBuf;

/// The folder that `./runs` or `file:///path` means; the path after `file://` is taken as it stands.
///
/// # Errors
/// Any other scheme: those stores come later.
pub fn local_folder(url: &str) -> Result<PathBuf, StoreError> {
    let path = match url.split_once("://") {
        Some(("file", path)) if path.starts_with('/') => path,
        Some(_) => "",
        None => url,
    };
    if path.is_empty() {
        return Err(StoreError::Url { url: url.to_owned() });
    }
    Ok(PathBuf::from(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_paths_and_file_urls_are_folders() {
        assert_eq!(local_folder("./runs").unwrap(), PathBuf::from("./runs"));
        assert_eq!(local_folder("file:///a/b").unwrap(), PathBuf::from("/a/b"));
    }

    #[test]
    fn other_stores_are_refused_by_name() {
        for url in ["s3://bucket/runs", "file://host/runs", ""] {
            let error = local_folder(url).unwrap_err().to_string();
            assert!(error.contains(&format!("`{url}`")) && error.contains("later"), "{error}");
        }
    }
}
