//! Where this worker stands: what it would tell a coordinator that comes after the one at hand.

use conrec_domain::bookmark::{Bookmark, Held};
use conrec_domain::ids::{Digest, Fence, RunId};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Shared by the compute thread, which moves it, and the session, which tells it.
#[derive(Clone)]
pub struct Standing {
    run_id: RunId,
    config_digest: Digest,
    held: Arc<Mutex<Option<Held>>>,
}

impl Standing {
    /// Nothing is held yet.
    pub fn nowhere(run_id: RunId, config_digest: Digest) -> Self {
        Self { run_id, config_digest, held: Arc::default() }
    }

    /// What is held; none while the training state is being changed.
    pub fn held(&self) -> Option<Held> {
        self.lock().clone()
    }

    /// What was held is held again, unchanged.
    pub fn restore(&self, held: Held) {
        *self.lock() = Some(held);
    }

    /// The training state is about to change, or is not to be relied on any more; gives what was held.
    pub fn leave(&self) -> Option<Held> {
        self.lock().take()
    }

    /// A roster of this fence and size has formed with this state. One that is not the state agreed on is not held: its
    /// sender is damaged.
    pub fn join(&self, (fence, world): (Fence, u32), state: Digest, bookmark: Option<Bookmark>) {
        let (run_id, config_digest) = (self.run_id.clone(), self.config_digest);
        let bookmark = bookmark.filter(|bookmark| bookmark.from.is_none_or(|agreed| agreed == state));
        *self.lock() = bookmark.map(|bookmark| Held { run_id, config_digest, fence, world, state, bookmark });
    }

    /// The state became this one, within the roster of what was held before.
    pub fn move_to(&self, before: Option<Held>, state: Digest, bookmark: Option<Bookmark>) {
        let held = before.zip(bookmark).map(|(before, bookmark)| {
            let bookmark = bookmark.after(Some(before.bookmark));
            Held { state, bookmark, ..before }
        });
        *self.lock() = held;
    }

    fn lock(&self) -> MutexGuard<'_, Option<Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use conrec_domain::curriculum::Cursor;

    fn bookmark(from: &[u8]) -> Bookmark {
        let from = Some(Digest::of(from));
        Bookmark { from, cursor: Cursor::start(), follows: false, lines: Vec::new(), pending: None }
    }

    fn standing() -> Standing {
        Standing::nowhere("run".parse().unwrap(), Digest::of(b"config"))
    }

    #[test]
    fn a_state_that_is_not_the_one_agreed_on_is_not_held() {
        let standing = standing();
        standing.join((Fence(1), 2), Digest::of(b"damaged"), Some(bookmark(b"agreed")));
        assert_eq!(standing.held(), None);
        standing.join((Fence(1), 2), Digest::of(b"agreed"), Some(bookmark(b"agreed")));
        assert_eq!(standing.held().unwrap().world, 2);
    }

    #[test]
    fn while_the_state_changes_nothing_is_held() {
        let standing = standing();
        standing.join((Fence(1), 2), Digest::of(b"a"), Some(bookmark(b"a")));
        let before = standing.leave();
        assert_eq!(standing.held(), None);
        standing.move_to(before, Digest::of(b"b"), Some(bookmark(b"a")));
        assert_eq!(standing.held().unwrap().state, Digest::of(b"b"));
    }
}
