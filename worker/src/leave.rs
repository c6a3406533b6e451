//! The wish that this worker ends: SIGTERM, Ctrl-C, or SIGHUP where a terminal closes. The coordinator is told and decides
//! when it may, so that nothing is lost; a bound keeps that below the time that a system gives before it kills.

use conrec_process::StopSignals;
use std::io;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub enum Wish {
    /// Tell the coordinator, and go on until it says stop.
    Leave,
    /// End now: a second signal came, or the time is over.
    EndNow,
}

/// Signals that ask this process to end, and how long it may take.
pub struct Leave {
    signals: StopSignals,
    grace: Duration,
    /// Once it was asked: the end of its time.
    until: Option<Instant>,
}

impl Leave {
    /// From here on the signals no longer end the process by themselves.
    ///
    /// # Errors
    /// The system refuses handlers.
    pub fn listen(grace: Duration) -> io::Result<Self> {
        Ok(Self { signals: StopSignals::listen()?, grace, until: None })
    }

    /// Whether this worker was asked to end.
    pub fn is_asked(&self) -> bool {
        self.until.is_some()
    }

    /// Waits for the next wish. May be dropped and called again.
    pub async fn next(&mut self) -> Wish {
        tokio::select! {
            () = self.signals.next() => {}
            () = at(self.until) => {
                tracing::warn!("not released within {:.0?}; ending all the same", self.grace);
                return Wish::EndNow;
            }
        }
        if self.until.is_some() {
            return Wish::EndNow;
        }
        self.until = Some(Instant::now() + self.grace);
        Wish::Leave
    }
}

async fn at(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => std::future::pending().await,
    }
}
