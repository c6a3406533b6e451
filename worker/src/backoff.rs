//! Pauses between tries: short at first, then longer, never endless.

use std::time::Duration;

/// The first pause; each is twice the one before, up to the longest.
const FIRST: Duration = Duration::from_millis(20);
const LONGEST: Duration = Duration::from_secs(2);

/// How long to wait before the next try.
#[derive(Debug)]
pub struct Backoff(Duration);

impl Default for Backoff {
    /// No try has failed yet.
    fn default() -> Self {
        Self(FIRST)
    }
}

impl Backoff {
    /// The pause after one more try that failed.
    pub fn pause(&mut self) -> Duration {
        let pause = self.0;
        self.0 = (pause * 2).min(LONGEST);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let mut backoff = Backoff::default();
        let pauses: Vec<u128> = (0..9).map(|_| backoff.pause().as_millis()).collect();
        assert_eq!(pauses, [20, 40, 80, 160, 320, 640, 1280, 2000, 2000]);
    }
}
