//! Opens files that people name, and nothing else: a pipe or a device would be waited for without end.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Opens a file for reading.
///
/// # Errors
/// What is not there, cannot be read, or is no file.
pub fn open(path: &Path) -> io::Result<File> {
    let kind = std::fs::metadata(path)?;
    if kind.is_file() {
        return File::open(path);
    }
    let found = if kind.is_dir() { "a folder" } else { "a pipe or a device" };
    Err(io::Error::new(io::ErrorKind::InvalidInput, format!("found {found}, expected a file")))
}

/// The bytes of a file.
///
/// # Errors
/// As [`open`].
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The text of a file.
///
/// # Errors
/// As [`open`], and bytes that are not UTF-8.
pub fn read_text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    open(path)?.read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_and_pipes_are_no_files() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "text").unwrap();
        assert_eq!((read(&file).unwrap(), read_text(&file).unwrap()), (b"text".to_vec(), "text".to_owned()));
        let said = |path: &Path| read(path).unwrap_err().to_string();
        assert_eq!(said(folder.path()), "found a folder, expected a file");
        let pipe = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        assert_eq!(said(&pipe), "found a pipe or a device, expected a file");
        assert_eq!(said(Path::new("/dev/null")), "found a pipe or a device, expected a file");
        assert!(open(&folder.path().join("absent")).is_err());
    }
}
