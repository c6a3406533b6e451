//! The wish that this worker ends: SIGTERM, Ctrl-C, or SIGHUP where a terminal closes. The coordinator is told and decides
//! when it may, so that nothing is lost; a bound keeps that below the time that a system gives before it kills.

use crate::error::WorkerError;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
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
    interrupt: Signal,
    terminate: Signal,
    /// None where SIGHUP is ignored, as `nohup` asks for.
    hangup: Option<Signal>,
    grace: Duration,
    /// Once it was asked: the end of its time.
    until: Option<Instant>,
}

impl Leave {
    /// From here on the signals no longer end the process by themselves.
    ///
    /// # Errors
    /// The system refuses handlers.
    pub fn listen(grace: Duration) -> Result<Self, WorkerError> {
        let handler =
            |kind| signal(kind).map_err(|error| WorkerError::Protocol(format!("cannot listen to signals: {error}")));
        let hangup = if hangup_is_ignored() { None } else { Some(handler(SignalKind::hangup())?) };
        let (interrupt, terminate) = (handler(SignalKind::interrupt())?, handler(SignalKind::terminate())?);
        Ok(Self { interrupt, terminate, hangup, grace, until: None })
    }

    /// Whether this worker was asked to end.
    pub fn is_asked(&self) -> bool {
        self.until.is_some()
    }

    /// Waits for the next wish. May be dropped and called again.
    pub async fn next(&mut self) -> Wish {
        loop {
            let hung_up = tokio::select! {
                _ = self.interrupt.recv() => false,
                _ = self.terminate.recv() => false,
                () = received(&mut self.hangup) => true,
                () = at(self.until) => {
                    tracing::warn!("not released within {:.0?}; ending all the same", self.grace);
                    return Wish::EndNow;
                }
            };
            if self.until.is_none() {
                self.until = Some(Instant::now() + self.grace);
                return Wish::Leave;
            }
            // Nobody says it twice by closing a terminal: some systems send SIGHUP together with SIGTERM.
            if !hung_up {
                return Wish::EndNow;
            }
        }
    }
}

async fn received(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}

async fn at(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

/// Whether whoever started this process wants it to outlive its terminal. SIGHUP is the first bit of the mask.
fn hangup_is_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}
