//! The coordinator's log of rounds: when workers answered each reduce and each commit.

use std::collections::BTreeMap;

/// One iteration's answers; times in microseconds of the day.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Round {
    /// Of the reduce.
    pub reduced: Vec<u64>,
    /// Of the commit.
    pub committed: Vec<u64>,
}

/// All rounds of a log; other lines and torn ones are skipped.
pub fn read(log: &str) -> BTreeMap<u64, Round> {
    let mut rounds: BTreeMap<u64, Round> = BTreeMap::new();
    for line in log.lines() {
        let Some((reduced, iteration, time)) = answer(line) else { continue };
        let round = rounds.entry(iteration).or_default();
        if reduced { round.reduced.push(time) } else { round.committed.push(time) }
    }
    rounds
}

/// `2026-01-31T10:20:30.123456Z DEBUG conrec_coordinator::round: reduced iteration=7`.
fn answer(line: &str) -> Option<(bool, u64, u64)> {
    let (head, tail) = line.split_once(" conrec_coordinator::round: ")?;
    let (what, number) = tail.trim_end().split_once(" iteration=")?;
    let clock = head.split_whitespace().next()?.split_once('T')?.1.strip_suffix('Z')?;
    let mut fields = clock.split(':');
    let hours: u64 = fields.next()?.parse().ok()?;
    let minutes: u64 = fields.next()?.parse().ok()?;
    let seconds: f64 = fields.next()?.parse().ok()?;
    let time = (hours * 3600 + minutes * 60) * 1_000_000 + (seconds * 1e6).round() as u64;
    Some((what == "reduced", number.parse().ok()?, time))
}

/// Milliseconds from the last answer to the reduce to the last answer to the commit, an iteration.
pub fn commit_rounds(rounds: &BTreeMap<u64, Round>) -> Vec<f64> {
    let last = |times: &[u64]| times.iter().copied().max();
    rounds.values().filter_map(|round| between(last(&round.reduced)?, last(&round.committed)?)).collect()
}

/// Milliseconds from commit to commit of iterations that follow one another.
pub fn iterations(rounds: &BTreeMap<u64, Round>) -> Vec<f64> {
    let ends: Vec<(u64, u64)> = rounds.iter().filter_map(|(n, r)| Some((*n, *r.committed.iter().max()?))).collect();
    ends.windows(2).filter(|pair| pair[1].0 == pair[0].0 + 1).filter_map(|pair| between(pair[0].1, pair[1].1)).collect()
}

/// None over midnight: one repetition less.
fn between(from: u64, to: u64) -> Option<f64> {
    to.checked_sub(from).map(|micros| micros as f64 / 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_are_read_out_of_a_log_with_other_lines() {
        let log = "2026-01-31T10:20:30.000100Z DEBUG conrec_coordinator::round: reduced iteration=7\n\
                   2026-01-31T10:20:30.001100Z DEBUG conrec_coordinator::round: reduced iteration=7\n\
                   2026-01-31T10:20:30.001200Z  INFO conrec_coordinator: something\n\
                   2026-01-31T10:20:30.003100Z DEBUG conrec_coordinator::round: committed iteration=7\n\
                   2026-01-31T10:20:30.013100Z DEBUG conrec_coordinator::round: committed iteration=8\n\
                   2026-01-31T10:20:30.01";
        let rounds = read(log);
        assert_eq!(commit_rounds(&rounds), [2.0]);
        assert_eq!(iterations(&rounds), [10.0]);
    }
}
