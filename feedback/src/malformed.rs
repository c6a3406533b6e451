//! Lines that cannot be read, counted by what is wrong with them: one kind of mistake is told once, however often it comes.

use serde::{Deserialize, Serialize};

/// Kinds that are told apart; those that come after them are counted as one more.
const KINDS: usize = 8;

/// Lines with the same mistake.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MalformedKind {
    /// What is wrong, without what differs from line to line; empty for all kinds beyond the first.
    pub kind: String,
    /// How many lines have it.
    pub lines: u64,
    /// `file:line: reason` of the first of them.
    pub first: String,
}

/// Counts a line; `place` is asked for only where it is the first of its kind.
pub fn count(kinds: &mut Vec<MalformedKind>, reason: &str, place: impl FnOnce() -> String) {
    let kind = kind_of(reason);
    let is_known = kinds.iter().any(|known| known.kind == kind);
    let kind = if is_known || kinds.len() < KINDS { kind } else { String::new() };
    match kinds.iter_mut().find(|known| known.kind == kind) {
        Some(known) => known.lines += 1,
        None => kinds.push(MalformedKind { kind, lines: 1, first: format!("{}: {reason}", place()) }),
    }
}

/// A sentence part that counts each kind and shows its first line; a single kind's line alone.
pub fn told(kinds: &[MalformedKind]) -> String {
    match kinds {
        [only] => only.first.clone(),
        several => {
            let one = |kind: &MalformedKind| format!("{} like {}", kind.lines, kind.first);
            several.iter().map(one).collect::<Vec<_>>().join("; ")
        }
    }
}

/// A reason without what it quotes and without its numbers.
fn kind_of(reason: &str) -> String {
    let unquoted: String = reason.split('`').step_by(2).collect::<Vec<_>>().join("`");
    unquoted.chars().filter(|c| !c.is_ascii_digit()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_mistake_is_one_kind_however_it_is_filled_in() {
        let mut kinds = Vec::new();
        let reasons =
            ["found rating `five`, expected a number", "found 3 fields, expected 4", "found an empty user id"];
        for line in 0..30 {
            let reason = match line % 3 {
                0 => format!("found rating `x{line}`, expected a number"),
                1 => format!("found {line} fields, expected 4"),
                _ => reasons[2].to_owned(),
            };
            count(&mut kinds, &reason, || format!("e.csv:{line}"));
        }
        assert_eq!(kinds.iter().map(|kind| kind.lines).collect::<Vec<_>>(), [10, 10, 10]);
        assert_eq!(
            told(&kinds),
            "10 like e.csv:0: found rating `x0`, expected a number; 10 like e.csv:1: found 1 fields, expected 4; \
             10 like e.csv:2: found an empty user id"
        );
        assert_eq!(told(&kinds[1..2]), "e.csv:1: found 1 fields, expected 4");
    }

    #[test]
    fn there_are_no_more_kinds_than_are_told_apart() {
        let mut kinds = Vec::new();
        for n in 0..1000 {
            let word: String = std::iter::repeat_n('x', n % 40).collect();
            count(&mut kinds, &format!("found {word}"), || format!("e.csv:{n}"));
        }
        assert_eq!(kinds.len(), KINDS + 1);
        assert_eq!(kinds.iter().map(|kind| kind.lines).sum::<u64>(), 1000);
        assert!(kinds.last().unwrap().kind.is_empty() && kinds.last().unwrap().lines > 100);
    }
}
