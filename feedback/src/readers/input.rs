//! Opens a file, unpacks gzip, and gives lines of bounded length.

use super::ReadError;
use crate::plain_file;
use flate2::read::MultiGzDecoder;
use std::cell::Cell;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::rc::Rc;

/// The longest record: a quote that is never closed would take in the rest of a file.
pub(super) const LONGEST_RECORD: u64 = 16 << 20;

/// How gzip begins.
pub(super) const GZIP: [u8; 2] = [0x1f, 0x8b];

/// A byte order mark, which some tools put before UTF-8.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// How UTF-16 and UTF-32 begin.
const WIDE_MARKS: [&[u8]; 2] = [b"\xff\xfe", b"\xfe\xff"];

/// A file's bytes, unpacked, without a byte order mark.
pub(super) fn open(path: &Path) -> Result<Box<dyn BufRead>, ReadError> {
    let mut input = unpacked(path)?;
    let mut first = Vec::with_capacity(MARK.len());
    // One call may give fewer bytes than there are.
    (&mut input).take(MARK.len() as u64).read_to_end(&mut first).map_err(|error| damaged(path, 0, &error))?;
    if WIDE_MARKS.iter().any(|mark| first.starts_with(mark)) {
        let message = "found the byte order mark of UTF-16, expected UTF-8; convert the file".to_owned();
        return Err(ReadError::Text { path: path.into(), message });
    }
    if first == MARK {
        return Ok(input);
    }
    Ok(Box::new(io::Cursor::new(first).chain(input)))
}

fn unpacked(path: &Path) -> Result<Box<dyn BufRead>, ReadError> {
    let failed = |source| ReadError::File { path: path.into(), source };
    let mut buffered = BufReader::with_capacity(1 << 16, plain_file::open(path).map_err(failed)?);
    // By its first bytes too: what was downloaded may have lost the ending.
    let named = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("gz"));
    let is_gzip = buffered.fill_buf().map_err(failed)?.starts_with(&GZIP) || named;
    Ok(match is_gzip {
        true => Box::new(BufReader::with_capacity(1 << 16, MultiGzDecoder::new(buffered))),
        false => Box::new(buffered),
    })
}

/// What went wrong in the middle of a file.
pub(super) fn damaged(path: &Path, rows: u64, error: &io::Error) -> ReadError {
    ReadError::Damaged { path: path.into(), rows, message: error.to_string() }
}

/// Gives each line without its end to `take`, with its number from 1.
pub(super) fn each_line(
    path: &Path,
    mut take: impl FnMut(u64, &[u8]) -> Result<(), ReadError>,
) -> Result<(), ReadError> {
    let mut input = open(path)?;
    let mut line = Vec::new();
    let mut number = 0;
    loop {
        line.clear();
        let read = (&mut input)
            .take(LONGEST_RECORD)
            .read_until(b'\n', &mut line)
            .map_err(|error| damaged(path, number, &error))?;
        if read == 0 {
            return Ok(());
        }
        if read as u64 == LONGEST_RECORD {
            return Err(damaged(path, number, &too_long()));
        }
        number += 1;
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        take(number, text.strip_suffix(b"\r").unwrap_or(text))?;
    }
}

fn too_long() -> io::Error {
    let size = LONGEST_RECORD >> 20;
    io::Error::new(io::ErrorKind::InvalidData, format!("a record is longer than {size} MiB; is a quote never closed?"))
}

/// Ends with an error when more than [`LONGEST_RECORD`] bytes are read without a call of [`Allowance::renew`].
pub(super) struct Bounded<R> {
    input: R,
    left: Rc<Cell<u64>>,
}

/// What renews the bytes that a [`Bounded`] may read.
pub(super) struct Allowance(Rc<Cell<u64>>);

impl Allowance {
    /// A record has ended.
    pub(super) fn renew(&self) {
        self.0.set(LONGEST_RECORD);
    }
}

impl<R: Read> Bounded<R> {
    pub(super) fn new(input: R) -> (Self, Allowance) {
        let left = Rc::new(Cell::new(LONGEST_RECORD));
        (Self { input, left: Rc::clone(&left) }, Allowance(left))
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(into)?;
        let left = self.left.get().checked_sub(read as u64).ok_or_else(too_long)?;
        self.left.set(left);
        Ok(read)
    }
}
