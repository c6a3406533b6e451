//! What every baseline is: a function from an instance to a score for each item that is asked about.

use crate::event::Event;
use crate::instance::Instance;

/// A model that scores items; higher means that the user is more likely to dislike the item.
pub trait ItemScores: Sync {
    /// One score for each of `items`, in their order. `past` are the user's events strictly before `instance.t0`;
    /// the instance's targets must not be looked at. `f64::NEG_INFINITY` means "never list this".
    fn scores(&self, instance: &Instance, past: &[Event], items: &[u32]) -> Vec<f64>;
}
