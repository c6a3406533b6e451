//! Writes a copy of the training state into the store, beside all else that the worker does.

use crate::checkpoint_parts::{CheckpointParts, NamedBytes};
use crate::error::WorkerError;
use conrec_domain::ids::{Digest, Fence};
use conrec_proto::message::FromWorker;
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// Log lines of checkpoints: `conrec bench faults` reads their times.
pub(crate) const CHECKPOINT: &str = "conrec_worker::checkpoint";
/// So long is tried to remove what was written of a checkpoint that failed.
const CLEANING: Duration = Duration::from_secs(2);

/// A copy of the training state, to become a checkpoint.
#[derive(Debug)]
pub struct Copy {
    /// The roster that asked for it.
    pub fence: Fence,
    /// The checkpoint's key.
    pub key: String,
    /// Digest of the state that was copied, computed from every byte.
    pub state: Digest,
    /// Its parts.
    pub content: Vec<NamedBytes>,
}

impl Copy {
    /// Writes the parts and says what came of it. A store that does not take them is no error of this worker.
    ///
    /// # Errors
    /// This machine cannot wait for a store.
    pub fn write(self, parts: &CheckpointParts) -> Result<FromWorker, WorkerError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|e| WorkerError::Protocol(format!("cannot start the runtime: {e}")))?;
        let begun = Instant::now();
        let Self { fence, key, state, content } = self;
        match runtime.block_on(parts.write(&key, &content)) {
            Ok(parts) => {
                tracing::info!(target: CHECKPOINT, key, written_ms = begun.elapsed().as_secs_f64() * 1e3, "checkpoint written");
                Ok(FromWorker::PartsWritten { fence, state, parts })
            }
            Err(error) => {
                tracing::warn!(target: CHECKPOINT, key, %error, "checkpoint not written");
                // A store that is gone takes no removals either: it is not waited for.
                let _ = runtime.block_on(async { timeout(CLEANING, parts.give_up(&key, &content)).await });
                Ok(FromWorker::PartsFailed { fence, message: error.to_string() })
            }
        }
    }
}
