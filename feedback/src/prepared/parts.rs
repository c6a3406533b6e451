//! The files of a folder that is whole or not there: each written under a temporary name and renamed, with its size and
//! SHA-256 for the manifest that comes last. Nothing here holds a whole file in memory.

use super::PreparedError;
use conrec_domain::ids::Digest;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{BufWriter, Read as _, Write};
use std::path::{Path, PathBuf};

/// Bytes read at a time.
const CHUNK: usize = 1 << 16;

/// Size and digest of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Part {
    pub(crate) name: String,
    bytes: u64,
    sha256: Digest,
}

/// A file that is being written; nobody sees it before [`PartWriter::finish`].
pub(crate) struct PartWriter {
    name: String,
    file: PathBuf,
    temporary: PathBuf,
    writer: BufWriter<File>,
    hash: Sha256,
    bytes: u64,
}

impl PartWriter {
    pub(crate) fn create(folder: &Path, name: &str) -> Result<Self, PreparedError> {
        let (file, temporary) = (folder.join(name), folder.join(format!(".{name}.part")));
        let created = File::create(&temporary).map_err(|source| PreparedError::Write { file: file.clone(), source })?;
        let writer = BufWriter::with_capacity(CHUNK, created);
        Ok(Self { name: name.to_owned(), file, temporary, writer, hash: Sha256::new(), bytes: 0 })
    }

    /// Where the file will be, for errors.
    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    /// Appends bytes.
    pub(crate) fn put(&mut self, bytes: &[u8]) -> Result<(), PreparedError> {
        self.write_all(bytes).map_err(|source| PreparedError::Write { file: self.file.clone(), source })
    }

    /// Gives the file its name.
    pub(crate) fn finish(self) -> Result<Part, PreparedError> {
        let Self { name, file, temporary, mut writer, hash, bytes } = self;
        let written = writer.flush().and_then(|()| std::fs::rename(&temporary, &file));
        written.map_err(|source| PreparedError::Write { file, source })?;
        Ok(Part { name, bytes, sha256: Digest(hash.finalize().into()) })
    }
}

impl Write for PartWriter {
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
        let written = self.writer.write(buffer)?;
        self.hash.update(&buffer[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.writer.flush()
    }
}

/// Writes a file as a whole.
pub(crate) fn write(folder: &Path, name: &str, bytes: &[u8]) -> Result<Part, PreparedError> {
    let mut part = PartWriter::create(folder, name)?;
    part.put(bytes)?;
    part.finish()
}

/// Reads a file as a whole.
pub(crate) fn read(file: &Path) -> Result<Vec<u8>, PreparedError> {
    std::fs::read(file).map_err(|source| PreparedError::File { file: file.to_owned(), source })
}

/// The folder that files are to be written into, made if need be.
pub(crate) fn make_folder(folder: &Path) -> Result<(), PreparedError> {
    std::fs::create_dir_all(folder).map_err(|source| PreparedError::Write { file: folder.to_owned(), source })
}

impl Part {
    /// Goes over the file's bytes, which `each` gets a chunk at a time; an error unless they are the ones written.
    pub(crate) fn verified(&self, folder: &Path, mut each: impl FnMut(&[u8])) -> Result<(), PreparedError> {
        let file = folder.join(&self.name);
        let unreadable = |source| PreparedError::File { file: file.clone(), source };
        let mut opened = File::open(&file).map_err(unreadable)?;
        let bytes = opened.metadata().map_err(unreadable)?.len();
        if bytes != self.bytes {
            let (found, expected) = (format!("{bytes} bytes"), format!("{} bytes", self.bytes));
            return Err(PreparedError::Damaged { file, found, expected });
        }
        let (mut hash, mut buffer) = (Sha256::new(), vec![0; CHUNK]);
        loop {
            let read = opened.read(&mut buffer).map_err(unreadable)?;
            if read == 0 {
                break;
            }
            hash.update(&buffer[..read]);
            each(&buffer[..read]);
        }
        let found = Digest(hash.finalize().into());
        if found != self.sha256 {
            let (found, expected) = (format!("SHA-256 {found}"), format!("{}", self.sha256));
            return Err(PreparedError::Damaged { file, found, expected });
        }
        Ok(())
    }

    /// What of the part enters the digest of a folder, before its bytes.
    pub(crate) fn head(&self) -> (&str, u64) {
        (&self.name, self.bytes)
    }

    /// A name is looked up below the folder: it must not lead out of it.
    pub(crate) fn leads_out(&self) -> bool {
        Path::new(&self.name).file_name() != Some(self.name.as_ref())
    }
}
