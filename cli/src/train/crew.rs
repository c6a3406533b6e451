//! The coordinator and the workers of a local run: started, watched, stopped.

use super::restarts::{Prospects, Restarts};
use super::{Plan, watch};
use crate::children::{Child, wind_down};
use crate::failure::Failure;
use crate::progress_view::ProgressView;
use crate::sibling::{QUIET, worker_program};
use conrec_coordinator::exit_code::ExitCode;
use conrec_domain::status::{Activity, Status};
use conrec_process::StopSignals;
use nix::sys::signal::Signal;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;
use tokio::process::Command;
use tokio::sync::mpsc::Receiver;
use tokio::time::{Instant, sleep_until};

/// The coordinator has so long to open the store and to listen.
const LISTEN: Duration = Duration::from_secs(60);

/// Processes have so long to end by themselves once a run has failed: what they still log may say why.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// And so long once a run is complete or stopped: all is written, and only a worker that never reached the coordinator
/// does not know.
const FAREWELL: Duration = Duration::from_millis(500);

/// Processes have so long to end once they were asked to.
const ASKED: Duration = Duration::from_secs(5);

/// A coordinator that is left by an error has so long for its checkpoint.
const CHECKPOINT: Duration = Duration::from_secs(25);

/// How often children are looked at.
const LOOK: Duration = Duration::from_millis(50);

/// All processes of a local run, and what the user sees and says.
pub struct Crew {
    coordinator: Child,
    workers: Vec<Child>,
    worker_program: PathBuf,
    address_file: PathBuf,
    logs: PathBuf,
    signals: StopSignals,
    view: ProgressView,
    /// Times that the user asked to stop.
    stops: u32,
    /// Committed iterations, as last seen; none before the coordinator has said so.
    iteration: Option<u64>,
    /// Where the coordinator listens, once it does.
    coordinator_address: Option<String>,
    /// Starts of each worker, and of the coordinator, after the first.
    restarts: Vec<Restarts>,
    coordinator_restarts: Restarts,
    /// Whether enough workers live.
    prospects: Prospects,
    /// Why the run has failed, as the coordinator showed it: its log may not have had room for it.
    reason: Option<String>,
    /// Whether the run has shown its end: whoever ends now has done so with it.
    over: bool,
    /// Workers that are not started again, as the user was told.
    told: BTreeSet<usize>,
}

impl Crew {
    /// Starts the coordinator; the workers follow once it listens.
    pub fn start(plan: &Plan<'_>, signals: StopSignals, view: ProgressView) -> Result<Self, Failure> {
        let worker_program = worker_program()?;
        let logs = plan.folder.join("logs");
        std::fs::create_dir_all(&logs).map_err(Failure::io("make the folder", &logs))?;
        let address_file = logs.join("coordinator.address");
        let coordinator = start_coordinator(plan, (&address_file, None), &logs)?;
        let workers = plan.args.workers;
        let plural = if workers == 1 { "" } else { "s" };
        view.say(&format!("run {} · {workers} worker{plural} · files in {}", plan.run_id, plan.run.place("")));
        Ok(Self {
            coordinator,
            workers: Vec::new(),
            worker_program,
            address_file,
            logs,
            signals,
            view,
            stops: 0,
            iteration: None,
            coordinator_address: None,
            restarts: vec![Restarts::default(); workers as usize],
            coordinator_restarts: Restarts::default(),
            prospects: Prospects::default(),
            reason: None,
            over: false,
            told: BTreeSet::new(),
        })
    }

    /// Committed iterations, as last seen; none before the coordinator has said so.
    pub fn iteration(&self) -> Option<u64> {
        self.iteration
    }

