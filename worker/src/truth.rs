//! What the generator of synthetic data knows about its users, kept beside the prepared passes: written when data is
//! prepared, and read by reports only. No lease that trains or validates touches it.

use crate::error::WorkerError;
use crate::run_folder::RunFolder;
use conrec_domain::manifest::Part;
use conrec_domain::spec::{RunSpec, Source};
use conrec_feedback::dataset::Truth;
use conrec_feedback::prepared::{load_truth, save_truth};

const PLACE: &str = "prepared/truth";

/// Writes the truth; gives the part that the manifest of `prepared/` names.
///
/// # Errors
/// Files that cannot be written.
pub fn save(truth: &Truth, folder: &RunFolder) -> Result<Part, WorkerError> {
    let (name, bytes, sha256) = save_truth(truth, &folder.path(PLACE))?;
    folder.publish(PLACE)?;
    Ok(Part { name: format!("truth/{name}"), bytes, sha256 })
}

/// Reads the truth about a catalogue of `items` items; none where the data is not made up.
///
/// # Errors
/// Files that are missing or damaged.
pub fn load(spec: &RunSpec, folder: &RunFolder, items: usize) -> Result<Option<Truth>, WorkerError> {
    if spec.data.source != Source::Synthetic {
        return Ok(None);
    }
    folder.fetch(PLACE)?;
    Ok(Some(load_truth(&folder.path(PLACE), items)?))
}
