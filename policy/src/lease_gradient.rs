//! What a training lease gives: the gradient of its summed loss, and what there is to know about it.

use crate::error::PolicyError;
use crate::transformer::Policy;
use conrec_domain::work::TrainMetrics;
use tch::Tensor;

/// The gradient of the SUM of a lease's loss terms, and sums for the metrics.
#[derive(Debug, Default)]
pub struct LeaseGradient {
    /// Flat, in the layout of what trains; none if no term gives a gradient.
    pub gradient: Option<Tensor>,
    /// Sums over the lease.
    pub metrics: TrainMetrics,
}

impl LeaseGradient {
    /// Adds the gradient of one micro-batch's loss and frees its graph.
    pub(crate) fn add(&mut self, policy: &Policy, loss: &Tensor) -> Result<(), PolicyError> {
        self.metrics.loss += loss.double_value(&[]);
        let gradient = policy.gradient(loss)?;
        self.gradient = Some(match self.gradient.take() {
            Some(sum) => sum + gradient,
            None => gradient,
        });
        Ok(())
    }
}
