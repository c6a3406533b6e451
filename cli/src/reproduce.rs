//! `conrec reproduce`: the paper's three tables in form, for a dataset of one's own.

use crate::args::{ConfigArgs, Output, StoreArgs};
use crate::compare::{Comparison, Contender};
use crate::config_file;
use crate::experiment::{Ended, Experiment, Trained};
use crate::failure::Failure;
use crate::report_files::ReportFiles;
use crate::stored_run;
use clap::Args;
use conrec_coordinator::exit_code::ExitCode;
use conrec_domain::arms::{Arm, GIVEN, ablation_arms, reward_arms};
use conrec_domain::spec::RunConfig;
use conrec_feedback::bootstrap::Resampling;
use conrec_page::{Block, Cell, Document, Section, Table};
use conrec_process::say;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Where configs lie that are called by their name.
const CONFIGS: &str = "configs";

/// `conrec reproduce`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  conrec reproduce demo                    hours: every arm of the three tables, three seeds each
  conrec reproduce smoke --seeds 1         a quick look at the form; one seed is no measurement
  conrec reproduce my-data.toml --out reports/mine --set data.path=/data/mine

Each arm is an ordinary run (`conrec report`, `conrec audit`): a complete one is not trained again, and the same command
goes on after a stop. Writes reproduce.html, .md and .json, and the arms' configs and logs.")]
pub struct ReproduceArgs {
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
    /// Where the tables are written; default: reports/ and the config's name
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// What is printed at the end
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub output: Output,
}

/// Trains what the tables need and writes them.
///
/// # Errors
/// No such config, a run that fails, a folder that cannot be written.
pub fn run(args: &ReproduceArgs) -> Result<u8, Failure> {
    stored_run::wait(reproduce(args))
}

async fn reproduce(args: &ReproduceArgs) -> Result<u8, Failure> {
    let file = config(&args.dataset)?;
    let spec = config_file::load(&ConfigArgs { config: file.clone(), set: args.set.clone() })?;
    let stem = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let folder = args.out.clone().unwrap_or_else(|| Path::new("reports").join(&stem));
    let given: &RunConfig = &spec;
    let experiment =
        Experiment { config: &file, store: &args.store.store, workers: args.workers, folder: folder.clone() };
    let trained = match experiment.run(&every_arm_once(given), args.seeds).await? {
        Ended::Complete(trained) => trained,
        Ended::Stopped => {
            say!("stopped; the same command goes on from there");
            return Ok(ExitCode::Stopped.code());
        }
    };
    let resampling = Resampling { times: spec.evaluation.bootstrap, seed: spec.evaluation.seed };
    let comparison = Comparison { trained: &trained, resampling, top: spec.evaluation.top };
    let files = ReportFiles { folder: &folder, name: "reproduce" };
    files.write(&document(&stem, given, &comparison), &as_json(&stem, given, &comparison), args.output)?;
    Ok(ExitCode::Done.code())
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

/// The arms of all tables; one whose config stands in two of them once, under its first name.
fn every_arm_once(given: &RunConfig) -> Vec<Arm> {
    let mut arms: Vec<Arm> = Vec::new();
    for arm in [ablation_arms(given), reward_arms(given)].concat() {
        if arms.iter().all(|known| known.config != arm.config) {
            arms.push(arm);
        }
    }
    arms
}

/// The name under which an arm was trained.
fn trained_as(arm: &Arm, given: &RunConfig) -> &'static str {
    every_arm_once(given).into_iter().find(|known| known.config == arm.config).map_or(arm.name, |known| known.name)
}

fn contender(name: impl Into<String>, arm: &'static str, model: &str) -> Contender {
    Contender { name: name.into(), arm, model: model.to_owned(), own: matches!(model, "grpo" | "sft") && arm == GIVEN }
}

