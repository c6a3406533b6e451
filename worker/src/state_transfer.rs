//! A newcomer gets the training state from a member that holds it, by broadcast over the roster's collective.

use crate::collective::Collective;
use crate::error::WorkerError;
use conrec_domain::spec::RunSpec;
use conrec_policy::base_model::BaseModel;
use conrec_policy::training_state::TrainingState;

/// The parts' names and lengths come first, in this many bytes at most.
const MOST_HEADER_BYTES: usize = 64 * 1024;

/// Sends the state, as every member but the newcomers must take part in it: `root` sends, the others let it pass by.
///
/// # Errors
/// A collective that fails, or a state that cannot be written.
pub fn share(collective: &dyn Collective, root: u32, state: &TrainingState) -> Result<(), WorkerError> {
    let mut content = if collective.rank() == root { packed(state)? } else { Vec::new() };
    exchange(collective, root, &mut content)
}

/// Takes the state from `root`.
///
/// # Errors
/// A collective that fails, or bytes that are no state of this config.
pub fn receive(
    collective: &dyn Collective,
    root: u32,
    (spec, base): (&RunSpec, &BaseModel),
) -> Result<TrainingState, WorkerError> {
    let mut content = Vec::new();
    exchange(collective, root, &mut content)?;
    let parts = unpacked(&content)?;
    let find = |name: &str| parts.iter().find(|(n, _)| n == name).map(|(_, bytes)| *bytes);
    Ok(TrainingState::from_parts(spec, base, &find)?)
}

/// First the length, then the bytes: all members must give the same number of them.
fn exchange(collective: &dyn Collective, root: u32, content: &mut Vec<u8>) -> Result<(), WorkerError> {
    let mut length = (content.len() as u64).to_le_bytes();
    collective.broadcast(&mut length, root)?;
    let length = usize::try_from(u64::from_le_bytes(length)).unwrap_or(usize::MAX);
    if collective.rank() != root {
        let too_long = |_| damaged(format!("{length} bytes of state do not fit into memory"));
        content.try_reserve_exact(length).map_err(too_long)?;
        content.resize(length, 0);
    }
    Ok(collective.broadcast(content, root)?)
}

/// The header's length, the header (names and lengths as JSON), the parts.
fn packed(state: &TrainingState) -> Result<Vec<u8>, WorkerError> {
    let parts = state.to_parts()?;
    let header: Vec<(&str, usize)> = parts.iter().map(|(name, bytes)| (*name, bytes.len())).collect();
    let header = serde_json::to_vec(&header).map_err(|e| WorkerError::Protocol(e.to_string()))?;
    let mut content = (header.len() as u64).to_le_bytes().to_vec();
    content.extend(header);
    parts.into_iter().for_each(|(_, bytes)| content.extend(bytes));
    Ok(content)
}

fn unpacked(content: &[u8]) -> Result<Vec<(String, &[u8])>, WorkerError> {
    let short = || damaged(format!("{} bytes are too few", content.len()));
    let (length, rest) = content.split_first_chunk::<8>().ok_or_else(short)?;
    let length = usize::try_from(u64::from_le_bytes(*length)).unwrap_or(usize::MAX);
    let (header, mut rest) = rest.split_at_checked(length).filter(|_| length <= MOST_HEADER_BYTES).ok_or_else(short)?;
    let header: Vec<(String, usize)> = serde_json::from_slice(header).map_err(|e| damaged(e.to_string()))?;
    let mut parts = Vec::new();
    for (name, length) in header {
        let (bytes, after) = rest.split_at_checked(length).ok_or_else(short)?;
        parts.push((name, bytes));
        rest = after;
    }
    Ok(parts)
}

fn damaged(message: String) -> WorkerError {
    WorkerError::Protocol(format!("the state that was broadcast cannot be read: {message}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_no_state_are_refused_with_a_sentence() {
        let mut long = 1_000_000u64.to_le_bytes().to_vec();
        long.extend(vec![b' '; 2_000_000]);
        let torn = [&13u64.to_le_bytes()[..], b"[[\"base\",900]]"].concat();
        for bytes in [&b""[..], b"1234567", &u64::MAX.to_le_bytes(), &long, &torn] {
            let error = unpacked(bytes).unwrap_err().to_string();
            assert!(error.starts_with("the state that was broadcast cannot be read: "), "{error}");
        }
    }

    #[test]
    fn parts_come_back_as_they_were_packed() {
        let header = br#"[["a",2],["b",3]]"#;
        let bytes = [&(header.len() as u64).to_le_bytes()[..], header, b"xyuvw"].concat();
        let parts = unpacked(&bytes).unwrap();
        assert_eq!(parts, [("a".to_owned(), &b"xy"[..]), ("b".to_owned(), &b"uvw"[..])]);
    }
}
