//! The operator service: watch the run, stop the run. The guard is asked before anything else.

use crate::driver::{Input, Inputs};
use crate::operator_guard::OperatorGuard;
use crate::status_board::StatusBoard;
use conrec_domain::event::Event;
use conrec_proto::wire;
use conrec_proto::wire::operator_server::Operator;
use futures::{Stream, StreamExt};
use std::pin::Pin;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tonic::{Request, Response, Status};

/// Operators that may watch at a time.
const WATCHERS: usize = 256;

/// Answers operators.
pub(crate) struct OperatorService {
    inputs: Inputs,
    board: StatusBoard,
    guard: OperatorGuard,
    places: Arc<Semaphore>,
}

impl OperatorService {
    /// Events go to the driver, watchers see the board.
    pub(crate) fn new(inputs: Inputs, board: StatusBoard, guard: OperatorGuard) -> Self {
        Self { inputs, board, guard, places: Arc::new(Semaphore::new(WATCHERS)) }
    }
}

#[tonic::async_trait]
impl Operator for OperatorService {
    type WatchStream = Pin<Box<dyn Stream<Item = Result<wire::StatusMessage, Status>> + Send>>;

    async fn watch(&self, request: Request<wire::WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        self.guard.pass(&request)?;
        let full = |_| Status::resource_exhausted(format!("{WATCHERS} operators watch already"));
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(full)?;
        let statuses = self.board.watch().map(move |status| {
            // The watcher holds its place as long as its stream lives.
            let _held = &place;
            Ok(status.into())
        });
        Ok(Response::new(Box::pin(statuses)))
    }

    async fn stop(&self, request: Request<wire::StopRequest>) -> Result<Response<wire::StopResponse>, Status> {
        self.guard.pass(&request)?;
        let sent = self.inputs.send(Input::Event(Event::StopRequested)).await;
        sent.map_err(|_| Status::unavailable("the run has ended"))?;
        Ok(Response::new(wire::StopResponse {}))
    }
}
