//! Gives up a roster's collective from outside: the thread that computes may be blocked inside it.

use super::Collective;
use conrec_domain::ids::Fence;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Shared by the thread that computes and the one that hears of lost workers.
#[derive(Clone, Default)]
pub struct Switch(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    /// Rosters up to this one are given up.
    aborted: Option<Fence>,
    current: Option<(Fence, Arc<dyn Collective>)>,
}

impl Switch {
    /// Gives up the roster of this fence, and all before it, whether it is being formed, at work, or not yet begun.
    pub fn abort(&self, fence: Fence) {
        let mut inner = self.lock();
        inner.aborted = inner.aborted.max(Some(fence));
        if let Some((_, collective)) = inner.current.as_ref().filter(|(of, _)| *of <= fence) {
            collective.abort();
        }
    }

    /// Gives up every roster that was or will be.
    pub fn abort_all(&self) {
        self.abort(Fence(u64::MAX));
    }

    /// Whether this roster was given up.
    pub fn is_aborted(&self, fence: Fence) -> bool {
        self.lock().aborted >= Some(fence)
    }

    /// The collective that `abort` reaches from now on.
    pub fn set(&self, fence: Fence, collective: &Arc<dyn Collective>) {
        let mut inner = self.lock();
        inner.current = Some((fence, Arc::clone(collective)));
        if inner.aborted >= Some(fence) {
            collective.abort();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collective::Single;

    #[test]
    fn an_abort_reaches_a_collective_that_comes_after_it() {
        let switch = Switch::default();
        let (early, late): (Arc<dyn Collective>, Arc<dyn Collective>) =
            (Arc::new(Single::new()), Arc::new(Single::new()));
        switch.abort(Fence(3));
        switch.set(Fence(3), &early);
        assert!(early.barrier().is_err() && switch.is_aborted(Fence(2)));
        switch.set(Fence(4), &late);
        assert!(late.barrier().is_ok() && !switch.is_aborted(Fence(4)));
        switch.abort(Fence(3));
        assert!(late.barrier().is_ok(), "a later roster is not touched");
        switch.abort_all();
        assert!(late.barrier().is_err());
    }
}
