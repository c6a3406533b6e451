//! What submitting a key does: the whole table, pure. Whoever submits performs the decision.

use super::{JobEnding, JobState, Moment, Wish};
use std::time::Duration;

/// A request that nobody works on is left to the one who made it for so long.
const STARTING: Duration = Duration::from_secs(60);

/// What is to be done where the key was submitted before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IfExists {
    /// Be one more who watches it.
    #[default]
    Attach,
    /// Say so.
    Fail,
}

/// Whether processes of the job live on this machine: the system tells, by a lock that ends with them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// They do.
    Here,
    /// They do not; others may elsewhere.
    NotHere,
}

/// What is known of a key that was submitted before.
#[derive(Clone, Debug)]
pub struct Existing<'a> {
    /// Whether it was this very key: another may have the same name.
    pub same_key: bool,
    /// Whether its config gives the same results.
    pub same_spec: bool,
    /// When, and on which machine.
    pub submitted: (Moment, &'a str),
    /// What its last coordinator said.
    pub state: Option<&'a JobState>,
    /// How it ended, if it has.
    pub ending: Option<&'a JobEnding>,
    /// What operators wish.
    pub wish: Wish,
}

/// What submitting does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Start its processes: nobody works on it.
    Start,
    /// Leave it to those who work on it, or who made it rest.
    Attach,
    /// It is over: give its result.
    Finished {
        /// The job's own exit code.
        exit_code: u8,
    },
    /// It ran, or runs, and the caller asked for an error then.
    AlreadyRan,
    /// The key belongs to another config.
    OtherSpec,
    /// The run's name belongs to another key.
    OtherKey,
}

/// Decides. `existing`: none where this submission made the request. `here`: this machine. `now`: the time.
pub fn decide(
    existing: Option<&Existing<'_>>,
    if_exists: IfExists,
    (here, presence): (&str, Presence),
    now: Moment,
) -> Decision {
    let Some(existing) = existing else { return Decision::Start };
    if !existing.same_key {
        return Decision::OtherKey;
    }
    if !existing.same_spec {
        return Decision::OtherSpec;
    }
    if if_exists == IfExists::Fail {
        return Decision::AlreadyRan;
    }
    if let Some(ending) = existing.ending {
        return Decision::Finished { exit_code: ending.exit_code };
    }
    if presence == Presence::Here || existing.wish != Wish::Run {
        return Decision::Attach;
    }
    // Nobody is here. What another machine says of itself is believed for as long as it gives signs of life.
    let elsewhere = match existing.state {
        Some(state) => state.writer.host != here && state.is_live(now),
        None => existing.submitted.1 != here && existing.submitted.0.age(now) <= STARTING,
    };
    if elsewhere { Decision::Attach } else { Decision::Start }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::effect::Ending;
    use crate::job::Writer;

    const NOW: Moment = Moment(1000);

    fn existing<'a>() -> Existing<'a> {
        Existing {
            same_key: true,
            same_spec: true,
            submitted: (Moment(990), "a"),
            state: None,
            ending: None,
            wish: Wish::Run,
        }
    }

    fn state(host: &str, updated: u64) -> JobState {
        JobState::begin(None, Writer { host: host.into(), process: 7 }, Moment(updated))
    }

    fn on(here: &str, presence: Presence, existing: &Existing<'_>) -> Decision {
        decide(Some(existing), IfExists::Attach, (here, presence), NOW)
    }

    #[test]
    fn the_first_starts_and_other_specs_and_keys_are_refused_before_all_else() {
        assert_eq!(decide(None, IfExists::Fail, ("a", Presence::NotHere), NOW), Decision::Start);
        for if_exists in [IfExists::Attach, IfExists::Fail] {
            let decided = |existing| decide(Some(&existing), if_exists, ("a", Presence::Here), NOW);
            assert_eq!(decided(Existing { same_spec: false, ..existing() }), Decision::OtherSpec);
            let other = Existing { same_key: false, same_spec: false, ..existing() };
            assert_eq!(decided(other), Decision::OtherKey);
        }
    }

    #[test]
    fn whoever_asks_for_an_error_gets_it_whatever_became_of_the_job() {
        let decided = decide(Some(&existing()), IfExists::Fail, ("a", Presence::NotHere), NOW);
        assert_eq!(decided, Decision::AlreadyRan);
    }

    #[test]
    fn a_job_that_is_over_gives_its_result() {
        let ending = Ending::Failed { reason: "bad".into(), exit_code: 65 };
        let ending = JobEnding::of(&ending, &"r".parse().unwrap(), 3, NOW);
        let over = Existing { ending: ending.as_ref(), wish: Wish::Cancel, ..existing() };
        assert_eq!(on("a", Presence::NotHere, &over), Decision::Finished { exit_code: 65 });
    }

    #[test]
    fn processes_that_live_and_jobs_at_rest_are_left_alone() {
        assert_eq!(on("a", Presence::Here, &existing()), Decision::Attach);
        for wish in [Wish::Pause, Wish::Cancel] {
            assert_eq!(on("a", Presence::NotHere, &Existing { wish, ..existing() }), Decision::Attach);
        }
    }

    #[test]
    fn where_nobody_is_left_the_same_key_starts_again() {
        // Killed a moment ago on this machine: the lock says so, whatever the state says.
        let killed = state("a", 999);
        let known = Existing { state: Some(&killed), ..existing() };
        assert_eq!(on("a", Presence::NotHere, &known), Decision::Start);
        assert_eq!(on("b", Presence::NotHere, &known), Decision::Attach, "another machine may be at work");
        let silent = state("a", 900);
        assert_eq!(on("b", Presence::NotHere, &Existing { state: Some(&silent), ..existing() }), Decision::Start);
        let mut stopped = state("a", 999);
        stopped.end(&Ending::Stopped, Wish::Run, Moment(999));
        assert_eq!(on("b", Presence::NotHere, &Existing { state: Some(&stopped), ..existing() }), Decision::Start);
    }

    #[test]
    fn a_request_without_a_coordinator_is_its_submitters_for_a_while() {
        assert_eq!(on("a", Presence::NotHere, &existing()), Decision::Start);
        assert_eq!(on("b", Presence::NotHere, &existing()), Decision::Attach);
        let old = Existing { submitted: (Moment(900), "a"), ..existing() };
        assert_eq!(on("b", Presence::NotHere, &old), Decision::Start);
    }
}
