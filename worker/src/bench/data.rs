//! What data of a given size costs before anything is trained: made-up events through histories, instances, statistics,
//! files and baselines, each with its time and the most memory that was resident meanwhile.

use super::process::{cpu_ms, peak_resident_mib, reset_peak, resident_mib};
use crate::error::WorkerError;
use clap::Args;
use conrec_domain::spec::{EvaluationSpec, RewardSpec, SyntheticSpec};
use conrec_domain::work::Pass;
use conrec_feedback::baselines::fit_baselines;
use conrec_feedback::content_vectors::content_vectors;
use conrec_feedback::dataset::Dataset;
use conrec_feedback::evaluation::Evaluation;
use conrec_feedback::event::{Event, Sign};
use conrec_feedback::history::History;
use conrec_feedback::instance::{Horizon, training_instances};
use conrec_feedback::interaction_features::interaction_features;
use conrec_feedback::matrix::Matrix;
use conrec_feedback::prepared::PreparedPass;
use conrec_feedback::semantic_id::SemanticIds;
use conrec_feedback::split::{PassWindows, Window, days};
use conrec_feedback::swing::Swing;
use conrec_feedback::synthetic::generate;
use conrec_feedback::training_time::TrainingTime;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::Instant;

/// What is made, and what is measured on it.
#[derive(Debug, Args)]
pub struct DataArgs {
    /// Users
    #[arg(long, default_value_t = 100_000)]
    users: u32,
    /// Items
    #[arg(long, default_value_t = 20_000)]
    items: u32,
    /// Events, about
    #[arg(long, default_value_t = 1_000_000)]
    events: u32,
    /// Dimensions of the interaction features; 0 leaves them out
    #[arg(long, default_value_t = 64)]
    interaction_dimensions: u32,
    /// Instances on which each baseline is timed
    #[arg(long, default_value_t = 200)]
    instances: u32,
}

/// Days of the made-up stream; 7 of the last 14 are evaluated, a horizon before the end.
const DAYS: u32 = 60;
const HORIZON_DAYS: u32 = 7;
const EVALUATED_DAYS: u32 = 7;

impl DataArgs {
    /// What takes a second or two.
    pub fn small() -> Self {
        Self { users: 10_000, items: 2_000, events: 100_000, interaction_dimensions: 64, instances: 200 }
    }
}

/// Times and peaks of the steps, in order.
#[derive(Default)]
pub(super) struct Steps(Map<String, Value>);

impl Steps {
    /// What was measured, by step.
    pub(super) fn values(self) -> Map<String, Value> {
        self.0
    }

    pub(super) fn time<T>(&mut self, name: &str, step: impl FnOnce() -> T) -> T {
        reset_peak();
        let (start, cpu) = (Instant::now(), cpu_ms());
        let result = step();
        let wall = start.elapsed().as_secs_f64();
        let of = json!({
            "wall_s": rounded(wall), "cpu_s": rounded((cpu_ms() - cpu) / 1e3),
            "peak_mib": peak_resident_mib().round(), "resident_mib": resident_mib().round(),
        });
        self.0.insert(name.to_owned(), of);
        result
    }
}

fn rounded(seconds: f64) -> f64 {
    (seconds * 1e3).round() / 1e3
}

/// Measures all steps on one dataset.
///
/// # Errors
/// A size for which there is no data or no instance, and files that cannot be written.
pub fn measure(args: &DataArgs) -> Result<Value, WorkerError> {
    let spec = SyntheticSpec {
        users: args.users,
        items: args.items,
        regions: (args.items / 30).clamp(40, 4000),
        days: DAYS,
        exposures_per_day: f64::from(args.events) / f64::from(args.users.max(1)) / f64::from(DAYS),
        popularity: 0.7,
        ..SyntheticSpec::default()
    };
    let mut steps = Steps::default();
    let mut dataset = steps.time("generate", || generate(&spec, 1))?;
    dataset.truth = None;
    let dataset = Arc::new(dataset);
    let history = steps.time("history", || History::new(&dataset.events, dataset.users.len()));
    let evaluate_to = dataset.last_time().unwrap_or_default() - days(HORIZON_DAYS);
    let evaluate = Window { from: evaluate_to - days(EVALUATED_DAYS), to: evaluate_to };
    let windows = PassWindows { pass: Pass::Select, train_end: evaluate.from, evaluate };
    let training = TrainingTime::new(&dataset, windows.train_end);
    let instances = steps.time("training_instances", || {
        let horizon = Horizon { days: HORIZON_DAYS, later_day_only: false };
        training_instances(windows.train_end, &dataset.events, &history, horizon)
    })?;
    let (count, negatives) = (instances.len(), training.events().iter().filter(|e| is_negative(e)).count());
    let reward = RewardSpec::default();
    let swing = steps.time("swing", || Swing::fit(&training, &reward.swing));
    let (_, pairs) = swing.sizes();
    if args.interaction_dimensions > 0 {
        let dimensions = args.interaction_dimensions as usize;
        drop(steps.time("interaction_features", || interaction_features(&training, dimensions, 1)));
    }
    let cells = vec![0; dataset.items.len()];
    let pass = PreparedPass {
        windows,
        dataset: Arc::clone(&dataset),
        training: instances,
        evaluations: Vec::new(),
        swing: swing.into_lists(),
        ids: SemanticIds::new(1, 1, cells, &training.seen())?,
        cell_vectors: Matrix::zeros(1, 1),
    };
    files(&mut steps, pass)?;
    baselines(&mut steps, (&dataset, &history), &windows, args)?;
    Ok(json!({
        "users": args.users, "items": args.items, "events": dataset.events.len(), "training_negatives": negatives,
        "training_instances": count, "swing_pairs": pairs, "threads": rayon_threads(), "steps": steps.values(),
    }))
}

fn is_negative(event: &Event) -> bool {
    event.sign == Sign::Negative
}

fn rayon_threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn files(steps: &mut Steps, pass: PreparedPass) -> Result<(), WorkerError> {
    let folder = std::env::temp_dir().join(format!("conrec-bench-data-{}", std::process::id()));
    let done = steps.time("write_files", || pass.save(&folder)).and_then(|_| {
        drop(pass);
        steps.time("read_files", || PreparedPass::load(&folder)).map(drop)
    });
    // What is left behind is only a temporary folder.
    let _ = std::fs::remove_dir_all(&folder);
    Ok(done?)
}

fn baselines(
    steps: &mut Steps,
    (dataset, history): (&Dataset, &History),
    windows: &PassWindows,
    args: &DataArgs,
) -> Result<(), WorkerError> {
    let settings = EvaluationSpec { bootstrap: 10, ..EvaluationSpec::default() };
    let data = conrec_domain::spec::DataSpec { horizon_days: HORIZON_DAYS, ..Default::default() };
    let evaluation =
        steps.time("evaluation_window", || Evaluation::new(dataset, history, windows, &data, &settings))?;
    let evaluation = evaluation.thinned(args.instances as usize);
    let training = TrainingTime::new(dataset, windows.train_end);
    let content = Arc::new(content_vectors(dataset, &training, 64, 1));
    let models = steps.time("fit_baselines", || fit_baselines(&training, &content, &RewardSpec::default()));
    for (name, model) in models {
        steps.time(&format!("predict_{name}"), || evaluation.predict(model.as_ref(), history));
    }
    Ok(())
}
