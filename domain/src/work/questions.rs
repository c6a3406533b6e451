//! What held-out alignment questions found: how often the policy names the disliked item, by kind of distractor.

use crate::spec::Distractor;
use crate::work::Pass;
use serde::{Deserialize, Serialize};

/// One in the fixed point of [`QuestionCounts::right`].
const ONE: f64 = 4_294_967_296.0;

/// Counts over questions, by kind of distractor in the order of [`Distractor::ALL`]: exact, so their sum has no order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuestionCounts {
    /// Questions asked.
    pub asked: [u64; 4],
    /// Right answers in units of 2^-32: where n of the four share the highest score, the disliked one among them, the
    /// answer counts 1/n.
    pub right: [u64; 4],
}

impl QuestionCounts {
    /// Adds another lease's counts.
    pub fn add(&mut self, other: &Self) {
        for (sum, more) in self.asked.iter_mut().zip(other.asked).chain(self.right.iter_mut().zip(other.right)) {
            *sum = sum.saturating_add(more);
        }
    }

    /// Counts one answer; `right` is 0 to 1.
    pub fn count(&mut self, kind: Distractor, right: f64) {
        let at = Distractor::ALL.iter().position(|other| *other == kind).unwrap_or_default();
        self.asked[at] += 1;
        self.right[at] += (right * ONE).round() as u64;
    }

    /// Share of right answers of each kind that was asked, and how often it was; chance is 0.25.
    pub fn accuracies(&self) -> Vec<(Distractor, f64, u64)> {
        let all = Distractor::ALL.into_iter().zip(self.asked).zip(self.right);
        all.filter(|((_, asked), _)| *asked > 0)
            .map(|((kind, asked), right)| (kind, right as f64 / ONE / asked as f64, asked))
            .collect()
    }
}

/// The questions' accuracy at one point of the select pass.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuestionPoint {
    /// Pass.
    pub pass: Pass,
    /// The stage that had ended; empty: before the first one, of untrained weights.
    pub stage: String,
    /// Counts over the validation window.
    pub counts: QuestionCounts,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_share_and_kinds_are_kept_apart() {
        let mut counts = QuestionCounts::default();
        counts.count(Distractor::Positives, 1.0);
        counts.count(Distractor::Positives, 0.5);
        counts.count(Distractor::Exposed, 0.0);
        let mut sum = counts;
        sum.add(&counts);
        assert_eq!(sum.accuracies(), [(Distractor::Positives, 0.75, 4), (Distractor::Exposed, 0.0, 2)]);
    }
}
