//! The run's result in the forms of the ecosystem: a decoder from scratch and its tokeniser in Hugging Face layout, the
//! adapter in PEFT layout beside it, and the semantic ids that its tokens mean. A pretrained base stays where it is: its
//! adapter brings the rows of new tokens and the tokeniser that knows them.

use crate::error::WorkerError;
use crate::pass_data::PassData;
use crate::run_folder::RunFolder;
use conrec_domain::spec::RunSpec;
use conrec_policy::adapter_files::{AdapterOf, write_adapter};
use conrec_policy::base_model::{BaseModel, vocabulary_size};
use conrec_policy::export_probe::write_probe;
use conrec_policy::extended_tokenizer::write_extended_tokenizer;
use conrec_policy::model_files::write_model;
use conrec_policy::tokenizer_file::{new_token_names, write_tokenizer};
use conrec_policy::training_state::TrainingState;

/// Folder of the adapter, in the run's folder.
pub const ADAPTER: &str = "adapter";
/// Folder of the base decoder.
pub const BASE: &str = "base_model";

/// What `write_probe` writes.
const PROBE: &str = "probe.json";

/// Prompts whose logits are written beside the export, so that another program can be compared with this one.
const PROBES: usize = 4;

/// Writes `base_model/` (from scratch only), `adapter/` and `probe.json` (see `scripts/check-export`).
///
/// # Errors
/// Files that cannot be written.
pub fn export(
    spec: &RunSpec,
    folder: &RunFolder,
    data: &PassData,
    (begun, state): (&BaseModel, &TrainingState),
) -> Result<(), WorkerError> {
    let adapter = folder.path(ADAPTER);
    let of = AdapterOf { model: state.model(), lora: state.lora_config() };
    // What the codes mean stands beside the tokeniser that knows them.
    let words = match begun.pretrained() {
        Some(base) => {
            write_adapter(&adapter, of, state.lora(), &name_of_base(&spec.model.base))?;
            let names = new_token_names(data.vocabulary, spec.asks_questions());
            write_extended_tokenizer(&adapter, &base.folder, (data.vocabulary.first_sign(), &names))?;
            ADAPTER
        }
        None => {
            let base = folder.path(BASE);
            write_model(&base, state.model(), state.base())?;
            write_tokenizer(&base, (data.vocabulary, vocabulary_size(spec)), state.model().max_positions)?;
            write_adapter(&adapter, of, state.lora(), &folder.shown(BASE))?;
            BASE
        }
    };
    let shown = data.prepared.training.iter().take(PROBES).map(|i| data.serving_prompt(spec, i));
    let shown: Vec<Vec<i64>> = shown.collect();
    let shown: Vec<&[i64]> = shown.iter().map(Vec::as_slice).collect();
    write_probe(&folder.path(""), &state.frozen()?, &shown)?;
    for name in ["index.json", "item.json"] {
        let place = format!("{}/{name}", data.prepared.windows.pass.folder());
        let content = std::fs::read(folder.path(&place)).map_err(|e| WorkerError::file(folder.path(&place), e))?;
        let copy = folder.path(words).join(name);
        std::fs::write(&copy, content).map_err(|e| WorkerError::file(copy, e))?;
    }
    let written = [BASE, ADAPTER, PROBE].into_iter().filter(|name| *name != BASE || words == BASE);
    written.into_iter().try_for_each(|name| folder.publish(name))
}

/// A folder by its whole path, so that the adapter loads wherever it lies; a name on the Hub as it is.
fn name_of_base(base: &str) -> String {
    std::fs::canonicalize(base).map_or_else(|_| base.to_owned(), |path| path.display().to_string())
}