    /// Watches until the coordinator ends: answers 0 (complete) or 75 (stopped).
    pub async fn supervise(&mut self, plan: &Plan<'_>) -> Result<u8, Failure> {
        let mut deadline = Instant::now() + LISTEN;
        let mut statuses: Option<Receiver<Status>> = None;
        let mut listens = false;
        // Kept over the turns: statuses that come faster than this must not put it off for ever.
        let mut look = Instant::now() + LOOK;
        loop {
            if !listens && let Some(address) = self.address(deadline)? {
                statuses = Some(watch::statuses(&address));
                if self.workers.is_empty() {
                    self.start_workers(plan, &address)?;
                }
                self.coordinator_address = Some(address);
                listens = true;
            }
            tokio::select! {
                ended = self.coordinator.wait() => {
                    let ended = ended.map_err(Failure::io("wait for", Path::new("the coordinator")))?;
                    self.drain(&mut statuses);
                    if !self.start_coordinator_again(plan, ended)? {
                        return self.judge(ended);
                    }
                    (deadline, statuses, listens) = (Instant::now() + LISTEN, None, false);
                }
                status = next(&mut statuses) => self.show(&status),
                () = self.signals.next() => self.stop(),
                () = sleep_until(look) => {
                    look = Instant::now() + LOOK;
                    self.start_again(plan)?;
                    self.look()?;
                }
            }
        }
    }

    /// The coordinator's address, once it listens.
    fn address(&self, deadline: Instant) -> Result<Option<String>, Failure> {
        match std::fs::read_to_string(&self.address_file) {
            // A coordinator that listens everywhere is reached here.
            Ok(address) => Ok(Some(address.replace("0.0.0.0:", "127.0.0.1:").replace("[::]:", "[::1]:"))),
            Err(_) if Instant::now() < deadline => Ok(None),
            Err(_) => Err(Failure::new(
                ExitCode::Unavailable,
                format!("the coordinator does not listen after {} s; {}", LISTEN.as_secs(), self.coordinator.tail()),
            )),
        }
    }

    fn start_workers(&mut self, plan: &Plan<'_>, address: &str) -> Result<(), Failure> {
        for number in 1..=plan.args.workers {
            let worker = self.start_worker(plan, address, number)?;
            self.workers.push(worker);
        }
        Ok(())
    }

    fn start_worker(&self, plan: &Plan<'_>, address: &str, number: u32) -> Result<Child, Failure> {
        let lanes = plan.args.lanes.unwrap_or_else(|| lanes(plan.args.workers, plan.spec.cluster.threads));
        let mut command = Command::new(&self.worker_program);
        command.args(["worker", "--coordinator", address, "--store", &plan.args.store.store]);
        command.args(["--lanes", &lanes.to_string()]);
        if let Some(scratch) = &plan.args.scratch {
            command.arg("--scratch").arg(scratch);
        }
        command.env("OMP_NUM_THREADS", plan.spec.cluster.threads.to_string()).envs(QUIET);
        Child::start(&format!("worker {number}"), command, &self.logs)
    }

    /// Starts workers again that died, as often as the run makes its way between their deaths.
    fn start_again(&mut self, plan: &Plan<'_>) -> Result<(), Failure> {
        let Some(address) = self.coordinator_address.clone().filter(|_| self.stops == 0 && !self.over) else {
            return Ok(());
        };
        for (index, number) in (0..self.workers.len()).zip(1..) {
            let Some(ended) = self.workers[index].ended() else { continue };
            if !may_start_again(ended) {
                self.tell_once(index, ended);
            } else if self.restarts[index].allow(self.iteration, ended.signal().is_some()) {
                self.workers[index] = self.start_worker(plan, &address, number)?;
            }
        }
        Ok(())
    }

    /// A worker that cannot work here is missed by nobody else: the others go on.
    fn tell_once(&mut self, index: usize, ended: ExitStatus) {
        if !ended.success() && self.prospects.begun() && self.told.insert(index) {
            let worker = &self.workers[index];
            let why = worker.error_message().unwrap_or_else(|| worker.tail());
            self.view.say(&format!("{} ({ended}) is not started again; the others go on: {why}", worker.name));
        }
    }

    /// A coordinator that was killed is started again at its address: the workers wait for it with all that they hold.
    /// Whether it was; one that ended by itself had its reasons.
    fn start_coordinator_again(&mut self, plan: &Plan<'_>, ended: ExitStatus) -> Result<bool, Failure> {
        // Its own words, not where it is reached from here: it may listen to others too.
        let Ok(listened) = std::fs::read_to_string(&self.address_file) else { return Ok(false) };
        if self.stops > 0 || ended.signal().is_none() || !self.coordinator_restarts.allow(self.iteration, true) {
            return Ok(false);
        }
        self.view.say(&format!("the coordinator died ({ended}) and is started again; the workers keep what they hold"));
        self.coordinator = start_coordinator(plan, (&self.address_file, Some(&listened)), &self.logs)?;
        Ok(true)
    }

