//! Reaches the coordinator: tries until it answers, and gives up at once when the credentials are refused.

use crate::error::WorkerError;
use conrec_trust::address::{is_loopback, resolve};
use conrec_trust::{Credentials, LinkError, Role};
use std::path::Path;
use std::time::{Duration, SystemTime};
use tokio::time::{Instant, sleep};
use tonic::transport::Channel;

/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(100);

/// A channel to the coordinator at `address`, with the credentials in the folder `tls` where one is given. The folder is
/// read anew each time, so that renewed certificates are taken. A coordinator that does not answer is tried for as long
/// as `patience` says.
///
/// # Errors
/// [`WorkerError::Credentials`] when this end's or the other end's credentials are refused: trying again would not help.
/// [`WorkerError::Coordinator`] when nobody answered in time.
pub async fn connect(address: &str, tls: Option<&Path>, patience: Duration) -> Result<Channel, WorkerError> {
    let credentials = tls.map(|folder| Credentials::load(folder, Role::Worker, SystemTime::now())).transpose();
    let credentials = credentials.map_err(|error| WorkerError::Credentials(error.to_string()))?;
    let started = Instant::now();
    loop {
        match conrec_trust::connect(address, credentials.as_ref()).await {
            Ok(channel) => {
                if credentials.is_none() && leaves_this_machine(address).await {
                    tracing::warn!(address, "the connection is neither encrypted nor authenticated: no --tls");
                }
                return Ok(channel);
            }
            Err(error @ LinkError::Refused { .. }) => {
                return Err(WorkerError::Credentials(format!("coordinator {error}")));
            }
            Err(LinkError::Unreachable { address, message }) if started.elapsed() >= patience => {
                let message = format!("no connection within {patience:?}: {message}");
                return Err(WorkerError::Coordinator { address, message });
            }
            Err(LinkError::Unreachable { .. }) => sleep(PAUSE).await,
        }
    }
}

async fn leaves_this_machine(address: &str) -> bool {
    resolve(address).await.is_ok_and(|addresses| !addresses.iter().all(|address| is_loopback(address.ip())))
}
