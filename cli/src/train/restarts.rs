//! How often processes that died are started again: as long as the run gets on between their deaths.

/// Starts at most so many while the run does not get on.
const MOST: u32 = 6;

/// Processes started again since the run was at an iteration.
#[derive(Debug, Default)]
pub struct Restarts {
    iteration: Option<u64>,
    count: u32,
}

impl Restarts {
    /// Whether one more may be started, now that the run is at this iteration; counts it.
    pub fn allow(&mut self, iteration: Option<u64>) -> bool {
        if self.iteration != iteration {
            *self = Self { iteration, count: 0 };
        }
        let allowed = self.count < MOST;
        self.count += u32::from(allowed);
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_gets_on_has_any_number_of_restarts() {
        let mut restarts = Restarts::default();
        assert!((0..100).all(|iteration| restarts.allow(Some(iteration / 6))));
        assert_eq!((0..8).filter(|_| restarts.allow(Some(50))).count(), 6);
    }
}