    fn show(&mut self, status: &Status) {
        self.iteration = Some(status.iteration.0);
        self.prospects.hear(status);
        self.over = status.activity.is_an_end();
        if let Activity::Failed { reason } = &status.activity {
            self.reason = Some(reason.clone());
        }
        self.view.show(status);
    }

    /// Shows what arrived together with the coordinator's end.
    fn drain(&mut self, statuses: &mut Option<Receiver<Status>>) {
        while let Some(status) = statuses.as_mut().and_then(|receiver| receiver.try_recv().ok()) {
            self.show(&status);
        }
    }

    /// Ctrl-C, SIGTERM or SIGHUP: the first asks for a checkpoint, the second ends everything at once.
    fn stop(&mut self) {
        self.stops += 1;
        if self.stops == 1 {
            self.view.say("stopping: a checkpoint is written first (once more ends everything at once)");
            self.coordinator.signal(Signal::SIGTERM);
            return;
        }
        self.kill();
    }

    fn kill(&self) {
        for child in self.workers.iter().chain(std::iter::once(&self.coordinator)) {
            child.signal(Signal::SIGKILL);
        }
    }

    /// Notices that too few workers are left, and a coordinator that does not notice. What comes after a stop is the
    /// coordinator's to say.
    fn look(&mut self) -> Result<(), Failure> {
        let living = self.workers.iter_mut().filter_map(|worker| worker.ended().is_none().then_some(())).count();
        let failed = |worker: &mut Child| worker.ended().is_some_and(has_failed);
        let Some(index) = self.workers.iter_mut().position(failed).filter(|_| self.stops == 0) else {
            return Ok(());
        };
        let count = |workers: usize| u32::try_from(workers).unwrap_or(u32::MAX);
        if !self.prospects.are_gone(count(living), count(self.workers.len()), Instant::now()) {
            return Ok(());
        }
        let message = self.worker_end(index);
        let code = self.workers.get_mut(index).and_then(Child::ended).and_then(|status| status.code());
        // What a shell or the loader answers (126, 127) is no code of ours.
        let code = code.and_then(|code| u8::try_from(code).ok()).filter(|code| (64..=78).contains(code));
        let code = code.unwrap_or_else(|| ExitCode::Failed.code());
        self.coordinator.signal(Signal::SIGTERM);
        Err(Failure { message, code })
    }

    /// From the coordinator's end to the run's.
    fn judge(&mut self, ended: ExitStatus) -> Result<u8, Failure> {
        match ended.code().and_then(|code| u8::try_from(code).ok()) {
            Some(code)
                if [ExitCode::Done, ExitCode::Stopped, ExitCode::Cancelled].map(ExitCode::code).contains(&code) =>
            {
                Ok(code)
            }
            Some(code) => Err(Failure { message: self.why(&ended), code }),
            None if self.stops > 1 => {
                let message = "killed; the same command goes on from the last checkpoint";
                Err(Failure::new(ExitCode::Failed, message))
            }
            // The stop came before the coordinator listened to signals: it had not begun to work.
            None if self.stops == 1 && ended.signal() == Some(Signal::SIGTERM as i32) => Ok(ExitCode::Stopped.code()),
            None => Err(Failure::new(ExitCode::Failed, self.why(&ended))),
        }
    }

    /// The coordinator's own words; with the log of a worker that ended without being able to say why.
    fn why(&mut self, ended: &ExitStatus) -> String {
        let said = self.coordinator.error_message().or_else(|| self.reason.clone());
        let message = said.unwrap_or_else(|| format!("the coordinator ended ({ended}); {}", self.coordinator.tail()));
        let silent = self.workers.iter_mut().position(|worker| {
            let failed = worker.ended().is_some_and(has_failed);
            failed && worker.error_message().is_none_or(|own| !message.contains(&own))
        });
        match silent {
            Some(index) => format!("{message}\n{}", self.worker_end(index)),
            None => message,
        }
    }

