//! Writes a copy of the training state into the store, beside all else that the worker does.

use crate::checkpoint_parts::{CheckpointParts, NamedBytes};
use crate::error::WorkerError;
use conrec_domain::ids::{Digest, Fence};
use conrec_proto::message::FromWorker;
use std::panic::{AssertUnwindSafe, catch_unwind};
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
    /// Writes the parts and says what came of it, whatever comes of it: the run waits for the answer. A store that does
    /// not take them is no error of this worker.
    ///
    /// # Errors
    /// This machine cannot wait for a store.
    pub fn write(self, parts: &CheckpointParts) -> Result<FromWorker, WorkerError> {
        answered(self.fence, || self.write_parts(parts))
    }

    fn write_parts(self, parts: &CheckpointParts) -> Result<FromWorker, WorkerError> {
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

/// What came of the work; where it panics, that nothing was written.
fn answered(fence: Fence, work: impl FnOnce() -> Result<FromWorker, WorkerError>) -> Result<FromWorker, WorkerError> {
    // All that the work could leave half done goes with it.
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        let message = "the thread that writes it ended by a panic; the worker's log says where".to_owned();
        Ok(FromWorker::PartsFailed { fence, message })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_writer_that_panics_answers_all_the_same() {
        let answer = answered(Fence(3), || panic!("in the middle"));
        assert!(matches!(answer, Ok(FromWorker::PartsFailed { fence: Fence(3), .. })), "{answer:?}");
        let written = answered(Fence(3), || Ok(FromWorker::PartsFailed { fence: Fence(4), message: String::new() }));
        assert!(matches!(written, Ok(FromWorker::PartsFailed { fence: Fence(4), .. })), "{written:?}");
    }
}
