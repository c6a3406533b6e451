//! Reaches the coordinator: tries until it answers, and gives up at once when the credentials are refused.

use crate::backoff::Backoff;
use crate::error::WorkerError;
use conrec_trust::address::{is_loopback, resolve};
use conrec_trust::{Credentials, LinkError, Role};
use std::path::Path;
use std::time::{Duration, SystemTime};
use tokio::time::{Instant, sleep, timeout};
use tonic::transport::Channel;

/// One try takes no longer, whatever becomes of its packets.
const TRY: Duration = Duration::from_secs(5);
/// While the coordinator cannot be reached this is said so often.
const SAY_AGAIN: Duration = Duration::from_secs(30);

/// A channel to the coordinator at `address`, with the credentials in the folder `tls` where one is given. The folder is
/// read anew for each try, so that renewed certificates are taken. A coordinator that does not answer is tried for as
/// long as `patience` says, and for ever without it.
///
/// # Errors
/// [`WorkerError::Credentials`] when this end's or the other end's credentials are refused: trying again would not help.
/// [`WorkerError::Coordinator`] when nobody answered in time.
pub async fn connect(address: &str, tls: Option<&Path>, patience: Option<Duration>) -> Result<Channel, WorkerError> {
    let (started, mut said, mut backoff) = (Instant::now(), Instant::now(), Backoff::default());
    loop {
        let error = match attempt(address, tls).await? {
            Ok(channel) => {
                if tls.is_none() && leaves_this_machine(address).await {
                    tracing::warn!(address, "the connection is neither encrypted nor authenticated: no --tls");
                }
                return Ok(channel);
            }
            Err(error) => error,
        };
        let waited = started.elapsed();
        if patience.is_some_and(|patience| waited > patience) {
            let message = format!("no connection within {waited:.0?}: {error}");
            return Err(WorkerError::Coordinator { address: address.to_owned(), message });
        }
        if said.elapsed() > SAY_AGAIN {
            tracing::warn!(address, error, "no connection to the coordinator for {waited:.0?}; trying on");
            said = Instant::now();
        }
        sleep(backoff.pause()).await;
    }
}

/// One try: a channel, or why there is none yet. An error is final.
async fn attempt(address: &str, tls: Option<&Path>) -> Result<Result<Channel, String>, WorkerError> {
    let credentials = tls.map(|folder| Credentials::load(folder, Role::Worker, SystemTime::now())).transpose();
    let credentials = credentials.map_err(|error| WorkerError::Credentials(error.to_string()))?;
    match timeout(TRY, conrec_trust::connect(address, credentials.as_ref())).await {
        Ok(Ok(channel)) => Ok(Ok(channel)),
        Ok(Err(LinkError::Unreachable { message, .. })) => Ok(Err(message)),
        Ok(Err(error @ LinkError::Refused { .. })) => Err(WorkerError::Credentials(format!("coordinator {error}"))),
        Err(_) => Ok(Err(format!("it did not answer within {TRY:.0?}"))),
    }
}

async fn leaves_this_machine(address: &str) -> bool {
    resolve(address).await.is_ok_and(|addresses| !addresses.iter().all(|address| is_loopback(address.ip())))
}
