//! Where connections wait until they have shown that they belong: by a Hello, or by an operator's call. The lobby has
//! few places. When it is full the one that has waited longest gives way, so that a flood of silent connections cannot
//! keep a worker out.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// Connections that may wait at a time.
pub const PLACES: usize = 256;

/// A connection's way out: it resolves to `Ok` when the connection has to give way, to an error when it was admitted.
pub(crate) type Eviction = oneshot::Receiver<()>;

/// The connections that wait, the one that came first in front.
#[derive(Clone, Default)]
pub(crate) struct Lobby(Arc<Mutex<Waiting>>);

#[derive(Default)]
struct Waiting {
    next: u64,
    queue: VecDeque<(u64, oneshot::Sender<()>)>,
}

/// A connection's place; it leaves the lobby with it.
pub(crate) struct Place {
    lobby: Lobby,
    number: u64,
}

impl Lobby {
    /// Takes a connection in; the one that has waited longest gives way when there is no place.
    pub(crate) fn enter(&self) -> (Place, Eviction) {
        let (sender, eviction) = oneshot::channel();
        let mut waiting = self.lock();
        if waiting.queue.len() >= PLACES
            && let Some((_, oldest)) = waiting.queue.pop_front()
        {
            // It may have gone by itself in this moment.
            let _ = oldest.send(());
        }
        let number = waiting.next;
        waiting.next += 1;
        waiting.queue.push_back((number, sender));
        (Place { lobby: self.clone(), number }, eviction)
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // A panic while the lock is held cannot leave the queue in a bad state.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// The connection belongs here: it waits no longer.
    pub(crate) fn admit(&self) {
        let mut waiting = self.lobby.lock();
        if let Ok(at) = waiting.queue.binary_search_by_key(&self.number, |(number, _)| *number) {
            waiting.queue.remove(at);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.admit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::oneshot::error::TryRecvError;

    #[test]
    fn the_oldest_gives_way_and_who_was_admitted_does_not() {
        let lobby = Lobby::default();
        let mut guests: Vec<_> = (0..PLACES).map(|_| lobby.enter()).collect();
        guests[0].0.admit();
        assert_eq!(guests[0].1.try_recv(), Err(TryRecvError::Closed), "admitted");
        let _one_more = lobby.enter();
        assert_eq!(guests[1].1.try_recv(), Err(TryRecvError::Empty), "there was a place again");
        let _another = lobby.enter();
        assert_eq!(guests[1].1.try_recv(), Ok(()), "it had waited longest");
        assert_eq!(guests[2].1.try_recv(), Err(TryRecvError::Empty));
        drop(guests);
        assert_eq!(lobby.lock().queue.len(), 2, "who goes leaves its place");
    }
}
