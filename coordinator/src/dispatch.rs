//! Two gRPC services on one port: the path's first part names the service.

use crate::operator::OperatorService;
use crate::session::SessionService;
use conrec_proto::MAX_MESSAGE_BYTES;
use conrec_proto::wire::operator_server::OperatorServer;
use conrec_proto::wire::session_server::SessionServer;
use std::convert::Infallible;
use std::future::ready;
use std::task::{Context, Poll};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http::{Request, Response};
use tonic::codegen::{BoxFuture, Service};
use tonic::server::NamedService;

/// Passes each request to the service that it names.
#[derive(Clone)]
pub(crate) struct Dispatch {
    session: SessionServer<SessionService>,
    operator: OperatorServer<OperatorService>,
}

impl Dispatch {
    /// Both services, with the bound on messages.
    pub(crate) fn new(session: SessionService, operator: OperatorService) -> Self {
        Self {
            session: SessionServer::new(session)
                .max_decoding_message_size(MAX_MESSAGE_BYTES)
                .max_encoding_message_size(MAX_MESSAGE_BYTES),
            operator: OperatorServer::new(operator).max_decoding_message_size(MAX_MESSAGE_BYTES),
        }
    }
}

impl Service<Request<Body>> for Dispatch {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Response<Body>, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // Generated services are always ready.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let service = request.uri().path().split('/').nth(1).unwrap_or_default();
        if service == SessionServer::<SessionService>::NAME {
            self.session.call(request)
        } else if service == OperatorServer::<OperatorService>::NAME {
            self.operator.call(request)
        } else {
            let status = Status::unimplemented(format!("service `{service}` is not served here"));
            Box::pin(ready(Ok(status.into_http())))
        }
    }
}
