//! What a status says to people: pure, so that every line can be tested. Time comes in as an argument.

use conrec_domain::status::{Activity, Status};
use conrec_domain::work::Pass;
use std::time::Duration;

/// Iterations are said at most this often.
const QUIET: Duration = Duration::from_secs(5);

/// What the run is doing, as one short text: `select · grpo_3d 5/20 · reward 0.351 · kl 0.0021`.
pub fn describe(activity: &Activity) -> String {
    match activity {
        Activity::WaitingForWorkers { joined, expected } => {
            format!("waiting for workers: {joined} of {expected} joined")
        }
        Activity::Preparing => "preparing data, instances and semantic ids".into(),
        Activity::Prepared { summary } => summary.join("\n  "),
        Activity::Forming => "the workers take the training state".into(),
        Activity::Training { pass, stage, done, of, loss, reward, kl } => {
            let mut text = format!("{} · {stage} {done}/{of}", pass_name(*pass));
            match reward {
                Some(reward) => text.push_str(&format!(" · reward {reward:.4}")),
                None if *done > 0 => text.push_str(&format!(" · loss {loss:.4}")),
                None => {}
            }
            if let Some(kl) = kl {
                text.push_str(&format!(" · kl {kl:.4}"));
            }
            text
        }
        Activity::Validating { stage, done, of } => format!("validating {stage} · {done}/{of} leases"),
        Activity::Decided { stage, iteration, score, reason } => {
            let score =
                score.map(|s| format!(" · FHR {:.4} · CandAcc {:.4}", s.fhr, s.candidate_accuracy)).unwrap_or_default();
            format!("{stage} at iteration {iteration}{score} · {reason}")
        }
        Activity::Lost { reason } => format!("lost, the run goes on without it: {reason}"),
        Activity::Left { reason } => reason.clone(),
        Activity::Checkpointing => "writing a checkpoint".into(),
        Activity::Checkpointed { key } => format!("{key} is whole"),
        Activity::CheckpointMissed { reason } => {
            format!("warning: {reason}; the run goes on and tries again at its next checkpoint")
        }
        Activity::Skipped { reason } => format!("warning: not used: {reason}"),
        Activity::Evaluating => "evaluating on the test window, writing the report".into(),
        Activity::Completed => "completed".into(),
        Activity::Stopped => "stopped after a checkpoint".into(),
        Activity::Cancelled => "cancelled".into(),
        Activity::Failed { reason } => format!("failed: {reason}"),
    }
}

fn pass_name(pass: Pass) -> &'static str {
    match pass {
        Pass::Select => "select",
        Pass::Refit => "refit",
    }
}

/// `45 s`, `3 min 20 s`, `1 h 05 min`.
pub fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// Work that must have been seen before the time left is guessed.
const SEEN: Duration = Duration::from_secs(5);

/// Guesses the time left from the iterations that this process has seen.
#[derive(Debug, Default)]
pub struct Pace {
    /// When the first status was seen, and at which iteration.
    first: Option<(Duration, u64)>,
}

impl Pace {
    /// The time left for training, in whole seconds; none before enough was seen, or when no iteration is left.
    pub fn left(&mut self, status: &Status, now: Duration) -> Option<Duration> {
        if !matches!(status.activity, Activity::Training { .. } | Activity::Validating { .. }) {
            return None;
        }
        let (since, from) = *self.first.get_or_insert((now, status.iteration.0));
        let done = status.iteration.0.checked_sub(from).filter(|done| *done >= 2)?;
        let planned = status.iterations_planned.checked_sub(status.iteration.0).filter(|left| *left > 0)?;
        let seen = now.checked_sub(since).filter(|seen| *seen >= SEEN)?;
        let left = seen.as_secs_f64() / done as f64 * planned as f64;
        Duration::try_from_secs_f64(left.ceil()).ok()
    }
}

