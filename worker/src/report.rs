//! The `Report` lease: all models on validation and test, the exported adapter, the page, and last `report.json`,
//! whose presence says that the run is complete.

use crate::error::WorkerError;
use crate::evaluate::{NamedPolicy, WindowResult, evaluate};
use crate::export::Export;
use crate::mixes::Mixing;
use crate::pass_data::PassData;
use crate::provenance::{VERSION, prepared};
use crate::report_page::{LevelUsage, ReportData, SemanticIdUsage, Split, SplitWindow, page};
use crate::run_folder::RunFolder;
use crate::truth;
use crate::tuned_baselines::TunedBaselines;
use conrec_domain::ids::Digest;
use conrec_domain::metrics_line::MetricsLine;
use conrec_domain::spec::{RunSpec, Source, Statistics};
use conrec_domain::work::{Pass, RunSummary};
use conrec_feedback::evaluation::Evaluation;
use conrec_feedback::event::Sign;
use conrec_feedback::outcomes::Outcomes;
use conrec_feedback::prepared::Role;
use conrec_feedback::provenance::source;
use conrec_feedback::readers::Negatives;
use conrec_policy::base_model::BaseModel;
use conrec_policy::training_state::TrainingState;
use std::collections::BTreeMap;

/// Evaluates, exports and writes the report. `models` are what the run began with, the final state and, under `refit`,
/// the one at the end of the select pass, which is what validation measures.
///
/// # Errors
/// Files that cannot be read or written, and what the policy refuses.
pub fn write_report(
    spec: &RunSpec,
    folder: &RunFolder,
    models: (&BaseModel, &TrainingState, Option<&TrainingState>),
    summary: &RunSummary,
) -> Result<(), WorkerError> {
    let (base, last, select) = models;
    let mut report = begin(spec, folder, summary)?;
    let mut tuned = TunedBaselines::default();
    for &pass in passes_of(spec) {
        let state = if pass == Pass::Select { select.unwrap_or(last) } else { last };
        let data = PassData::load(spec, folder, pass)?;
        report.semantic_ids.push(usage(&data));
        if report.split.counts.is_empty() {
            report.split.counts = counts(&data);
        }
        for role in [Role::Validation, Role::Test] {
            if let Some(set) = data.prepared.evaluation(role) {
                report.split.windows.push(SplitWindow::of(&data.prepared, set));
                if role == Role::Validation {
                    tuned = choose(spec, &data)?;
                }
                let result = evaluate_role(spec, (folder, &data), (state, role), &tuned)?;
                let (name, digest) = keep_outcomes(folder, role, &result.outcomes)?;
                report.outcomes.insert(name, digest);
                tuned.mixing = Mixing::Chosen(result.mixes.clone());
                place(&mut report, role, result);
            }
        }
        if Some(&pass) == passes_of(spec).last() {
            Export { spec, folder, data: &data, base, state: last }.publish()?;
        }
    }
    report.baseline_choices = tuned.choices();
    let lines = metrics_lines(folder)?;
    let config = String::from_utf8_lossy(&folder.read("run.toml")?).into_owned();
    let html = page(&report, &lines, &config).map_err(|e| WorkerError::file(folder.path("report.html"), e))?;
    folder.write("report.html", html.as_bytes())?;
    let json = serde_json::to_vec_pretty(&report).map_err(|e| WorkerError::file(folder.path("report.json"), e))?;
    folder.write("report.json", &json)?;
    Ok(())
}

/// Keeps what each model scored on each instance: by that runs are compared.
fn keep_outcomes(folder: &RunFolder, role: Role, outcomes: &Outcomes) -> Result<(String, Digest), WorkerError> {
    let place = match role {
        Role::Validation => "outcomes/validation.parquet",
        Role::Test => "outcomes/test.parquet",
    };
    let bytes = outcomes.encode().map_err(|e| WorkerError::file(folder.path(place), e))?;
    folder.write(place, &bytes)?;
    Ok((place.to_owned(), Digest::of(&bytes)))
}

/// What validation chooses for the baselines that have settings, computed anew. Policies are not mixed with popularity:
/// that is chosen by the policy as it was at the end of the select pass.
///
/// # Errors
/// Files that cannot be read, and what libtorch refuses.
pub fn chosen_baselines(spec: &RunSpec, folder: &RunFolder) -> Result<TunedBaselines, WorkerError> {
    let mut tuned = choose(spec, &PassData::without_prompts(spec, folder, Pass::Select)?)?;
    tuned.mixing = Mixing::default();
    Ok(tuned)
}

/// The settings of baselines that have some, by the select pass's validation window.
fn choose(spec: &RunSpec, select: &PassData) -> Result<TunedBaselines, WorkerError> {
    let validation = select.evaluation(spec, Role::Validation)?;
    validation.map_or_else(|| Ok(TunedBaselines::default()), |window| TunedBaselines::choose(spec, select, &window))
}

/// The passes of a run, in order.
pub fn passes_of(spec: &RunSpec) -> &'static [Pass] {
    match spec.evaluation.statistics {
        Statistics::Refit => &[Pass::Select, Pass::Refit],
        Statistics::Frozen => &[Pass::Select],
    }
}

