//! Watches the coordinator over gRPC.

use conrec_domain::status::Status;
use conrec_proto::wire::WatchRequest;
use conrec_proto::wire::operator_client::OperatorClient;
use std::time::Duration;
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// Attempts to connect, and the time between two.
const ATTEMPTS: u32 = 50;
const PAUSE: Duration = Duration::from_millis(100);

/// Statuses of the run at `address`, latest first, until the run ends. Trouble only ends the stream: progress is a
/// courtesy, the coordinator's exit code is what counts.
pub fn statuses(address: &str) -> Receiver<Status> {
    let (sender, receiver) = channel(256);
    let endpoint = format!("http://{address}");
    tokio::spawn(async move { watch(endpoint, sender).await });
    receiver
}

async fn watch(endpoint: String, sender: Sender<Status>) {
    for _ in 0..ATTEMPTS {
        let Ok(mut client) = OperatorClient::connect(endpoint.clone()).await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let Ok(stream) = client.watch(WatchRequest {}).await else { return };
        let mut stream = stream.into_inner();
        while let Ok(Some(message)) = stream.message().await {
            // A status that this program does not know is skipped; the next one will do.
            let Ok(status) = Status::try_from(message) else { continue };
            if sender.send(status).await.is_err() {
                return;
            }
        }
        return;
    }
}
