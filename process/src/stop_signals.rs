//! SIGINT (Ctrl-C), SIGTERM, and SIGHUP where a terminal closes: somebody wants this process to end.

use std::io;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals as one stream of wishes to end.
pub struct StopSignals {
    interrupt: Signal,
    terminate: Signal,
    /// None where SIGHUP is ignored, as `nohup` asks for, and once somebody has wished for the end.
    hangup: Option<Signal>,
}

impl StopSignals {
    /// From here on the signals no longer end the process by themselves.
    ///
    /// # Errors
    /// The system refuses handlers.
    pub fn listen() -> io::Result<Self> {
        let hangup = if hangup_is_ignored() { None } else { Some(signal(SignalKind::hangup())?) };
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())?, hangup })
    }

    /// Waits for the next one. May be dropped and called again.
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            // Only a first wish: some systems send it together with SIGTERM, which must not count as two.
            () = received(&mut self.hangup) => {}
        }
        self.hangup = None;
    }
}

async fn received(signal: &mut Option<Signal>) {
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
