//! What is promoted: a list of entries that only grows. The newest says which run serves; a rollback is an entry too.

use crate::day::Day;
use crate::ids::{Digest, RunId};
use serde::{Deserialize, Serialize};

/// One entry, `promotions/<number>.json`; the newest is copied to `promoted.json` for those who serve.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Promotion {
    /// Its place; the first is 1.
    pub number: u64,
    /// The run whose adapter serves from now on.
    pub run: RunId,
    /// Digest of that run's state.
    pub state: Digest,
    /// The night that trained it.
    pub night: Day,
    /// Unix time of the entry.
    pub at: i64,
    /// What led to it.
    pub why: Why,
}

/// What led to an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// A night's run was found good enough.
    Night,
    /// Somebody asked for an earlier entry's run.
    Rollback {
        /// That entry.
        to: u64,
    },
}

/// Why a rollback is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RollbackError {
    /// Nothing was ever promoted.
    #[error("nothing was promoted yet, so there is nothing to go back to")]
    Nothing,
    /// There is no such entry.
    #[error("found --to {found}, expected the number of an earlier promotion, 1 to {newest}")]
    NoSuchEntry {
        /// What was asked for.
        found: u64,
        /// The newest entry's number.
        newest: u64,
    },
    /// The run serves already.
    #[error("promotion {found} is run `{run}`, which serves already (promotion {newest}); choose another --to")]
    Serves {
        /// What was asked for.
        found: u64,
        /// The run.
        run: RunId,
        /// The newest entry's number.
        newest: u64,
    },
    /// Nothing served before this run.
    #[error("run `{0}` was the first that was promoted, so there is nothing to go back to; choose a later one by --to")]
    First(RunId),
}

/// The entry that a rollback at the time `now` adds. `to`: the number of the entry to go back to; none means what served
/// before the newest entry's run, so that two rollbacks in a row go back twice.
///
/// # Errors
/// There is nothing to go back to.
pub fn rollback(history: &[Promotion], to: Option<u64>, now: i64) -> Result<Promotion, RollbackError> {
    let newest = history.last().ok_or(RollbackError::Nothing)?;
    let found = match to {
        Some(number) => {
            let refused = || RollbackError::NoSuchEntry { found: number, newest: newest.number };
            let entry = history.iter().find(|entry| entry.number == number).ok_or_else(refused)?;
            if entry.run == newest.run {
                return Err(RollbackError::Serves { found: number, run: entry.run.clone(), newest: newest.number });
            }
            entry
        }
        None => before(history, newest).ok_or_else(|| RollbackError::First(newest.run.clone()))?,
    };
    Ok(Promotion {
        number: newest.number.saturating_add(1),
        at: now,
        why: Why::Rollback { to: found.number },
        ..found.clone()
    })
}

/// What served when the newest entry's run was first promoted.
fn before<'a>(history: &'a [Promotion], newest: &Promotion) -> Option<&'a Promotion> {
    let first = history.iter().position(|entry| entry.run == newest.run)?;
    history[..first].last()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn promoted(number: u64, night: i64) -> Promotion {
        let day = Day::of(0).plus(night);
        Promotion {
            number,
            run: format!("night-{day}").parse().unwrap(),
            state: Digest::of(&night.to_le_bytes()),
            night: day,
            at: 7,
            why: Why::Night,
        }
    }

    fn back(history: &[Promotion], to: Option<u64>) -> Promotion {
        rollback(history, to, 9).unwrap()
    }

    #[test]
    fn a_rollback_is_a_new_entry_with_an_old_run() {
        let history = [promoted(1, 1), promoted(2, 2), promoted(3, 3)];
        let entry = back(&history, None);
        assert_eq!(entry, Promotion { number: 4, at: 9, why: Why::Rollback { to: 2 }, ..promoted(2, 2) });
        assert_eq!(back(&history, Some(1)).run, promoted(1, 1).run);
    }

    #[test]
    fn two_rollbacks_go_back_twice_and_one_after_a_new_night_once() {
        let mut history = vec![promoted(1, 1), promoted(2, 2), promoted(3, 3)];
        history.push(back(&history, None));
        history.push(back(&history, None));
        assert_eq!(history.last().unwrap().run, promoted(1, 1).run);
        assert_eq!(rollback(&history, None, 9), Err(RollbackError::First(promoted(1, 1).run)));
        history.push(promoted(6, 4));
        let entry = back(&history, None);
        assert_eq!(entry.run, promoted(1, 1).run, "night 3 was taken back before night 4 came");
        assert_eq!(entry.why, Why::Rollback { to: 5 });
    }

    #[test]
    fn what_cannot_be_gone_back_to_is_refused() {
        assert_eq!(rollback(&[], None, 0), Err(RollbackError::Nothing));
        let history = [promoted(1, 1), promoted(2, 2)];
        assert_eq!(rollback(&history, Some(3), 0), Err(RollbackError::NoSuchEntry { found: 3, newest: 2 }));
        assert!(matches!(rollback(&history, Some(2), 0), Err(RollbackError::Serves { found: 2, .. })));
        assert!(matches!(rollback(&history[..1], None, 0), Err(RollbackError::First(_))));
    }
}