/// Decides which statuses become lines when no terminal shows bars: what was read, a stage's start, a decision, a change
/// of what is being done, and an iteration every few seconds.
#[derive(Debug, Default)]
pub struct Lines {
    /// What the last line was about.
    topic: Option<String>,
    /// When it was said.
    said: Duration,
    /// The last decision that was said.
    decision: Option<String>,
    pace: Pace,
}

impl Lines {
    /// The line for a status, where there is one.
    pub fn line(&mut self, status: &Status, now: Duration) -> Option<String> {
        let left = self.pace.left(status, now);
        let topic = match &status.activity {
            // Validations and checkpoints happen all the time; their decisions are said, they are not.
            Activity::Validating { .. }
            | Activity::Checkpointing
            | Activity::Checkpointed { .. }
            | Activity::Forming => return None,
            // Nothing is waited for any more, or nothing is to be done.
            Activity::WaitingForWorkers { joined, expected } if joined == expected => return None,
            Activity::Training { of: 0, .. } => return None,
            // The command's own last words, as an error.
            Activity::Failed { .. } => return None,
            Activity::Training { pass, stage, .. } => format!("{pass:?} {stage}"),
            decided @ (Activity::Decided { .. }
            | Activity::Lost { .. }
            | Activity::Left { .. }
            | Activity::CheckpointMissed { .. }
            | Activity::Skipped { .. }) => {
                return self.once(describe(decided), status);
            }
            other => describe(other),
        };
        let fresh = self.topic.as_ref() != Some(&topic);
        let under_way = matches!(status.activity, Activity::Training { done: 1.., .. });
        let due = under_way && now.saturating_sub(self.said) >= QUIET;
        if !(fresh || due) {
            return None;
        }
        self.topic = Some(topic);
        self.said = now;
        // How long a stage's iterations take is not known at its start.
        let left = left.filter(|_| under_way).map(|left| format!(" · {} left", duration(left))).unwrap_or_default();
        Some(format!("{}{}{left}", position(status), describe(&status.activity)))
    }

    /// A decision is said once, even when the status comes again.
    fn once(&mut self, text: String, status: &Status) -> Option<String> {
        if self.decision.as_ref() == Some(&text) {
            return None;
        }
        let line = format!("{}{text}", position(status));
        self.decision = Some(text);
        Some(line)
    }
}

