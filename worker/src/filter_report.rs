//! `conrec filter-report`: what a run's filter would take away on the test window at every threshold, beside the baselines'
//! filters and the rule "block the whole category" (method, section 6).

mod content;

use crate::error::WorkerError;
use crate::pass_data::PassData;
use crate::provenance::{of_run, state_of};
use crate::rank::rank;
use crate::report::{chosen_baselines, notes, policies_of};
use crate::stored_run::{StoreArgs, StoredRun};
use crate::tuned_baselines::content as item_content;
use clap::Args;
use conrec_domain::ids::RunId;
use conrec_domain::spec::{EvaluationSpec, RunConfig, RunSpec};
use conrec_feedback::baseline_tuning::Fitting;
use conrec_feedback::baselines::fit_baselines;
use conrec_feedback::evaluation::{Evaluation, Predictions};
use conrec_feedback::filter_curve::{FilterCurve, FilterGround};
use conrec_feedback::prepared::Role;
use conrec_feedback::readers::Negatives;
use conrec_process::{Output, ReportFiles, note};
use content::Content;
use std::path::{Path, PathBuf};

/// Days of training time whose events say what is shown.
const SHOWN_DAYS: u32 = 28;

/// The user's dislikes of a category from which on it is blocked.
const BLOCKED_FROM: [u32; 5] = [1, 2, 3, 5, 10];

/// A baseline's list is followed until it has given as many cells as a predict set has; at most so far.
const ITEMS_A_CELL: u32 = 10;

/// `conrec filter-report`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  conrec filter-report RUN                       tables here, filter-report.html and .md in reports/RUN
  conrec filter-report RUN --out reports/filter --output json
  conrec filter-report RUN --instances 0 --tuned
  conrec filter-report RUN --set-size 50                what larger predict sets would take away

An item is filtered when the largest cosine of its cell to a cell of the user's predict set exceeds a threshold.")]
pub struct FilterReportArgs {
    /// The run's name
    #[arg(value_name = "RUN")]
    run: RunId,
    /// The store.
    #[command(flatten)]
    store: StoreArgs,
    /// The folder that gets the page; default: reports/RUN
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Instances of the test window, taken evenly over time; 0 for all
    #[arg(long, value_name = "N", default_value_t = 1000)]
    instances: usize,
    /// Semantic ids of a predict set, of the policies' and the baselines' alike; default: evaluation.beams of the run
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    set_size: Option<u32>,
    /// With the baselines whose settings validation chooses, SASRec among them, as far as the config turns them on; trains
    /// them
    #[arg(long)]
    tuned: bool,
    /// What is printed at the end
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// A model's filter.
struct Filter {
    name: String,
    /// Whether it is the run's own.
    own: bool,
    curve: FilterCurve,
}

/// Measures and writes the page.
///
/// # Errors
/// A run that is not finished, files that are missing or cannot be written.
pub fn run(args: &FilterReportArgs) -> Result<(), WorkerError> {
    let stored = StoredRun::open(&args.run, &args.store)?;
    let data = stored.data()?;
    let spec = &sized(&stored, args.set_size, data.prepared.ids.cells())?;
    // Baselines list items: theirs are long enough to fill a predict set.
    let long = spec.evaluation.beams.saturating_mul(ITEMS_A_CELL);
    let settings = EvaluationSpec { top: long, ..spec.evaluation.clone() };
    let window = data
        .evaluation_by(spec, &settings, Role::Test)?
        .ok_or_else(|| WorkerError::file(stored.folder.shown("prepared"), "it has no test window; prepare it again"))?
        .thinned(args.instances);
    let measuring = Measuring { spec, data: &data, window: &window, ground: ground(&data) };
    let mut filters = measuring.policies(&stored)?;
    filters.extend(measuring.baselines(&stored, args.tuned)?);
    let state = state_of(&stored.folder, stored.state.digest()?)?;
    let content = Content {
        run: &args.run,
        window: &window,
        categories: measuring.ground.categories(),
        category_rule: measuring.category_rule(),
        filters,
        notes: std::iter::once(Negatives::of(&spec.data).sentence).chain(notes(spec)).collect(),
        set_size: spec.evaluation.beams,
        identity: of_run(&stored.spec, &stored.folder, &data.prepared, Some(state))?
            .with_entered("test", &window.users()),
    };
    let folder = args.out.clone().unwrap_or_else(|| Path::new("reports").join(args.run.as_str()));
    let files = ReportFiles { folder: &folder, name: "filter-report" };
    files.write(&content.document(), &content.json(), args.output).map_err(|(place, e)| WorkerError::file(place, e))?;
    Ok(())
}

/// The run's config with predict sets of another size; the run itself was trained and evaluated with its own.
fn sized(stored: &StoredRun, size: Option<u32>, cells: usize) -> Result<RunSpec, WorkerError> {
    let mut config: RunConfig = (*stored.spec).clone();
    let Some(size) = size else { return Ok(stored.spec.clone()) };
    if size as usize > cells {
        return Err(WorkerError::Usage {
            option: "--set-size",
            found: format!("{size}, but the run has {cells} semantic ids"),
            allowed: "at most the number of semantic ids",
        });
    }
    // A list of items may not be longer than the set that it is made from; filters look at the set alone.
    (config.evaluation.beams, config.evaluation.top) = (size, config.evaluation.top.min(size));
    Ok(RunSpec::check(config)?)
}

fn ground(data: &PassData) -> FilterGround {
    let categories: Vec<Vec<String>> = data.prepared.dataset.items.iter().map(|item| item.categories.clone()).collect();
    FilterGround::new(&data.training_time(), &categories, SHOWN_DAYS)
}

/// What filters are measured on.
struct Measuring<'a> {
    spec: &'a RunSpec,
    data: &'a PassData,
    window: &'a Evaluation,
    ground: FilterGround,
}

