//! Reads a file of JSON lines, such as ledger and metrics: what cannot be read is a finding, never the end.

use super::{Finding, Found, Place};
use serde::de::DeserializeOwned;

/// Something with the number of its line; the first line is 1.
pub type Numbered<T> = (usize, T);

/// Letters of an error that are shown; a foreign file may hold anything.
const SHOWN: usize = 200;

/// The lines of a file, and what is wrong with those that are left out.
pub fn read_lines<T: DeserializeOwned>(file: &'static str, bytes: &[u8]) -> (Vec<Numbered<T>>, Vec<Found>) {
    let (mut lines, mut findings) = (Vec::new(), Vec::new());
    for (index, line) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let number = index + 1;
        let place = Place::line(file, number);
        let Some(whole) = line.strip_suffix(b"\n") else {
            findings.push(Found { place, what: Finding::CutOff });
            break;
        };
        match serde_json::from_slice(whole) {
            Ok(value) => lines.push((number, value)),
            Err(error) => {
                let message = error.to_string().chars().take(SHOWN).collect();
                findings.push(Found { place, what: Finding::Unreadable { message } });
            }
        }
    }
    (lines, findings)
}
