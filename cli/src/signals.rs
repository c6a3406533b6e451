//! SIGINT (Ctrl-C), SIGTERM, and SIGHUP where a terminal closes, which mean the same: checkpoint and stop.

use crate::failure::Failure;
use conrec_coordinator::exit_code::ExitCode;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals as one stream of wishes to stop.
pub struct StopSignals {
    interrupt: Signal,
    terminate: Signal,
    /// None where SIGHUP is ignored, as `nohup` asks for.
    hangup: Option<Signal>,
}

impl StopSignals {
    /// From here on the signals no longer end the process by themselves.
    ///
    /// # Errors
    /// The system refuses handlers.
    pub fn listen() -> Result<Self, Failure> {
        let handler = |kind| {
            signal(kind).map_err(|error| Failure::new(ExitCode::Failed, format!("cannot listen to signals: {error}")))
        };
        let hangup = if hangup_is_ignored() { None } else { Some(handler(SignalKind::hangup())?) };
        let (interrupt, terminate) = (handler(SignalKind::interrupt())?, handler(SignalKind::terminate())?);
        Ok(Self { interrupt, terminate, hangup })
    }

    /// Waits for the next one.
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            // Only a first wish: some systems send it together with SIGTERM, which must not count as two.
            () = first(&mut self.hangup) => {}
        }
        self.hangup = None;
    }
}

async fn first(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}

/// Whether whoever started this process wants it to outlive its terminal. SIGHUP is the first bit of the mask.
fn hangup_is_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}
