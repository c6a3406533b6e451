//! What a coordinator's own process may ask of the run that it serves, beside workers and operators.

use crate::driver::{Input, Inputs};
use conrec_domain::event::Event;
use tokio::sync::oneshot;

/// Why there is no checkpoint.
pub(crate) const ENDED: &str = "the run has ended";

/// Speaks to a run that is served, or is about to be.
#[derive(Clone)]
pub struct Orders {
    inputs: Inputs,
}

impl Orders {
    /// To this driver.
    pub(crate) fn new(inputs: Inputs) -> Self {
        Self { inputs }
    }

    /// Ends the run for good, without a checkpoint. One that has ended needs no order.
    pub async fn cancel(&self) {
        let _ = self.inputs.send(Input::Event(Event::CancelRequested)).await;
    }

    /// Asks for a checkpoint and waits until it is whole; one of all that is committed now will do.
    ///
    /// # Errors
    /// Why there is none, in words: the store did not take it, or the run has ended.
    pub async fn checkpoint(&self) -> Result<String, String> {
        let (reply, answer) = oneshot::channel();
        self.inputs.send(Input::Checkpoint { reply }).await.map_err(|_| ENDED.to_owned())?;
        answer.await.unwrap_or_else(|_| Err(ENDED.to_owned()))
    }
}
