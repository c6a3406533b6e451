//! What commands have in common that train the arms of an experiment and write a report about them: their arguments, the
//! report's files, and the parts that every such report has.

use crate::args::{ConfigArgs, Output, StoreArgs};
use crate::compare::{Comparison, Contender};
use crate::config_file;
use crate::experiment::{Ended, Experiment, Trained};
use crate::failure::Failure;
use clap::Args;
use conrec_coordinator::exit_code::ExitCode;
use conrec_domain::arms::{Arm, GIVEN, distinct};
use conrec_domain::spec::{RunSpec, written};
use conrec_feedback::bootstrap::Resampling;
use conrec_feedback::metrics::Column;
use conrec_feedback::report_order::is_own;
use conrec_page::{Block, Cell, Document, Section, Table};
use conrec_process::{ReportFiles, say};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Where configs lie that are called by their name.
const CONFIGS: &str = "configs";

/// What such a command is told.
#[derive(Debug, Args)]
pub struct ExperimentArgs {
    /// A config's path, or its name in configs/
    #[arg(value_name = "DATASET")]
    pub dataset: PathBuf,
    /// Set one key in every arm, such as evaluation.bootstrap=200; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Seeds, from 0
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=100))]
    pub seeds: u64,
    /// Worker processes of each run; the result is the same for any number
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub workers: u32,
    /// The store.
    #[command(flatten)]
    pub store: StoreArgs,
    /// Where the report is written; default: reports/ and the config's name
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// What is printed at the end
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub output: Output,
}

/// An experiment about a config.
pub struct ExperimentReport<'a> {
    /// What the command was told.
    pub args: &'a ExperimentArgs,
    /// The name of its files.
    pub stem: &'static str,
    /// The config's name.
    pub name: String,
    /// The config that the arms differ from.
    pub given: RunSpec,
    file: PathBuf,
    folder: PathBuf,
}

impl<'a> ExperimentReport<'a> {
    /// Reads the config.
    ///
    /// # Errors
    /// There is none of that name, or it is not allowed.
    pub fn new(args: &'a ExperimentArgs, stem: &'static str) -> Result<Self, Failure> {
        let file = config(&args.dataset)?;
        let given = config_file::load(&ConfigArgs { config: file.clone(), set: args.set.clone() })?;
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let folder = args.out.clone().unwrap_or_else(|| Path::new("reports").join(&name));
        Ok(Self { args, stem, name, given, file, folder })
    }

    /// Trains the arms, those with one config once; none if somebody asked for the end.
    ///
    /// # Errors
    /// A run that fails.
    pub async fn train(&self, arms: &[Arm]) -> Result<Option<Vec<Trained>>, Failure> {
        let (store, workers) = (&self.args.store.store, self.args.workers);
        let experiment = Experiment { config: &self.file, store, workers, folder: self.folder.clone() };
        match experiment.run(&distinct(arms.to_vec()), self.args.seeds).await? {
            Ended::Complete(trained) => Ok(Some(trained)),
            Ended::Stopped => {
                say!("stopped; the same command goes on from there");
                Ok(None)
            }
        }
    }

    /// These runs beside each other.
    pub fn comparison<'t>(&self, trained: &'t [Trained], columns: &'t [Column]) -> Comparison<'t> {
        let evaluation = &self.given.evaluation;
        let resampling = Resampling { times: evaluation.bootstrap, seed: evaluation.seed };
        Comparison { trained, resampling, top: evaluation.top, columns }
    }

    /// The policy of each arm.
    pub fn policies(&self, arms: &[Arm], trained: &[Trained]) -> Vec<Contender> {
        let known = |arm: &Arm| {
            let as_trained = trained.iter().find(|run| run.config == arm.config);
            as_trained.map_or(&arm.name, |run| &run.arm).clone()
        };
        arms.iter().map(|arm| contender(&arm.name, &known(arm), "grpo")).collect()
    }

    /// A report of these sections and the runs.
    pub fn document(&self, title: &str, sections: Vec<Section>, trained: &[Trained]) -> Document {
        let notes: BTreeSet<&String> = trained.iter().flat_map(|run| &run.identity.notes).collect();
        let data: BTreeSet<&String> = trained.iter().map(|run| &run.identity.data_digest).collect();
        let runs = vec![Block::Table(runs(trained)), decisions(trained)];
        let runs = Section::new("Runs", runs)
            .with_hint("Every number above comes from these runs; `conrec audit` proves each.");
        Document {
            title: format!("{title} {}", self.name),
            facts: vec![
                if self.args.seeds == 1 { "1 seed".to_owned() } else { format!("{} seeds", self.args.seeds) },
                format!("{} runs", trained.len()),
                format!("statistics: {}", written(&self.given.evaluation.statistics)),
                format!("prepared data: {} digests, one a seed where vectors are seeded", data.len()),
            ],
            notes: notes.into_iter().cloned().collect(),
            sections: sections.into_iter().chain([runs]).collect(),
        }
    }

