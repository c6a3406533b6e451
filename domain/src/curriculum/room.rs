//! How far below the bar a score may lie before the gate takes accuracy for lost.
//!
//! The error is a score's own: what one more set of instances would have given. FHR@20 counts hits, so it has the error of
//! a share; CandAcc's instances lie between 0 and 1, so the error of a share bounds theirs, and equals it where there are no
//! ties. Two validations look at the same instances, so the error of their difference is smaller wherever the two
//! policies agree on most of them: errors in this unit are generous.

use crate::spec::EvaluationSpec;
use crate::work::Score;

/// The room below the bar.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    /// The least, whatever the noise.
    least: f64,
    /// Standard errors that are allowed.
    errors: f64,
    /// Instances that the scores are means of.
    instances: u64,
}

impl Room {
    /// What a config allows scores of so many instances.
    pub(super) fn new(evaluation: &EvaluationSpec, instances: u64) -> Self {
        Self { least: evaluation.tolerance, errors: evaluation.tolerance_errors, instances }
    }

    /// How far below a bar a score may lie.
    pub(super) fn below(self, bar: f64) -> f64 {
        self.least.max(self.noise(bar))
    }

    /// The same for people, with where it comes from.
    pub(super) fn shown(self, bar: f64) -> String {
        let noise = self.noise(bar);
        if noise > self.least { format!("{noise:.4} ({})", self.unit()) } else { self.least.to_string() }
    }

    /// What follows the words for a bar, where noise counts.
    pub(super) fn told(self, bar: Score) -> String {
        if self.errors == 0.0 {
            return String::new();
        }
        let (fhr, accuracy) = (self.below(bar.fhr), self.below(bar.candidate_accuracy));
        format!("; {fhr:.4} of FHR@20 and {accuracy:.4} of CandAcc below it count as noise ({})", self.unit())
    }

    fn noise(self, bar: f64) -> f64 {
        let variance = (bar * (1.0 - bar)).max(0.0);
        self.errors * (variance / self.instances.max(1) as f64).sqrt()
    }

    fn unit(self) -> String {
        let Self { errors, instances, .. } = self;
        format!("{errors} standard error{} of {instances} instances", if errors == 1.0 { "" } else { "s" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop_assert, proptest};

    fn room(least: f64, errors: f64, instances: u64) -> Room {
        let evaluation = EvaluationSpec { tolerance: least, tolerance_errors: errors, ..EvaluationSpec::default() };
        Room::new(&evaluation, instances)
    }

    #[test]
    fn the_error_of_a_share_counts_where_it_is_the_larger() {
        // sqrt(.2 * .8 / 400) = .02
        assert!((room(0.002, 1.0, 400).below(0.2) - 0.02).abs() < 1e-15);
        assert!((room(0.002, 1.5, 400).below(0.2) - 0.03).abs() < 1e-15);
        assert_eq!(room(0.05, 1.0, 400).below(0.2), 0.05);
        assert_eq!(room(0.002, 0.0, 400).below(0.2), 0.002);
        assert_eq!(room(0.002, 1.0, 400).shown(0.2), "0.0200 (1 standard error of 400 instances)");
        assert_eq!(room(0.05, 1.0, 400).shown(0.2), "0.05");
    }

    proptest! {
        /// More instances or fewer errors never give more room, and there is never less than the least.
        #[test]
        fn room_shrinks_with_instances(
            bar in 0.0..=1.0_f64, least in 0.0..0.1_f64, errors in 0.0..10.0_f64, few in 1_u64..100_000, more in any::<u32>(),
        ) {
            let (small, large) = (room(least, errors, few), room(least, errors, few + u64::from(more)));
            prop_assert!(least <= large.below(bar) && large.below(bar) <= small.below(bar));
            prop_assert!(room(least, errors / 2.0, few).below(bar) <= small.below(bar));
            // No share of n instances has an error above half of 1 / sqrt(n).
            prop_assert!(small.below(bar) <= least.max(errors * 0.5 / (few as f64).sqrt() * (1.0 + 1e-12)));
        }
    }
}
