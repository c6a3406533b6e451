//! What names the numbers of a report, so that a reader can tell what they belong to: the run, digests of config, data and
//! state, the versions of the program, the windows and who is in them, and what the negatives are. Every report ends with it.

use crate::event::Sign;
use crate::moment::shown;
use crate::prepared::{EvaluationSet, PreparedPass, Role};
use crate::readers::{self, Negatives};
use conrec_domain::ids::Digest;
use conrec_domain::spec::{RunSpec, Source, Statistics, written};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// One evaluated window and the end of the training time that goes with it; seconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SplitWindow {
    /// `validation` or `test`.
    pub name: String,
    /// Statistics and training end before this moment.
    pub train_end: i64,
    /// The window's first moment.
    pub from: i64,
    /// The first moment after the window.
    pub to: i64,
    /// Instances in the window.
    pub instances: u64,
    /// Users with an instance in the window.
    pub users: u64,
    /// Users with an event of any kind in the window; none in reports of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub users_seen: Option<u64>,
    /// Those of them without a negative in it: no instance asks about them, so no number speaks of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub users_without_negatives: Option<u64>,
}

/// What entered a report that does not measure all instances of a window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entered {
    /// Of which window.
    pub window: String,
    /// Instances that were measured.
    pub instances: u64,
    /// Their users.
    pub users: u64,
}

/// What names the numbers of a report; what a report has not is left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// The run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// Of the resolved config.
    pub config_digest: Digest,
    /// Of the prepared data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_digest: Option<Digest>,
    /// Of the policy's weights and optimiser, where a policy is measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state_digest: Option<Digest>,
    /// The program that trained the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code_version: Option<String>,
    /// The program that wrote the report.
    pub report_version: String,
    /// Where the events come from.
    pub source: String,
    /// What counts as a negative, and whether anybody was asked; none in reports of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub negatives: Option<Negatives>,
    /// When statistics and training end.
    pub statistics: Statistics,
    /// The windows, in order of time.
    pub windows: Vec<SplitWindow>,
    /// What was measured of them, where it is not all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entered: Option<Entered>,
}

/// Where a config's events come from.
pub fn source(spec: &RunSpec) -> String {
    match spec.data.source {
        Source::Synthetic => "synthetic generator".to_owned(),
        source => format!("{}, {}", readers::title(source), spec.data.path),
    }
}

impl SplitWindow {
    /// A window that a pass evaluates, and who is in it.
    pub fn of(pass: &PreparedPass, set: &EvaluationSet) -> Self {
        let name = match set.role {
            Role::Validation => "validation",
            Role::Test => "test",
        };
        let within = pass.dataset.events.iter().filter(|event| set.window.holds(event.time));
        let (mut seen, mut disliking) = (BTreeSet::new(), BTreeSet::new());
        for event in within {
            seen.insert(event.user);
            if event.sign == Sign::Negative {
                disliking.insert(event.user);
            }
        }
        Self {
            name: name.to_owned(),
            train_end: pass.windows.train_end,
            from: set.window.from,
            to: set.window.to,
            instances: set.instances.len() as u64,
            users: set.instances.iter().map(|instance| instance.user).collect::<BTreeSet<u32>>().len() as u64,
            users_seen: Some(seen.len() as u64),
            users_without_negatives: Some((seen.len() - disliking.len()) as u64),
        }
    }

    /// As a sentence.
    fn words(&self) -> String {
        let mut words = format!(
            "{} to {} UTC, statistics before {}: {} instances of {} users",
            shown(self.from),
            shown(self.to),
            shown(self.train_end),
            self.instances,
            self.users
        );
        if let (Some(seen), Some(without)) = (self.users_seen, self.users_without_negatives) {
            words.push_str(&format!("; {seen} users have events in it, {without} of them no negative: left out"));
        }
        words
    }
}

impl Provenance {
    /// What a config alone says; `report_version` is of the program that writes the report.
    pub fn new(spec: &RunSpec, config_digest: Digest, report_version: &str) -> Self {
        Self {
            run_id: None,
            config_digest,
            data_digest: None,
            state_digest: None,
            code_version: None,
            report_version: report_version.to_owned(),
            source: source(spec),
            negatives: Some(Negatives::of(&spec.data)),
            statistics: spec.evaluation.statistics,
            windows: Vec::new(),
            entered: None,
        }
    }

    /// With the windows that a pass evaluates.
    #[must_use]
    pub fn with_windows(mut self, pass: &PreparedPass) -> Self {
        self.windows.extend(pass.evaluations.iter().map(|set| SplitWindow::of(pass, set)));
        self
    }

    /// With what was measured of a window; `users` has one entry an instance.
    #[must_use]
    pub fn with_entered(mut self, window: &str, users: &[u32]) -> Self {
        let different: BTreeSet<&u32> = users.iter().collect();
        let (instances, users) = (users.len() as u64, different.len() as u64);
        self.entered = Some(Entered { window: window.to_owned(), instances, users });
        self
    }