impl Measuring<'_> {
    /// The run's policies, one that equals another left out.
    fn policies(&self, stored: &StoredRun) -> Result<Vec<Filter>, WorkerError> {
        let mut filters = Vec::new();
        for named in policies_of(&stored.state)? {
            if let Some(other) = named.same_as {
                note!("{} equals {other}: the gate kept no iteration of GRPO", named.name);
                continue;
            }
            let sets = rank(self.spec, self.data, self.window, &named.policy, 0..self.window.instances().len())?.cells;
            filters.push(Filter { own: true, ..self.filter(named.name, &sets) });
        }
        // GRPO, where there is any, comes first.
        filters.reverse();
        Ok(filters)
    }

    fn baselines(&self, stored: &StoredRun, tuned: bool) -> Result<Vec<Filter>, WorkerError> {
        let (training, content) = (self.data.training_time(), item_content(self.spec, self.data));
        let mut filters = Vec::new();
        for (name, model) in fit_baselines(&training, &content, &self.spec.reward) {
            let lists = self.window.predict(model.as_ref(), &self.data.history);
            filters.push(self.filter(name, &self.sets(&lists)));
        }
        if tuned {
            let fitting = Fitting { training: &training, content: &content, reward: &self.spec.reward };
            let chosen = chosen_baselines(&stored.spec, &stored.folder)?;
            for (name, lists) in chosen.predict(self.spec, self.data, self.window, &fitting)? {
                filters.push(self.filter(name, &self.sets(&lists)));
            }
        }
        Ok(filters)
    }

    /// The predict set of a baseline: the cells of its best items, as many as the policy has.
    fn sets(&self, lists: &Predictions) -> Vec<Vec<u32>> {
        let set = |list: &Vec<u32>| {
            let mut cells: Vec<u32> = Vec::new();
            for cell in list.iter().filter_map(|item| self.data.prepared.ids.cell_of(*item)) {
                if cells.len() < self.spec.evaluation.beams as usize && !cells.contains(&cell) {
                    cells.push(cell);
                }
            }
            cells
        };
        lists.ranked.iter().map(set).collect()
    }

    fn filter(&self, name: &str, sets: &[Vec<u32>]) -> Filter {
        let (ids, model) = (&self.data.prepared.ids, self.data.reward.model());
        let thresholds: Vec<f64> = (-25..50).map(|step| f64::from(step) / 50.0).collect();
        let curve = self.ground.measure(self.window, &thresholds, |i| self.ground.nearness(&sets[i], ids, model));
        Filter { name: name.to_owned(), own: false, curve }
    }

    fn category_rule(&self) -> FilterCurve {
        // n dislikes block: more than n - 1/2.
        let thresholds = BLOCKED_FROM.map(|n| f64::from(n) - 0.5);
        self.ground.measure(self.window, &thresholds, |i| {
            let instance = &self.window.instances()[i];
            self.ground.category_dislikes(&self.data.history.before(instance.user, instance.t0))
        })
    }
}