/// Table 1: ours, SFT, the hit reward, and every baseline of the same runs.
fn main_contenders(comparison: &Comparison<'_>) -> Vec<Contender> {
    let models: BTreeSet<&String> = comparison.trained.iter().flat_map(|run| run.outcomes.models.keys()).collect();
    let ours = [
        contender("CoNRec (GRPO)", GIVEN, "grpo"),
        contender("SFT only", GIVEN, "sft"),
        contender("GRPO, hit reward (e)", "hit_reward", "grpo"),
    ];
    let baselines = models.into_iter().filter(|model| !matches!(model.as_str(), "grpo" | "sft"));
    let mut baselines: Vec<Contender> = baselines.map(|model| contender(model.as_str(), GIVEN, model)).collect();
    let fhr = |contender: &Contender| comparison.metric(contender, "fhr").map_or(f64::NEG_INFINITY, |m| m.value);
    baselines.sort_by(|a, b| fhr(b).total_cmp(&fhr(a)));
    ours.into_iter().chain(baselines).collect()
}

fn of_arms(arms: &[Arm], given: &RunConfig) -> Vec<Contender> {
    arms.iter().map(|arm| contender(arm.name, trained_as(arm, given), "grpo")).collect()
}

fn document(name: &str, given: &RunConfig, comparison: &Comparison<'_>) -> Document {
    let seeds: BTreeSet<u64> = comparison.trained.iter().map(|run| run.seed).collect();
    let notes: BTreeSet<&String> = comparison.trained.iter().flat_map(|run| &run.identity.notes).collect();
    let data: BTreeSet<&String> = comparison.trained.iter().map(|run| &run.identity.data_digest).collect();
    let section = |title: &str, contenders: &[Contender], arms: &[Arm]| {
        let mut blocks = vec![Block::Table(comparison.table(contenders))];
        blocks.extend(arms.iter().map(|arm| Block::Text(format!("{}: {}.", arm.name, arm.says))));
        blocks.extend(contenders.first().map(|first| Block::Table(comparison.differences(contenders, first))));
        Section::new(title, blocks)
            .with_hint("Test window, item level. Means over seeds; in brackets 95 % intervals over users and seeds. Bold: the best of a column.")
    };
    let ablation = of_arms(&ablation_arms(given), given);
    let with_sft = std::iter::once(&ablation[..]).flatten().cloned().chain([contender("SFT only", GIVEN, "sft")]);
    Document {
        title: format!("CoNRec on {name}"),
        facts: vec![
            format!("{} seeds", seeds.len()),
            format!("{} runs", comparison.trained.len()),
            format!("statistics: {:?}", given.evaluation.statistics).to_lowercase(),
            format!("prepared data: {} digests, one a seed where vectors are seeded", data.len()),
        ],
        notes: notes.into_iter().cloned().collect(),
        sections: vec![
            section("Table 1: all models", &main_contenders(comparison), &[]),
            section("Table 2: what each part adds", &with_sft.collect::<Vec<_>>(), &ablation_arms(given)),
            section("Table 3: rewards", &of_arms(&reward_arms(given), given), &reward_arms(given)),
            Section::new("Runs", vec![Block::Table(runs(comparison.trained))])
                .with_hint("Every number above comes from these runs; `conrec audit` proves each."),
        ],
    }
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
            Cell::text(run.arm),
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

fn as_json(name: &str, given: &RunConfig, comparison: &Comparison<'_>) -> Value {
    let table = |contenders: &[Contender]| -> Value {
        let row = |contender: &Contender| {
            let metrics = comparison.columns().filter_map(|column| {
                let found = comparison.metric(contender, column.base)?;
                let value =
                    json!({"value": found.value, "low": found.low, "high": found.high, "by_seed": found.by_seed});
                Some((column.base.to_owned(), value))
            });
            let metrics: serde_json::Map<String, Value> = metrics.collect();
            json!({"name": contender.name, "arm": contender.arm, "model": contender.model, "metrics": metrics})
        };
        contenders.iter().map(row).collect()
    };
    let runs: Vec<Value> = comparison
        .trained
        .iter()
        .map(|run| json!({"arm": run.arm, "seed": run.seed, "identity": run.identity}))
        .collect();
    json!({
        "dataset": name,
        "table_1": table(&main_contenders(comparison)),
        "table_2": table(&of_arms(&ablation_arms(given), given)),
        "table_3": table(&of_arms(&reward_arms(given), given)),
        "runs": runs,
    })
}