/// `[12/360] `, once there is something to count.
fn position(status: &Status) -> String {
    if status.iterations_planned == 0 {
        return String::new();
    }
    format!("[{}/{}] ", status.iteration, status.iterations_planned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use conrec_domain::ids::Iteration;
    use conrec_domain::work::Score;

    fn status(activity: Activity, iteration: u64) -> Status {
        Status { activity, iteration: Iteration(iteration), iterations_planned: 100, workers: 1 }
    }

    fn training(stage: &str, done: u32, reward: Option<f64>) -> Activity {
        let kl = reward.map(|_| 0.00214);
        Activity::Training { pass: Pass::Select, stage: stage.into(), done, of: 20, loss: 3.25, reward, kl }
    }

    #[test]
    fn grpo_shows_reward_and_kl_and_supervised_stages_show_loss() {
        assert_eq!(
            describe(&training("grpo_3d", 5, Some(0.3514))),
            "select · grpo_3d 5/20 · reward 0.3514 · kl 0.0021"
        );
        assert_eq!(describe(&training("recent", 5, None)), "select · recent 5/20 · loss 3.2500");
        assert_eq!(describe(&training("recent", 0, None)), "select · recent 0/20");
    }

    #[test]
    fn decisions_show_scores_and_reason() {
        let score = Some(Score { fhr: 0.21594, candidate_accuracy: 0.0944 });
        let decided = Activity::Decided {
            stage: "grpo_all".into(),
            iteration: 10,
            score,
            reason: "new best: after 0.2100".into(),
        };
        let expected = "grpo_all at iteration 10 · FHR 0.2159 · CandAcc 0.0944 · new best: after 0.2100";
        assert_eq!(describe(&decided), expected);
    }

    #[test]
    fn a_stage_is_said_when_it_starts_and_then_every_five_seconds() {
        let mut lines = Lines::default();
        let mut said = Vec::new();
        for i in 0..=12 {
            let now = Duration::from_secs(u64::from(i));
            said.extend(lines.line(&status(training("recent", i, None), u64::from(i)), now).map(|_| i));
        }
        said.extend(lines.line(&status(training("grpo_3d", 0, None), 13), Duration::from_secs(12)).map(|_| 13));
        assert_eq!(said, [0, 5, 10, 13]);
    }

    #[test]
    fn every_decision_is_said_and_only_once() {
        let mut lines = Lines::default();
        let decided = |iteration| {
            status(Activity::Decided { stage: "a".into(), iteration, score: None, reason: "no new best".into() }, 5)
        };
        let now = Duration::ZERO;
        assert!(lines.line(&decided(5), now).is_some());
        assert!(lines.line(&decided(5), now).is_none());
        assert!(lines.line(&decided(10), now).is_some());
    }

    #[test]
    fn the_time_left_follows_the_pace_since_this_process_began() {
        let mut pace = Pace::default();
        let at =
            |pace: &mut Pace, i, seconds| pace.left(&status(training("a", 1, None), i), Duration::from_secs(seconds));
        assert_eq!(at(&mut pace, 40, 100), None);
        assert_eq!(at(&mut pace, 41, 101), None);
        assert_eq!(at(&mut pace, 50, 120), Some(Duration::from_secs(100)));
        assert_eq!(at(&mut pace, 99, 298), Some(Duration::from_secs(4)), "rounded up: never 0 s");
        assert_eq!(at(&mut pace, 100, 300), None);
    }

    #[test]
    fn no_time_is_guessed_from_a_moment_s_work() {
        let mut pace = Pace::default();
        let mut at = |i, ms| pace.left(&status(training("a", 1, None), i), Duration::from_millis(ms));
        assert_eq!([at(0, 0), at(9, 900), at(49, 4900)], [None, None, None]);
        assert_eq!(at(50, 5000), Some(Duration::from_secs(5)));
    }

    #[test]
    fn a_run_is_said_without_repetition() {
        let mut lines = Lines::default();
        let waiting = |joined| Activity::WaitingForWorkers { joined, expected: 1 };
        let summary = vec!["Read 7 events; nothing dropped.".to_owned(), "Pass select: 3 instances.".to_owned()];
        let failed = Activity::Failed { reason: "movies.dat:3: found 2 fields".into() };
        let nothing_to_do = Activity::Training {
            pass: Pass::Refit,
            stage: "grpo_all".into(),
            done: 0,
            of: 0,
            loss: 0.0,
            reward: None,
            kl: None,
        };
        let life = [
            waiting(0),
            waiting(1),
            Activity::Preparing,
            Activity::Prepared { summary },
            Activity::Forming,
            training("recent", 0, None),
            nothing_to_do,
            failed,
        ];
        let said: Vec<String> = life.into_iter().filter_map(|a| lines.line(&status(a, 0), Duration::ZERO)).collect();
        let expected = [
            "[0/100] waiting for workers: 0 of 1 joined",
            "[0/100] preparing data, instances and semantic ids",
            "[0/100] Read 7 events; nothing dropped.\n  Pass select: 3 instances.",
            "[0/100] select · recent 0/20",
        ];
        assert_eq!(said, expected);
    }

    #[test]
    fn times_are_said_as_people_say_them() {
        assert_eq!(duration(Duration::from_secs(45)), "45 s");
        assert_eq!(duration(Duration::from_secs(200)), "3 min 20 s");
        assert_eq!(duration(Duration::from_secs(3900)), "1 h 05 min");
    }
}
