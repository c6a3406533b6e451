//! How long the store is waited for: long where the run can do nothing but wait, and not once a stop was asked for and
//! the store is silent.

use super::Driver;
use crate::store::{RunStore, StoreError};
use conrec_domain::effect::Ending;
use conrec_domain::ids::Fence;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// A roster's number that the store does not take is tried again for so long: the workers keep what they hold.
const CLAIMING: Duration = Duration::from_secs(600);

/// Between two tries.
const PAUSES: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(5)];

/// How often it is said that it is still tried.
const SAID_EVERY: Duration = Duration::from_secs(30);

/// Between two questions to the store.
const ASKED_EVERY: Duration = Duration::from_secs(1);

/// Comes back once the store has not answered for so long. Whoever waits for a store that answers, waits for something
/// that may still come.
pub(super) async fn until_silent(store: &RunStore, silence: Duration) {
    let mut heard = Instant::now();
    while heard.elapsed() < silence {
        sleep(ASKED_EVERY.min(silence)).await;
        let left = silence.saturating_sub(heard.elapsed());
        if timeout(left, store.answers()).await.unwrap_or(false) {
            heard = Instant::now();
        }
    }
}

impl Driver {
    /// Makes a roster's number this process's own. Without it no roster forms; once something is trained, nothing is
    /// lost by waiting for a store that is full or gone.
    pub(super) async fn claim(&mut self, fence: Fence) -> Result<(), StoreError> {
        let (begun, mut said, [mut pause, longest]) = (Instant::now(), None::<Instant>, PAUSES);
        let claimed = loop {
            let error = match self.store.claim_fence(fence).await {
                Err(error) if !error.is_outdated() => error,
                ended => break ended,
            };
            if !self.claims_again || self.asked.load(Ordering::SeqCst) || begun.elapsed() >= CLAIMING {
                break Err(error);
            }
            if said.is_none_or(|said| said.elapsed() >= SAID_EVERY) {
                said = Some(Instant::now());
                tracing::warn!(%fence, "the store does not take a roster's number, the workers wait: {error}");
            }
            sleep(pause).await;
            pause = (2 * pause).min(longest);
        };
        // Nobody could do anything meanwhile: that time counts against no deadline.
        self.start += begun.elapsed();
        self.claims_again |= claimed.is_ok();
        claimed
    }

    /// A stop was asked for, and the store is silent.
    pub(super) fn out_of_patience(&self) -> Ending {
        let reason = format!(
            "a stop was asked for, but the store has not answered for {} s: what was trained since the last checkpoint is \
             not in it; {}",
            self.silence.as_secs_f64(),
            self.run.newest_checkpoint()
        );
        tracing::error!(%reason, "the run ends");
        Ending::Failed { reason, exit_code: crate::exit_code::ExitCode::Unavailable.code() }
    }
}
