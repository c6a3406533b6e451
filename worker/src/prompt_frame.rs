//! `prepared/frame.json`: what prompts of a pretrained base say around the events, tokenised once for all workers.

use crate::error::WorkerError;
use crate::run_folder::RunFolder;
use conrec_domain::ids::Digest;
use conrec_domain::spec::RunSpec;
use conrec_feedback::prompt::PromptFrame;

const FRAME: &str = "prepared/frame.json";

/// Writes the frame of a pretrained base; gives the digest of what was written.
///
/// # Errors
/// A store that cannot be written.
pub fn write_frame(frame: &PromptFrame, folder: &RunFolder) -> Result<Digest, WorkerError> {
    let text = serde_json::to_vec_pretty(frame).map_err(|e| WorkerError::file(folder.path(FRAME), e))?;
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
    serde_json::from_slice(&folder.read(FRAME)?).map_err(|e| WorkerError::file(folder.path(FRAME), e))
}
