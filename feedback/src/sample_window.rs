//! A small generated dataset with its validation window, for the tests of what is chosen there.
#![allow(clippy::unwrap_used, reason = "clippy allows it in tests, but not in what tests share")]

use crate::dataset::Dataset;
use crate::evaluation::Evaluation;
use crate::history::History;
use crate::split::passes;
use crate::synthetic::generate;
use conrec_domain::spec::{DataSpec, EvaluationSpec, Statistics, SyntheticSpec};

/// 60 users in 40 days, and 40 instances of the window on which the select pass chooses.
pub struct SampleWindow {
    /// All events.
    pub dataset: Dataset,
    /// Events by user.
    pub history: History,
    /// The validation window.
    pub window: Evaluation,
    /// The end of training time.
    pub train_end: i64,
}

/// The same each time.
pub fn sample_window() -> SampleWindow {
    let synthetic = SyntheticSpec { users: 60, items: 80, regions: 12, days: 40, ..SyntheticSpec::default() };
    let dataset = generate(&synthetic, 1).unwrap();
    let history = History::new(&dataset.events, dataset.users.len());
    let data = DataSpec { horizon_days: 3, gap_days: 3, validation_days: 6, test_days: 6, ..DataSpec::default() };
    let (first, last) = (dataset.first_time().unwrap(), dataset.last_time().unwrap());
    let windows = passes(&data, Statistics::Refit, first, last).unwrap()[0];
    let spec = EvaluationSpec { bootstrap: 2, ..EvaluationSpec::default() };
    let window = Evaluation::new(&dataset, &history, &windows, &data, &spec).unwrap().thinned(40);
    SampleWindow { dataset, history, window, train_end: windows.train_end }
}
