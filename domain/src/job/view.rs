//! A job as `conrec status` shows it: request, state, wishes and ending in one record. `--output json` prints it as it
//! stands here; docs/jobs.md says what each field means.

use super::{
    Condition, ConditionKind, JobEnding, JobPhase, JobRequest, JobState, Moment, Results, StateName, VERSION, Wish,
    Wishes,
};
use serde::{Deserialize, Serialize};

/// What is known of a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobView {
    /// [`VERSION`].
    pub version: u32,
    /// The run's name.
    pub run: String,
    /// The key that names it.
    pub key: String,
    /// Digest of its config.
    pub spec_digest: String,
    /// In one word.
    pub state: StateName,
    /// What a running job does.
    pub phase: Option<JobPhase>,
    /// What operators wish.
    pub wish: Wish,
    /// `select` or `refit`.
    pub pass: Option<String>,
    /// Name of the stage.
    pub stage: Option<String>,
    /// Committed iterations.
    pub iteration: u64,
    /// Iterations at most; 0 where nothing is known yet.
    pub iterations_planned: u64,
    /// How much of them is done.
    pub percent: f64,
    /// Guessed; none where there is nothing to guess from.
    pub seconds_left: Option<u64>,
    /// Workers at work.
    pub workers: u32,
    /// Coordinators that have worked on it.
    pub attempt: u32,
    /// The newest whole checkpoint that is known.
    pub checkpoint: Option<String>,
    /// What `conrec wait` exits with, once nobody works on it.
    pub exit_code: Option<u8>,
    /// Why it is in this state.
    pub reason: Option<String>,
    /// What holds and what does not.
    pub conditions: Vec<Condition>,
    /// What is left of a completed job.
    pub results: Results,
    /// Where its files lie.
    pub folder: String,
    /// When it was submitted.
    pub submitted_at: Moment,
    /// When its last coordinator began.
    pub started_at: Option<Moment>,
    /// When its coordinator last said something.
    pub updated_at: Option<Moment>,
    /// When it ended for good.
    pub ended_at: Option<Moment>,
}

impl JobView {
    /// Puts together what is known; `folder` is where the job's files lie, `now` the time.
    pub fn of(
        (request, folder): (&JobRequest, String),
        wishes: &Wishes,
        state: Option<&JobState>,
        ending: Option<&JobEnding>,
        now: Moment,
    ) -> Self {
        let name = match (ending, state) {
            (Some(ending), _) => ending.outcome.into(),
            (None, Some(state)) => state.state,
            (None, None) if wishes.wish == Wish::Pause => StateName::Paused,
            (None, None) => StateName::Queued,
        };
        let silent = state.is_some_and(|state| state.state == StateName::Running && !state.is_live(now));
        let reason = match (ending, state) {
            (Some(ending), _) => Some(ending.reason.clone()),
            (None, Some(state)) if silent => Some(format!(
                "its coordinator, process {} on {}, has said nothing since {}; submitting the same key goes on",
                state.writer.process, state.writer.host, state.updated
            )),
            (None, state) => state.and_then(|state| state.reason.clone()),
        };
        let running = name == StateName::Running;
        let iteration = ending.map_or(0, |e| e.iteration).max(state.map_or(0, |state| state.iteration));
        let planned = state.map_or(0, |state| state.iterations_planned);
        let percent = match (name, planned) {
            (StateName::Completed | StateName::NotPromoted, _) => 100.0,
            (_, 0) => 0.0,
            // Evaluation and report come after the last iteration.
            (_, planned) => (1000.0 * iteration as f64 / planned as f64).round().min(990.0) / 10.0,
        };
        Self {
            version: VERSION,
            run: request.run_id.to_string(),
            key: request.key.to_string(),
            spec_digest: request.spec_digest.to_string(),
            state: name,
            phase: state.and_then(|state| state.phase).filter(|_| running),
            wish: wishes.wish,
            pass: state.and_then(|state| state.pass.clone()),
            stage: state.and_then(|state| state.stage.clone()),
            iteration,
            iterations_planned: planned,
            percent,
            seconds_left: state.and_then(|state| state.seconds_left).filter(|_| running && !silent),
            workers: state.map_or(0, |state| state.workers),
            attempt: state.map_or(0, |state| state.attempt),
            checkpoint: state.and_then(|state| state.checkpoint.clone()),
            exit_code: ending.map(|ending| ending.exit_code).or_else(|| state.and_then(|state| state.exit_code)),
            reason,
            conditions: conditions(request, state, ending),
            results: ending.map_or_else(Results::default, |ending| ending.results.clone()),
            folder,
            submitted_at: request.submitted,
            started_at: state.map(|state| state.started),
            updated_at: state.map(|state| state.updated),
            ended_at: ending.map(|ending| ending.ended),
        }
    }

