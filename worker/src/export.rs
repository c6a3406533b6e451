//! The run's result in the forms of the ecosystem: the adapter in PEFT layout, and a decoder that needs no adapter. A
//! decoder from scratch lies beside its adapter, with its tokeniser; a pretrained base stays where it is: its adapter
//! brings the rows of new tokens and the tokeniser that knows them. What the tokens of semantic ids mean stands beside the
//! tokeniser.

use crate::error::WorkerError;
use crate::pass_data::PassData;
use crate::run_folder::RunFolder;
use crate::stored_run::{StoreArgs, StoredRun};
use clap::{Args, ValueEnum};
use conrec_domain::ids::RunId;
use conrec_domain::spec::RunSpec;
use conrec_policy::adapter_files::{AdapterOf, write_adapter};
use conrec_policy::base_model::{BaseModel, vocabulary_size};
use conrec_policy::export_probe::write_probe;
use conrec_policy::extended_tokenizer::write_extended_tokenizer;
use conrec_policy::lora::merge;
use conrec_policy::merged_model::MergedModel;
use conrec_policy::model_files::write_model;
use conrec_policy::tokenizer_file::{new_token_names, write_tokenizer};
use conrec_policy::training_state::TrainingState;
use std::path::{Path, PathBuf};

/// Folder of the adapter, in the run's folder.
pub const ADAPTER: &str = "adapter";
/// Folder of the base decoder.
pub const BASE: &str = "base_model";
/// Folder of a decoder with the adapter folded in.
pub const MERGED: &str = "merged";

/// What `write_probe` writes.
const PROBE: &str = "probe.json";

/// Prompts whose logits are written beside the export, so that another program can be compared with this one.
const PROBES: usize = 4;

/// `conrec export`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  conrec export demo-1a2b3c4d
  conrec export demo-1a2b3c4d --format merged --into ./demo-model")]
pub struct ExportArgs {
    /// The run's name
    #[arg(value_name = "RUN")]
    run: RunId,
    /// peft: adapter/, with base_model/ where that was trained from scratch; merged: merged/, a decoder without adapter
    #[arg(long, value_enum, default_value_t = Format::Peft)]
    format: Format,
    /// The folder that gets them, and probe.json; default: ./RUN-export
    #[arg(long, value_name = "FOLDER")]
    into: Option<PathBuf>,
    /// The store.
    #[command(flatten)]
    store: StoreArgs,
}

/// Forms of an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// An adapter for PEFT.
    Peft,
    /// A decoder for transformers.
    Merged,
}

/// A run's result.
pub struct Export<'a> {
    /// The run's settings.
    pub spec: &'a RunSpec,
    /// Its files.
    pub folder: &'a RunFolder,
    /// Its last pass.
    pub data: &'a PassData,
    /// What it began with.
    pub base: &'a BaseModel,
    /// What came out.
    pub state: &'a TrainingState,
}

/// Writes a run's result in a folder.
///
/// # Errors
/// A run that is not done, files that cannot be read or written.
pub fn run(args: &ExportArgs) -> Result<(), WorkerError> {
    let stored = StoredRun::open(&args.run, &args.store)?;
    let data = stored.data()?;
    let into = args.into.clone().unwrap_or_else(|| PathBuf::from(format!("./{}-export", args.run)));
    let StoredRun { spec, folder, base, state } = &stored;
    let export = Export { spec, folder, data: &data, base, state };
    for name in export.write(&into, args.format)? {
        conrec_process::say!("{}", into.join(name).display());
    }
    Ok(())
}

impl Export<'_> {
    /// Writes it into the run's own folder: `base_model/` (from scratch only), `adapter/` and `probe.json` (see
    /// `scripts/check-export`).
    ///
    /// # Errors
    /// Files that cannot be written.
    pub fn publish(&self) -> Result<(), WorkerError> {
        let written = self.write(&self.folder.path(""), Format::Peft)?;
        written.into_iter().try_for_each(|name| self.folder.publish(name))
    }

    /// Gives the names of what was written into `folder`.
    fn write(&self, folder: &Path, format: Format) -> Result<Vec<&'static str>, WorkerError> {
        let written = match format {
            Format::Peft => self.write_adapter(folder)?,
            Format::Merged => self.write_merged(&folder.join(MERGED)).map(|()| vec![MERGED])?,
        };
        // What the codes mean stands beside the tokeniser that knows them: in the first folder.
        for name in written.first().into_iter().flat_map(|first| [(first, "index.json"), (first, "item.json")]) {
            let place = format!("{}/{}", self.data.prepared.windows.pass.folder(), name.1);
            let content = std::fs::read(self.folder.path(&place));
            let content = content.map_err(|e| WorkerError::file(self.folder.path(&place), e))?;
            let copy = folder.join(name.0).join(name.1);
            std::fs::write(&copy, content).map_err(|e| WorkerError::file(copy, e))?;
        }
        let prompts = self.data.prepared.training.iter().take(PROBES);
        let prompts: Vec<Vec<i64>> = prompts.map(|i| self.data.serving_prompt(self.spec, i)).collect();
        let prompts: Vec<&[i64]> = prompts.iter().map(Vec::as_slice).collect();
        write_probe(folder, &self.state.frozen()?, &prompts)?;
        Ok(written.into_iter().chain([PROBE]).collect())
    }

    fn write_adapter(&self, folder: &Path) -> Result<Vec<&'static str>, WorkerError> {
        let (adapter, state) = (folder.join(ADAPTER), self.state);
        let of = AdapterOf { model: state.model(), lora: state.lora_config() };
        if self.base.pretrained().is_some() {
            write_adapter(&adapter, of, state.lora(), &whole_path(&self.spec.model.base))?;
            self.write_tokenizer(&adapter)?;
            return Ok(vec![ADAPTER]);
        }
        let base = folder.join(BASE);
        write_model(&base, state.model(), state.base())?;
        self.write_tokenizer(&base)?;
        let own = folder == self.folder.path("");
        let shown = if own { self.folder.shown(BASE) } else { whole_path(&base.display().to_string()) };
        write_adapter(&adapter, of, state.lora(), &shown)?;
        Ok(vec![BASE, ADAPTER])
    }

    fn write_merged(&self, folder: &Path) -> Result<(), WorkerError> {
        let (state, weights) = (self.state, (self.state.base(), self.state.lora()));
        if let Some(base) = self.base.pretrained() {
            MergedModel::new(state.model(), state.lora_config(), weights)?.write(folder, &base.folder)?;
        } else {
            let merged = merge(state.model(), state.lora_config(), weights.0, weights.1)?;
            write_model(folder, state.model(), &merged)?;
        }
        self.write_tokenizer(folder)
    }

    fn write_tokenizer(&self, folder: &Path) -> Result<(), WorkerError> {
        let vocabulary = self.data.vocabulary;
        match self.base.pretrained() {
            None => {
                let known = (vocabulary, vocabulary_size(self.spec));
                write_tokenizer(folder, known, self.state.model().max_positions)?;
            }
            Some(base) => {
                let names = new_token_names(vocabulary, self.spec.asks_questions());
                write_extended_tokenizer(folder, &base.folder, (vocabulary.first_sign(), &names))?;
            }
        }
        Ok(())
    }
}

/// A folder by its whole path, so that the adapter loads wherever it lies; a name on the Hub as it is.
fn whole_path(base: &str) -> String {
    std::fs::canonicalize(base).map_or_else(|_| base.to_owned(), |path| path.display().to_string())
}
