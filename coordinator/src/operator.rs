//! The operator service: watch the run, stop the run.

use crate::driver::{Input, Inputs};
use crate::status_board::StatusBoard;
use conrec_domain::event::Event;
use conrec_proto::wire;
use conrec_proto::wire::operator_server::Operator;
use futures::{Stream, StreamExt};
use std::pin::Pin;
use tonic::{Request, Response, Status};

/// Answers operators; holds no state of its own.
pub(crate) struct OperatorService {
    /// To the driver.
    pub(crate) inputs: Inputs,
    /// What watchers see.
    pub(crate) board: StatusBoard,
}

#[tonic::async_trait]
impl Operator for OperatorService {
    type WatchStream = Pin<Box<dyn Stream<Item = Result<wire::StatusMessage, Status>> + Send>>;

    async fn watch(&self, _request: Request<wire::WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        Ok(Response::new(Box::pin(self.board.watch().map(|status| Ok(status.into())))))
    }

    async fn stop(&self, _request: Request<wire::StopRequest>) -> Result<Response<wire::StopResponse>, Status> {
        let sent = self.inputs.send(Input::Event(Event::StopRequested)).await;
        sent.map_err(|_| Status::unavailable("the run has ended"))?;
        Ok(Response::new(wire::StopResponse {}))
    }
}