    /// What `conrec wait` exits with now; none as long as the job may still come to its end by itself.
    pub fn result(&self) -> Option<u8> {
        let over = match self.state {
            StateName::Completed | StateName::NotPromoted | StateName::Failed | StateName::Cancelled => true,
            StateName::Queued | StateName::Running | StateName::Paused | StateName::Suspended => false,
        };
        over.then_some(self.exit_code).flatten()
    }
}

fn conditions(request: &JobRequest, state: Option<&JobState>, ending: Option<&JobEnding>) -> Vec<Condition> {
    let condition = |kind, holds, reason: &str, message: &str, since| Condition {
        kind,
        holds,
        reason: reason.into(),
        message: message.into(),
        since,
    };
    let mut all = state.map_or_else(
        || {
            vec![condition(
                ConditionKind::Accepted,
                true,
                "Submitted",
                "the request is in the store",
                request.submitted,
            )]
        },
        |state| state.conditions.clone(),
    );
    // An ending may have been written where no coordinator was.
    if let Some(ending) = ending {
        all.retain(|condition| condition.kind != ConditionKind::Finished);
        let word = format!("{:?}", ending.outcome);
        all.push(condition(ConditionKind::Finished, true, &word, &ending.reason, ending.ended));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::effect::Ending;
    use crate::ids::Iteration;
    use crate::job::Writer;
    use crate::spec::{RunConfig, RunSpec};
    use crate::status::{Activity, Status};
    use crate::work::Pass;

    fn request() -> JobRequest {
        let text = include_str!("../../../configs/smoke.toml");
        let spec = RunSpec::check(RunConfig::parse(text, "smoke.toml").unwrap()).unwrap();
        JobRequest::new("k".parse().unwrap(), &spec, 1, "0.1.0").unwrap().stamped(Moment(10), "a")
    }

    fn training(iteration: u64) -> Status {
        let (pass, stage) = (Pass::Select, "grpo".to_owned());
        let activity = Activity::Training { pass, stage, done: 1, of: 9, loss: 0.0, reward: None, kl: None };
        Status { activity, iteration: Iteration(iteration), iterations_planned: 40, workers: 2 }
    }

    fn begun() -> JobState {
        JobState::begin(None, Writer { host: "a".into(), process: 7 }, Moment(20))
    }

    fn view(state: Option<&JobState>, ending: Option<&JobEnding>, now: u64) -> JobView {
        JobView::of((&request(), "folder".into()), &Wishes::default(), state, ending, Moment(now))
    }

    fn reason_of(view: &JobView, kind: ConditionKind) -> (bool, String) {
        let found = view.conditions.iter().find(|condition| condition.kind == kind).unwrap();
        (found.holds, found.reason.clone())
    }

    #[test]
    fn a_request_alone_is_queued() {
        let view = view(None, None, 11);
        assert_eq!((view.state, view.result(), view.percent), (StateName::Queued, None, 0.0));
        assert_eq!(reason_of(&view, ConditionKind::Accepted), (true, "Submitted".into()));
    }

    #[test]
    fn statuses_become_phase_progress_and_the_time_that_is_left() {
        let mut state = begun();
        let waiting = Activity::WaitingForWorkers { joined: 1, expected: 2 };
        assert!(state.hear(&Status { activity: waiting, ..training(0) }, Moment(21)));
        assert_eq!(reason_of(&view(Some(&state), None, 21), ConditionKind::WorkersReady), (false, "Waiting".into()));
        assert!(state.hear(&training(0), Moment(30)));
        assert!(!state.hear(&training(4), Moment(38)), "only numbers changed");
        state.updated = Moment(38);
        let seen = view(Some(&state), None, 39);
        assert_eq!(
            (seen.state, seen.phase, seen.stage.as_deref()),
            (StateName::Running, Some(JobPhase::Training), Some("grpo"))
        );
        assert_eq!((seen.percent, seen.seconds_left, seen.workers), (10.0, Some(72), 2), "8 s for 4 of 40");
        assert_eq!(reason_of(&seen, ConditionKind::WorkersReady), (true, "Joined".into()));
        let saved = Activity::Checkpointed { key: "checkpoints/4-1".into() };
        assert!(state.hear(&Status { activity: saved, ..training(4) }, Moment(40)));
        let missed = Activity::CheckpointMissed { reason: "full".into() };
        assert!(state.hear(&Status { activity: missed, ..training(4) }, Moment(41)));
        let seen = view(Some(&state), None, 41);
        assert_eq!(seen.checkpoint.as_deref(), Some("checkpoints/4-1"));
        assert_eq!(reason_of(&seen, ConditionKind::Checkpointed), (false, "Missed".into()));
    }

    #[test]
    fn who_was_lost_is_told_until_the_next_roster_forms() {
        let mut state = begun();
        state.hear(&training(1), Moment(30));
        state.hear(&Status { activity: Activity::Lost { reason: "worker-2".into() }, ..training(1) }, Moment(31));
        state.hear(&training(2), Moment(32));
        assert_eq!(reason_of(&view(Some(&state), None, 33), ConditionKind::WorkersReady), (true, "Lost".into()));
        state.hear(&Status { activity: Activity::Forming, ..training(2) }, Moment(34));
        assert_eq!(reason_of(&view(Some(&state), None, 35), ConditionKind::WorkersReady), (true, "Joined".into()));
    }

    #[test]
    fn a_silent_coordinator_is_named() {
        let seen = view(Some(&begun()), None, 500);
        assert_eq!((seen.state, seen.result()), (StateName::Running, None));
        let reason = seen.reason.unwrap();
        assert!(reason.contains("process 7 on a") && reason.contains("1970-01-01T00:00:20Z"), "{reason}");
    }

    #[test]
    fn only_what_is_over_has_a_result() {
        let failed = |exit_code| Ending::Failed { reason: "why".into(), exit_code };
        for (ending, wish, name, result) in [
            (Ending::Completed, Wish::Run, StateName::Completed, Some(0)),
            (Ending::Stopped, Wish::Run, StateName::Suspended, None),
            (Ending::Stopped, Wish::Pause, StateName::Paused, None),
            (Ending::Cancelled, Wish::Cancel, StateName::Cancelled, Some(15)),
            (failed(69), Wish::Run, StateName::Failed, Some(69)),
            (failed(10), Wish::Run, StateName::NotPromoted, Some(10)),
        ] {
            let mut state = begun();
            state.end(&ending, wish, Moment(50));
            let seen = view(Some(&state), None, 51);
            assert_eq!((seen.state, seen.result(), seen.phase), (name, result, None), "{ending:?}");
        }
    }

    #[test]
    fn an_ending_counts_for_more_than_a_state() {
        let ending = JobEnding::of(&Ending::Cancelled, &"k".parse().unwrap(), 7, Moment(60)).unwrap();
        let seen = view(Some(&begun()), Some(&ending), 61);
        assert_eq!((seen.state, seen.result(), seen.iteration), (StateName::Cancelled, Some(15), 7));
        assert_eq!(reason_of(&seen, ConditionKind::Finished), (true, "Cancelled".into()));
    }

    #[test]
    fn another_attempt_keeps_what_is_known_and_counts() {
        let mut first = begun();
        first.hear(&training(9), Moment(30));
        first.end(&Ending::Stopped, Wish::Run, Moment(40));
        let second = JobState::begin(Some(&first), Writer::default(), Moment(50));
        assert_eq!((second.attempt, second.iteration, second.exit_code), (2, 9, None));
        let text = serde_json::to_string(&second).unwrap();
        assert_eq!(serde_json::from_str::<JobState>(&text).unwrap(), second);
    }
}
