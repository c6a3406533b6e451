//! How often processes that died are started again (as long as the run gets on between their deaths), and when too few
//! of them are left for the run to go on at all.

use conrec_domain::status::{Activity, Status};
use std::time::Duration;
use tokio::time::Instant;

/// Starts of one process at most while the run does not get on, when it was killed.
const MOST: u32 = 6;

/// The same, when it ended by itself: what it could not do it may be able to do a moment later, or never.
const MOST_FAILED: u32 = 2;

/// Once too few workers are left, the coordinator has so long to notice and to end by itself. It notices at once when
/// the worker had joined; one that failed before is noticed only here.
const NOTICE: Duration = Duration::from_secs(5);

/// Starts of one process after its first, since the run was at an iteration.
#[derive(Clone, Debug, Default)]
pub struct Restarts {
    iteration: Option<u64>,
    count: u32,
}

impl Restarts {
    /// Whether it may be started once more, now that the run is at this iteration; counts it. `killed`: it did not end by
    /// itself.
    pub fn allow(&mut self, iteration: Option<u64>, killed: bool) -> bool {
        if self.iteration != iteration {
            *self = Self { iteration, count: 0 };
        }
        let allowed = self.count < if killed { MOST } else { MOST_FAILED };
        self.count += u32::from(allowed);
        allowed
    }
}

/// Whether the run can go on with the workers that live. A run that has begun goes on with any; before that it waits
/// for all, and one that is gone for good would be waited for in vain.
#[derive(Debug, Default)]
pub struct Prospects {
    /// Whether a roster has formed.
    begun: bool,
    /// Workers that the run waits for; none before the coordinator has said so.
    waits_for: Option<u32>,
    /// Since when too few live.
    hopeless: Option<Instant>,
}

impl Prospects {
    /// Takes in what the coordinator says.
    pub fn hear(&mut self, status: &Status) {
        self.waits_for = match status.activity {
            Activity::WaitingForWorkers { expected, .. } => Some(expected),
            Activity::Preparing | Activity::Prepared { .. } => Some(1),
            _ => {
                self.begun = true;
                Some(1)
            }
        };
        self.begun |= status.iteration.0 > 0;
    }

    /// Whether the run goes on with any worker.
    pub fn begun(&self) -> bool {
        self.begun
    }

    /// Whether so few of `all` workers live, and have for so long, that the run cannot go on.
    pub fn are_gone(&mut self, living: u32, all: u32, now: Instant) -> bool {
        let needed = if self.begun { 1 } else { self.waits_for.unwrap_or(all) };
        if living >= needed {
            self.hopeless = None;
            return false;
        }
        now > *self.hopeless.get_or_insert(now) + NOTICE
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use conrec_domain::ids::Iteration;

    #[test]
    fn a_run_that_gets_on_has_any_number_of_restarts() {
        let mut restarts = Restarts::default();
        assert!((0..100).all(|iteration| restarts.allow(Some(iteration / 6), true)));
        assert_eq!((0..8).filter(|_| restarts.allow(Some(50), true)).count(), 6);
        assert_eq!((0..8).filter(|_| restarts.allow(Some(51), false)).count(), 2);
        assert!(!restarts.allow(Some(51), false) && restarts.allow(Some(51), true));
    }

    fn status(activity: Activity, iteration: u64) -> Status {
        Status { activity, iteration: Iteration(iteration), iterations_planned: 9, workers: 1 }
    }

    /// Whether the run is given up, looked at twice: now, and when the coordinator has had its time.
    fn given_up(prospects: &mut Prospects, living: u32) -> bool {
        let now = Instant::now();
        assert!(!prospects.are_gone(living, 3, now));
        prospects.are_gone(living, 3, now + NOTICE + Duration::from_millis(1))
    }

    #[test]
    fn before_the_first_roster_all_are_needed() {
        let mut prospects = Prospects::default();
        assert!(!given_up(&mut prospects, 3));
        assert!(given_up(&mut prospects, 2));
        let mut prospects = Prospects::default();
        prospects.hear(&status(Activity::WaitingForWorkers { joined: 0, expected: 2 }, 0));
        assert!(!given_up(&mut prospects, 2));
        // Those that are here prepare; but who prepares may be lost, and then all are waited for again.
        prospects.hear(&status(Activity::Preparing, 0));
        assert!(!given_up(&mut prospects, 1));
        prospects.hear(&status(Activity::WaitingForWorkers { joined: 0, expected: 2 }, 0));
        assert!(given_up(&mut prospects, 1));
    }

    #[test]
    fn a_run_that_has_begun_goes_on_with_any_worker() {
        let mut prospects = Prospects::default();
        prospects.hear(&status(Activity::Forming, 0));
        // A coordinator that was started again waits for all at first; it takes those that come.
        prospects.hear(&status(Activity::WaitingForWorkers { joined: 0, expected: 3 }, 0));
        assert!(prospects.begun() && !given_up(&mut prospects, 1));
        assert!(given_up(&mut prospects, 0));
    }

    #[test]
    fn workers_that_run_again_are_no_loss() {
        let mut prospects = Prospects::default();
        prospects.hear(&status(Activity::Forming, 4));
        let now = Instant::now();
        assert!(!prospects.are_gone(0, 3, now));
        assert!(!prospects.are_gone(3, 3, now + NOTICE));
        assert!(!prospects.are_gone(0, 3, now + 2 * NOTICE));
        assert!(!prospects.are_gone(0, 3, now + 3 * NOTICE));
        assert!(prospects.are_gone(0, 3, now + 4 * NOTICE));
    }
}
