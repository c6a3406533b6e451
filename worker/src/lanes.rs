//! The lanes of a worker: threads that compute leases side by side, each with the config's number of libtorch threads.
//! A lease's result depends on its arguments alone and sums are exact, so the number of lanes changes no bit of a run.

use crate::caught::caught;
use crate::error::WorkerError;
use conrec_proto::message::FromWorker;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// A lease's computation and what is to be answered.
pub type Job = Box<dyn FnOnce() -> Result<FromWorker, WorkerError> + Send>;

/// Takes what comes out of jobs; it is called from every lane.
pub type Deliver = Arc<dyn Fn(Result<FromWorker, WorkerError>) + Send + Sync>;

/// Threads that take jobs in turn.
pub struct Lanes {
    jobs: Sender<Job>,
    open: Arc<Open>,
}

/// Jobs that were handed in and are not yet delivered.
#[derive(Default)]
struct Open {
    jobs: Mutex<usize>,
    idle: Condvar,
}

impl Lanes {
    /// Starts `count` lanes (at least one) that compute with `threads` threads each.
    pub fn start(count: u32, threads: i32, deliver: &Deliver) -> Self {
        let (jobs, queue) = channel::<Job>();
        let (queue, open) = (Arc::new(Mutex::new(queue)), Arc::new(Open::default()));
        for _ in 0..count.max(1) {
            let (queue, open, deliver) = (Arc::clone(&queue), Arc::clone(&open), Arc::clone(deliver));
            std::thread::spawn(move || {
                tch::set_num_threads(threads);
                while let Some(job) = next(&queue) {
                    deliver(caught("the computation of a lease", job));
                    open.close_one();
                }
            });
        }
        Self { jobs, open }
    }

    /// Hands in a job for the next lane that is free.
    ///
    /// # Errors
    /// When no lane is left.
    pub fn submit(&self, job: Job) -> Result<(), WorkerError> {
        *self.open.jobs.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.jobs.send(job).map_err(|_| WorkerError::Protocol("all lanes have ended".to_owned()))
    }

    /// Waits until every job that was handed in is delivered.
    pub fn wait(&self) {
        let jobs = self.open.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.open.idle.wait_while(jobs, |jobs| *jobs > 0));
    }
}

impl Open {
    fn close_one(&self) {
        *self.jobs.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.idle.notify_all();
    }
}

/// The next job; none when the lanes are no longer needed.
fn next(queue: &Mutex<Receiver<Job>>) -> Option<Job> {
    queue.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;
    use std::sync::mpsc;

    fn collect() -> (Deliver, mpsc::Receiver<Result<FromWorker, WorkerError>>) {
        let (sender, receiver) = channel();
        let sender = Mutex::new(sender);
        let deliver: Deliver = Arc::new(move |result| sender.lock().unwrap().send(result).unwrap());
        (deliver, receiver)
    }

    #[test]
    fn as_many_jobs_as_lanes_run_side_by_side() {
        let (deliver, delivered) = collect();
        let lanes = Lanes::start(3, 1, &deliver);
        let meeting = Arc::new(Barrier::new(3));
        for _ in 0..3 {
            let meeting = Arc::clone(&meeting);
            // None gets past the barrier unless all three run at once.
            let job: Job = Box::new(move || {
                meeting.wait();
                Ok(FromWorker::Heartbeat)
            });
            lanes.submit(job).unwrap();
        }
        lanes.wait();
        assert_eq!(delivered.try_iter().filter(Result::is_ok).count(), 3);
    }

    #[test]
    fn a_job_that_panics_is_delivered_as_an_error_and_its_lane_goes_on() {
        let (deliver, delivered) = collect();
        let lanes = Lanes::start(1, 1, &deliver);
        lanes.submit(Box::new(|| panic!("on purpose"))).unwrap();
        lanes.submit(Box::new(|| Ok(FromWorker::Heartbeat))).unwrap();
        lanes.wait();
        let results: Vec<bool> = delivered.try_iter().map(|result| result.is_ok()).collect();
        assert_eq!(results, [false, true]);
    }
}
