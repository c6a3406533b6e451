//! What others may look at while a process lives: health for kubelets, figures for Prometheus, progress for Kubeflow
//! Trainer. None of it may hold up or end the process's work; that it lives depends on no peer and no store.

mod figures;
mod health;
mod listen;
mod page;
mod trainer;
mod trainer_status;

pub use listen::{ListenError, VitalsArgs};
pub use trainer::{TrainerEnvironment, report_progress};

use conrec_domain::job::Moment;
use conrec_domain::status::Status;
use figures::Figures;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// Generated from `health.proto`.
#[allow(
    missing_docs,
    clippy::all,
    clippy::pedantic,
    clippy::nursery,
    clippy::restriction,
    reason = "generated code follows its generator's rules, not ours"
)]
mod wire {
    tonic::include_proto!("grpc.health.v1");
}

/// A process's vitals; clones are the same.
#[derive(Clone)]
pub struct Vitals(Arc<Inner>);

struct Inner {
    ready: watch::Sender<bool>,
    figures: Mutex<Figures>,
}

impl Vitals {
    /// Of a process that is not ready yet; `labels` say who it is, such as its role and version.
    pub fn new(labels: &[(&str, &str)]) -> Self {
        let figures = Mutex::new(Figures::new(labels));
        Self(Arc::new(Inner { ready: watch::Sender::new(false), figures }))
    }

    /// Whether it does what it is there for: a coordinator serves its run, a worker is in one.
    pub fn set_ready(&self, ready: bool) {
        self.0.ready.send_if_modified(|before| std::mem::replace(before, ready) != ready);
        self.lock().gauge("conrec_ready", f64::from(u8::from(ready)));
    }

    /// Takes in what the run shows.
    pub fn hear(&self, status: &Status, now: Moment) {
        self.lock().hear(status, now);
    }

    /// One more of what is counted under this name, which ends with `_total`.
    pub fn count(&self, name: &'static str) {
        self.lock().count(name);
    }

    fn lock(&self) -> MutexGuard<'_, Figures> {
        // A panic while the lock is held cannot leave numbers in a bad state.
        self.0.figures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
