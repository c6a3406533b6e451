//! The run's result in the forms of the ecosystem: the base decoder and its tokenizer in Hugging Face layout, the
//! adapter in PEFT layout beside it, and the semantic ids that its tokens mean.

use crate::error::WorkerError;
use crate::pass_data::PassData;
use crate::run_folder::RunFolder;
use conrec_domain::spec::RunSpec;
use conrec_policy::adapter_files::{AdapterOf, write_adapter};
use conrec_policy::export_probe::write_probe;
use conrec_policy::model_files::write_model;
use conrec_policy::tokenizer_file::write_tokenizer;
use conrec_policy::training_state::TrainingState;

/// Folder of the adapter, in the run's folder.
pub const ADAPTER: &str = "adapter";
/// Folder of the base decoder.
pub const BASE: &str = "base_model";

/// What `write_probe` writes.
const PROBE: &str = "probe.json";

/// Prompts whose logits are written beside the export, so that another program can be compared with this one.
const PROBES: usize = 4;

/// Writes `base_model/`, `adapter/` and `probe.json` (see `scripts/check-export`).
///
/// # Errors
/// Files that cannot be written.
pub fn export(spec: &RunSpec, folder: &RunFolder, data: &PassData, state: &TrainingState) -> Result<(), WorkerError> {
    let (base, adapter) = (folder.path(BASE), folder.path(ADAPTER));
    for place in [&base, &adapter] {
        std::fs::create_dir_all(place).map_err(|e| WorkerError::file(place, e))?;
    }
    write_model(&base, state.model(), state.base())?;
    let tokens = crate::execute::vocabulary_size(spec);
    write_tokenizer(&base, (data.vocabulary, tokens), state.model().max_positions)?;
    let of = AdapterOf { model: state.model(), lora: state.lora_config() };
    write_adapter(&adapter, of, state.lora(), &folder.shown(BASE))?;
    let shown = data.prepared.training.iter().take(PROBES).map(|i| data.serving_prompt(spec, i));
    let shown: Vec<Vec<i64>> = shown.collect();
    let shown: Vec<&[i64]> = shown.iter().map(Vec::as_slice).collect();
    write_probe(&folder.path(""), &state.frozen()?, &shown)?;
    for name in ["index.json", "item.json"] {
        let place = format!("{}/{name}", data.prepared.windows.pass.folder());
        let content = std::fs::read(folder.path(&place)).map_err(|e| WorkerError::file(folder.path(&place), e))?;
        let copy = base.join(name);
        std::fs::write(&copy, content).map_err(|e| WorkerError::file(copy, e))?;
    }
    [BASE, ADAPTER, PROBE].into_iter().try_for_each(|name| folder.publish(name))
}
