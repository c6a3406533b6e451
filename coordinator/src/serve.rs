//! Serves a run to its end: gRPC in, driver in the middle. Listener, clock and stop signal come from the caller.

use crate::dispatch::Dispatch;
use crate::driver::{Driver, Waiting};
use crate::entrance::{self, Entrance};
use crate::exit_code::ExitCode;
use crate::journal::Journal;
use crate::open::Coordinator;
use crate::operator::OperatorService;
use crate::session::{Introduction, SessionService};
use crate::store::Skipped;
use conrec_domain::effect::Ending;
use conrec_domain::ids::Iteration;
use conrec_domain::run::Run;
use conrec_domain::status::{Activity, Status};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Workers get so long to read their last message and to close their streams.
const FAREWELL: Duration = Duration::from_secs(2);

impl Coordinator {
    /// Serves until the run ends for this process. `start` is the time that the run's clock counts from; `stop` asks
    /// for a checkpoint and an orderly end.
    pub async fn serve(self, entrance: impl Into<Entrance>, start: Instant, stop: impl Future<Output = ()>) -> Ending {
        let resume = self.setup.resume.as_ref();
        let committed = resume.map_or(Iteration(0), |manifest| manifest.iteration);
        let held = resume.is_some_and(|manifest| manifest.cursor.held_line.is_some());
        let journal = match Journal::open(self.store.folder(), committed, held) {
            Ok(journal) => journal,
            Err(error) => {
                let exit_code = ExitCode::from(&error).code();
                return Ending::Failed { reason: error.to_string(), exit_code };
            }
        };
        let (inputs, received) = (self.inputs, self.received);
        let introduction = Introduction {
            run_id: self.setup.run_id.clone(),
            run_spec_toml: self.run_spec_toml,
            store_url: self.store.url(),
            heartbeat_seconds: self.setup.spec.cluster.heartbeat_seconds,
        };
        let board = self.board;
        let session = SessionService::new(inputs.clone(), introduction);
        let (guests, guard) = entrance.into().open();
        let operator = OperatorService::new(inputs.clone(), board.clone(), guard).with_desk(self.desk);
        let claimed = Arc::new(AtomicU64::new(self.setup.last_fence.0));
        let introduced = (self.setup.run_id.clone(), self.setup.spec.digest().ok());
        let run = Run::new(self.setup, start.elapsed()).knowing_checkpoints(self.checkpoints).with_older(self.older);
        board.show(run.status());
        for Skipped { key, why } in self.skipped {
            let activity = Activity::Skipped { reason: format!("{key}: {why}") };
            board.note(Status { activity, ..run.status() });
        }
        let driver = Driver {
            run,
            store: Arc::new(self.store),
            journal,
            board,
            start,
            claimed,
            outboxes: BTreeMap::new(),
            pending: VecDeque::new(),
            ending: None,
            waiting: Waiting::default(),
            inputs,
            background: JoinSet::new(),
            keeps_journal: false,
            claims_again: false,
            introduced,
            asked: Arc::default(),
            silence: self.silence,
        };
        let (shutdown, ended) = oneshot::channel::<()>();
        let server = entrance::server().serve_with_incoming_shutdown(Dispatch::new(session, operator), guests, async {
            let _ = ended.await;
        });
        let mut server = tokio::spawn(server);
        let driven = driver.drive(received, stop);
        tokio::select! {
            ending = driven => {
                let _ = shutdown.send(());
                if tokio::time::timeout(FAREWELL, &mut server).await.is_err() {
                    server.abort();
                }
                ending
            }
            served = &mut server => server_ended(served),
        }
    }
}

/// The server ends before the run only when it breaks.
fn server_ended(served: Result<Result<(), tonic::transport::Error>, tokio::task::JoinError>) -> Ending {
    let why = match served {
        Ok(Ok(())) => "it stopped listening".to_owned(),
        Ok(Err(error)) => error.to_string(),
        Err(error) => error.to_string(),
    };
    let exit_code = ExitCode::Unavailable.code();
    Ending::Failed { reason: format!("the coordinator's server broke: {why}"), exit_code }
}
