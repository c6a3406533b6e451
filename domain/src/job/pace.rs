//! How often a job's state is written: at once when it is another, every few seconds while only its numbers move, and
//! now and then in any case, so that readers see that somebody is there. Pure: time comes in as an argument.

use std::time::Duration;

/// Between two writes at least.
const LEAST: Duration = Duration::from_secs(1);
/// While only numbers move.
const NUMBERS: Duration = Duration::from_secs(5);
/// A sign of life.
const BEAT: Duration = Duration::from_secs(15);

/// When the next write is due.
#[derive(Clone, Debug, Default)]
pub struct WritePace {
    written: Option<Duration>,
    urgent: bool,
    moved: bool,
}

impl WritePace {
    /// Something changed; `urgent`: more than numbers.
    pub fn heard(&mut self, urgent: bool) {
        self.moved = true;
        self.urgent |= urgent;
    }

    /// Whether to write now.
    pub fn is_due(&self, now: Duration) -> bool {
        let Some(written) = self.written else { return true };
        let limit = if self.urgent {
            LEAST
        } else if self.moved {
            NUMBERS
        } else {
            BEAT
        };
        now.saturating_sub(written) >= limit
    }

    /// It was tried now, with or without success; what did not get there is still to be written.
    pub fn tried(&mut self, now: Duration, written: bool) {
        self.written = Some(now);
        if written {
            (self.urgent, self.moved) = (false, false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first_due(pace: &WritePace) -> u64 {
        (0..100).find(|second| pace.is_due(Duration::from_secs(*second))).unwrap()
    }

    #[test]
    fn what_changes_is_written_soon_and_a_sign_of_life_now_and_then() {
        let mut pace = WritePace::default();
        assert_eq!(first_due(&pace), 0);
        pace.tried(Duration::from_secs(10), true);
        assert_eq!(first_due(&pace), 25);
        pace.heard(false);
        assert_eq!(first_due(&pace), 15);
        pace.heard(true);
        pace.heard(false);
        assert_eq!(first_due(&pace), 11);
        pace.tried(Duration::from_secs(11), false);
        assert_eq!(first_due(&pace), 12, "what the store did not take is tried again");
        pace.tried(Duration::from_secs(12), true);
        assert_eq!(first_due(&pace), 27);
    }
}
