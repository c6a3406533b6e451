//! SIGINT (Ctrl-C) and SIGTERM, which mean the same: checkpoint and stop.

use crate::failure::Failure;
use conrec_coordinator::exit_code::ExitCode;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Both signals as one stream of wishes to stop.
pub struct StopSignals {
    interrupt: Signal,
    terminate: Signal,
}

impl StopSignals {
    /// From here on the two signals no longer end the process by themselves.
    ///
    /// # Errors
    /// The system refuses handlers.
    pub fn listen() -> Result<Self, Failure> {
        let handler = |kind| {
            signal(kind).map_err(|error| Failure::new(ExitCode::Failed, format!("cannot listen to signals: {error}")))
        };
        Ok(Self { interrupt: handler(SignalKind::interrupt())?, terminate: handler(SignalKind::terminate())? })
    }

    /// Waits for the next one.
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
