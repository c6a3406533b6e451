//! The roster of one: every sum is the value itself.

use super::{Collective, CollectiveError, check_root};
use std::sync::atomic::{AtomicBool, Ordering};

/// The only member of a roster.
#[derive(Debug, Default)]
pub struct Single {
    aborted: AtomicBool,
}

impl Single {
    /// A roster of one.
    pub fn new() -> Self {
        Self::default()
    }

    fn check(&self, call: &'static str) -> Result<(), CollectiveError> {
        if self.aborted.load(Ordering::SeqCst) {
            return Err(CollectiveError::Aborted { call, message: "the roster was aborted".to_owned() });
        }
        Ok(())
    }
}

impl Collective for Single {
    fn rank(&self) -> u32 {
        0
    }

    fn world(&self) -> u32 {
        1
    }

    fn all_reduce_sum(&self, _values: &mut [i64]) -> Result<(), CollectiveError> {
        self.check("all-reduce")
    }

    fn all_reduce_sum_f32(&self, _values: &mut [f32]) -> Result<(), CollectiveError> {
        self.check("all-reduce")
    }

    fn broadcast(&self, _bytes: &mut [u8], root: u32) -> Result<(), CollectiveError> {
        check_root(root, 1)?;
        self.check("broadcast")
    }

    fn barrier(&self) -> Result<(), CollectiveError> {
        self.check("barrier")
    }

    fn abort(&self) {
        self.aborted.store(true, Ordering::SeqCst);
    }
}
