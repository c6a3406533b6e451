//! The health service of gRPC. The empty name asks whether the process lives: as long as it answers, it does. `ready` asks
//! whether it does what it is there for.

use crate::Vitals;
use crate::wire::health_check_response::ServingStatus;
use crate::wire::health_server::{Health, HealthServer};
use crate::wire::{HealthCheckRequest, HealthCheckResponse};
use futures::{Stream, StreamExt, stream};
use std::io;
use std::pin::Pin;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status};

/// Streams of one connection; a prober has one call at a time.
const STREAMS: u32 = 8;

/// The name under which readiness is asked for.
const READY: &str = "ready";

/// Answers probers until the process ends.
pub(crate) async fn serve(listener: TcpListener, vitals: Vitals) {
    let server = Server::builder().max_concurrent_streams(Some(STREAMS));
    let guests = TcpListenerStream::new(listener).filter_map(|guest| async { guest.ok() }).map(Ok::<_, io::Error>);
    if let Err(error) = { server }.serve_with_incoming(HealthServer::new(Prober(vitals)), Box::pin(guests)).await {
        tracing::warn!("nobody answers probes any more: {error}");
    }
}

struct Prober(Vitals);

fn answer(serving: bool) -> HealthCheckResponse {
    let status = if serving { ServingStatus::Serving } else { ServingStatus::NotServing };
    HealthCheckResponse { status: status.into() }
}

#[tonic::async_trait]
impl Health for Prober {
    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn check(&self, request: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        match request.get_ref().service.as_str() {
            "" => Ok(Response::new(answer(true))),
            READY => Ok(Response::new(answer(*self.0.0.ready.borrow()))),
            _ => Err(Status::not_found("expected is the empty name (does it live?) or `ready`")),
        }
    }

    async fn watch(&self, request: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let statuses: Self::WatchStream = match request.get_ref().service.as_str() {
            "" => Box::pin(stream::once(async { Ok(answer(true)) }).chain(stream::pending())),
            READY => {
                let changes = self.0.0.ready.subscribe();
                Box::pin(stream::unfold((changes, true), |(mut changes, first)| async move {
                    if !first {
                        changes.changed().await.ok()?;
                    }
                    let ready = *changes.borrow_and_update();
                    Some((Ok(answer(ready)), (changes, false)))
                }))
            }
            _ => {
                let unknown = HealthCheckResponse { status: ServingStatus::ServiceUnknown.into() };
                Box::pin(stream::once(async move { Ok(unknown) }).chain(stream::pending()))
            }
        };
        Ok(Response::new(statuses))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::health_client::HealthClient;

    #[tokio::test]
    async fn a_process_lives_as_long_as_it_answers_and_is_ready_when_it_says_so() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let vitals = Vitals::new(&[]);
        tokio::spawn(serve(listener, vitals.clone()));
        let mut client = HealthClient::connect(address).await.unwrap();
        let ask = |service: &str| Request::new(HealthCheckRequest { service: service.into() });
        let alive = client.check(ask("")).await.unwrap().into_inner();
        assert_eq!(alive.status(), ServingStatus::Serving);
        assert_eq!(client.check(ask(READY)).await.unwrap().into_inner().status(), ServingStatus::NotServing);
        let mut watched = client.watch(ask(READY)).await.unwrap().into_inner();
        assert_eq!(watched.message().await.unwrap().unwrap().status(), ServingStatus::NotServing);
        vitals.set_ready(true);
        vitals.set_ready(true);
        assert_eq!(watched.message().await.unwrap().unwrap().status(), ServingStatus::Serving);
        vitals.set_ready(false);
        assert_eq!(watched.message().await.unwrap().unwrap().status(), ServingStatus::NotServing);
        assert_eq!(client.check(ask("other")).await.unwrap_err().code(), tonic::Code::NotFound);
    }
}
