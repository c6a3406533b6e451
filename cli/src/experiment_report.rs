//! What commands have in common that train the arms of an experiment and write a report about them: their arguments, the
//! report's files, and the parts that every such report has.

use crate::args::{ConfigArgs, Output, StoreArgs};
use crate::compare::{Comparison, Contender};
use crate::config_file;
use crate::experiment::{Ended, Experiment, Trained};
use crate::experiment_tables::{decisions, runs};
use crate::failure::Failure;
use crate::stored_run;
use clap::Args;
use conrec_coordinator::exit_code::ExitCode;
use conrec_domain::arms::{Arm, GIVEN, distinct};
use conrec_domain::spec::{RunSpec, written};
use conrec_feedback::bootstrap::Resampling;
use conrec_feedback::metrics::Column;
use conrec_feedback::provenance::Provenance;
use conrec_feedback::report_order::is_own;
use conrec_page::{Block, Document, Section};
use conrec_process::{ReportFiles, say};
use serde_json::Value;
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

    /// What names the numbers of all runs; those of each stand in the table of runs.
    ///
    /// # Errors
    /// A config that cannot be written.
    pub fn identity(&self, trained: &[Trained]) -> Result<Provenance, Failure> {
        let versions: BTreeSet<&str> = trained.iter().map(|run| run.identity.code_version.as_str()).collect();
        let versions = versions.into_iter().filter(|version| !version.is_empty()).collect::<Vec<_>>().join(", ");
        let given = trained.first().filter(|run| run.arm == GIVEN);
        Ok(Provenance {
            code_version: (!versions.is_empty()).then_some(versions),
            windows: given.map(|run| run.identity.split.windows.clone()).unwrap_or_default(),
            ..Provenance::new(&self.given, self.given.digest()?, stored_run::VERSION)
        })
    }

    /// A report of these sections and the runs.
    pub fn document(
        &self,
        title: &str,
        sections: Vec<Section>,
        (trained, identity): (&[Trained], &Provenance),
    ) -> Document {
        let mut notes: BTreeSet<String> = trained.iter().flat_map(|run| run.identity.notes.clone()).collect();
        notes.extend(silent(trained));
        notes.extend(few_seeds(self.args.seeds));
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
                format!("prepared data: {} digests (item vectors are seeded, Swing is a part of it)", data.len()),
            ],
            notes: notes.into_iter().collect(),
            sections: sections.into_iter().chain([runs, self.identity_section(identity)]).collect(),
        }
    }

    fn identity_section(&self, identity: &Provenance) -> Section {
        let evaluation = &self.given.evaluation;
        let mut rows = identity.rows();
        let mut row = |name: &str, value: String| rows.push((name.to_owned(), value));
        row("seeds", format!("{}, from 0", self.args.seeds));
        row(
            "intervals",
            format!("95 %, {} resamples of users and seeds, drawn from seed {}", evaluation.bootstrap, evaluation.seed),
        );
        Section::identity(rows).with_hint(
            "Of the config that the arms differ from. Each arm and seed has a config, data and state of its own: see Runs; \
             the JSON file has them in full beside every number.",
        )
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

/// What fewer than three seeds can say.
fn few_seeds(seeds: u64) -> Option<String> {
    let says = match seeds {
        1 => {
            "One seed: intervals are over users only, and runs that differ in nothing but their seed differ too. This is a look at \
              the form, no measurement."
        }
        2 => "Two seeds: what intervals say of seeds is a guess; three are the least.",
        _ => return None,
    };
    Some(says.to_owned())
}

/// Runs of an earlier version say less of their windows.
fn silent(trained: &[Trained]) -> Option<String> {
    let says = |run: &&Trained| {
        let windows = &run.identity.split.windows;
        !windows.is_empty() && windows.iter().all(|window| window.users_without_negatives.is_some())
    };
    let runs: Vec<&str> = trained.iter().filter(|run| !says(run)).map(|run| run.identity.run_id.as_str()).collect();
    (!runs.is_empty()).then(|| {
        format!(
            "Made by an earlier version, which did not count the users without negatives: {}. Remove a run to train it again.",
            runs.join(", ")
        )
    })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::Identity;
    use conrec_domain::spec::RunConfig;
    use conrec_feedback::outcomes::Outcomes;

    /// As `report.json` of a run has it, as far as experiments read it.
    fn run(window: &str) -> Trained {
        let text = format!(
            r#"{{"run_id": "old-1", "config_digest": "c", "data_digest": "d", "state_digest": "s", "wall_seconds": 1.5,
                "split": {{"source": "x", "windows": [{{"name": "test", "train_end": 0, "from": 0, "to": 9, "instances": 3,
                "users": 2{window}}}]}}}}"#
        );
        let identity: Identity = serde_json::from_str(&text).unwrap();
        let arm = GIVEN.to_owned();
        Trained { arm, config: RunConfig::default(), seed: 0, identity, outcomes: Outcomes::default() }
    }

    #[test]
    fn runs_of_an_earlier_version_are_read_and_named() {
        let (old, new) = (run(""), run(r#", "users_seen": 5, "users_without_negatives": 3"#));
        assert_eq!((old.identity.code_version.as_str(), old.identity.split.windows.len()), ("", 1));
        assert_eq!(silent(std::slice::from_ref(&new)), None);
        let said = silent(&[new, old]).unwrap();
        assert!(said.contains("old-1") && said.contains("earlier version"), "{said}");
        let bare =
            r#"{"run_id": "r", "config_digest": "c", "data_digest": "d", "state_digest": "s", "wall_seconds": 1}"#;
        let identity: Identity = serde_json::from_str(bare).unwrap();
        assert!(silent(&[Trained { identity, ..run("") }]).is_some(), "no window at all");
    }

    #[test]
    fn fewer_than_three_seeds_are_no_measurement() {
        assert!(few_seeds(1).unwrap().contains("no measurement") && few_seeds(2).is_some());
        assert_eq!(few_seeds(3), None);
    }
}
