//! The compute thread of a worker. It outlives sessions: a worker whose coordinator died still holds the training state
//! when the next one asks. Commands of a session that is over are not done any more.

use crate::caught::caught;
use crate::collective::{Peers, Switch};
use crate::error::WorkerError;
use crate::execute::Executor;
use crate::lanes::Deliver;
use crate::run_folder::{Place, RunFolder};
use crate::session::SessionOptions;
use crate::standing::Standing;
use conrec_domain::bookmark::Held;
use conrec_domain::effect::Command;
use conrec_domain::ids::{Fence, RunId};
use conrec_domain::spec::{RunConfig, RunSpec};
use conrec_proto::message::{FromWorker, Welcome};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

/// A command that changes the state is done within this time; preparing and reporting, which do not, take longer.
const BETWEEN_COMMANDS: Duration = Duration::from_secs(5);

/// What reaches the compute thread.
enum Job {
    /// A session begins. Answered with whether the memory is sound.
    Begin { forget: bool, sound: oneshot::Sender<bool> },
    /// How the workers reach each other from now on.
    Meet(Peers),
    /// A command of a session.
    Do { session: u64, command: Command },
}

/// The compute thread, as a session sees it.
pub struct Compute {
    /// What it computes for: another run or config needs another one.
    work: (RunId, String, String),
    jobs: std::sync::mpsc::Sender<Job>,
    /// The session whose commands count.
    session: Arc<AtomicU64>,
    /// Where answers go.
    outlet: Outlet,
    standing: Standing,
    switch: Switch,
    /// The highest fence commanded.
    fence: Fence,
    /// Why the thread has ended.
    pub failure: mpsc::Receiver<WorkerError>,
}

type Outlet = Arc<Mutex<Option<mpsc::Sender<FromWorker>>>>;

impl Compute {
    /// Starts a thread for the run of this welcome.
    ///
    /// # Errors
    /// A config that cannot be used.
    pub fn start(welcome: &Welcome, options: &SessionOptions) -> Result<Self, WorkerError> {
        let spec = RunSpec::check(RunConfig::parse(&welcome.run_spec_toml, "the run's config")?)?;
        let place = Place {
            store: options.store.clone().unwrap_or_else(|| welcome.store_url.clone()),
            scratch: options.scratch.clone(),
            run: welcome.run_id.clone(),
        };
        let standing = Standing::nowhere(welcome.run_id.clone(), spec.digest()?);
        let (switch, outlet) = (Switch::default(), Outlet::default());
        let (failed, failure) = mpsc::channel(1);
        let deliver = deliver_to(&outlet, failed);
        let (jobs, queue) = std::sync::mpsc::channel();
        let session = Arc::new(AtomicU64::new(0));
        let (current, own) = (Arc::clone(&session), (options.lanes, (switch.clone(), standing.clone())));
        std::thread::spawn(move || {
            let work = || {
                let executor = Executor::new(spec, RunFolder::open(&place)?, own, &deliver)?;
                run(executor, queue, &current, &deliver)
            };
            if let Err(error) = caught("the computation of this worker", work) {
                deliver(Err(error));
            }
        });
        let work = work_of(welcome);
        Ok(Self { work, jobs, session, outlet, standing, switch, fence: Fence(0), failure })
    }

    /// Whether this thread computes for the run of this welcome.
    pub fn is_for(&self, welcome: &Welcome) -> bool {
        self.work == work_of(welcome)
    }

    /// A session is over: what it has asked for is given up. Gives what is held, once the command at hand is done.
    /// `forget`: the coordinator gave this worker up, so what it holds counts for nothing.
    pub async fn rest(&mut self, forget: bool) -> Option<Held> {
        self.session.fetch_add(1, Ordering::SeqCst);
        self.outlet.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.switch.abort(self.fence);
        let (sound, answer) = oneshot::channel();
        // A thread that has ended has left its error in `failure`.
        let _ = self.jobs.send(Job::Begin { forget, sound });
        match timeout(BETWEEN_COMMANDS, answer).await {
            Ok(Ok(true)) => self.standing.held(),
            Ok(_) => None,
            // It prepares or reports, which leaves the state as it is.
            Err(_) if forget => None,
            Err(_) => self.standing.held(),
        }
    }

    /// The session at hand: answers go here from now on, and the other workers are reached this way.
    pub fn serve(&self, answers: mpsc::Sender<FromWorker>, peers: Peers) {
        // A thread that has ended has left its error in `failure`.
        let _ = self.jobs.send(Job::Meet(peers));
        *self.outlet.lock().unwrap_or_else(PoisonError::into_inner) = Some(answers);
    }

    /// Hands a command on; an abort overtakes those that wait.
    pub fn take(&mut self, command: Command) {
        match command {
            Command::Abort { fence } => self.switch.abort(fence),
            command => {
                if let Command::Form { fence, .. } = &command {
                    self.fence = self.fence.max(*fence);
                }
                let session = self.session.load(Ordering::SeqCst);
                // A thread that has ended has left its error in `failure`.
                let _ = self.jobs.send(Job::Do { session, command });
            }
        }
    }
}

impl Drop for Compute {
    fn drop(&mut self) {
        // A thread that is blocked in a collective must not outlive its worker's interest in it.
        self.switch.abort_all();
    }
}

fn work_of(welcome: &Welcome) -> (RunId, String, String) {
    (welcome.run_id.clone(), welcome.run_spec_toml.clone(), welcome.store_url.clone())
}

/// Answers go to the session at hand; without one they count for nothing, as their leases do.
fn deliver_to(outlet: &Outlet, failed: mpsc::Sender<WorkerError>) -> Deliver {
    let outlet = Arc::clone(outlet);
    Arc::new(move |result| match result {
        Ok(answer) => {
            let answers = outlet.lock().unwrap_or_else(PoisonError::into_inner).clone();
            // A closed channel means that the session is over.
            if let Some(answers) = answers {
                let _ = answers.blocking_send(answer);
            }
        }
        // One error is enough; it ends the worker.
        Err(error) => drop(failed.try_send(error)),
    })
}

/// Does one job after the other, until nobody has any more.
fn run(
    mut executor: Executor,
    queue: std::sync::mpsc::Receiver<Job>,
    current: &AtomicU64,
    deliver: &Deliver,
) -> Result<(), WorkerError> {
    for job in queue {
        match job {
            Job::Begin { forget, sound } => {
                let answer = executor.is_sound(forget);
                // Nobody may be waiting for it any more.
                let _ = sound.send(matches!(answer, Ok(true)));
                answer.and_then(|_| executor.drop_sum())?;
            }
            Job::Meet(peers) => executor.meet(peers),
            Job::Do { session, .. } if session != current.load(Ordering::SeqCst) => {}
            Job::Do { command, .. } => {
                if let Some(answer) = executor.perform(command)? {
                    deliver(Ok(answer));
                }
            }
        }
    }
    Ok(())
}
