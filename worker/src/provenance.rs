//! What names the numbers of a report on a run, read from the run's own files.

use crate::error::WorkerError;
use crate::run_folder::RunFolder;
use conrec_domain::ids::Digest;
use conrec_domain::spec::RunSpec;
use conrec_domain::work::Prepared;
use conrec_feedback::prepared::PreparedPass;
use conrec_feedback::provenance::Provenance;
use serde::Deserialize;

/// The version of this program.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What `prepare` says of the run's data.
///
/// # Errors
/// The file is missing or damaged.
pub fn prepared(folder: &RunFolder) -> Result<Prepared, WorkerError> {
    let place = "prepared/manifest.json";
    serde_json::from_slice(&folder.read(place)?).map_err(|e| WorkerError::file(folder.shown(place), e))
}

/// What a run's report says of the state it ended with.
#[derive(Deserialize)]
struct Ended {
    state_digest: Digest,
}

/// The digest of the state that a run ended with, as its report has it. The newest checkpoint may stand before changes of the
/// state that change no policy (a stage in which the gate kept nothing): where there is no report yet, it is the
/// checkpoint's, `otherwise`.
///
/// # Errors
/// A damaged report.
pub fn state_of(folder: &RunFolder, otherwise: Digest) -> Result<Digest, WorkerError> {
    let place = "report.json";
    if !folder.exists(place)? {
        return Ok(otherwise);
    }
    let ended: Ended =
        serde_json::from_slice(&folder.read(place)?).map_err(|e| WorkerError::file(folder.shown(place), e))?;
    Ok(ended.state_digest)
}

/// Of a run, with the windows that a pass of it evaluates; `state` is that of the policy which is measured, where one is.
///
/// # Errors
/// Files that are missing or damaged.
pub fn of_run(
    spec: &RunSpec,
    folder: &RunFolder,
    pass: &PreparedPass,
    state: Option<Digest>,
) -> Result<Provenance, WorkerError> {
    // A run that was prepared only has no checkpoint: no version trained it.
    let newest = folder.checkpoints()?.pop();
    let manifest = newest.map(|key| folder.manifest(&key)).transpose()?;
    let of_config = Provenance::new(spec, spec.digest()?, VERSION);
    Ok(Provenance {
        run_id: Some(folder.run().to_string()),
        data_digest: Some(prepared(folder)?.data_digest),
        state_digest: state,
        code_version: manifest.map(|manifest| manifest.code_version),
        ..of_config.with_windows(pass)
    })
}