    fn worker_end(&mut self, index: usize) -> String {
        let Some(worker) = self.workers.get_mut(index) else { return String::new() };
        let how = worker.ended().map(|status| status.to_string()).unwrap_or_default();
        format!("{} ended before the run was over ({how}); {}", worker.name, worker.tail())
    }

    /// Ends whatever still runs. `well`: the run is complete or stopped.
    pub async fn dismiss(&mut self, well: bool) {
        self.view.close();
        // No effect on a coordinator that has ended; one that still runs was left by an error.
        self.coordinator.signal(Signal::SIGTERM);
        let grace = if self.workers.is_empty() { LAST_WORDS } else { CHECKPOINT };
        let patience = if well { FAREWELL } else { LAST_WORDS };
        let coordinator = std::slice::from_mut(&mut self.coordinator);
        tokio::select! {
            // It needs its workers for its checkpoint.
            () = async {
                wind_down(coordinator, [grace, ASKED]).await;
                wind_down(&mut self.workers, [patience, ASKED]).await;
            } => {}
            () = self.signals.next() => self.kill(),
        }
        wind_down(&mut self.workers, [Duration::ZERO; 2]).await;
        wind_down(std::slice::from_mut(&mut self.coordinator), [Duration::ZERO; 2]).await;
    }
}

/// Killed, asked to end by somebody else, or failed in a way that another start may mend; not what is wrong with command line, data or config, nor a
/// program that cannot be started.
fn may_start_again(status: ExitStatus) -> bool {
    let unavailable = i32::from(ExitCode::Unavailable.code());
    let again = |code: i32| code == 1 || code == unavailable || code == i32::from(ExitCode::Stopped.code());
    status.signal().is_some() || status.code().is_some_and(again)
}

/// Whether a worker ended without being asked to.
fn has_failed(status: ExitStatus) -> bool {
    !status.success() && status.code() != Some(i32::from(ExitCode::Stopped.code()))
}

/// Leases at once, so that all workers together keep every core busy.
fn lanes(workers: u32, threads: u32) -> u32 {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let wanted = workers.saturating_mul(threads).max(1) as usize;
    u32::try_from(cores / wanted).unwrap_or(1).clamp(1, 1024)
}

/// The next status; never, when there are none (any more).
async fn next(statuses: &mut Option<Receiver<Status>>) -> Status {
    if let Some(receiver) = statuses {
        if let Some(status) = receiver.recv().await {
            return status;
        }
        *statuses = None;
    }
    std::future::pending().await
}

/// `conrec coordinator` with the same config, at this address if one is given; what an earlier one wrote of its own is
/// removed.
fn start_coordinator(
    plan: &Plan<'_>,
    (address_file, listen): (&Path, Option<&str>),
    logs: &Path,
) -> Result<Child, Failure> {
    match std::fs::remove_file(address_file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(Failure::io("remove", address_file)(error));
        }
        Ok(()) | Err(_) => {}
    }
    let mut command = coordinator_command(plan, address_file)?;
    if let Some(listen) = listen {
        command.args(["--listen", listen]);
    }
    Child::start("coordinator", command, logs)
}

/// `conrec coordinator` with the same config.
fn coordinator_command(plan: &Plan<'_>, address_file: &Path) -> Result<Command, Failure> {
    let own = std::env::current_exe()
        .map_err(|error| Failure::new(ExitCode::Failed, format!("cannot find this program's own path: {error}")))?;
    let args = plan.args;
    let mut command = Command::new(own);
    command.arg("coordinator");
    if plan.job {
        command.args(["--job", plan.run_id.as_str()]);
    } else {
        command.arg(&args.config.config).args(["--run-id", plan.run_id.as_str()]);
        for set in &args.config.set {
            command.args(["--set", set]);
        }
    }
    command.args(["--store", &args.store.store]);
    command.args(["--workers", &args.workers.to_string()]);
    command.args([OsStr::new("--address-file"), address_file.as_os_str()]);
    Ok(command)
}
