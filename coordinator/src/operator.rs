//! The operator service: watch the run, stop it, ask for a checkpoint, say what is wished of a job. The guard is asked before anything else.

use crate::driver::{Input, Inputs};
use crate::open::Asked;
use crate::operator_guard::OperatorGuard;
use crate::orders::Orders;
use crate::status_board::StatusBoard;
use conrec_domain::event::Event;
use conrec_domain::job::Ask;
use conrec_proto::wire;
use conrec_proto::wire::operator_server::Operator;
use futures::{Stream, StreamExt};
use std::pin::Pin;
use std::sync::Arc;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tonic::{Request, Response, Status};

/// Operators that may watch at a time.
const WATCHERS: usize = 256;

/// Answers operators.
pub(crate) struct OperatorService {
    inputs: Inputs,
    board: StatusBoard,
    guard: OperatorGuard,
    places: Arc<Semaphore>,
    desk: Option<mpsc::Sender<Asked>>,
}

impl OperatorService {
    /// Events go to the driver, watchers see the board.
    pub(crate) fn new(inputs: Inputs, board: StatusBoard, guard: OperatorGuard) -> Self {
        Self { inputs, board, guard, places: Arc::new(Semaphore::new(WATCHERS)), desk: None }
    }

    /// What operators wish of a job is kept there.
    pub(crate) fn with_desk(self, desk: Option<mpsc::Sender<Asked>>) -> Self {
        Self { desk, ..self }
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

    async fn checkpoint(
        &self,
        request: Request<wire::CheckpointRequest>,
    ) -> Result<Response<wire::CheckpointResponse>, Status> {
        self.guard.pass(&request)?;
        let key = Orders::new(self.inputs.clone()).checkpoint().await.map_err(Status::unavailable)?;
        Ok(Response::new(wire::CheckpointResponse { key }))
    }

    async fn wish(&self, request: Request<wire::WishRequest>) -> Result<Response<wire::WishResponse>, Status> {
        self.guard.pass(&request)?;
        let ask = match request.get_ref().wish() {
            wire::JobWish::Pause => Ask::Pause,
            wire::JobWish::Cancel => Ask::Cancel,
            wire::JobWish::Unspecified => return Err(Status::invalid_argument("WishRequest.wish: none is given")),
        };
        let none = "this run was not submitted as a job, so nothing keeps a wish; `conrec stop` ends its processes";
        let desk = self.desk.as_ref().ok_or_else(|| Status::failed_precondition(none))?;
        let (reply, answer) = oneshot::channel();
        let ended = || Status::unavailable("the run has ended");
        desk.send(Asked { ask, reply }).await.map_err(|_| ended())?;
        let sentence = answer.await.map_err(|_| ended())?.map_err(Status::failed_precondition)?;
        Ok(Response::new(wire::WishResponse { sentence }))
    }
}
