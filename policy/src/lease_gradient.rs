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
    /// This gradient and `weight` times another's. Of the metrics the loss is weighted too; the others are plain sums.
    pub fn plus(self, other: Self, weight: f64) -> Self {
        let weighted = other.gradient.map(|gradient| gradient * weight);
        let gradient = match (self.gradient, weighted) {
            (Some(one), Some(other)) => Some(one + other),
            (one, other) => one.or(other),
        };
        let mut metrics = self.metrics;
        metrics.add(&TrainMetrics { loss: other.metrics.loss * weight, ..other.metrics });
        Self { gradient, metrics }
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(values: Option<[f64; 2]>, loss: f64) -> LeaseGradient {
        let metrics = TrainMetrics { groups: 2, loss, ..TrainMetrics::default() };
        LeaseGradient { gradient: values.map(|values| Tensor::from_slice(&values)), metrics }
    }

    #[test]
    fn a_light_lease_counts_its_weight() {
        let sum = lease(Some([1.0, 2.0]), 3.0).plus(lease(Some([4.0, -8.0]), 2.0), 0.25);
        assert_eq!(Vec::<f64>::try_from(sum.gradient.unwrap()).unwrap(), [2.0, 0.0]);
        assert_eq!((sum.metrics.groups, sum.metrics.loss), (4, 3.5));
        let sum = lease(None, 0.0).plus(lease(Some([4.0, -8.0]), 0.0), 0.5);
        assert_eq!(Vec::<f64>::try_from(sum.gradient.unwrap()).unwrap(), [2.0, -4.0]);
        assert!(lease(None, 0.0).plus(lease(None, 0.0), 0.5).gradient.is_none());
    }
}
