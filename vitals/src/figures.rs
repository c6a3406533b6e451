//! A process's figures, folded from what its run shows, and the text in which Prometheus reads them. Pure.

use conrec_domain::job::{JobPhase, JobState, Moment, Writer};
use conrec_domain::spec::written;
use conrec_domain::status::{Activity, Status};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Every phase, so that each is a series from the start.
const PHASES: [JobPhase; 8] = [
    JobPhase::Starting,
    JobPhase::WaitingForWorkers,
    JobPhase::Preparing,
    JobPhase::Forming,
    JobPhase::Training,
    JobPhase::Validating,
    JobPhase::Checkpointing,
    JobPhase::Evaluating,
];

/// What each name means, in the order of the page.
const HELP: [(&str, &str, &str); 17] = [
    ("conrec_ready", "gauge", "1 where the process does what it is there for"),
    ("conrec_iteration", "gauge", "Committed iterations of the run"),
    ("conrec_iterations_planned", "gauge", "Iterations of the run at most, as far as is known"),
    ("conrec_progress_ratio", "gauge", "Committed iterations by those planned"),
    ("conrec_seconds_left", "gauge", "Time left for training, guessed from the iterations seen"),
    ("conrec_workers", "gauge", "Workers in the roster"),
    ("conrec_loss", "gauge", "Mean loss of the last iteration"),
    ("conrec_reward", "gauge", "Mean reward of the last iteration"),
    ("conrec_kl", "gauge", "Mean KL of the last iteration"),
    ("conrec_checkpoints_total", "counter", "Checkpoints that became whole"),
    ("conrec_checkpoints_missed_total", "counter", "Checkpoints that the store did not take"),
    ("conrec_checkpoints_skipped_total", "counter", "Checkpoints that could not be used to go on from"),
    ("conrec_workers_lost_total", "counter", "Workers that were lost"),
    ("conrec_workers_left_total", "counter", "Workers that left as they were asked to"),
    ("conrec_decisions_total", "counter", "Decisions of the gate"),
    ("conrec_worker_sessions_total", "counter", "Sessions with a coordinator that this worker has begun"),
    ("conrec_worker_sessions_broken_total", "counter", "Sessions of this worker that broke off"),
];

/// Numbers by name.
pub(crate) struct Figures {
    /// `role="coordinator",version="0.1.0"`.
    labels: String,
    values: BTreeMap<&'static str, f64>,
    /// The run, as a job's state has it; none in a process that sees no run.
    run: Option<JobState>,
}

impl Figures {
    /// Of a process that says this of itself.
    pub(crate) fn new(labels: &[(&str, &str)]) -> Self {
        let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
        Self { labels: labels.join(","), values: BTreeMap::from([("conrec_ready", 0.0)]), run: None }
    }

    /// Sets a number.
    pub(crate) fn gauge(&mut self, name: &'static str, value: f64) {
        self.values.insert(name, value);
    }

    /// Counts one more.
    pub(crate) fn count(&mut self, name: &'static str) {
        *self.values.entry(name).or_default() += 1.0;
    }

    /// Takes in what the run shows.
    pub(crate) fn hear(&mut self, status: &Status, now: Moment) {
        let run = self.run.get_or_insert_with(|| JobState::begin(None, Writer::default(), now));
        run.hear(status, now);
        let (left, iteration, planned) = (run.seconds_left, run.iteration, run.iterations_planned);
        self.gauge("conrec_iteration", iteration as f64);
        self.gauge("conrec_iterations_planned", planned as f64);
        self.gauge("conrec_progress_ratio", if planned == 0 { 0.0 } else { iteration as f64 / planned as f64 });
        self.gauge("conrec_workers", f64::from(status.workers));
        self.optional("conrec_seconds_left", left.map(|left| left as f64));
        match &status.activity {
            Activity::Training { loss, reward, kl, done, .. } => {
                self.optional("conrec_loss", (*done > 0).then_some(*loss));
                self.optional("conrec_reward", *reward);
                self.optional("conrec_kl", *kl);
            }
            Activity::Checkpointed { .. } => self.count("conrec_checkpoints_total"),
            Activity::CheckpointMissed { .. } => self.count("conrec_checkpoints_missed_total"),
            Activity::Skipped { .. } => self.count("conrec_checkpoints_skipped_total"),
            Activity::Lost { .. } => self.count("conrec_workers_lost_total"),
            Activity::Left { .. } => self.count("conrec_workers_left_total"),
            Activity::Decided { .. } => self.count("conrec_decisions_total"),
            _ => {}
        }
    }

    fn optional(&mut self, name: &'static str, value: Option<f64>) {
        match value {
            Some(value) => self.gauge(name, value),
            None => drop(self.values.remove(name)),
        }
    }

    /// The run, where this process sees one.
    pub(crate) fn run(&self) -> Option<&JobState> {
        self.run.as_ref()
    }

    /// A number by its name.
    pub(crate) fn value(&self, name: &str) -> Option<f64> {
        self.values.get(name).copied()
    }

    /// The page that Prometheus reads, in its text format 0.0.4.
    pub(crate) fn page(&self) -> String {
        let mut text =
            format!("# HELP conrec_info Who this is\n# TYPE conrec_info gauge\nconrec_info{{{}}} 1\n", self.labels);
        for (name, kind, help) in HELP {
            let Some(value) = self.values.get(name) else { continue };
            // Writing to a text cannot fail.
            let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n");
        }
        if let Some(run) = &self.run {
            text.push_str("# HELP conrec_phase 1 for what the run is doing\n# TYPE conrec_phase gauge\n");
            for phase in PHASES {
                let now = u8::from(run.phase == Some(phase));
                let _ = writeln!(text, "conrec_phase{{phase=\"{}\"}} {now}", written(&phase));
            }
        }
        text
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use conrec_domain::ids::Iteration;
    use conrec_domain::work::Pass;

    fn status(activity: Activity) -> Status {
        Status { activity, iteration: Iteration(10), iterations_planned: 40, workers: 2 }
    }

    #[test]
    fn the_page_has_every_figure_once_with_its_kind() {
        let mut figures = Figures::new(&[("role", "coordinator"), ("run", "a\"b")]);
        let stage = "grpo".to_owned();
        let training =
            Activity::Training { pass: Pass::Select, stage, done: 3, of: 9, loss: 0.5, reward: Some(0.25), kl: None };
        figures.hear(&status(training), Moment(10));
        figures.hear(&status(Activity::Checkpointed { key: "checkpoints/10-1".into() }), Moment(11));
        figures.hear(&status(Activity::Lost { reason: "x".into() }), Moment(12));
        figures.hear(&status(Activity::Lost { reason: "y".into() }), Moment(12));
        let page = figures.page();
        for line in [
            "conrec_info{role=\"coordinator\",run=\"a\\\"b\"} 1",
            "# TYPE conrec_iteration gauge",
            "conrec_iteration 10",
            "conrec_progress_ratio 0.25",
            "conrec_reward 0.25",
            "conrec_checkpoints_total 1",
            "# TYPE conrec_workers_lost_total counter",
            "conrec_workers_lost_total 2",
            "conrec_phase{phase=\"training\"} 1",
            "conrec_phase{phase=\"preparing\"} 0",
        ] {
            assert_eq!(page.lines().filter(|found| *found == line).count(), 1, "{line}:\n{page}");
        }
        assert!(!page.contains("conrec_kl") && !page.contains("conrec_worker_sessions"), "{page}");
        let named = |name: &str| HELP.iter().filter(|(known, ..)| *known == name).count();
        assert!(figures.values.keys().all(|name| named(name) == 1), "each is explained");
    }
}