    /// Writes the report as page, Markdown and JSON, and says it.
    ///
    /// # Errors
    /// A folder that cannot be written.
    pub fn write(&self, document: &Document, json: &Value) -> Result<u8, Failure> {
        let files = ReportFiles { folder: &self.folder, name: self.stem };
        files.write(document, json, self.args.output).map_err(|(place, error)| Failure::io("write", &place)(error))?;
        Ok(ExitCode::Done.code())
    }
}

/// A model of an arm as a row.
pub fn contender(name: &str, arm: &str, model: &str) -> Contender {
    let own = is_own(model) && arm == GIVEN;
    Contender { name: name.to_owned(), arm: arm.to_owned(), model: model.to_owned(), own }
}

/// A file, or the name of one in `configs/`.
fn config(dataset: &Path) -> Result<PathBuf, Failure> {
    let named = Path::new(CONFIGS).join(dataset).with_extension("toml");
    if let Some(found) = [dataset.to_owned(), named].into_iter().find(|file| file.is_file()) {
        return Ok(found);
    }
    let there = std::fs::read_dir(CONFIGS).into_iter().flatten().flatten();
    let names: BTreeSet<String> = there
        .filter(|entry| entry.path().extension().is_some_and(|e| e == "toml"))
        .filter_map(|entry| Some(entry.path().file_stem()?.to_string_lossy().into_owned()))
        .collect();
    let names = names.into_iter().collect::<Vec<_>>().join(", ");
    let message =
        format!("no dataset `{}`: expected a config's path or one of {names} (of {CONFIGS}/)", dataset.display());
    Err(Failure::new(ExitCode::Usage, message))
}

/// Contenders in a table, what the arms say, and the differences to the first contender.
pub fn section(title: &str, comparison: &Comparison<'_>, contenders: &[Contender], arms: &[Arm]) -> Section {
    let mut blocks = vec![Block::Table(comparison.table(contenders))];
    blocks.extend(arms.iter().map(|arm| Block::Text(format!("{}: {}.", arm.name, arm.says))));
    blocks.extend(contenders.first().map(|first| Block::Table(comparison.differences(contenders, first))));
    Section::new(title, blocks).with_hint(
        "Test window, item level. Means over seeds; in brackets 95 % intervals over users and seeds. Bold: the best of a \
         column.",
    )
}

fn runs(trained: &[Trained]) -> Table {
    let mut table = Table::with_columns(&[
        ("arm", ""),
        ("seed", ""),
        ("run", ""),
        ("config", "digest"),
        ("data", "digest"),
        ("state", "digest"),
        ("minutes", ""),
    ]);
    for run in trained {
        let of = &run.identity;
        let short = |digest: &str| Cell::Text(digest.chars().take(12).collect());
        table.push(vec![
            Cell::text(&run.arm),
            Cell::Number(run.seed as f64, 0),
            Cell::text(&of.run_id),
            short(&of.config_digest),
            short(&of.data_digest),
            short(&of.state_digest),
            Cell::Number(of.wall_seconds / 60.0, 1),
        ]);
    }
    table
}

/// What each run decided between and in its stages: where the gate keeps no iteration of a stage, arms that differ in
/// that stage are equal.
fn decisions(trained: &[Trained]) -> Block {
    let of_run = |run: &Trained| {
        let line = |d: &conrec_domain::work::Decision| {
            format!("{} {} {} {} {}: {}\n", run.arm, run.seed, written(&d.pass), d.stage, d.iteration, d.reason)
        };
        run.identity.decisions.iter().map(line).collect::<String>()
    };
    let title = "Decisions: arm, seed, pass, stage, iteration".to_owned();
    Block::Folded { title, text: trained.iter().map(of_run).collect() }
}

/// Contenders with their metrics; each metric with its differences to `than` where one is given.
pub fn rows(comparison: &Comparison<'_>, contenders: &[Contender], than: Option<&Contender>) -> Value {
    let row = |contender: &Contender| {
        let metrics = comparison.columns().filter_map(|column| {
            let found = comparison.metric(contender, column.base)?;
            let mut value =
                json!({"value": found.value, "low": found.low, "high": found.high, "by_seed": found.by_seed});
            let other = than.filter(|than| *than != contender);
            if let Some(d) = other.and_then(|than| comparison.difference(contender, than, column.base)) {
                value["difference"] = json!({"value": d.value, "low": d.low, "high": d.high, "by_seed": d.by_seed});
            }
            Some((column.base.to_owned(), value))
        });
        let metrics: serde_json::Map<String, Value> = metrics.collect();
        json!({"name": contender.name, "arm": contender.arm, "model": contender.model, "metrics": metrics})
    };
    contenders.iter().map(row).collect()
}

/// The runs.
pub fn runs_as_json(trained: &[Trained]) -> Value {
    trained.iter().map(|run| json!({"arm": run.arm, "seed": run.seed, "identity": run.identity})).collect()
}
