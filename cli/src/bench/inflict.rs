//! Faults inflicted on a run, one after the other, each timed until the next committed iteration.

use super::subject::Subject;
use crate::failure::Failure;
use conrec_coordinator::exit_code::ExitCode;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::ops::Range;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Faults are so far apart at least that each is a new one: workers knock more seldom at a coordinator that dies again at
/// once.
const APART: Duration = Duration::from_millis(300);

/// What is done to a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing: what is timed is the rest of an iteration.
    Nothing,
    /// SIGKILL of one worker; the run starts it again.
    WorkerKilled,
    /// SIGSTOP of one worker, and SIGCONT once the run has gone on without it.
    WorkerStopped,
    /// SIGKILL of the coordinator; the run starts it again.
    CoordinatorKilled,
}

impl Fault {
    /// The name in the figures.
    pub fn name(self) -> &'static str {
        match self {
            Self::Nothing => "undisturbed",
            Self::WorkerKilled => "worker_killed",
            Self::WorkerStopped => "worker_stopped",
            Self::CoordinatorKilled => "coordinator_killed",
        }
    }
}

/// What a series of one kind of fault gave.
#[derive(Debug, Default)]
pub struct Series {
    /// Milliseconds from each fault to the next committed iteration.
    pub millis: Vec<f64>,
    /// Committed iterations that were computed again.
    pub lost: u64,
}

/// Inflicts a fault so many times, each once all workers take part, in turn on each worker, each time at another moment
/// of an iteration: the delays after that are spread evenly over 40 ms. No fault begins after iteration `until`; at
/// least one is inflicted.
pub fn inflict(subject: &mut Subject, fault: Fault, times: Range<u32>, until: u64) -> Result<Series, Failure> {
    let (mut series, first, all) = (Series::default(), times.start, times.end.max(1));
    for turn in times {
        if turn > first && subject.committed() > until {
            break;
        }
        let from = subject.logged();
        subject.wait_for_all(from)?;
        sleep(APART + Duration::from_millis(40) * turn / all);
        let victim = victim(subject, fault, turn)?;
        // In this order: no answer to the reduce of an iteration that the ledger holds comes after `logged`.
        let committed = subject.committed();
        let logged = subject.logged();
        let began = Instant::now();
        send(victim, if fault == Fault::WorkerStopped { Signal::SIGSTOP } else { Signal::SIGKILL });
        let ended = subject.wait_for_more_than(committed);
        if fault == Fault::WorkerStopped {
            // Also when the run is broken: a stopped process would outlive it.
            send(victim, Signal::SIGCONT);
        }
        series.millis.push(ended?.duration_since(began).as_secs_f64() * 1e3);
        series.lost +=
            subject.rounds(logged).range(..=committed).filter(|(_, round)| !round.reduced.is_empty()).count() as u64;
    }
    Ok(series)
}

fn victim(subject: &Subject, fault: Fault, turn: u32) -> Result<Option<Pid>, Failure> {
    let program = match fault {
        Fault::Nothing => return Ok(None),
        Fault::WorkerKilled | Fault::WorkerStopped => "conrec-worker",
        Fault::CoordinatorKilled => "conrec",
    };
    let all = subject.children(program);
    let index = (turn as usize).checked_rem(all.len());
    match index.and_then(|index| all.get(index)) {
        Some(victim) => Ok(Some(*victim)),
        None => Err(Failure::new(ExitCode::Failed, format!("the measured run has no process of {program}"))),
    }
}

fn send(victim: Option<Pid>, signal: Signal) {
    if let Some(victim) = victim {
        // It may have ended; then the time that follows is an undisturbed one and shows.
        let _ = kill(victim, signal);
    }
}
