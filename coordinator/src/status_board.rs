//! The run's latest status, and everyone who watches it.

use conrec_domain::status::Status;
use futures::stream::{self, Stream, StreamExt};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

/// Statuses that a slow watcher may fall behind before it misses some.
const BEHIND: usize = 256;

/// Written by the driver, read by any number of watchers.
#[derive(Clone)]
pub(crate) struct StatusBoard {
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    latest: Option<Status>,
    /// What every watcher is told, whenever it comes.
    notes: Vec<Status>,
    /// None once the run has ended.
    sender: Option<broadcast::Sender<Status>>,
}

impl StatusBoard {
    /// A board that shows nothing yet.
    pub(crate) fn new() -> Self {
        let inner = Inner { latest: None, notes: Vec::new(), sender: Some(broadcast::Sender::new(BEHIND)) };
        Self { inner: Arc::new(Mutex::new(inner)) }
    }

    /// Shows a status to all watchers, present and future.
    pub(crate) fn show(&self, status: Status) {
        let mut inner = self.lock();
        inner.latest = Some(status.clone());
        if let Some(sender) = &inner.sender {
            // An error only says that nobody watches.
            let _ = sender.send(status);
        }
    }

    /// Tells present watchers of something that is over: it is not what the run is doing.
    pub(crate) fn tell(&self, status: Status) {
        if let Some(sender) = &self.lock().sender {
            let _ = sender.send(status);
        }
    }

    /// Says something to all watchers that is not what the run is doing: those to come hear it too.
    pub(crate) fn note(&self, status: Status) {
        let mut inner = self.lock();
        if let Some(sender) = &inner.sender {
            let _ = sender.send(status.clone());
        }
        inner.notes.push(status);
    }

    /// The latest status and all notes, then every later one, until [`Self::close`].
    pub(crate) fn watch(&self) -> impl Stream<Item = Status> + Send + use<> {
        let inner = self.lock();
        let latest = stream::iter(inner.latest.iter().chain(&inner.notes).cloned().collect::<Vec<_>>());
        let later = inner.sender.as_ref().map(broadcast::Sender::subscribe);
        latest.chain(stream::unfold(later, |later| async {
            let mut later = later?;
            loop {
                match later.recv().await {
                    Ok(status) => return Some((status, Some(later))),
                    // A watcher that fell behind goes on with the newer ones.
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return None,
                }
            }
        }))
    }

    /// Ends every watcher's stream after what was shown.
    pub(crate) fn close(&self) {
        self.lock().sender = None;
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic while the lock is held cannot leave the two fields in a bad state.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
