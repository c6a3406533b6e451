//! A worker's exact sum as its lanes share it: whoever is done with a lease adds its gradient, in any order.

use crate::error::PolicyError;
use crate::exact_sum::ExactSum;
use crate::flat_parameters::FlatParameters;
use crate::lease_gradient::LeaseGradient;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tch::{Device, Tensor};

/// The sum of one worker; clones are the same sum.
#[derive(Clone, Debug)]
pub struct SharedSum {
    sum: Arc<Mutex<ExactSum>>,
    layout: Arc<FlatParameters>,
}

impl SharedSum {
    /// Shares a sum over weights of this layout.
    pub fn new(sum: ExactSum, layout: FlatParameters) -> Self {
        Self { sum: Arc::new(Mutex::new(sum)), layout: Arc::new(layout) }
    }

    /// Adds a lease's gradient, wherever it was computed: sums are formed on the host.
    ///
    /// # Errors
    /// When an element does not fit the sum; the weight is named, and the sum is as it was.
    pub fn accumulate(&self, lease: &LeaseGradient) -> Result<(), PolicyError> {
        let Some(gradient) = &lease.gradient else { return Ok(()) };
        let gradient = gradient.f_to_device(Device::Cpu)?;
        self.lock().add(&self.layout, &gradient)
    }

    /// The integers so far, the input of the all-reduce, which must leave them as they are; and what they add up to
    /// modulo 2^64, known from what was added.
    ///
    /// # Errors
    /// When libtorch cannot copy them.
    pub fn integers(&self) -> Result<(Vec<i64>, i64), PolicyError> {
        let sum = self.lock();
        Ok((Vec::<i64>::try_from(sum.integers())?, sum.check()))
    }

    /// The mean over `divisor` groups of reduced integers; see [`ExactSum::mean`].
    ///
    /// # Errors
    /// As there.
    pub fn mean(&self, integers: &Tensor, divisor: u64) -> Result<Tensor, PolicyError> {
        self.lock().mean(integers, divisor)
    }

    /// Sets the sum to zero.
    pub fn clear(&self) {
        self.lock().clear();
    }

    /// A thread that panicked inside has left the sum whole: an addition changes it in one operation at its end.
    fn lock(&self) -> MutexGuard<'_, ExactSum> {
        self.sum.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
