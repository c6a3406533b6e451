//! `conrec evaluate`: the metrics table of the test window, computed anew from a run's final policy or from an exported
//! adapter, on the run's prepared data.

use crate::adapter_policy::{Adapted, adapted};
use crate::error::WorkerError;
use crate::evaluate::{NamedPolicy, WindowResult, evaluate};
use crate::other_policy::on_data_of;
use crate::predict::parquet_file;
use crate::provenance::{of_run, state_of};
use crate::report::{chosen_baselines, notes, policies_of, window_of};
use crate::report_page::Interval;
use crate::stored_run::{StoreArgs, StoredRun};
use clap::Args;
use conrec_domain::ids::RunId;
use conrec_domain::spec::written;
use conrec_feedback::metrics::COLUMNS;
use conrec_feedback::prepared::Role;
use conrec_feedback::readers::Negatives;
use conrec_feedback::report_order::{base_of, in_order, is_own};
use conrec_page::{Block, Cell, Column, Document, Row, Section, Table};
use conrec_policy::atomic_write::write_atomically;
use conrec_process::{Output, result, say};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// Model to metric to value.
type Models = BTreeMap<String, BTreeMap<String, Interval>>;

/// `conrec evaluate`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  conrec evaluate RUN                                     the run's final policy, and the same before GRPO
  conrec evaluate RUN --baselines --output json           with all models it is held against, for programs
  conrec evaluate --adapter runs/RUN/adapter              what the exported adapter does
  conrec evaluate RUN --adapter tuned --base base_model   another adapter of that shape, on the run's data
  conrec evaluate RUN --adapter runs/RUN/adapter --base DIR
                                                          what it does on a variant of the pretrained base
  conrec evaluate RUN --policy-of OLDER                   another run's policy, on the run's data

One row a model, with 95 % intervals over users. An adapter in a run's folder needs no RUN.")]
pub struct EvaluateArgs {
    /// The run whose data, split and policy are used
    #[arg(value_name = "RUN", required_unless_present = "adapter")]
    run: Option<RunId>,
    /// The store.
    #[command(flatten)]
    store: StoreArgs,
    /// A PEFT folder, as a run exports it: evaluated in place of the run's own policy
    #[arg(long, value_name = "DIR")]
    adapter: Option<PathBuf>,
    /// The adapter's base model in Hugging Face layout: from scratch by default what the adapter names, or base_model beside
    /// it; of a pretrained base by default the run's own, and a variant of it with the same shape and tokens may be given
    #[arg(long, value_name = "DIR", requires = "adapter")]
    base: Option<PathBuf>,
    /// Evaluate the baselines too, those with settings that validation chooses among them
    #[arg(long)]
    baselines: bool,
    /// Evaluate another run's policy in place of the run's own, with that run's semantic ids, on this run's data
    #[arg(long, value_name = "RUN", conflicts_with_all = ["adapter", "baselines"])]
    policy_of: Option<RunId>,
    /// Write what each model scored on each instance, as a Parquet file like a run's outcomes/test.parquet
    #[arg(long, value_name = "FILE.parquet", value_parser = parquet_file)]
    outcomes: Option<PathBuf>,
    /// How it is printed
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// Evaluates and prints.
///
/// # Errors
/// A run that is not finished, an adapter of another shape, files that are missing or damaged.
pub fn run(args: &EvaluateArgs) -> Result<(), WorkerError> {
    let (run, store) = args.place()?;
    let stored = StoredRun::open(&run, &store)?;
    let (stored, data) = match &args.policy_of {
        Some(other) => on_data_of(other, &stored, &store)?,
        None => {
            let data = stored.data()?;
            (stored, data)
        }
    };
    let spec = &stored.spec;
    let window = window_of(spec, (&stored.folder, &data), Role::Test)?
        .ok_or_else(|| WorkerError::file(stored.folder.shown("prepared"), "it has no test window; prepare it again"))?;
    let (policies, base) = match &args.adapter {
        Some(adapter) => {
            let Adapted { policy, base } = adapted(&stored, adapter, args.base.as_deref())?;
            (vec![NamedPolicy { name: "adapter", policy, same_as: None }], base)
        }
        None => (policies_of(&stored.state)?, None),
    };
    let tuned = args.baselines.then(|| chosen_baselines(spec, &stored.folder)).transpose()?;
    let WindowResult { models, outcomes, .. } = evaluate(spec, &data, &window, policies, tuned.as_ref())?;
    if let Some(file) = &args.outcomes {
        write_atomically(file, &outcomes.encode().map_err(|e| WorkerError::file(file, e))?)?;
    }
    let policy = args.policy();
    // An adapter is no state of the run.
    let own = args.adapter.is_none().then(|| stored.state.digest()).transpose()?;
    let state = match (own, &args.policy_of) {
        (Some(own), None) => Some(state_of(&stored.folder, own)?),
        (own, _) => own,
    };
    let identity = of_run(spec, &stored.folder, &data.prepared, state)?.with_entered("test", &window.users());
    if args.output == Output::Json {
        let whole = json!({
            "run_id": run, "config_digest": identity.config_digest, "state_digest": identity.state_digest,
            "policy": policy, "base": base, "window": "test", "instances": window.instances().len(),
            "statistics": spec.evaluation.statistics, "identity": identity, "models": models,
        });
        say!("{whole:#}");
        return Ok(());
    }
    let base = base.map(|base| format!("base: {base}"));
    let facts = std::iter::once(format!("policy: {policy}")).chain(base).chain([
        format!("statistics: {}", written(&spec.evaluation.statistics)),
        format!("{} instances of the test window", window.instances().len()),
    ]);
    let document = Document {
        title: format!("Run {run}, evaluated again"),
        facts: facts.collect(),
        notes: std::iter::once(Negatives::of(&spec.data).sentence).chain(notes(spec)).collect(),
        sections: sections(&models).into_iter().chain([Section::identity(identity.rows())]).collect(),
    };
    result(format_args!("{}", document.terminal()));
    Ok(())
}

impl EvaluateArgs {
    /// Whose policy is evaluated, for people.
    fn policy(&self) -> String {
        match (&self.adapter, &self.policy_of) {
            (Some(folder), _) => folder.display().to_string(),
            (None, Some(run)) => format!("that of run {run}"),
            (None, None) => "final".to_owned(),
        }
    }

