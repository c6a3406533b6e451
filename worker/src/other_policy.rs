//! Another run's policy on a run's data: it keeps its own semantic ids, prompts and context, and sees the events, windows and
//! measures of the data's run. Items that it does not know get codes from its quantizer.

use crate::error::WorkerError;
use crate::kept_ids::KeptIds;
use crate::pass_data::PassData;
use crate::semantic_ids::IdSource;
use crate::stored_run::{StoreArgs, StoredRun};
use conrec_domain::ids::RunId;
use conrec_domain::spec::{EvaluationSpec, RunConfig, RunSpec};
use conrec_feedback::matrix::Matrix;
use conrec_feedback::training_time::TrainingTime;

/// The policy of `run` with the data of `on`.
///
/// # Errors
/// A run that is not there or not finished, or whose ids cannot be given to this data.
pub fn on_data_of(run: &RunId, on: &StoredRun, at: &StoreArgs) -> Result<(StoredRun, PassData), WorkerError> {
    let other = StoredRun::open(run, at)?;
    let spec = on_data(&other.spec, &on.spec)?;
    let data = on.data()?;
    let same_file = !spec.semantic_id.file.is_empty() && spec.semantic_id == on.spec.semantic_id;
    let data = if same_file { data } else { renamed(data, &spec, &other)? };
    let StoredRun { base, state, .. } = other;
    Ok((StoredRun { spec, folder: on.folder.clone(), base, state }, data))
}

/// The same data with the other run's ids.
fn renamed(data: PassData, spec: &RunSpec, other: &StoredRun) -> Result<PassData, WorkerError> {
    let kept = KeptIds::open(&other.folder, spec)?;
    let pass = &data.prepared;
    let candidates = TrainingTime::new(&pass.dataset, pass.windows.train_end).catalogue();
    let unread = Matrix::zeros(0, 0);
    let made = kept.ids(&IdSource { spec, dataset: &pass.dataset, vectors: &unread, candidates: &candidates })?;
    data.with_ids(spec, made.ids, made.cell_vectors)
}

/// What a policy was made with, under the measures of the run whose data it sees.
fn on_data(policy: &RunSpec, data: &RunSpec) -> Result<RunSpec, WorkerError> {
    let evaluation = EvaluationSpec { context: policy.evaluation.context, ..data.evaluation.clone() };
    let (data, cluster) = (data.data.clone(), data.cluster.clone());
    Ok(RunSpec::check(RunConfig { data, evaluation, cluster, ..(**policy).clone() })?)
}