fn begin(spec: &RunSpec, folder: &RunFolder, summary: &RunSummary) -> Result<ReportData, WorkerError> {
    let prepared = prepared(folder)?;
    Ok(ReportData {
        run_id: folder.run().clone(),
        config_digest: spec.digest()?,
        data_digest: prepared.data_digest,
        code_version: VERSION.to_owned(),
        state_digest: summary.state_digest,
        iterations: summary.iterations,
        journal_digest: summary.journal_digest,
        wall_seconds: summary.wall_seconds,
        statistics: spec.evaluation.statistics,
        split: Split { source: source(spec), counts: BTreeMap::new(), windows: Vec::new() },
        negatives: Some(Negatives::of(&spec.data)),
        models: BTreeMap::new(),
        validation: BTreeMap::new(),
        differences: Vec::new(),
        outcomes: BTreeMap::new(),
        last_changes: summary.changes.clone(),
        decisions: summary.decisions.clone(),
        questions: summary.questions.clone(),
        baseline_choices: Vec::new(),
        semantic_ids: Vec::new(),
        notes: prepared.summary.iter().cloned().chain(notes(spec)).collect(),
    })
}

fn evaluate_role(
    spec: &RunSpec,
    (folder, data): (&RunFolder, &PassData),
    (state, role): (&TrainingState, Role),
    tuned: &TunedBaselines,
) -> Result<WindowResult, WorkerError> {
    match window_of(spec, (folder, data), role)? {
        Some(window) => evaluate(spec, data, &window, policies_of(state)?, Some(tuned)),
        None => Ok(WindowResult::default()),
    }
}

/// The window of a role, with the truth about users where there is one; none where the pass does not evaluate it.
///
/// # Errors
/// Files that cannot be read.
pub fn window_of(
    spec: &RunSpec,
    (folder, data): (&RunFolder, &PassData),
    role: Role,
) -> Result<Option<Evaluation>, WorkerError> {
    let Some(evaluation) = data.evaluation(spec, role)? else { return Ok(None) };
    let truth = truth::load(spec, folder, data.prepared.dataset.items.len())?;
    Ok(Some(truth.into_iter().fold(evaluation, |evaluation, truth| evaluation.with_truth(&truth))))
}

/// The policies of a state by their names in the report: before and after GRPO.
///
/// # Errors
/// A state that makes no policy.
pub fn policies_of(state: &TrainingState) -> Result<Vec<NamedPolicy>, WorkerError> {
    let (grpo, sft) = (state.frozen()?, state.supervised()?);
    // Stages that the gate refused leave the adapter as it was.
    let same_as = state.is_as_supervised().then_some("sft");
    Ok(vec![
        NamedPolicy { name: "sft", policy: sft, same_as: None },
        NamedPolicy { name: "grpo", policy: grpo, same_as },
    ])
}

fn place(report: &mut ReportData, role: Role, result: WindowResult) {
    match role {
        Role::Validation => report.validation = result.models,
        Role::Test => {
            report.models = result.models;
            report.differences = result.differences;
        }
    }
}

/// What a reader of this run's numbers must know.
pub fn notes(spec: &RunSpec) -> Vec<String> {
    let mut notes = Vec::new();
    if spec.data.source == Source::Synthetic {
        notes.extend(
            [
                "true_region: share of the list's places that hold an item of a region which the user truly dislikes at that \
                 moment; true_region_recall: share of these regions that the list meets; row `chance`: an even draw.",
            ]
            .map(str::to_owned),
        );
    }
    if spec.data.later_day_only {
        notes.push(
            "Moments lie at midnight (UTC) after the day of a negative: all targets lie on later days \
             (data.later_day_only)."
                .to_owned(),
        );
    }
    notes.push(format!(
        "A cell becomes items by its probability times the item's share of the cell's negatives in the last {} days of training time.",
        spec.evaluation.share_days
    ));
    notes.push(
        "Metrics that begin with sid_ count cells and mostly measure their size; compare them with cell_pop only."
            .to_owned(),
    );
    notes
}

fn counts(data: &PassData) -> BTreeMap<String, u64> {
    let dataset = &data.prepared.dataset;
    let of = |sign| dataset.events.iter().filter(|e| e.sign == sign).count() as u64;
    BTreeMap::from([
        ("events".to_owned(), dataset.events.len() as u64),
        ("users".to_owned(), dataset.users.len() as u64),
        ("items".to_owned(), dataset.items.len() as u64),
        ("negatives".to_owned(), of(Sign::Negative)),
        ("neutrals".to_owned(), of(Sign::Neutral)),
        ("positives".to_owned(), of(Sign::Positive)),
    ])
}

fn usage(data: &PassData) -> SemanticIdUsage {
    let ids = &data.prepared.ids;
    let usage = ids.usage();
    let mut counts = vec![vec![0u32; ids.codes]; ids.levels];
    for cell in 0..ids.cells() as u32 {
        for (level, code) in ids.cell_codes(cell).iter().enumerate() {
            counts[level][usize::from(*code)] += ids.cell_items(cell).len() as u32;
        }
    }
    let levels = usage.levels.iter().zip(counts).map(|(level, counts)| LevelUsage {
        codes: ids.codes as u32,
        used: level.used as u32,
        dead: level.dead as u32,
        perplexity: level.perplexity,
        gini: level.gini,
        counts,
    });
    SemanticIdUsage {
        pass: data.prepared.windows.pass,
        items: usage.items as u64,
        cells: usage.cells as u64,
        collision_rate: usage.collision_rate,
        largest_cell: usage.largest_cell as u64,
        levels: levels.collect(),
    }
}

fn metrics_lines(folder: &RunFolder) -> Result<Vec<MetricsLine>, WorkerError> {
    let place = "metrics.jsonl";
    let bytes = folder.read(place)?;
    let text = String::from_utf8_lossy(&bytes);
    let line = |(number, line): (usize, &str)| {
        serde_json::from_str(line)
            .map_err(|e| WorkerError::file(folder.path(place), format!("line {}: {e}", number + 1)))
    };
    text.lines().enumerate().map(line).collect()
}