    /// The run and where it is kept: an adapter in a run's folder says both.
    fn place(&self) -> Result<(RunId, StoreArgs), WorkerError> {
        if let Some(run) = &self.run {
            return Ok((run.clone(), self.store.clone()));
        }
        let adapter = self.adapter.clone().unwrap_or_default();
        let whole = adapter.canonicalize().map_err(|e| WorkerError::file(&adapter, e))?;
        let place = whole.parent().filter(|folder| folder.join("run.toml").is_file()).and_then(|folder| {
            let run = folder.file_name()?.to_str()?.parse().ok()?;
            Some((run, folder.parent()?.to_str()?.to_owned()))
        });
        let (run, store) = place.ok_or_else(|| WorkerError::Usage {
            option: "--adapter",
            found: adapter.display().to_string(),
            allowed: "a folder of a run (runs/RUN/adapter); of another adapter say the RUN whose data it is evaluated on",
        })?;
        Ok((run, StoreArgs { store, scratch: self.store.scratch.clone() }))
    }
}

/// The tables: items, then cells where a model has them.
fn sections(models: &Models) -> Vec<Section> {
    let section = |prefix: &str, title: &str, hint: &str| {
        let table = table(models, prefix);
        (table.columns.len() > 1).then(|| Section::new(title, vec![Block::Table(table)]).with_hint(hint))
    };
    let items = section("", "Items", "Test window; [95 % interval over users]; more is better, but for PosHit");
    let cells =
        section("sid_", "Semantic ids", "Test window. These count cells, not items; compare them with cell_pop only");
    items.into_iter().chain(cells).collect()
}

/// The models' metrics whose names begin so: the policies first, then by FHR.
fn table(models: &Models, prefix: &str) -> Table {
    // The horizon curve is for programs: `fhr@20_3d`.
    let plain = |metric: &&String| metric.split_once('@').is_none_or(|(_, length)| !length.contains('_'));
    let metrics: BTreeSet<&String> = models.values().flat_map(BTreeMap::keys).filter(plain).collect();
    let column = |of: &conrec_feedback::metrics::Column| {
        let wanted = format!("{prefix}{}", of.base);
        let metric = metrics.iter().find(|metric| base_of(metric) == wanted)?;
        Some(((*metric).clone(), *of))
    };
    let columns: Vec<_> = COLUMNS.iter().filter_map(column).collect();
    let first = columns.first().map_or("", |(metric, _)| metric.as_str());
    let value = |name: &str| models[name].get(first).map_or(f64::NEG_INFINITY, |found| found.value);
    let names = in_order(models.keys().map(String::as_str), value);
    let heading = |name: &str, says: &str| Column { name: name.to_owned(), says: says.to_owned() };
    let mut table = Table { columns: vec![heading("model", "")], ..Table::default() };
    table.columns.extend(columns.iter().map(|(_, of)| heading(of.heading, of.says)));
    for name in names {
        let cell = |metric: &str| match models[name].get(metric) {
            Some(found) => Cell::interval(found.value, found.low.zip(found.high)),
            None => Cell::Empty,
        };
        let cells: Vec<Cell> = columns.iter().map(|(metric, _)| cell(metric)).collect();
        if cells.iter().any(|cell| *cell != Cell::Empty) {
            let cells = std::iter::once(Cell::text(name)).chain(cells).collect();
            table.rows.push(Row { cells, own: is_own(name) });
        }
    }
    for (at, (_, of)) in columns.iter().enumerate() {
        table.mark_best(at + 1, of.more_is_better);
    }
    let count = |(metric, _): &(String, conrec_feedback::metrics::Column)| {
        let n = models.values().find_map(|metrics| metrics.get(metric)?.n);
        n.map_or(Cell::Empty, |n| Cell::text(n.to_string()))
    };
    table.push(std::iter::once(Cell::text("instances")).chain(columns.iter().map(count)).collect());
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn models() -> Models {
        let value = |value| Interval { value, low: Some(value - 0.1), high: Some(value + 0.1), n: Some(3) };
        let model = |name: &str, metrics: &[(&str, f64)]| {
            (name.to_owned(), metrics.iter().map(|(metric, v)| ((*metric).to_owned(), value(*v))).collect())
        };
        BTreeMap::from([
            model("neg_pop", &[("fhr@20", 0.3), ("fhr@20_7d", 0.9), ("fhr@20_next", 0.9)]),
            model("rocchio", &[("fhr@20", 0.4), ("cand_acc", 0.2)]),
            model("cell_pop", &[("sid_fhr@20", 0.5)]),
            model("grpo", &[("fhr@20", 0.2), ("cand_acc", 0.5), ("sid_fhr@20", 0.25)]),
        ])
    }

    #[test]
    fn policies_stand_first_and_cells_have_a_table_of_their_own() {
        let found = sections(&models());
        let tables: Vec<&Table> = found
            .iter()
            .map(|section| match &section.blocks[0] {
                Block::Table(table) => table,
                other => panic!("{other:?}"),
            })
            .collect();
        let names = |table: &Table| -> Vec<String> {
            let text = |row: &Row| match &row.cells[0] {
                Cell::Text(name) => name.clone(),
                other => panic!("{other:?}"),
            };
            table.rows.iter().map(text).collect()
        };
        assert_eq!(names(tables[0]), ["grpo", "rocchio", "neg_pop", "instances"]);
        assert_eq!(tables[0].rows[3].cells[1..], [Cell::text("3"), Cell::text("3")]);
        let headings: Vec<&str> = tables[0].columns.iter().map(|column| column.name.as_str()).collect();
        assert_eq!(headings, ["model", "FHR", "CandAcc"]);
        assert_eq!(tables[0].rows[2].cells[1], Cell::interval(0.3, Some((0.3 - 0.1, 0.3 + 0.1))));
        assert_eq!(tables[0].rows[2].cells[2], Cell::Empty);
        assert_eq!(names(tables[1]), ["grpo", "cell_pop", "instances"]);
    }
}
