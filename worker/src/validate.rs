//! The `Validate` lease: hits and CandAcc of some validation instances, as integers.

use crate::error::WorkerError;
use crate::pass_data::PassData;
use crate::rank::rank;
use conrec_domain::spec::RunSpec;
use conrec_domain::work::ValidationCounts;
use conrec_feedback::evaluation::Evaluation;
use conrec_feedback::metrics::candidate_accuracy;
use conrec_policy::transformer::Policy;

/// One in the fixed point of [`ValidationCounts::candidate_accuracy`].
const ONE: f64 = 4_294_967_296.0;

/// Counts over the instances `from..to` of the (thinned) validation window.
///
/// # Errors
/// What the policy refuses, and instances that the window does not have.
pub fn validate(
    spec: &RunSpec,
    (data, evaluation): (&PassData, &Evaluation),
    policy: &Policy,
    of: std::ops::Range<usize>,
) -> Result<ValidationCounts, WorkerError> {
    if of.end > evaluation.instances().len() || of.start > of.end {
        let have = evaluation.instances().len();
        return Err(WorkerError::Protocol(format!("validation of {of:?}, but there are {have} instances")));
    }
    let ranked = rank(spec, data, evaluation, policy, of.clone())?;
    let mut counts = ValidationCounts::default();
    for (i, index) in of.enumerate() {
        let gts = &evaluation.targets()[index].gts;
        counts.instances += 1;
        counts.hits += u64::from(ranked.predictions.ranked[i].iter().any(|item| gts.contains(item)));
        counts.candidate_accuracy += (candidate_accuracy(&ranked.predictions.candidate_scores[i]) * ONE).round() as u64;
    }
    Ok(counts)
}