    /// Name and value of each fact, in words.
    pub fn rows(&self) -> Vec<(String, String)> {
        let mut rows = Vec::new();
        let mut row = |name: &str, value: Option<String>| rows.extend(value.map(|value| (name.to_owned(), value)));
        row("run", self.run_id.clone());
        row("config digest", Some(self.config_digest.to_string()));
        row("data digest", self.data_digest.as_ref().map(ToString::to_string));
        row("state digest", self.state_digest.as_ref().map(ToString::to_string));
        row("trained by version", self.code_version.clone());
        row("report by version", Some(self.report_version.clone()));
        row("source", Some(self.source.clone()));
        let negatives = self.negatives.as_ref();
        row("negatives", negatives.map(|of| format!("{}. {}", of.kind.name(), of.sentence)));
        row("statistics", Some(written(&self.statistics)));
        for window in &self.windows {
            row(&format!("{} window", window.name), Some(window.words()));
        }
        let entered = self.entered.as_ref();
        row(
            "measured here",
            entered.map(|of| format!("{} instances of {} users of the {} window", of.instances, of.users, of.window)),
        );
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::Dataset;
    use crate::event::Event;
    use crate::instance::Instance;
    use crate::matrix::Matrix;
    use crate::semantic_id::SemanticIds;
    use crate::split::{PassWindows, Window};
    use conrec_domain::spec::RunConfig;
    use conrec_domain::work::Pass;
    use std::sync::Arc;

    /// User 0 dislikes within the window, 1 only likes, 2 dislikes before it, 3 is not there, 4 dislikes, without an
    /// instance.
    fn pass() -> PreparedPass {
        let event = |user, time, sign| Event { user, item: 0, time, sign };
        let events = vec![
            event(2, 5, Sign::Negative),
            event(0, 10, Sign::Negative),
            event(1, 11, Sign::Positive),
            event(2, 12, Sign::Neutral),
            event(4, 13, Sign::Negative),
            event(0, 19, Sign::Negative),
            event(3, 20, Sign::Negative),
        ];
        let window = Window { from: 10, to: 20 };
        let instance = |t0| Instance { user: 0, t0, next: 0, gts: vec![0], fps: Vec::new() };
        let set = EvaluationSet {
            role: Role::Test,
            window,
            instances: vec![instance(10), instance(19)],
            candidates: Vec::new(),
        };
        PreparedPass {
            windows: PassWindows { pass: Pass::Refit, train_end: 10, evaluate: window },
            dataset: Arc::new(Dataset { events, ..Dataset::default() }),
            training: Vec::new(),
            evaluations: vec![set],
            swing: Vec::new(),
            ids: SemanticIds::new(1, 1, vec![0], &[true]).unwrap(),
            cell_vectors: Matrix::zeros(1, 1),
        }
    }

    fn spec() -> RunSpec {
        let text = include_str!("../../configs/demo.toml");
        RunSpec::check(RunConfig::parse(text, "demo.toml").unwrap()).unwrap()
    }

    #[test]
    fn users_without_a_negative_in_the_window_are_counted_and_others_are_not() {
        let pass = pass();
        let window = SplitWindow::of(&pass, &pass.evaluations[0]);
        assert_eq!((window.instances, window.users), (2, 1));
        assert_eq!((window.users_seen, window.users_without_negatives), (Some(4), Some(2)));
    }

    #[test]
    fn every_fact_has_a_row_and_what_is_unknown_none() {
        let digest = Digest::of(b"config");
        let bare = Provenance::new(&spec(), digest, "1.2.3");
        let names = |of: &Provenance| of.rows().into_iter().map(|(name, _)| name).collect::<Vec<_>>().join(", ");
        assert_eq!(names(&bare), "config digest, report by version, source, negatives, statistics");
        let whole = Provenance {
            run_id: Some("demo-1".into()),
            data_digest: Some(Digest::of(b"data")),
            state_digest: Some(Digest::of(b"state")),
            code_version: Some("1.0.0".into()),
            ..bare
        };
        let whole = whole.with_windows(&pass()).with_entered("test", &[7, 7, 9]);
        let rows = whole.rows();
        let row = |name: &str| rows.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str()).unwrap();
        assert!(row("negatives").starts_with("proxy. Proxy negatives: a rating of 5 or less"), "{rows:?}");
        assert_eq!(
            row("test window"),
            "1970-01-01 00:00 to 1970-01-01 00:00 UTC, statistics before 1970-01-01 00:00: 2 instances of 1 users; \
             4 users have events in it, 2 of them no negative: left out"
        );
        assert_eq!(row("measured here"), "3 instances of 2 users of the test window");
        let text = serde_json::to_string(&whole).unwrap();
        assert_eq!(serde_json::from_str::<Provenance>(&text).unwrap(), whole);
        assert!(text.contains("\"kind\":\"proxy\"") && text.contains("\"users_without_negatives\":2"), "{text}");
    }

    #[test]
    fn windows_of_earlier_versions_say_nothing_of_who_was_left_out() {
        let text = r#"{"name":"test","train_end":0,"from":0,"to":60,"instances":3,"users":2}"#;
        let window: SplitWindow = serde_json::from_str(text).unwrap();
        assert!(window.words().ends_with("3 instances of 2 users"), "{}", window.words());
    }
}
