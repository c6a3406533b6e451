//! `prepared/frame.json`: what prompts of a pretrained base say around the events, tokenised once for all workers, and the
//! base that this was made for.

use crate::error::WorkerError;
use crate::run_folder::RunFolder;
use conrec_domain::ids::Digest;
use conrec_domain::spec::RunSpec;
use conrec_feedback::prompt::PromptFrame;
use conrec_policy::base_model::{BaseModel, Pretrained};
use serde::{Deserialize, Serialize};

const FRAME: &str = "prepared/frame.json";

#[derive(Serialize, Deserialize)]
struct FrameJson {
    /// Of the base's weights.
    weights: Digest,
    frame: PromptFrame,
}

/// Writes the frame of a pretrained base; gives the digest of what was written.
///
/// # Errors
/// A store that cannot be written.
pub fn write_frame(base: &Pretrained, folder: &RunFolder) -> Result<Digest, WorkerError> {
    let json = FrameJson { weights: base.weights_digest()?, frame: base.frame.clone() };
    let text = serde_json::to_vec_pretty(&json).map_err(|e| WorkerError::file(folder.path(FRAME), e))?;
    folder.write(FRAME, &text)?;
    Ok(Digest::of(&text))
}

/// The frame that was prepared for this run; from scratch there is one for all.
///
/// # Errors
/// A file that is missing or damaged.
pub fn read_frame(spec: &RunSpec, folder: &RunFolder) -> Result<PromptFrame, WorkerError> {
    if !spec.model.is_pretrained() {
        return Ok(PromptFrame::from_scratch());
    }
    Ok(read(folder)?.frame)
}

/// Refuses a base that is not the one that the run's data was prepared for: its files were replaced, or lie elsewhere on
/// this machine. Every state of the run would otherwise be one that no other worker has.
///
/// # Errors
/// [`WorkerError::OtherBase`], and a file that is missing or damaged.
pub fn check_base(base: &BaseModel, folder: &RunFolder) -> Result<(), WorkerError> {
    let Some(pretrained) = base.pretrained() else { return Ok(()) };
    let (prepared, found) = (read(folder)?.weights, pretrained.weights_digest()?);
    if prepared == found {
        return Ok(());
    }
    let [prepared, found] = [prepared, found].map(|digest| format!("{digest:.12}", digest = digest.to_string()));
    Err(WorkerError::OtherBase { base: pretrained.folder.clone(), prepared, found })
}

fn read(folder: &RunFolder) -> Result<FrameJson, WorkerError> {
    serde_json::from_slice(&folder.read(FRAME)?).map_err(|e| WorkerError::file(folder.path(FRAME), e))
}
